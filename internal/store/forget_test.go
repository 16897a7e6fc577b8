package store

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForget: only the one workload's records go, whatever else stands there.
func TestForget(t *testing.T) {
	j := journal(t)
	j.max = 4000 // so that some are rotated away
	other := record(7)
	other.Workload = service("other")
	for n := range 12 {
		add(t, j, n)
		if n == 3 {
			if err := j.Append(other); err != nil {
				t.Fatal(err)
			}
		}
	}
	line, err := record(1).line()
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Index(line, []byte(`"reading"`)) + 20
	otherLine, err := other.line()
	if err != nil {
		t.Fatal(err)
	}
	newer := `{"version":9,"workload":{"service":"app"},"more":[1]}` + "\n"
	damaged := string(otherLine[:cut]) + "\n\n\x00\x00\n" + strings.Repeat("x", maxLine+1) + "\n"
	rest := `{"version":1,"time":"20` // nobody can tell whose
	rotated := read(t, j.path+".1")
	write(t, j.path, newer+damaged+string(line[:cut])+"\n"+read(t, j.path)+rest)
	if j.Count(app()) == 0 {
		t.Fatal("none to forget")
	}
	if err := j.Forget(app()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, j.path); got != newer+damaged+rest {
		t.Errorf("the journal holds %.2000q", got)
	}
	if strings.Contains(rotated, string(otherLine)) {
		if got := read(t, j.path+".1"); got != string(otherLine) {
			t.Errorf("the rotated part holds %q", got)
		}
	}
	if n := j.Count(app()); n != 0 {
		t.Errorf("%d left", n)
	}
	if err := j.Forget(app()); err != nil { // again
		t.Error(err)
	}
}

// TestForgetLast: the last record takes the files along, and a journal that is
// not there makes nothing.
func TestForgetLast(t *testing.T) {
	j := journal(t)
	j.max = 4000
	add(t, j, upTo(0, 12)...)
	if err := j.Forget(app()); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Dir(j.path))
	missing := Open(filepath.Join(t.TempDir(), "tools", "state.json"))
	if err := missing.Journal().Forget(app()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(missing.path)); err == nil {
		t.Error("a folder was made")
	}
}

// TestBefore: what stood before the first run is kept through every later save,
// and goes with the entry.
func TestBefore(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	first := json.RawMessage(`{"replicas": 2}`)
	if _, err := f.SaveFirst(app(), numbered(1), first); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SaveFirst(app(), numbered(2), json.RawMessage(`{"replicas": 5}`)); err != nil {
		t.Fatal(err)
	}
	save(t, f, app(), numbered(3))
	save(t, f, service("other"), numbered(1))
	var got struct{ Replicas int }
	kept, err := f.Before(app())
	if err != nil || json.Unmarshal(kept, &got) != nil || got.Replicas != 2 {
		t.Errorf("%s, %v", kept, err)
	}
	wantState(t, f, app(), numbered(3))
	if kept, err := f.Before(service("other")); err != nil || kept != nil {
		t.Errorf("%s, %v", kept, err)
	}
	if err := f.Remove(app()); err != nil {
		t.Fatal(err)
	}
	if kept, err := f.Before(app()); err != nil || kept != nil {
		t.Errorf("%s, %v", kept, err)
	}
	write(t, f.path, "{")
	if kept, err := f.Before(app()); err != nil || kept != nil {
		t.Errorf("%s, %v", kept, err)
	}
}
