package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
)

func TestKeyString(t *testing.T) {
	keys := []Key{
		{Provider: "compose", Engine: "e", Project: "p", Service: "s"},
		{Provider: "compose", Engine: "e/p", Project: "", Service: "s"},
		{Provider: "compose", Engine: "e", Project: "p/s", Service: ""},
		{Provider: "compose", Engine: "e", Project: "p%2Fs", Service: ""},
		{Provider: "k8s", Engine: "e", Project: "p", Service: "s"},
		{Provider: "k8s", Engine: "https://1.2.3.4:6443", Project: "p", Service: "s"},
		{},
	}
	seen := map[string]Key{}
	for _, k := range keys {
		if other, ok := seen[k.String()]; ok {
			t.Errorf("%#v and %#v are both %q", k, other, k)
		}
		seen[k.String()] = k
	}
	if got, want := app().String(), "compose/unix:%2F%2F%2Frun%2Fdocker.sock/shop/app"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	moved := app()
	moved.Dir = "/elsewhere"
	if moved.String() != app().String() {
		t.Error("the folder is part of the name")
	}
}

func TestSaveLoad(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	wantState(t, f, app(), autoscale.State{})
	if w := save(t, f, app(), full()); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	wantState(t, f, app(), full())
	wantState(t, f, service("web"), autoscale.State{})
	save(t, f, service("web"), numbered(3))
	save(t, f, app(), numbered(2))
	wantState(t, f, app(), numbered(2))
	wantState(t, f, service("web"), numbered(3))

	text := read(t, f.path)
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	if indented.String() != text {
		t.Errorf("not indented as JSON is:\n%s", text)
	}
	wantNames(t, filepath.Dir(f.path), "state.json")
}

// What another program, or a later version, put into the file stays.
func TestSaveKeepsOthers(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	others := []string{
		`"a": {"state":{"count": 1e2,   "later": [ 1,2 ]}, "big": 123456789012345678901234567890, "html": "<&>\u003c"}`,
		`"b": null`,
		`"c": "not an entry"`,
	}
	write(t, f.path, "\n{\"later\": { \"x\" :1},\"version\":1, \"entries\":{"+strings.Join(others, " ,\r\n")+"}  , \"z\":[]}\n\n")
	for range 3 {
		if w := save(t, f, app(), full()); len(w) > 0 {
			t.Errorf("warnings %q", w)
		}
		text := read(t, f.path)
		for _, want := range append(others, `"later": { "x" :1}`, `"z": []`, `"version": 1`) {
			if !strings.Contains(text, want) {
				t.Errorf("lost %s in\n%s", want, text)
			}
		}
	}
	wantState(t, f, app(), full())
	if err := f.Remove(app()); err != nil {
		t.Fatal(err)
	}
	text := read(t, f.path)
	for _, want := range others {
		if !strings.Contains(text, want) {
			t.Errorf("Remove lost %s in\n%s", want, text)
		}
	}
}

// good is a whole file with app's state.
func good(t *testing.T) string {
	t.Helper()
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	save(t, f, app(), full())
	return read(t, f.path)
}

