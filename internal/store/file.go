package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/replace"
)

// maxFile bounds the state file, in bytes. An entry has some 10 KB, seldom as
// much as 200 KB.
const maxFile = 16 << 20

// File is a state file. Several goroutines and processes may use it at once.
type File struct {
	path  string
	max   int64 // bytes
	saved atomic.Bool
}

// Open names the state file at path. Nothing is read yet, and the file need not
// exist.
func Open(path string) *File { return &File{path: path, max: maxFile} }

// Path is where the state file lies.
func (f *File) Path() string { return f.path }

// Load reads the state of workload k. It changes nothing on disk.
//
// Where there is none the state is zero, which makes a first run of it: nothing
// goes down. A file that is unreadable, or of the earlier Python script, counts
// as none, with a warning; the next Save keeps it aside. A file that cannot be
// opened, or that a newer version wrote, is an error; Save fails on it as well.
func (f *File) Load(k Key) (s autoscale.State, warnings []string, err error) {
	doc, err := f.read(f.path)
	if err == nil {
		s, err = doc.state(k)
	}
	if odd, ok := errors.AsType[*strange](err); ok {
		warning := fmt.Sprintf("state file %s is unreadable: %v; taken as a first run", f.path, odd)
		if odd.kind == kindPython {
			warning = fmt.Sprintf("state file %s was written by the earlier Python script; taken as a first run", f.path)
		}
		return autoscale.State{}, []string{warning}, nil
	}
	if err != nil {
		return autoscale.State{}, nil, err
	}
	return s, nil, nil
}

// Save puts the state of workload k into the file; the other entries stay byte
// for byte. File and folder are created where missing, with the owner of the
// folder they are in. A file that is unreadable, or of the earlier Python
// script, is first copied to <name>.corrupt-<time> or <name>.python-<time>,
// of which a warning tells; the time is s.At's.
//
// After an error the file is what it was. A process killed at any moment leaves
// the old file or the new one.
func (f *File) Save(k Key, s autoscale.State) (warnings []string, err error) {
	return f.SaveFirst(k, s, nil)
}

// SaveFirst is Save that also keeps, where none is kept yet, what stood before the
// first run: JSON that Before gives back.
func (f *File) SaveFirst(k Key, s autoscale.State, before json.RawMessage) (warnings []string, err error) {
	if _, err := encode(entry{Key: k, State: s, Before: before}); err != nil {
		return nil, fmt.Errorf("store: state of %s cannot be saved: %w", k, err)
	}
	path, unlock, err := lockBeside(f.path)
	if err != nil {
		return nil, fmt.Errorf("store: state not saved: %w", err)
	}
	defer unlock()
	doc, err := f.read(path)
	if err == nil && doc.find(k) != nil {
		var kept json.RawMessage
		if kept, err = doc.before(k); kept != nil {
			before = kept
		}
	}
	odd, ok := errors.AsType[*strange](err)
	if !ok && err != nil {
		return nil, err
	}
	own, err := encode(entry{Key: k, State: s, Before: before})
	if err != nil {
		return nil, fmt.Errorf("store: state of %s cannot be saved: %w", k, err)
	}
	doc.set(own)
	data, dropped := f.fit(&doc, own.name)
	if int64(len(data)) > f.max {
		return nil, fmt.Errorf("store: state of %s cannot be saved: with %d bytes it is larger than a state file may be (%d)", k, len(data), f.max)
	}
	if len(dropped) > 0 {
		warnings = append(warnings, fmt.Sprintf("state file %s would be larger than %d bytes; the entries saved longest ago were dropped: %q", path, f.max, dropped))
	}
	var options []replace.Option
	if f.saved.Swap(true) {
		options = append(options, replace.KeepLeftovers())
	}
	put := func() error { return replace.File(path, data, options...) }
	if odd != nil {
		kept, err := keepAside(path, odd.kind, s.At.Time, put)
		if err != nil {
			return nil, fmt.Errorf("store: state not saved: %s is not a state file (%w), and keeping it aside failed: %w", path, odd, err)
		}
		return append(warnings, fmt.Sprintf("what was in state file %s is kept as %s", path, kept)), nil
	}
	if err := put(); err != nil {
		return nil, fmt.Errorf("store: state not saved: %w", err)
	}
	return warnings, nil
}

// fit is doc as a file no larger than f.max: the entries saved longest ago are
// dropped, but never keep.
func (f *File) fit(doc *document, keep string) (data []byte, dropped []string) {
	data = doc.bytes()
	for int64(len(data)) > f.max {
		name, ok := doc.oldest(keep)
		if !ok {
			break
		}
		doc.remove(name)
		dropped = append(dropped, name)
		data = doc.bytes()
	}
	return data, dropped
}

