package schedule

import (
	"os"
	"path/filepath"
	"testing"
)

// program puts an empty program into a folder.
func program(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestTimers: a timer is found through its service, in the folder that counts.
func TestTimers(t *testing.T) {
	m := manager{folders: []string{t.TempDir(), t.TempDir()}}
	write := func(folder, name, text string) {
		t.Helper()
		path := filepath.Join(m.folders[folder[0]-'0'], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j := seeds()
	service, timer, err := j.Units()
	if err != nil {
		t.Fatal(err)
	}
	write("0", "autoscale.service", j.mark(service)+"\n"+service)
	write("0", "autoscale.timer", j.mark(timer)+"\n"+timer)
	write("1", "theirs.timer", "[Timer]\nOnUnitActiveSec=90\nUnit=scale.service\n")
	write("1", "scale.service", "[Service]\nWorkingDirectory=/srv/bot\nExecStart=-/bin/sh -c \"cd . && \\\n  exec autoscale --provider=compose\"\n")
	write("1", "other.timer", "[Timer]\nOnCalendar=hourly\n")
	write("1", "other.service", "[Service]\nWorkingDirectory=/srv/other\nExecStart=/usr/local/bin/autoscale --provider=compose\n")
	write("1", "loop.service", "[Service]\nExecStart=/usr/local/bin/autoscale run --project-dir=/srv/bot\n")
	write("1", "multi-user.target.wants/loop.service", "[Service]\nExecStart=/usr/local/bin/autoscale run --project-dir=/srv/bot\n")

	got := map[string]Entry{}
	for _, name := range []string{"autoscale.timer", "theirs.timer", "other.timer"} {
		if _, e, ok := m.timer(t.Context(), m.path(name), j.Workload); ok {
			got[name] = e
		}
	}
	for _, e := range m.services(j.Workload, map[string]bool{"scale.service": true}) {
		got[filepath.Base(e.Where)] = e
	}
	if e := got["autoscale.timer"]; !e.Ours || !e.Acts || e.Every != j.Every {
		t.Errorf("ours: %+v", e)
	}
	if e, ok := got["theirs.timer"]; !ok || e.Ours || !e.Acts || e.Every.Seconds() != 90 {
		t.Errorf("theirs: %+v", e)
	}
	if e, ok := got["loop.service"]; !ok || !e.Acts {
		t.Errorf("a service without a timer: %+v", e)
	}
	if len(got) != 3 {
		t.Errorf("%d found: %+v", len(got), got)
	}
	write("0", "autoscale.service", j.mark(service)+"\n"+service+"Nice=5\n")
	if _, e, ok := m.timer(t.Context(), m.path("autoscale.timer"), j.Workload); !ok || e.Ours || !e.Edited {
		t.Errorf("an edited one: %+v", e)
	}
}
