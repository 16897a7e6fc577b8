package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// sharedDir is a folder like /tmp.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := publicDir(t)
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lockFile is the one file in dir.
func lockFile(t *testing.T, dir string) string {
	t.Helper()
	all := names(t, dir)
	if len(all) != 1 {
		t.Fatalf("files %q, want one", all)
	}
	return filepath.Join(dir, all[0])
}

func lock(t *testing.T, dir, name string) (unlock func()) {
	t.Helper()
	held, err := take(t.Context(), dir, name, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return held.Unlock
}

// The real folder, a workload and a project that nobody else has.
func TestLockWorkloadAndProject(t *testing.T) {
	k := Key{Provider: "test", Engine: rand.Text(), Project: "shop", Service: "app"}
	web := k
	web.Service = "web"
	before := names(t, lockDir())
	var unlocks []func()
	for _, take := range []func() (*Lock, error){
		func() (*Lock, error) { return LockWorkload(t.Context(), k, time.Minute) },
		func() (*Lock, error) { return LockWorkload(t.Context(), web, time.Minute) },
		func() (*Lock, error) { return LockProject(t.Context(), k, time.Minute) },
	} {
		held, err := take()
		if err != nil {
			t.Fatal(err)
		}
		unlocks = append(unlocks, held.Unlock)
	}
	t.Cleanup(func() {
		old := map[string]bool{}
		for _, name := range before {
			old[name] = true
		}
		for _, what := range []string{"workload " + k.String(), "workload " + web.String(), "project " + k.scope()} {
			path := lockPath(lockDir(), what)
			if old[filepath.Base(path)] {
				t.Errorf("%s was there before", path)
			}
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := LockWorkload(t.Context(), k, 0)
	wantError(t, err, `service "app" of shop`, fmt.Sprintf("process %d", os.Getpid()))
	_, err = LockProject(t.Context(), web, 0)
	wantError(t, err, "project shop", fmt.Sprintf("process %d", os.Getpid()))
	for _, unlock := range unlocks {
		unlock()
	}
	held, err := LockWorkload(t.Context(), k, 0)
	if err != nil {
		t.Fatal(err)
	}
	held.Unlock()
}

func TestLockDirIsShared(t *testing.T) {
	dir := lockDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o002 == 0 {
		t.Errorf("%s is %v: not for every user", dir, info.Mode())
	}
	t.Setenv("TMPDIR", t.TempDir())
	if lockDir() != dir {
		t.Error("it depends on the user's TMPDIR")
	}
}

func TestLockExcludes(t *testing.T) {
	dir := sharedDir(t)
	var inside, most, total int
	var mu sync.Mutex
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		inside += by
		most = max(most, inside)
		total++
	}
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		defer all.Wait()
		for range 20 {
			all.Go(func() {
				held, err := take(t.Context(), dir, "a", time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				defer held.Unlock()
				count(1)
				time.Sleep(time.Second) // of the bubble
				count(-1)
			})
		}
	})
	if most != 1 || total != 40 {
		t.Errorf("%d held it at once, %d steps", most, total)
	}
}

func TestLockWaitsThenNamesHolder(t *testing.T) {
	dir := sharedDir(t)
	holder := start(t, otherUser(65534), "lock", dir, "a")
	if got := holder.line(t); got != "locked" {
		t.Fatal(got)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := take(t.Context(), dir, "a", 10*time.Second)
		wantError(t, err, fmt.Sprintf("process %d", holder.Process.Pid), filepath.Base(os.Args[0]), "since 2", "waited 10s", lockFile(t, dir))
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
	holder.done(t)
	lock(t, dir, "a")()
	if text := read(t, lockFile(t, dir)); text != "" {
		t.Errorf("after unlock the file says %q", text)
	}
}

func TestLockAfterWaiting(t *testing.T) {
	dir := sharedDir(t)
	synctest.Test(t, func(t *testing.T) {
		unlock := lock(t, dir, "a")
		time.AfterFunc(5*time.Second, unlock)
		began := time.Now()
		defer lock(t, dir, "a")()
		if waited := time.Since(began); waited < 5*time.Second || waited > 5*time.Second+2*lockPoll {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestLockEndsWithContext(t *testing.T) {
	dir := sharedDir(t)
	defer lock(t, dir, "a")()
	why := errors.New("interrupted")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(why) })
		if _, err := take(ctx, dir, "a", time.Hour); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		if _, err := take(ctx, dir, "b", time.Hour); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLockIsFreeAfterKill(t *testing.T) {
	dir := sharedDir(t)
	for range 5 {
		holder := start(t, nil, "lock", dir, "a")
		if got := holder.line(t); got != "locked" {
			t.Fatal(got)
		}
		if _, err := take(t.Context(), dir, "a", 0); err == nil {
			t.Fatal("taken twice")
		}
		holder.kill(t)
		lock(t, dir, "a")()
	}
}

// A holder that was killed is not taken for the one that came after it and
// could not leave its name.
func TestLockNamesNobodyDead(t *testing.T) {
	dir := sharedDir(t)
	holder := start(t, nil, "lock", dir, "a")
	if got := holder.line(t); got != "locked" {
		t.Fatal(got)
	}
	holder.kill(t)
	path := lockFile(t, dir)
	if text := read(t, path); !strings.Contains(text, fmt.Sprint(holder.Process.Pid)) {
		t.Fatalf("the note is %q", text)
	}
	if got := readNote(path); got != "another process" {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"", "{", "7", `{"pid":-1}`, `{"pid":0}`, `{"pid":1e9}`, "\x00"} {
		write(t, path, text)
		if got := readNote(path); got != "another process" {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// Users exclude one another, whichever of them came first, under any umask.
func TestLockBetweenUsers(t *testing.T) {
	users := []*syscall.Credential{nil, otherUser(65534), otherUser(12345)}
	for i, first := range users {
		dir := sharedDir(t)
		for j := range users {
			holder := start(t, users[(i+j)%len(users)], "lock", dir, "a")
			if got := holder.line(t); got != "locked" {
				t.Fatalf("first %v: %s", first, got)
			}
			waiter := start(t, users[(i+j+1)%len(users)], "lock", dir, "a")
			if got := waiter.line(t); !strings.Contains(got, fmt.Sprintf("process %d", holder.Process.Pid)) {
				t.Errorf("first %v: %s", first, got)
			}
			if err := waiter.Wait(); err == nil {
				t.Error("taken twice")
			}
			holder.done(t)
		}
		if info, err := os.Stat(lockFile(t, dir)); err != nil || info.Mode() != 0o666 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

// A lock file that was made without write permission still locks.
func TestLockReadOnlyFile(t *testing.T) {
	dir := sharedDir(t)
	lock(t, dir, "a")()
	if err := os.Chmod(lockFile(t, dir), 0o444); err != nil {
		t.Fatal(err)
	}
	holder := start(t, otherUser(65534), "lock", dir, "a")
	if got := holder.line(t); got != "locked" {
		t.Fatal(got)
	}
	_, err := take(t.Context(), dir, "a", 0)
	wantError(t, err, "locked by")
	holder.done(t)
}

// What somebody put where the lock file should be is neither followed, waited
// for, nor written to.
func TestLockPlanted(t *testing.T) {
	for name, plant := range map[string]func(victim, path string) error{
		"link":           os.Symlink,
		"link to none":   func(_, path string) error { return os.Symlink("/nonexistent/file", path) },
		"pipe":           func(_, path string) error { return syscall.Mkfifo(path, 0o666) },
		"folder":         func(_, path string) error { return os.Mkdir(path, 0o755) },
		"hard link":      os.Link,
		"private folder": func(_, path string) error { return os.Mkdir(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := sharedDir(t)
			victim := filepath.Join(publicDir(t), "victim")
			write(t, victim, "secret")
			path := lockPath(dir, "a")
			if err := plant(victim, path); err != nil {
				t.Fatal(err)
			}
			held, err := take(t.Context(), dir, "a", 0)
			if name == "hard link" { // locks, and no harm done
				if err != nil {
					t.Fatal(err)
				}
				held.Unlock()
			} else {
				wantError(t, err, path, "remove")
			}
			if info, err := os.Stat(victim); err != nil || info.Mode() != 0o640 || read(t, victim) != "secret" {
				t.Errorf("victim is %v %q", info.Mode(), read(t, victim))
			}
		})
	}
}

// A lock on a file that was cleared away keeps nobody off, so none is given.
func TestLockFileRemoved(t *testing.T) {
	dir := sharedDir(t)
	defer lock(t, dir, "a")()
	path := lockPath(dir, "a")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	defer lock(t, dir, "a")()
	_, err := take(t.Context(), dir, "a", 0)
	wantError(t, err, "locked by")
}

func TestLockNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, err := take(t.Context(), dir, "a", time.Hour)
	wantError(t, err, dir, "writable")
}

// The note is readable to all, and arguments may hold passwords.
func TestNoteHasNoArguments(t *testing.T) {
	dir := sharedDir(t)
	holder := start(t, nil, "lock", dir, "--metrics-url=http://user:password@host/")
	defer holder.done(t)
	holder.line(t)
	text := read(t, lockFile(t, dir))
	var n note
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	if n.PID != holder.Process.Pid || n.Since.IsZero() || strings.Contains(text, "password") {
		t.Errorf("note %s", text)
	}
}

// A command that inherited the lock keeps it until it has ended, also when
// whoever took it is gone.
func TestLockInherited(t *testing.T) {
	dir := t.TempDir()
	held, err := take(t.Context(), dir, "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("cat")
	command.ExtraFiles = []*os.File{held.File()}
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	held.Unlock()
	if _, err := take(t.Context(), dir, "a", 0); err == nil || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("while the command is at work: %v", err)
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	again, err := take(t.Context(), dir, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	again.Unlock()
}
