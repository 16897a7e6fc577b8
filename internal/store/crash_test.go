package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// killAtRandom starts a child with job on path, lets it get on for a while and
// kills it. It returns the last number that the child called done.
func killAtRandom(t *testing.T, job, path string, args ...string) (done int) {
	t.Helper()
	c := start(t, nil, job, append([]string{path}, args...)...)
	last := ""
	for range 1 + rand.IntN(4) {
		last = c.line(t)
	}
	// Somewhere in the middle of the next one.
	for began, d := time.Now(), time.Duration(rand.Int64N(int64(4*time.Millisecond))); time.Since(began) < d; {
	}
	if l := c.kill(t); l != "" {
		last = l
	}
	done, err := strconv.Atoi(last)
	if err != nil {
		t.Fatalf("the child says %q", last)
	}
	return done
}

const kills = 20

// Killed at any moment, the state is the old or the new one, the other entries
// are as they were, and the next run works.
func TestKilledWhileSaving(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	save(t, f, service("web"), full())
	for range kills {
		save(t, f, app(), numbered(0))
		done := killAtRandom(t, "save", f.path, "app")
		got, warnings, err := f.Load(app())
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%q, %v", warnings, err)
		}
		if got.Count != done && got.Count != done+1 {
			t.Fatalf("state %d after %d was saved", got.Count, done)
		}
		wantState(t, f, app(), normal(t, numbered(got.Count)))
		wantState(t, f, service("web"), full())
	}
	save(t, f, app(), numbered(1))
	wantNames(t, filepath.Dir(f.path), "state.json")
}

// normal is s as it comes out of a file.
func normal(t *testing.T, s autoscale.State) (out autoscale.State) {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKilledWhileAppending(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	j := f.Journal()
	for range kills {
		done := killAtRandom(t, "append", f.path)
		all, err := records(j)
		if err != nil && !strings.Contains(err.Error(), "passed over") {
			t.Fatal(err)
		}
		last := int(all[len(all)-1].Reading.Samples[0].Value)
		if last != done && last != done+1 {
			t.Fatalf("record %d is the last, %d was written", last, done)
		}
		add(t, j, 0)
		if again, _ := records(j); len(again) != len(all)+1 {
			t.Fatalf("%d records and one are %d", len(all), len(again))
		}
	}
}

// Processes and goroutines that save different entries at once lose none.
func TestSavedAtOnce(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "tools", "state.json"))
	const last = 10
	children := []*child{
		start(t, nil, "saveN", f.path, fmt.Sprint(last), "a", "b"),
		start(t, nil, "saveN", f.path, fmt.Sprint(last), "c", "d"),
	}
	var all sync.WaitGroup
	for _, name := range []string{"e", "f"} {
		all.Go(func() {
			for n := range last + 1 {
				if w, err := f.Save(service(name), numbered(n)); err != nil || len(w) > 0 {
					t.Error(w, err)
				}
				if s, w, err := f.Load(service(name)); err != nil || len(w) > 0 || s.Count != n {
					t.Error(s, w, err)
				}
			}
		})
	}
	all.Wait()
	for _, c := range children {
		c.done(t)
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		wantState(t, f, service(name), normal(t, numbered(last)))
	}
	wantNames(t, filepath.Dir(f.path), "state.json")
}

// Disk full, on a small file system of its own where this user may have one
// (util-linux's unshare makes it, and it goes with the process) …
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	mount := `mount -t tmpfs -o size=512k tmpfs "$1" || exit 77; exec "$0" "$1"`
	c := exec.CommandContext(t.Context(), "unshare", "-r", "-m", "sh", "-c", mount, os.Args[0], dir)
	c.Env = append(os.Environ(), childJob+"=full", "GORACE=atexit_sleep_ms=0")
	out, err := c.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); os.Geteuid() != 0 && (!ok || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("error:"))) && err != nil {
		t.Logf("no file system of our own to be had (%v: %s); TestFileLimit stands for it", err, out)
		return
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// jobFull fills the disk at a folder and sees what the store makes of it.
func jobFull(args []string) error {
	f := Open(filepath.Join(args[0], "state.json"))
	torn := Open(filepath.Join(args[0], "torn.json"))
	if err := os.WriteFile(torn.path, []byte("torn"), 0o644); err != nil {
		return err
	}
	j := f.Journal()
	if _, err := f.Save(app(), numbered(100)); err != nil {
		return err
	}
	if err := j.Append(record(1)); err != nil {
		return err
	}
	filler := filepath.Join(args[0], "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is not full: %w", err)
	}
	return errors.Join(starved(f, j, torn, syscall.ENOSPC), os.Remove(filler), fed(f, j, torn))
}

// … and by a limit on the size of files, which any user can set.
func TestFileLimit(t *testing.T) {
	dir := t.TempDir()
	f, torn := Open(filepath.Join(dir, "state.json")), Open(filepath.Join(dir, "torn.json"))
	save(t, f, app(), numbered(100))
	add(t, f.Journal(), 1)
	write(t, torn.path, "torn")
	start(t, nil, "limit", dir).done(t)
	if err := fed(f, f.Journal(), torn); err != nil {
		t.Fatal(err)
	}
}

