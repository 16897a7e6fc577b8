package compose

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files are the files and folders below dir, by their names; a folder's content
// is "/".
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if all[name] = "/"; entry.Type().IsRegular() {
			text, err := os.ReadFile(path)
			all[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// put writes files below dir, with the folders that they are in.
func put(t *testing.T, dir string, all map[string]string) {
	t.Helper()
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// composeScript is a stand-in for Docker Compose, run in the project's folder.
func composeScript(t *testing.T, script string) *composeCommand {
	t.Helper()
	path := filepath.Join(t.TempDir(), "compose")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &composeCommand{words: []string{path}}
}

// TestCarryOverride: the override file is made and named, or else nothing is
// left of the attempt but what somebody else wrote.
func TestCarryOverride(t *testing.T) {
	const (
		says    = "services:\n  app:\n    deploy:\n      replicas: 1\n"
		named   = "COMPOSE_FILE=compose.yaml:deploy/new/o.yml\n"
		rejects = "echo 'not like this' >&2; exit 1"
	)
	for name, c := range map[string]struct {
		before map[string]string
		link   bool // .env leads nowhere, so that it cannot be written
		script string
		// changed are the files that differ from before; "" for gone.
		changed map[string]string
		err     string
	}{
		"no files":            {nil, false, "exit 0", map[string]string{".env": named, "deploy": "/", "deploy/new": "/", "deploy/new/o.yml": says}, ""},
		"both there":          {map[string]string{".env": "A=1", "deploy/new/o.yml": says}, false, "exit 0", map[string]string{".env": "A=1\n" + named}, ""},
		"only comments":       {map[string]string{"deploy/new/o.yml": "# ours\n"}, false, "exit 0", map[string]string{".env": named, "deploy/new/o.yml": "# ours\n" + says}, ""},
		"rejected":            {nil, false, rejects, nil, "so everything was put back: exit status 1: not like this"},
		"rejected, in deploy": {map[string]string{"deploy/other": "x", ".env": "A=1"}, false, rejects, nil, "so everything was put back"},
		"rejected, comments":  {map[string]string{"deploy/new/o.yml": "# ours\n", ".env": ""}, false, rejects, nil, "so everything was put back"},
		"no .env can be":      {nil, true, "exit 0", nil, ".env could not be written"},
		"no .env, comments":   {map[string]string{"deploy/new/o.yml": "# ours\n"}, true, "exit 0", nil, ".env could not be written"},
		"somebody else's override": {nil, false, "echo '# mine' >>deploy/new/o.yml; " + rejects,
			map[string]string{"deploy": "/", "deploy/new": "/", "deploy/new/o.yml": says + "# mine\n"}, "o.yml was not put back as it was: somebody else changed it"},
		"somebody else's .env": {map[string]string{".env": "A=1\n"}, false, "echo B=2 >>.env; " + rejects,
			map[string]string{".env": "A=1\n" + named + "B=2\n", "deploy": "/", "deploy/new": "/", "deploy/new/o.yml": says}, "o.yml stays with it"},
		"somebody else's file beside": {nil, false, "touch deploy/new/other; " + rejects,
			map[string]string{"deploy": "/", "deploy/new": "/", "deploy/new/other": ""}, "so everything was put back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("COMPOSE_FILE", "")
			dir := t.TempDir()
			put(t, dir, map[string]string{"compose.yaml": "services: {}\n"})
			put(t, dir, c.before)
			if c.link {
				if err := os.Symlink("nowhere", filepath.Join(dir, ".env")); err != nil {
					t.Fatal(err)
				}
			}
			want := files(t, dir)
			maps.Copy(want, c.changed)
			cfg := Config{Service: "app", Dir: dir, OverrideFile: "deploy/new/o.yml"}
			p, err := fromFolder(cfg)
			if err != nil {
				t.Fatal(err)
			}
			w := &Workload{cfg: cfg, project: p, compose: composeScript(t, c.script)}
			err = w.CarryOverride(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if got := files(t, dir); !maps.Equal(got, want) {
				t.Errorf("there are %q, want %q", got, want)
			}
		})
	}
}

// TestCarryOverrideAlone: without a Compose that could accept the outcome
// nothing is touched.
func TestCarryOverrideAlone(t *testing.T) {
	t.Setenv("COMPOSE_FILE", "")
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	put(t, dir, map[string]string{"compose.yaml": "services: {}\n"})
	w := &Workload{cfg: Config{Service: "app", Dir: dir, OverrideFile: "o.yml"}, project: project{dir: dir}, engine: newEngine("docker")}
	if err := w.CarryOverride(t.Context()); err == nil || !strings.Contains(err.Error(), "install the plugin") {
		t.Errorf("%v", err)
	}
	if left := slices.Sorted(maps.Keys(files(t, dir))); !slices.Equal(left, []string{"compose.yaml"}) {
		t.Errorf("left behind: %q", left)
	}
}
