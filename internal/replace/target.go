package replace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// find follows symbolic links to the file that is to be replaced, and refuses
// what a new file could not stand in for.
func (j *job) find() error {
	j.path = j.asked
	link, err := os.Lstat(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if link.Mode().Type() == fs.ModeSymlink {
		if j.path, err = filepath.EvalSymlinks(j.path); err != nil {
			return fmt.Errorf("it is a symbolic link that leads nowhere (%w); create what it points at, or remove it", err)
		}
	}
	if j.old, err = os.Lstat(j.path); err != nil {
		return err
	}
	switch mode := j.old.Mode(); {
	case !mode.IsRegular():
		return fmt.Errorf("it is not a regular file (%s); name another", mode)
	case mode.Perm()&0o222 == 0:
		return fmt.Errorf("it is read-only (%s); allow writing with chmod u+w, or name another", mode)
	}
	if n := j.old.Sys().(*syscall.Stat_t).Nlink; n > 1 {
		return fmt.Errorf("it has %d names (hard links), and the others would keep the old content; make it a file of its own", n)
	}
	const write = 2 // W_OK
	if err := syscall.Access(j.path, write); err != nil {
		return fmt.Errorf("user %d may not write it (%w); run as its owner", os.Getuid(), err)
	}
	return nil
}

// writable refuses a folder that nobody may write.
func (j *job) writable() error {
	info, err := j.folder.Stat(".")
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("its folder is read-only (%s); allow writing with chmod u+w, or name another", info.Mode())
	}
	return nil
}

type ids struct{ uid, gid int }

func owner(info fs.FileInfo) ids {
	stat := info.Sys().(*syscall.Stat_t)
	return ids{int(stat.Uid), int(stat.Gid)}
}

// inherit gives what was created in a folder the folder's owner. Only root can;
// what anybody else creates is theirs, as everywhere.
func inherit(folder, created fs.FileInfo, chown func(uid, gid int) error) error {
	want := owner(folder)
	if os.Geteuid() != 0 || owner(created) == want {
		return nil
	}
	return chown(want.uid, want.gid)
}

// Folder makes the folder at path and those above it that are missing, each with
// the owner of the folder it is in where this process may give it away. What it
// created stays where it then fails.
func Folder(path string) error {
	_, err := makeFolder(path)
	return err
}

// makeFolder creates a folder and those above it that are missing, and returns
// what it created, the outermost first.
func makeFolder(path string) (made []string, err error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("%s is not a folder; name another place", path)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	above := filepath.Dir(path)
	if made, err = makeFolder(above); err != nil {
		return made, err
	}
	parent, err := os.Stat(above)
	if err != nil {
		return made, err
	}
	if parent.Mode().Perm()&0o222 == 0 {
		return made, fmt.Errorf("the folder %s is read-only (%s); allow writing with chmod u+w, or name another", above, parent.Mode())
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		if now, gone := os.Stat(path); gone == nil && now.IsDir() {
			return made, nil // another process was at the same
		}
		return made, err
	}
	made = append(made, path)
	if info, err = os.Stat(path); err != nil {
		return made, err
	}
	if err := inherit(parent, info, func(uid, gid int) error { return os.Chown(path, uid, gid) }); err != nil {
		return made, err
	}
	return made, syncFolder(above)
}

// unmake removes folders that were created for a file that then was not.
func unmake(made []string) error {
	for i := len(made) - 1; i >= 0; i-- {
		if err := os.Remove(made[i]); err != nil {
			return err
		}
	}
	return nil
}