// jobLimit limits files to what the journal in a folder has already, and a
// little, and sees what the store makes of it.
func jobLimit(args []string) error {
	f, torn := Open(filepath.Join(args[0], "state.json")), Open(filepath.Join(args[0], "torn.json"))
	j := f.Journal()
	info, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := uint64(info.Size() + 100)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	return starved(f, j, torn, syscall.EFBIG)
}

// starved checks that with no room left nothing can be saved, that the error
// tells, and that all is as it was.
func starved(f *File, j *Journal, torn *File, want error) error {
	dir := filepath.Dir(f.path)
	before, err := listing(dir)
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := f.Save(app(), numbered(600)); !errors.Is(err, want) || !strings.Contains(err.Error(), "state not saved") {
			return fmt.Errorf("Save: %w", err)
		}
		if _, err := torn.Save(app(), numbered(600)); !errors.Is(err, want) {
			return fmt.Errorf("Save of a torn one: %w", err)
		}
		if err := j.Append(record(3999)); !errors.Is(err, want) { // more than what is left of a page
			return fmt.Errorf("Append: %w", err)
		}
		after, err := listing(dir)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(before, after) {
			return fmt.Errorf("files changed; there were %q, now %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
		}
	}
	s, warnings, err := f.Load(app())
	if err != nil || len(warnings) > 0 || s.Count != 100 {
		return fmt.Errorf("Load: %d %q %w", s.Count, warnings, err)
	}
	return nil
}

// fed checks that all works again once there is room.
func fed(f *File, j *Journal, torn *File) error {
	_, err := f.Save(app(), numbered(600))
	warnings, tornErr := torn.Save(app(), numbered(600))
	if err := errors.Join(err, tornErr, j.Append(record(2000))); err != nil {
		return err
	}
	all, err := records(j)
	if err != nil || len(all) != 2 || len(warnings) != 1 {
		return fmt.Errorf("%d records, warnings %q, %w", len(all), warnings, err)
	}
	return nil
}

// listing is the names and contents of the files in dir.
func listing(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	return all, err
}

// FuzzLoad: whatever lies there, nothing panics, nothing of it is lost, and
// afterwards the state can be saved and loaded, or the file is untouched.
func FuzzLoad(f *testing.F) {
	whole, err := json.Marshal(entry{Key: app(), State: full()})
	if err != nil {
		f.Fatal(err)
	}
	own, err := json.Marshal(app().String())
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		"", "{", "null", "{}", `{"version":1}`, `{"version":2,"entries":{}}`, `{"version":1,"entries":{"x":1, "y" : [2]},"z":{}}`,
		`{"version":1,"entries":{` + string(own) + `:` + string(whole) + `,"x":{"state":{}}}}`,
		`{"idle_since":1}`, `{"app":{"last_replicas":1}}`, `{"version":1,"entries":{` + string(own) + `:{"state":[]}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, was []byte) {
		file := Open(filepath.Join(t.TempDir(), "state.json"))
		if err := os.WriteFile(file.path, was, 0o644); err != nil {
			t.Fatal(err)
		}
		_, warnings, loadErr := file.Load(app())
		if read(t, file.path) != string(was) {
			t.Fatal("Load changed the file")
		}
		_, _ = file.Applied(app())
		said, err := file.Save(app(), full())
		if (err == nil) != (loadErr == nil) {
			t.Fatalf("Load: %v, Save: %v", loadErr, err)
		}
		if err != nil {
			if read(t, file.path) != string(was) {
				t.Fatal("a Save that failed changed the file")
			}
			return
		}
		wantState(t, file, app(), full())
		if len(warnings) != len(said) {
			t.Fatalf("Load warned %q, Save %q", warnings, said)
		}
		if len(warnings) > 0 {
			kept, err := filepath.Glob(file.path + ".*-20260301T080000Z")
			if err != nil || len(kept) != 1 || read(t, kept[0]) != string(was) {
				t.Fatalf("kept %q, %v", kept, err)
			}
			return
		}
		wantOthers(t, was, []byte(read(t, file.path)))
		if err := file.Remove(app()); err != nil {
			t.Fatal(err)
		}
	})
}

// wantOthers fails unless now has all of was but app's entry and the order.
func wantOthers(t *testing.T, was, now []byte) {
	t.Helper()
	old, err := parse(was)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := parse(now)
	if err != nil {
		t.Fatal(err)
	}
	old.remove(app().String())
	kept.remove(app().String())
	if !reflect.DeepEqual(old.rest, kept.rest) || len(old.entries) != len(kept.entries) {
		t.Fatalf("%q became %q", was, now)
	}
	for i := range old.entries {
		if !reflect.DeepEqual(old.entries[i], kept.entries[i]) {
			t.Fatalf("%s became %s", old.entries[i].value, kept.entries[i].value)
		}
	}
}
