// Package replace puts new content in a file's place so that whoever reads it,
// at any instant and after any crash, finds the old content or the new, whole.
//
// The content goes to a temporary file in the same folder, to the disk, and
// then by a rename over the old name, which is the one step of all that a
// reader can notice. What belongs to the old file and not to its content is
// kept: mode, owner, on Linux its access control list and other extended
// attributes, and a symbolic link that leads to it.
package replace

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrChanged is in the chain of File's error where the file is no longer what
// Expect says.
var ErrChanged = errors.New("somebody else changed it since it was read; nothing was written, so run again")

// Option alters what File does.
type Option func(*job)

// Expect makes File refuse, with ErrChanged, where the file does not hold was
// just before it is replaced; nil means that there was no file. Between that
// look and the rename lie some microseconds in which a change goes unseen:
// whoever shares a file with others that write it needs a lock besides.
func Expect(was []byte) Option {
	return func(j *job) { j.expect, j.was = true, was }
}

// Perm is the mode, before the umask, of a file that File creates; 0644 without
// it. One that it replaces keeps its mode.
func Perm(mode fs.FileMode) Option {
	return func(j *job) { j.perm = mode }
}

// KeepLeftovers has File not look for temporary files that killed processes left
// behind: whoever replaces files in one folder many times a second has looked
// once.
func KeepLeftovers() Option {
	return func(j *job) { j.keep = true }
}

// job is one replacement.
type job struct {
	// path is the name to be replaced, behind all symbolic links; asked is the
	// name as the caller gave it, for errors.
	path, asked string
	// old is what stands there; nil where nothing does.
	old    fs.FileInfo
	folder *os.Root
	expect bool
	was    []byte
	perm   fs.FileMode
	keep   bool
}

// File makes data the content of the file at path. Where there is none it is
// created, with the folders that lead to it; run by root, what is created
// belongs to the owner of the folder it is created in.
//
// It refuses, and leaves everything as it was, where the old file could not be
// replaced as it is: not a regular file, one that nobody may write (for root
// too, who could), one with several hard links, one mounted as a single file, a
// link to nothing, an owner or attributes that cannot be given to the new file.
// A full disk is an error like any other: the old file stays and no temporary
// one is left. Those that a killed process left in the folder are removed once
// they are an hour old. Outside of Linux access control lists and extended
// attributes are not kept.
func File(path string, data []byte, options ...Option) error {
	j := &job{asked: path, perm: 0o644}
	for _, option := range options {
		option(j)
	}
	if err := j.run(data); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

func (j *job) run(data []byte) error {
	if err := j.find(); err != nil {
		return err
	}
	made, err := makeFolder(filepath.Dir(j.path))
	if err == nil {
		err = j.inFolder(data)
	}
	if err != nil {
		return errors.Join(err, unmake(made))
	}
	if err := syncFolder(filepath.Dir(j.path)); err != nil {
		return fmt.Errorf("it was replaced, but may be back as it was after a power failure: %w", err)
	}
	return nil
}

// inFolder does the replacement once there is a folder to do it in.
func (j *job) inFolder(data []byte) (err error) {
	if j.folder, err = os.OpenRoot(filepath.Dir(j.path)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.folder.Close()) }()
	if err := j.writable(); err != nil {
		return err
	}
	name := prefix + rand.Text() + suffix
	if err := j.prepare(name, data); err != nil {
		return errors.Join(err, j.discard(name))
	}
	if err := j.folder.Rename(name, filepath.Base(j.path)); err != nil {
		return errors.Join(explain(err), j.discard(name))
	}
	return nil
}

// prepare makes the temporary file ready for the rename.
func (j *job) prepare(name string, data []byte) error {
	perm := j.perm
	if j.old != nil {
		perm = 0o600 // until it has its owner
	}
	f, err := j.folder.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := errors.Join(j.fill(f, data), f.Close()); err != nil {
		return err
	}
	return j.unchanged()
}

// fill gives the temporary file everything that the old one has, and data.
func (j *job) fill(f *os.File, data []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !j.keep {
		if err := removeLeftovers(j.folder, info); err != nil {
			return err
		}
	}
	if err := j.own(f, info); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// own gives the temporary file the owner, mode and attributes of the old one,
// or its folder's owner where there is none.
func (j *job) own(f *os.File, info fs.FileInfo) error {
	if j.old == nil {
		folder, err := j.folder.Stat(".")
		if err != nil {
			return err
		}
		return inherit(folder, info, f.Chown)
	}
	if want, is := owner(j.old), owner(info); want != is {
		if err := f.Chown(want.uid, want.gid); err != nil {
			return fmt.Errorf("it belongs to user %d, group %d, which the new file cannot be given (%w); run as that user or as root", want.uid, want.gid, err)
		}
	}
	const kept = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	if err := f.Chmod(j.old.Mode() & kept); err != nil {
		return err
	}
	return keepAttributes(j.path, f.Name())
}

// unchanged holds the file against what the caller says it was.
func (j *job) unchanged() error {
	if !j.expect {
		return nil
	}
	is, err := j.folder.ReadFile(filepath.Base(j.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is, err = nil, nil
	case err == nil && is == nil:
		is = []byte{}
	}
	if err != nil {
		return err
	}
	if (is == nil) != (j.was == nil) || !bytes.Equal(is, j.was) {
		return ErrChanged
	}
	return nil
}

// discard removes the temporary file of a replacement that failed.
func (j *job) discard(name string) error {
	if err := j.folder.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// explain says what errors of the rename mean that do not say it themselves.
func explain(err error) error {
	if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) {
		return fmt.Errorf("it is mounted as a single file, so it cannot be replaced (%w); mount its folder instead", err)
	}
	return err
}

// syncFolder makes what was done in a folder outlast a power failure. File systems that know no
// such thing say EINVAL or ENOTSUP.
func syncFolder(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