func TestUnreadable(t *testing.T) {
	entry := func(value string) string {
		return fmt.Sprintf(`{"version":1,"entries":{%q:%s}}`, app(), value)
	}
	whole := good(t)
	for name, text := range map[string]string{
		"empty":              "",
		"zeros":              strings.Repeat("\x00", 4096),
		"torn":               whole[:len(whole)/2],
		"last byte missing":  whole[:len(whole)-3],
		"two documents":      whole + whole,
		"list":               "[]",
		"null":               "null",
		"no version":         "{}",
		"version 0":          `{"version":0}`,
		"version -1":         `{"version":-1}`,
		"version 1.5":        `{"version":1.5}`,
		"version word":       `{"version":"1"}`,
		"version twice":      `{"version":1,"version":2}`,
		"entries list":       `{"version":1,"entries":[]}`,
		"entry twice":        `{"version":1,"entries":{"a":1,"a":2}}`,
		"not UTF-8":          "{\"version\":1,\"entries\":{\"\xff\":1}}",
		"byte-order mark":    "\ufeff" + whole,
		"deep":               strings.Repeat(`{"a":`, 20000),
		"own entry null":     entry("null"),
		"own entry list":     entry("[]"),
		"own without state":  entry("{}"),
		"own state shape":    entry(`{"state":{"count":"three"}}`),
		"own state time":     entry(`{"state":{"at":{"time":"yesterday"}}}`),
		"own count too big":  entry(`{"state":{"count":1e400}}`),
		"own count fraction": entry(`{"state":{"count":1.5}}`),
		"foreign JSON":       `{"name":"shop","dependencies":{"a":{"b":{"c":{"d":{"idle_since":1}}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := Open(filepath.Join(t.TempDir(), "state.json"))
			write(t, f.path, text)
			before := tree(t, filepath.Dir(f.path))
			s, warnings, err := f.Load(app())
			if err != nil || !reflect.DeepEqual(s, autoscale.State{}) || len(warnings) != 1 || !strings.Contains(warnings[0], "unreadable") {
				t.Fatalf("Load: %+v, %q, %v", s, warnings, err)
			}
			if after := tree(t, filepath.Dir(f.path)); !maps.Equal(before, after) {
				t.Errorf("Load changed files: %q", after)
			}
			if applied, err := f.Applied(app()); applied {
				t.Errorf("Applied: %v, %v", applied, err)
			}

			kept := f.path + ".corrupt-20260301T080000Z"
			if w := save(t, f, app(), full()); len(w) != 1 || !strings.Contains(w[0], kept) {
				t.Errorf("Save: warnings %q", w)
			}
			wantState(t, f, app(), full())
			if tree(t, filepath.Dir(f.path))[filepath.Base(kept)] != before["state.json"] {
				t.Errorf("kept %q, want %q", read(t, kept), text)
			}
			// The next one in the same second does not replace the first.
			write(t, f.path, "again")
			save(t, f, app(), full())
			if got := read(t, kept+"-2"); got != "again" {
				t.Errorf("second one kept as %q", got)
			}
			if got := read(t, kept); got != text {
				t.Errorf("first one is now %q", got)
			}
		})
	}
}

// A damaged entry costs its own workload only.
func TestDamagedEntryLeavesOthers(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	save(t, f, service("web"), full())
	text := strings.Replace(read(t, f.path), `"entries": {`, fmt.Sprintf(`"entries": {%q: {"state": 7},`, app()), 1)
	write(t, f.path, text)
	wantState(t, f, service("web"), full())
	if w := save(t, f, service("web"), numbered(2)); len(w) > 0 {
		t.Errorf("web's run warns of app's entry: %q", w)
	}
	if _, w, err := f.Load(app()); err != nil || len(w) != 1 {
		t.Fatalf("warnings %q, error %v", w, err)
	}
	save(t, f, app(), full())
	wantState(t, f, app(), full())
	wantState(t, f, service("web"), numbered(2))
}

func TestPythonState(t *testing.T) {
	for name, text := range map[string]string{
		"all":         `{"idle_since": 1767225600.5, "last_scale_at": null, "last_replicas": 2}`,
		"one":         `{"last_scale_at": 1767225600}`,
		"per service": `{"app": {"idle_since": null, "last_replicas": 3}, "web": {}}`,
		"deeper":      `{"services": {"app": {"last_replicas": 3}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := Open(filepath.Join(t.TempDir(), ".autoscale_state.json"))
			write(t, f.path, text)
			s, warnings, err := f.Load(app())
			if err != nil || !reflect.DeepEqual(s, autoscale.State{}) || len(warnings) != 1 || !strings.Contains(warnings[0], "earlier Python script") {
				t.Fatalf("Load: %+v, %q, %v", s, warnings, err)
			}
			if got := read(t, f.path); got != text {
				t.Errorf("Load left %q", got)
			}
			if err := f.Remove(app()); err == nil || read(t, f.path) != text {
				t.Errorf("Remove: %v; it left %q", err, read(t, f.path))
			}
			kept := f.path + ".python-20260301T080000Z"
			if w := save(t, f, app(), full()); len(w) != 1 || !strings.Contains(w[0], kept) {
				t.Errorf("Save: warnings %q", w)
			}
			if got := read(t, kept); got != text {
				t.Errorf("kept %q", got)
			}
			wantState(t, f, app(), full())
		})
	}
}

func TestNewerVersion(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	write(t, f.path, `{"version": 2, "anything": true}`)
	before := tree(t, filepath.Dir(f.path))
	_, _, err := f.Load(app())
	wantError(t, err, f.path, "version 2", "newer", "update", "--state-file")
	_, err = f.Save(app(), full())
	wantError(t, err, f.path, "version 2")
	wantError(t, f.Remove(app()), f.path, "version 2")
	_, err = f.Applied(app())
	wantError(t, err, "version 2")
	_, err = f.Keys("/srv/shop", "app")
	wantError(t, err, "version 2")
	if after := tree(t, filepath.Dir(f.path)); !maps.Equal(before, after) {
		t.Errorf("changed: %q", after)
	}
}

// JSON has no NaN; a state with one is refused before anything is touched.
func TestSaveRefusesNumbers(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		f := Open(filepath.Join(t.TempDir(), "folder", "state.json"))
		s := full()
		s.History[0].Load = bad
		_, err := f.Save(app(), s)
		wantError(t, err, "cannot be saved", app().String())
		wantNames(t, filepath.Dir(filepath.Dir(f.path)))
		save(t, f, app(), full())
		_, err = f.Save(app(), s)
		wantError(t, err, "cannot be saved")
		wantState(t, f, app(), full())
	}
	far := full()
	far.Kept = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := Open(filepath.Join(t.TempDir(), "state.json")).Save(app(), far)
	wantError(t, err, "cannot be saved")
}

func TestBounded(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	f.max = 12_000
	for n := range 20 {
		// Saved in an order other than that of their times.
		save(t, f, service(fmt.Sprint(n)), numbered((n*17)%20))
	}
	if size := len(read(t, f.path)); int64(size) > f.max || size < 9_000 {
		t.Errorf("%d bytes", size)
	}
	old := service("old")
	warnings := save(t, f, old, numbered(0))
	wantState(t, f, old, numbered(0))
	for len(warnings) == 0 {
		warnings = save(t, f, service("more"+fmt.Sprint(len(read(t, f.path)))), numbered(19))
	}
	if !strings.Contains(warnings[0], "dropped") || !strings.Contains(warnings[0], old.String()) {
		t.Errorf("the oldest was not the one to go: %q", warnings)
	}
	before := read(t, f.path)
	_, err := f.Save(app(), numbered(699))
	wantError(t, err, "larger")
	if read(t, f.path) != before {
		t.Error("a state that is too large changed the file")
	}
}

// What is not a file of ours to read is neither waited for nor put aside.
func TestNotToBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		make func(path string) error
		says string
	}{
		"folder": {func(p string) error { return os.Mkdir(p, 0o755) }, "not a regular file"},
		"pipe":   {func(p string) error { return syscall.Mkfifo(p, 0o666) }, "not a regular file"},
		"loop":   {func(p string) error { return os.Symlink(p, p) }, "links"},
		"large":  {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, 100_001)) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			f := Open(filepath.Join(t.TempDir(), "state.json"))
			f.max = 100_000
			if err := test.make(f.path); err != nil {
				t.Fatal(err)
			}
			_, _, err := f.Load(app())
			wantError(t, err, f.path, test.says)
			_, err = f.Save(app(), full())
			wantError(t, err, f.path, test.says)
			_, err = f.Applied(app())
			wantError(t, err, f.path, test.says)
			wantNames(t, filepath.Dir(f.path), "state.json")
		})
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"project", "data"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := Open(filepath.Join(dir, "project", "state.json"))
	target := filepath.Join(dir, "data", "shop.json")
	if err := os.Symlink("../data/shop.json", f.path); err != nil {
		t.Fatal(err)
	}
	wantState(t, f, app(), autoscale.State{})
	save(t, f, app(), full()) // a link that leads nowhere yet
	wantState(t, f, app(), full())
	wantState(t, Open(target), app(), full())
	write(t, target, "torn")
	save(t, f, app(), numbered(3))
	wantState(t, Open(target), app(), numbered(3))
	wantNames(t, filepath.Join(dir, "data"), "shop.json", "shop.json.corrupt-20260301T080003Z")
	if to, err := os.Readlink(f.path); err != nil || to != "../data/shop.json" {
		t.Errorf("the link is now %q, %v", to, err)
	}
}

