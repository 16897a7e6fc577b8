package replace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Temporary files are named so that nobody else's are taken for them.
const (
	prefix = ".autoscale-"
	suffix = ".tmp"
	random = 26 // characters of rand.Text
	// leftBehind is how much older than a new one a temporary file must be to have been
	// left by a process that was killed. Both times are the file system's own.
	leftBehind = time.Hour
)

// removeLeftovers removes the temporary files in a folder that are much older
// than fresh and belong to the same user; root's may have been given away.
func removeLeftovers(folder *os.Root, fresh fs.FileInfo) (err error) {
	f, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		// Names alone: some file systems need a look at each entry for more.
		names, err := f.Readdirnames(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if !isTemporary(name) {
				continue
			}
			if err := removeLeftover(folder, name, fresh); err != nil {
				return err
			}
		}
	}
}

func removeLeftover(folder *os.Root, name string, fresh fs.FileInfo) error {
	info, err := folder.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its process is alive and done with it
	}
	if err != nil {
		return err
	}
	ours := os.Geteuid() == 0 || owner(info).uid == owner(fresh).uid
	if !ours || !info.Mode().IsRegular() || fresh.ModTime().Sub(info.ModTime()) < leftBehind {
		return nil
	}
	if err := folder.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func isTemporary(name string) bool {
	middle, isOurs := strings.CutPrefix(name, prefix)
	middle, ends := strings.CutSuffix(middle, suffix)
	return isOurs && ends && len(middle) == random && strings.Trim(middle, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
