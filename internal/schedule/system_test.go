package schedule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// putProgram puts an empty program into a folder.
func putProgram(t *testing.T, dir, name string) {
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
		if _, e, ok, err := m.timer(t.Context(), m.path(name), j.Workload); ok && err == nil {
			got[name] = e
		}
	}
	services, warnings := m.services(j.Workload, map[string]bool{"scale.service": true})
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	for _, e := range services {
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
	if _, e, ok, err := m.timer(t.Context(), m.path("autoscale.timer"), j.Workload); err != nil || !ok || e.Ours || !e.Edited {
		t.Errorf("an edited one: %+v", e)
	}
}

// TestUnits: what a service runs is known only as far as its file says it
// plainly; whatever may be this service's counts as that.
func TestUnits(t *testing.T) {
	w := Workload{Service: "app", Dir: "/srv/bot"}
	const run = "/usr/local/bin/autoscale --provider=compose"
	for text, want := range map[string]string{
		"WorkingDirectory=/srv/bot\nExecStart=" + run:                                       "acts",
		"WorkingDirectory=-/srv/bot\nExecStart=" + run:                                      "acts",
		"WorkingDirectory=%h/bot\nExecStart=" + run:                                         "acts",
		"WorkingDirectory=~\nExecStart=" + run:                                              "acts",
		"WorkingDirectory=/srv/%i\nExecStart=" + run:                                        "acts",
		"WorkingDirectory=/srv/50%%\nExecStart=" + run:                                      "",
		"ExecStart=" + run + " --project-dir=/srv/%i":                                       "acts",
		"WorkingDirectory=/srv/bot\nExecStart=" + run + " --service=${S}":                   "acts",
		"WorkingDirectory=/srv/bot\nExecStart=" + run + " --service=web":                    "",
		"ExecStart=/bin/bash -lc 'cd /srv/bot && exec " + run + "'":                         "acts",
		"WorkingDirectory=/srv/bot\nExecStart=/bin/true\nExecStartPost=" + run:              "acts",
		"WorkingDirectory=/srv/bot\nExecStart=" + run + "\nExecStart=\nExecStart=/bin/true": "",
		"WorkingDirectory=/srv/bot\nExecStart=" + run + " --dry-run":                        "still",
		"WorkingDirectory=/srv/other\nExecStart=" + run:                                     "",
	} {
		m := manager{folders: []string{t.TempDir()}}
		path := filepath.Join(m.install(), "x.service")
		if err := os.WriteFile(path, []byte("[Service]\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		concerns, acts, _, _, err := m.serviceCalls(path, w)
		got := map[bool]string{true: "acts", false: "still"}[acts]
		if !concerns {
			got = ""
		}
		if got != want || err != nil {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestDropIns: what "systemctl edit" changed counts.
func TestDropIns(t *testing.T) {
	m := manager{folders: []string{t.TempDir(), t.TempDir()}}
	write := func(path, text string) {
		t.Helper()
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
	write(filepath.Join(m.install(), "autoscale.service"), j.mark(service)+"\n"+service)
	write(filepath.Join(m.install(), "autoscale.timer"), j.mark(timer)+"\n"+timer)
	write(filepath.Join(m.folders[1], "autoscale.service.d", "override.conf"), "[Service]\nExecStart=\nExecStart=/usr/local/bin/autoscale --provider=compose --max=9\n")
	_, e, ok, err := m.timer(t.Context(), m.path("autoscale.timer"), j.Workload)
	if err != nil || !ok || e.Ours || !e.Edited || !e.Acts {
		t.Errorf("%+v %v", e, err)
	}
	other := manager{user: true, of: "deploy", folders: m.folders[:1]}
	_, e, ok, err = other.timer(t.Context(), other.path("autoscale.timer"), j.Workload)
	if err != nil || !ok || e.Ours || !e.Acts || e.Remove(t.Context()) == nil || !strings.Contains(e.Text, "only deploy can remove it") {
		t.Errorf("another user's: %+v %v", e, err)
	}
}

// TestUninstall: a timer that cannot be stopped keeps its files.
func TestUninstall(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	for name, c := range map[string]struct {
		systemctl string
		runs      bool
		says      string // "" for removed
	}{
		"stopped":           {"exit 0", true, ""},
		"cannot be stopped": {`[ "$1" = disable ] && exit 1; exit 0`, true, "cannot be stopped"},
		"does not answer":   {"exit 1", true, "does not answer"},
		"no systemd runs":   {"exit 1", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\n"+c.systemctl+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			m := manager{folders: []string{t.TempDir()}, present: filepath.Join(t.TempDir(), "none")}
			if c.runs {
				m.present = t.TempDir()
			}
			files := []string{"autoscale.timer", "autoscale.service"}
			for _, file := range files {
				if err := os.WriteFile(filepath.Join(m.install(), file), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := m.uninstall(t.Context(), "autoscale")
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			for _, file := range files {
				if _, gone := os.Stat(filepath.Join(m.install(), file)); (gone != nil) != (c.says == "") {
					t.Errorf("%s: %v", file, gone)
				}
			}
		})
	}
}
