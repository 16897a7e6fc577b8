package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockPoll is how often a taken lock is tried again.
	lockPoll = 50 * time.Millisecond
	// noteMax bounds what is read of a holder's note, in bytes.
	noteMax = 4096
)

// ErrLocked is in the chain of an error that another run is the reason of: it holds
// the lock.
var ErrLocked = errors.New("locked")

// Lock is a lock that is held.
type Lock struct {
	file    *os.File
	release func()
}

// Unlock gives the lock up. It stays taken while a command that was given File
// still runs.
func (l *Lock) Unlock() { l.release() }

// File is the open lock file, for commands to inherit: they outlive a run that is
// killed, and while they are at work nobody else should be.
func (l *Lock) File() *os.File { return l.file }

// LockWorkload keeps every other run off workload k on this machine, of
// whichever user and wherever its state lies, until it is unlocked or the
// process ends. A lock that is taken is waited for; after wait the error names
// its holder. Before LockProject, where both are needed.
func LockWorkload(ctx context.Context, k Key, wait time.Duration) (*Lock, error) {
	held, err := take(ctx, lockDir(), "workload "+k.String(), wait)
	if err != nil {
		return nil, fmt.Errorf("store: service %q of %s: %w", k.Service, k.Project, err)
	}
	return held, nil
}

// LockProject is LockWorkload for the whole project or namespace of k: moves of
// several services in one project go one after the other.
func LockProject(ctx context.Context, k Key, wait time.Duration) (*Lock, error) {
	held, err := take(ctx, lockDir(), "project "+k.scope(), wait)
	if err != nil {
		return nil, fmt.Errorf("store: project %s: %w", k.Project, err)
	}
	return held, nil
}

// lockDir is the folder of the lock files: the same one for every user, so it
// is chosen by what it is, not by whether this user may write there, and
// TMPDIR, which may be a user's own, comes last.
func lockDir() string {
	for _, dir := range []string{"/run/lock", "/dev/shm", "/tmp"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && info.Mode().Perm()&0o002 != 0 {
			return dir
		}
	}
	return os.TempDir()
}

// take takes the lock of that name in dir.
func take(ctx context.Context, dir, name string, wait time.Duration) (*Lock, error) {
	path := lockPath(dir, name)
	var held *os.File
	ok, err := retry(ctx, wait, lockPoll, func() (bool, error) {
		var err error
		held, err = tryFile(path)
		return held != nil, err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock not had: %w", err)
	case !ok:
		return nil, fmt.Errorf("%w by %s; waited %v: try again when that has ended (lock file %s)", ErrLocked, readNote(path), wait, path)
	}
	clear := writeNote(path, held)
	return &Lock{held, func() {
		clear()
		_ = held.Close() // with the last one that has it open the lock goes
	}}, nil
}

// lockPath is the file for the lock of that name.
func lockPath(dir, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(dir, fmt.Sprintf("autoscale-%x.lock", sum[:16]))
}

// tryFile locks the file at path and returns nil where another holds it. The
// file is opened without O_CREATE, which the kernel refuses on other users'
// files in a folder like /tmp (fs.protected_regular), and read-only, which is
// all that flock needs.
func tryFile(path string) (*os.File, error) {
	if err := makeLockFile(path); err != nil {
		return nil, fmt.Errorf("%w; make %s writable for this process", err, filepath.Dir(path))
	}
	f, err := tryFlock(path, syscall.O_NOFOLLOW|syscall.O_NONBLOCK)
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed just now
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w; if no run is under way, remove that file", err)
	case f == nil:
		return nil, nil
	}
	same, err := isAt(f, path)
	if !same || err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tryFlock opens the file or folder at path, with more flags, and locks it
// (flock(2)); nil where another holds it.
func tryFlock(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // it was only read
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("flock %s: %w", path, err)
}

// isAt reports whether the file that f locks still lies at path: a lock on one
// that was removed keeps nobody off.
func isAt(f *os.File, path string) (bool, error) {
	locked, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !locked.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file; remove it", path)
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(locked, there), err
}

// makeLockFile makes a lock file that all users may open, whatever the umask.
// It appears with its final mode, or not at all.
func makeLockFile(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".autoscale-*.tmp")
	if err != nil {
		return err
	}
	err = draft.Chmod(0o666)
	if err == nil {
		err = os.Link(draft.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil // another was faster
	}
	return errors.Join(err, draft.Close(), os.Remove(draft.Name()))
}

// note says who holds a lock. It is for people: the lock holds without.
type note struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// writeNote notes this process in the lock file it holds. Where it may not, the
// holder goes unnamed. clear takes the note out again.
func writeNote(path string, held *os.File) (clear func()) {
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return func() {}
	}
	text, err := json.Marshal(note{PID: os.Getpid(), Command: command(), Since: time.Now().Truncate(time.Second)})
	if err != nil || !onlyName(file, path, held) {
		_ = file.Close()
		return func() {}
	}
	_, _ = file.Write(text)
	_ = file.Truncate(int64(len(text)))
	return func() {
		_ = file.Truncate(0)
		_ = file.Close()
	}
}

// onlyName reports whether file is the one that held locks and has no name but
// path. In a folder where anybody may make links it could be another's file.
func onlyName(file *os.File, path string, held *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	locked, err := held.Stat()
	if err != nil {
		return false
	}
	// One call for both, the name and the number of names.
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	return os.SameFile(opened, locked) && os.SameFile(opened, there) && there.Sys().(*syscall.Stat_t).Nlink == 1
}

// readNote says who holds the lock at path.
func readNote(path string) string {
	const unknown = "another process"
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unknown
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, noteMax))
	if err != nil {
		return unknown
	}
	var n note
	if json.Unmarshal(text, &n) != nil || n.PID <= 0 || errors.Is(syscall.Kill(n.PID, 0), syscall.ESRCH) {
		return unknown
	}
	return fmt.Sprintf("process %d (%q) since %s", n.PID, n.Command, n.Since.Local().Format(time.DateTime))
}

// command is the name of this program and its subcommand; other arguments may
// hold passwords.
func command() string {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && strings.Trim(os.Args[1], "abcdefghijklmnopqrstuvwxyz") == "" {
		name += " " + os.Args[1]
	}
	return name
}

// LockFolder is the folder that the lock files lie in: every run must be able to
// write there.
func LockFolder() string { return lockDir() }