// Before is what SaveFirst kept of the time before the first run of workload k;
// nil where nothing did, or where the file is not readable as ours.
func (f *File) Before(k Key) (json.RawMessage, error) {
	doc, err := f.read(f.path)
	if err != nil || doc.find(k) == nil {
		if _, ok := errors.AsType[*strange](err); ok {
			err = nil
		}
		return nil, err
	}
	before, err := doc.before(k)
	if _, ok := errors.AsType[*strange](err); ok {
		return nil, nil
	}
	return before, err
}

// Remove takes the entry of workload k out, and the file away with its last
// entry. An entry or a file that is not there is no error; a file that cannot
// be read is one, and stays.
func (f *File) Remove(k Key) error {
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	path, unlock, err := lockBeside(f.path)
	if err != nil {
		return fmt.Errorf("store: state of %s not removed: %w", k, err)
	}
	defer unlock()
	doc, err := f.read(path)
	if odd, ok := errors.AsType[*strange](err); ok {
		return fmt.Errorf("store: %s is left as it is, since it is not a state file: %w", path, odd)
	}
	if err != nil || doc.find(k) == nil {
		return err
	}
	doc.remove(k.String())
	if doc.empty() {
		err = os.Remove(path)
	} else {
		err = replace.File(path, doc.bytes())
	}
	if err != nil {
		return fmt.Errorf("store: state of %s not removed: %w", k, err)
	}
	return f.Aside(k).Forget()
}

// Applied reports whether some earlier run moved, or saw in an engine, the service
// of k's provider in k's folder. It serves where no engine can be asked any more:
// the rest of k is not looked at. A file that Load takes as a first run has
// nothing applied.
func (f *File) Applied(k Key) (bool, error) {
	doc, err := f.read(f.path)
	if _, ok := errors.AsType[*strange](err); ok {
		return false, nil // Load warns of it
	}
	if err != nil {
		return false, err
	}
	var damaged []error
	for _, m := range doc.entries {
		e, err := decode(m.value)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("store: state file %s: entry %s: %w", f.path, m.name, err))
			continue
		}
		if e.Provider == k.Provider && e.Service == k.Service && filepath.Clean(e.Dir) == filepath.Clean(k.Dir) && e.State.Applied {
			return true, nil
		}
	}
	return false, errors.Join(damaged...)
}

// read reads the file at path; one that is missing is an empty document.
func (f *File) read(path string) (document, error) {
	data, err := readRegular(path, f.max)
	if errors.Is(err, fs.ErrNotExist) {
		return document{}, nil
	}
	if err != nil {
		return document{}, fmt.Errorf("store: state file: %w", err)
	}
	doc, err := parse(data)
	if n, ok := errors.AsType[*newer](err); ok {
		return document{}, fmt.Errorf("store: state file %s: %w", path, n)
	}
	return doc, err
}

// readRegular reads a file of at most limit bytes. What is not a regular file
// is not waited for.
func readRegular(path string, limit int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes, as no state file is; move it away, or name another --state-file", path, limit)
	}
	return data, nil
}

// keepAside calls put, which replaces the file at path, once there is a copy of
// it, and returns the copy's name. There is none after an error.
func keepAside(path, kind string, at time.Time, put func() error) (kept string, err error) {
	if kept, err = copyAside(path, kind, at); err != nil {
		return "", err
	}
	if err := put(); err != nil {
		return "", errors.Join(err, os.Remove(kept))
	}
	return kept, nil
}

// copyAside copies the file at path to a new one beside it, with the same bytes,
// owner and mode, and returns its name. A copy, since the file itself must be
// there until it is replaced: other entries of it may be good.
func copyAside(path, kind string, at time.Time) (kept string, err error) {
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return "", err
	}
	base := path + "." + kind + "-" + at.UTC().Format("20060102T150405Z")
	kept = base
	to, err := os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	for n := 2; errors.Is(err, fs.ErrExist); n++ {
		kept = fmt.Sprintf("%s-%d", base, n)
		to, err = os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return "", err
	}
	if err := errors.Join(copyInto(to, from, info), to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(kept))
	}
	return kept, nil
}

// copyInto fills to with from's bytes, owner and mode, down to the disk.
func copyInto(to, from *os.File, info fs.FileInfo) error {
	// Only root may give a file away; of others the copy stays their own.
	owner := info.Sys().(*syscall.Stat_t)
	if err := to.Chown(int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := to.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}
