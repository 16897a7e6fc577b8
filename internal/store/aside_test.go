package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAside: a note is there until it is forgotten, and is the workload's whether or
// not its engine is known.
func TestAside(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	k := app()
	a := f.Aside(k)
	t.Cleanup(func() { _ = a.Forget() })
	var got []string
	if err := a.Load(&got); err != nil || got != nil {
		t.Errorf("%q (%v)", got, err)
	}
	for _, text := range []string{"one", "two"} {
		if err := a.Save([]string{text}); err != nil {
			t.Fatal(err)
		}
	}
	unknown := k
	unknown.Engine, unknown.Project = "", ""
	if err := f.Aside(unknown).Load(&got); err != nil || len(got) != 1 || got[0] != "two" {
		t.Errorf("%q (%v)", got, err)
	}
	other := k
	other.Service += "2"
	for _, not := range []Aside{f.Aside(other), Open(f.path + "2").Aside(k)} {
		var none []string
		if err := not.Load(&none); err != nil || none != nil {
			t.Errorf("%q (%v)", none, err)
		}
	}
	if info, err := os.Stat(a.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info, err)
	}
	if err := os.WriteFile(a.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Load(&got); err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := a.Forget(); err != nil {
			t.Error(err)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := a.Save("x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(a.path, 12345, 0); err != nil {
		t.Fatal(err)
	}
	if err := a.Load(&got); err == nil || !strings.Contains(err.Error(), "another user's") {
		t.Errorf("%v", err)
	}
}
