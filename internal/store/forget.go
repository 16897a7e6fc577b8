package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
// last record. Other workloads' lines stay byte for byte, lines of a newer
// version included. A journal that is not there is no error.
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
	var keep bytes.Buffer
	for line, err := range lines(file) {
		if err != nil {
			return err
		}
		r, ok := parseRecord(line)
		// What is not JSON was cut short by a kill, and is nobody's.
		if ok && r.Workload.String() == k.String() || !ok && !json.Valid(line) {
			continue
		}
		keep.Write(line)
	}
	switch {
	case keep.Len() == 0:
		return os.Remove(path)
	case int64(keep.Len()) == size:
		return nil
	}
	return replace.File(path, keep.Bytes())
}
