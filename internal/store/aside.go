package store

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxAside bounds what is kept aside of a workload, in bytes.
const maxAside = 64 << 10

// Aside is a small note of a workload for when its entry in the state file cannot
// hold it: before there is one, and while the disk is full. It lies where the locks
// do, in memory on most machines, so that it is gone after a boot.
type Aside struct{ path string }

// Aside is that of workload k in this state file.
func (f *File) Aside(k Key) Aside {
	path, err := filepath.Abs(f.path)
	if err != nil {
		path = f.path
	}
	// An engine that does not answer must not make another workload of it.
	sum := sha256.Sum256(fmt.Appendf(nil, "aside %q", []string{k.Provider, k.Dir, k.Service, path}))
	return Aside{filepath.Join(lockDir(), fmt.Sprintf("autoscale-%x.json", sum[:16]))}
}

// Load reads the note into v, which it leaves as it is where there is none. What
// another user put there is none.
func (a Aside) Load(v any) error {
	file, err := os.OpenFile(a.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() || !info.Mode().IsRegular() {
		return fmt.Errorf("store: %s is another user's; remove it", a.path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxAside))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("store: %s is unreadable: %w; remove it", a.path, err)
	}
	return nil
}

// Save keeps v as the note, in the place of an earlier one.
func (a Aside) Save(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(a.path), ".autoscale-*.tmp") // nobody else's, and not readable for others
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	_, err = draft.Write(text)
	err = errors.Join(err, draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), a.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), os.Remove(draft.Name()))
	}
	return nil
}

// Forget removes the note; one that is not there is no error.
func (a Aside) Forget() error {
	if err := os.Remove(a.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