// Made by root in a user's project, the files are the user's.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 23456
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	f := Open(filepath.Join(dir, "tools", "sub", ".autoscale_state.json"))
	save(t, f, app(), full())
	if err := f.Journal().Append(record(1)); err != nil {
		t.Fatal(err)
	}
	write(t, f.path, "torn") // by root, onto the user's file
	save(t, f, app(), full())
	all := tree(t, dir)
	if len(all) != 6 {
		t.Errorf("files: %q", all)
	}
	for name, what := range all {
		if !strings.Contains(what, fmt.Sprintf(" %d:%d ", uid, gid)) {
			t.Errorf("%s is %.30s", name, what)
		}
	}
}

func TestRemove(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "tools", "state.json"))
	if err := f.Remove(app()); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Dir(filepath.Dir(f.path)))
	save(t, f, app(), full())
	save(t, f, service("web"), numbered(1))
	before := read(t, f.path)
	if err := f.Remove(service("none")); err != nil || read(t, f.path) != before {
		t.Errorf("an entry that is not there: %v", err)
	}
	if err := f.Remove(app()); err != nil {
		t.Fatal(err)
	}
	wantState(t, f, app(), autoscale.State{})
	wantState(t, f, service("web"), numbered(1))
	if err := f.Remove(service("web")); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Dir(f.path))
	write(t, f.path, "torn")
	wantError(t, f.Remove(app()), f.path, "not a state file")
	if got := read(t, f.path); got != "torn" {
		t.Errorf("left %q", got)
	}
}

