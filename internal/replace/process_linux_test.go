package replace

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests here need a process of their own: one to kill, to limit, or to give
// mounts that nobody else sees. It is this test binary with childEnv set.
const childEnv = "REPLACE_TEST_CHILD"

func TestMain(m *testing.M) {
	role, dir, isChild := strings.Cut(os.Getenv(childEnv), ":")
	if !isChild {
		os.Exit(m.Run())
	}
	if err := children()[role](dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func children() map[string]func(dir string) error {
	return map[string]func(string) error{
		"loop": replaceForever,
		"limited": func(dir string) error {
			// The limit must come as an error, as a full disk does, not as a signal.
			signal.Ignore(syscall.SIGXFSZ)
			limit := syscall.Rlimit{Cur: 4096, Max: 4096}
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				return err
			}
			return refusesTooMuch(dir, syscall.EFBIG)
		},
		"full": func(dir string) error {
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
				return err
			}
			return refusesTooMuch(dir, syscall.ENOSPC)
		},
		"mounted": refusesMount,
	}
}

func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+role+":"+dir)
	return cmd
}

func TestFileTooLarge(t *testing.T) {
	if out, err := child(t, "limited", t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestMounts(t *testing.T) {
	for _, role := range []string{"full", "mounted"} {
		cmd := child(t, role, t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || bytes.Contains(out, []byte(syscall.EPERM.Error())) {
			t.Logf("%s: mounts are not allowed here; TestFileTooLarge and TestExplain stand in", role)
		} else if err != nil {
			t.Errorf("%s: %v: %s", role, err, out)
		}
	}
}

// refusesTooMuch replaces and creates files of more than what fits into dir.
func refusesTooMuch(dir string, want syscall.Errno) error {
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		return err
	}
	much := bytes.Repeat([]byte("x"), 1<<20)
	for _, name := range []string{"file", "new", "sub/folder/new"} {
		if err := File(filepath.Join(dir, name), much); !errors.Is(err, want) {
			return fmt.Errorf("%s: %v, want %w", name, err, want)
		}
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
		return fmt.Errorf("file holds %d bytes (%v), want the old ones", len(content), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		return fmt.Errorf("%v is there (%v), want the file alone", entries, err)
	}
	return File(path, []byte("fits"), Expect([]byte("old")))
}

// refusesMount replaces a file that is mounted over another.
func refusesMount(dir string) error {
	path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	for _, name := range []string{path, other} {
		if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
			return err
		}
	}
	if err := syscall.Mount(other, path, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	err := File(path, []byte("new"))
	if err == nil || !strings.Contains(err.Error(), "it is mounted as a single file") {
		return fmt.Errorf("not refused as a mount: %w", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
		return fmt.Errorf("file holds %q (%v), want the old content", content, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		return fmt.Errorf("%v is there (%v), want the two files alone", entries, err)
	}
	return nil
}

const wholeSize = 64 << 10

// replaceForever makes a file all a's, all b's and so on, until it is killed.
func replaceForever(dir string) error {
	fmt.Println("started")
	for i := 0; ; i++ {
		content := bytes.Repeat([]byte{'a' + byte(i%26)}, wholeSize)
		if err := File(filepath.Join(dir, "file"), content); err != nil {
			return err
		}
	}
}

// whole reports whether content is what one writer wrote.
func whole(content []byte) bool {
	return len(content) == wholeSize && bytes.Count(content, content[:1]) == wholeSize
}

// Killed at any instant, a replacement leaves the old file or the new one.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "file", strings.Repeat("z", wholeSize))
	chmod(t, path, 0o640)
	end := time.Now().Add(2 * time.Second)
	kills := 0
	for ; kills < 5 || kills < 100 && time.Now().Before(end); kills++ {
		killOnce(t, dir)
		content := read(t, path)
		if !whole(content) {
			t.Fatalf("after %d kills: %d bytes, %.20q…", kills, len(content), content)
		}
		if mode := stat(t, path).Mode(); mode != 0o640 {
			t.Fatalf("after %d kills: mode %s", kills, mode)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills left %d temporary files", kills, len(left))
	for _, name := range left {
		age(t, name, time.Now().Add(-2*time.Hour))
	}
	if err := File(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"file": "new"})
}

// killOnce kills a child up to 20 ms after its first replacement began.
func killOnce(t *testing.T, dir string) {
	t.Helper()
	cmd := child(t, "loop", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the child never started: %v", err)
	}
	time.Sleep(rand.N(20 * time.Millisecond))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// Two that replace one file leave one whole version, and no temporary file.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	done := make(chan error)
	for _, letter := range []string{"a", "b", "c"} {
		go func() {
			var errs []error
			for range 20 {
				errs = append(errs, File(path, bytes.Repeat([]byte(letter), wholeSize)))
			}
			done <- errors.Join(errs...)
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || !whole(read(t, path)) {
		t.Errorf("%v (%v), whole: %v", entries, err, whole(read(t, path)))
	}
}

// Root gives the new file the old one's owner, and what it creates the folder's.
// Others cannot, so the same calls keep or refuse.
func TestOwner(t *testing.T) {
	const uid, gid = 12345, 23456
	dir := t.TempDir()
	path := write(t, dir, "sub/file", "old")
	if os.Geteuid() == 0 {
		for _, name := range []string{path, filepath.Dir(path)} {
			if err := os.Chown(name, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
		chmod(t, path, 0o640|fs.ModeSetuid)
	}
	want := owner(stat(t, path))
	mode := stat(t, path).Mode()
	for _, name := range []string{"file", "created", "folder/inner/created"} {
		if err := File(filepath.Join(dir, "sub", name), []byte("new")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "created", "folder", "folder/inner", "folder/inner/created"} {
		if got := owner(stat(t, filepath.Join(dir, "sub", name))); got != want {
			t.Errorf("%s belongs to %v, want %v", name, got, want)
		}
	}
	if got := stat(t, path).Mode(); got != mode {
		t.Errorf("mode %s, was %s", got, mode)
	}
}

// A user who may write a file of another's, but cannot give one away, is
// refused. Only root can set that up; others are shown own alone.
func TestOwnerRefused(t *testing.T) {
	const cannotGive = "it belongs to user 0, group 0, which the new file cannot be given"
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		f, err := os.Create(filepath.Join(dir, "new"))
		if err != nil {
			t.Fatal(err)
		}
		err = (&job{old: stat(t, "/")}).own(f, stat(t, f.Name()))
		if closed := f.Close(); err == nil || !strings.Contains(err.Error(), cannotGive) || closed != nil {
			t.Errorf("a file of root's: %v, %v", err, closed)
		}
		return
	}
	for name := dir; name != filepath.Clean(os.TempDir()); name = filepath.Dir(name) {
		chmod(t, name, 0o777)
	}
	files := map[string]string{"open": cannotGive, "closed": "user 12345 may not write it"}
	for name := range files {
		write(t, dir, name, "old")
	}
	chmod(t, filepath.Join(dir, "open"), 0o666)
	asUser(t, 12345, 23456, func() {
		for name, want := range files {
			if err := File(filepath.Join(dir, name), []byte("new")); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
		if err := File(filepath.Join(dir, "folder", "created"), []byte("new")); err != nil {
			t.Error(err)
		}
	})
	holds(t, dir, map[string]string{"open": "old", "closed": "old", "folder/created": "new"})
	if got := owner(stat(t, filepath.Join(dir, "folder", "created"))); got != (ids{12345, 23456}) {
		t.Errorf("created by %v", got)
	}
}

// asUser runs f on a thread of its own that is of another user, and ends it.
func asUser(t *testing.T, uid, gid uintptr, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread ends with this goroutine
		for _, call := range [][4]uintptr{{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, gid, gid, gid}, {syscall.SYS_SETRESUID, uid, uid, uid}} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				t.Error(errno)
				return
			}
		}
		f()
	}()
	<-done
}
