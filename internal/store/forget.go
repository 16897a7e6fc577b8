package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/five-keys/autoscale/internal/replace"
)

// Count is how many records of workload k can be read.
func (j *Journal) Count(k Key) (n int) {
	for r, err := range j.Read() {
		if err == nil && r.Workload.String() == k.String() {
			n++
		}
	}
	return n
}

// Forget takes the records of workload k out, and the journal away with its
// last line. All else stays byte for byte: other workloads' lines, those of a
// newer version, and those that cannot be read, whose ever they are. A journal
// that is not there is no error.
func (j *Journal) Forget(k Key) error {
	if _, err := os.Stat(filepath.Dir(j.path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	real, unlock, err := lockBeside(j.path)
	if err != nil {
		return fmt.Errorf("store: records of %s not removed: %w", k, err)
	}
	defer unlock()
	for _, path := range []string{real + ".1", real} {
		if err := forget(path, k); err != nil {
			return fmt.Errorf("store: records of %s not removed from %s: %w", k, path, err)
		}
	}
	return nil
}

func forget(path string, k Key) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := regularSize(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return err
	}
	var keep bytes.Buffer
	for line := range bytes.Lines(text) {
		if owner, ok := ownerOf(line); !ok || owner.String() != k.String() {
			keep.Write(line)
		}
	}
	switch {
	case keep.Len() == 0:
		return os.Remove(path)
	case int64(keep.Len()) == size:
		return nil
	}
	return replace.File(path, keep.Bytes())
}

// ownerOf is the workload that a line is of: a record of this version, or what
// was written of one before a kill cut it short. Of other lines nothing is known.
func ownerOf(line []byte) (k Key, ok bool) {
	if r, ok := parseRecord(line); ok {
		return r.Workload, true
	}
	_, rest, ok := bytes.Cut(line, []byte(`"workload":`))
	if !ok || json.Valid(line) { // a newer version's
		return k, false
	}
	return k, json.NewDecoder(bytes.NewReader(rest)).Decode(&k) == nil
}
