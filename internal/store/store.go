// Package store remembers between runs: the state file, the journal beside it,
// and the locks that keep two runs off one workload.
//
// The state file is JSON, {"version": 1, "entries": {"<key>": {…}}}, one entry
// for each workload. It is only ever replaced as a whole, so that whoever reads
// it, at any moment and without a lock, finds the old or the new one. Who
// replaces it locks its folder first (flock on the folder itself: it is never
// renamed, and nothing more lies in the user's tree).
//
// Reading changes nothing on disk. A file that cannot be read as ours is set
// aside by the Save that would replace it, not by the Load that finds it.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/five-keys/autoscale/internal/replace"
)

// Key says which workload an entry is of.
type Key struct {
	Provider string `json:"provider"` // "compose", "k8s"
	Engine   string `json:"engine"`   // engine or cluster
	Project  string `json:"project"`  // Compose project or namespace
	Service  string `json:"service"`  // Compose service or Deployment
	// Dir is the project's folder. It is kept in the entry and is no part of
	// its name: see File.Applied.
	Dir string `json:"dir,omitempty"`
}

// String is the entry's name: provider, engine, project and service, each
// escaped as a segment of a URL's path, so that no two workloads share one.
func (k Key) String() string {
	return k.scope() + "/" + url.PathEscape(k.Service)
}

// scope is the name of what k's service is in: the project or namespace.
func (k Key) scope() string {
	return url.PathEscape(k.Provider) + "/" + url.PathEscape(k.Engine) + "/" + url.PathEscape(k.Project)
}

const (
	// folderWait is how long a save waits for another one. One takes
	// milliseconds; a longer wait means that the folder is locked for good.
	folderWait = 10 * time.Second
	folderPoll = 5 * time.Millisecond
)

// lockBeside follows the links of path, makes its folder where that is missing,
// and locks the folder. It returns the path that is to be replaced.
func lockBeside(path string) (real string, unlock func(), err error) {
	if real, err = resolve(path); err != nil {
		return "", nil, err
	}
	if err := replace.Folder(filepath.Dir(real)); err != nil {
		return "", nil, err
	}
	unlock, err = lockFolder(filepath.Dir(real))
	return real, unlock, err
}

// lockFolder locks dir against other saves and appends.
func lockFolder(dir string) (unlock func(), err error) {
	var f *os.File
	ok, err := retry(context.Background(), folderWait, folderPoll, func() (bool, error) {
		var err error
		f, err = tryFlock(dir, syscall.O_DIRECTORY)
		return f != nil, err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot lock folder %s: %w", dir, err)
	case !ok:
		return nil, fmt.Errorf("folder %s has been locked by another program for %v; end that program, or put the state elsewhere with --state-file", dir, folderWait)
	}
	// Whether the kernel is told so or the process ends, the lock goes; so there
	// is no error to act on.
	return func() { _ = f.Close() }, nil
}

// retry calls try every poll until it succeeds or fails, wait has passed
// (false and no error) or ctx ends.
func retry(ctx context.Context, wait, poll time.Duration, try func() (bool, error)) (bool, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for ctx.Err() == nil {
		if ok, err := try(); ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
		case <-deadline.C:
			return false, nil
		case <-time.After(poll):
		}
	}
	return false, context.Cause(ctx)
}

// resolve follows the symbolic links of path, of which the last part, or where
// the last link leads, need not exist.
func resolve(path string) (string, error) {
	for range 40 { // as many links as the kernel follows
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s cannot be followed to a file: %w", path, err)
		}
		to, linkErr := os.Readlink(path)
		if linkErr != nil {
			dir, dirErr := filepath.EvalSymlinks(filepath.Dir(path))
			if errors.Is(dirErr, fs.ErrNotExist) {
				return filepath.Clean(path), nil
			}
			return filepath.Join(dir, filepath.Base(path)), dirErr
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}