func TestApplied(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	check := func(dir, service string, want bool) {
		t.Helper()
		if got, err := f.Applied(Key{Provider: "compose", Service: service, Dir: dir}); got != want || err != nil {
			t.Errorf("Applied(%s, %s) = %v, %v", dir, service, got, err)
		}
	}
	check("/srv/shop", "app", false)
	never := full()
	never.Applied = false
	save(t, f, app(), never)
	check("/srv/shop", "app", false)
	other := app()
	other.Engine = "unix:///run/user/1000/docker.sock"
	save(t, f, other, full())
	check("/srv/shop", "app", true)
	check("/srv/shop/", "app", true)
	check("/srv/shop", "web", false)
	check("/srv/other", "app", false)
	if got, err := f.Applied(Key{Provider: "k8s", Service: "app", Dir: "/srv/shop"}); got || err != nil {
		t.Errorf("applied by another provider: %v, %v", got, err)
	}

	write(t, f.path, strings.Replace(read(t, f.path), `"entries": {`, `"entries": {"x": 7,`, 1))
	check("/srv/shop", "app", true)
	applied, err := f.Applied(service("web"))
	wantError(t, err, f.path, "entry x")
	if applied {
		t.Error("applied")
	}
}

func TestKeys(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	check := func(dir, service string, want ...Key) {
		t.Helper()
		if got, err := f.Keys(dir, service); !slices.Equal(got, want) || err != nil {
			t.Errorf("Keys(%s, %s) = %v, %v", dir, service, got, err)
		}
	}
	check("/srv/shop", "app")
	rootless := app()
	rootless.Engine = "unix:///run/user/1000/docker.sock"
	for _, k := range []Key{app(), service("web"), rootless} {
		save(t, f, k, full())
	}
	write(t, f.path, strings.Replace(read(t, f.path), `"entries": {`, `"entries": {"x": 7,`, 1))
	check("/srv/shop", "app", app(), rootless)
	check("/srv/shop/.", "web", service("web"))
	check("/srv/shop", "x")
	check("/srv", "app")
	write(t, f.path, "torn")
	check("/srv/shop", "app")
}

// A folder that some other program keeps locked is not waited for without end.
func TestFolderLocked(t *testing.T) {
	dir := t.TempDir()
	f := Open(filepath.Join(dir, "state.json"))
	save(t, f, app(), full())
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := f.Save(app(), numbered(1))
		wantError(t, err, dir, "locked by another program", "--state-file")
		if waited := time.Since(began); waited != folderWait {
			t.Errorf("waited %v", waited)
		}
		wantError(t, f.Journal().Append(record(1)), dir, "locked by another program")
		wantState(t, f, app(), full()) // reading needs no lock
	})
	unlock()
	save(t, f, app(), numbered(1))
}

// A folder in which nothing can be written: the state is read, and the run is
// told that it cannot be saved.
func TestReadOnly(t *testing.T) {
	dir := publicDir(t)
	f := Open(filepath.Join(dir, "state.json"))
	save(t, f, app(), numbered(5))
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
	before := tree(t, dir)
	c := start(t, otherUser(65534), "load", f.path)
	if got := c.line(t); got != "load: 5 <nil>" {
		t.Error(got)
	}
	for _, what := range []string{"save: ", "append: "} {
		if got := c.line(t); !strings.HasPrefix(got, what) || !strings.Contains(got, dir) || !strings.Contains(got, "permission denied") && !strings.Contains(got, "read-only") {
			t.Error(got)
		}
	}
	c.done(t)
	if after := tree(t, dir); !maps.Equal(before, after) {
		t.Errorf("changed: %q", after)
	}
}
