package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// Follow yields the records that are appended from now on, as they come; it
// looks every poll, through rotations, until ctx ends.
func (j *Journal) Follow(ctx context.Context, poll time.Duration) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		t := tail{path: j.path}
		defer t.close()
		err := t.open(io.SeekEnd)
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(poll):
			}
			var lines [][]byte
			if lines, err = t.more(); err != nil {
				break
			}
			for _, line := range lines {
				if r, ok := parseRecord(line); ok && !yield(r, nil) {
					return
				}
			}
		}
		yield(Record{}, fmt.Errorf("store: journal %s: %w", j.path, err))
	}
}

// tail reads what is appended to a file.
type tail struct {
	path string
	file *os.File // nil while there is none
	part []byte   // of a line that is not complete yet
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // was only read
		t.file, t.part = nil, nil
	}
}

// open opens the file, where there is one.
func (t *tail) open(whence int) error {
	file, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.Seek(0, whence)
	t.file = file
	return err
}

// more are the lines that came since.
func (t *tail) more() ([][]byte, error) {
	if t.file == nil {
		if err := t.open(io.SeekStart); err != nil || t.file == nil {
			return nil, err
		}
	}
	// Looked at before the rest is read: what is written to a file after it was
	// rotated away belongs to nobody.
	replaced, err := t.replaced()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(t.file)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(append(t.part, text...), []byte("\n"))
	t.part = bytes.Clone(lines[len(lines)-1])
	lines = lines[:len(lines)-1]
	if replaced {
		t.close()
		rest, err := t.more()
		return append(lines, rest...), err
	}
	return lines, nil
}

// replaced reports whether another file, or none, lies at the path by now, or
// the same one was cut.
func (t *tail) replaced() (bool, error) {
	open, err := t.file.Stat()
	if err != nil {
		return false, err
	}
	at, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, err
	}
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && (!os.SameFile(open, now) || now.Size() < at), err
}
