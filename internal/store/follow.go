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

// Tail is a journal from the moment on at which it was opened: Read has what it
// holds, Follow what comes. Nothing falls in between and nothing comes twice.
type Tail struct {
	journal *Journal
	file    *os.File // nil while there is none
	part    []byte   // of a line that is not complete yet
	// fresh tells that nothing was read of file yet: it may hold records that are
	// known, because Read has told them or because it replaces one that had them.
	fresh, replaces bool
	// opened is when the Tail was, seen the newest time of each workload's records
	// that were told.
	opened time.Time
	seen   map[string]time.Time
}

// Tail opens the journal at its end, for Follow; Read, where it is wanted, comes
// before that.
func (j *Journal) Tail() (*Tail, error) {
	t := &Tail{journal: j, opened: time.Now(), seen: map[string]time.Time{}}
	if err := t.open(io.SeekEnd); err != nil {
		return nil, fmt.Errorf("store: journal %s: %w", j.path, err)
	}
	return t, nil
}

// Close gives the file up.
func (t *Tail) Close() {
	if t.file != nil {
		_ = t.file.Close() // was only read
		t.file, t.part = nil, nil
	}
}

// Read is the journal's Read. Follow does not repeat what it yields.
func (t *Tail) Read() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range t.journal.Read() {
			if err == nil {
				t.see(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Follow yields the records that are appended after the Tail was opened, as they
// come; it looks every poll, through rotations and Forget, until ctx ends.
func (t *Tail) Follow(ctx context.Context, poll time.Duration) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(poll):
			}
			records, err := t.more()
			if err != nil {
				yield(Record{}, fmt.Errorf("store: journal %s: %w", t.journal.path, err))
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// open opens the file, where there is one.
func (t *Tail) open(whence int) error {
	file, err := os.Open(t.journal.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.Seek(0, whence)
	t.file, t.fresh = file, true
	return err
}

// more are the records that came since.
func (t *Tail) more() ([]Record, error) {
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
	records := t.unknown(lines[:len(lines)-1])
	if replaced {
		t.Close()
		t.replaces = true
		rest, err := t.more()
		return append(records, rest...), err
	}
	return records, nil
}

// unknown are the records among lines that were not told yet.
func (t *Tail) unknown(lines [][]byte) (records []Record) {
	for _, line := range lines {
		if r, ok := parseRecord(line); ok && !(t.fresh && t.known(r)) {
			t.see(r)
			records = append(records, r)
		}
	}
	t.fresh = false
	return records
}

// known reports whether a file that nothing was read of yet has r from before.
// The runs of one workload come one after the other, and so do their times.
func (t *Tail) known(r Record) bool {
	last, ok := t.seen[r.Workload.String()]
	if !ok {
		return t.replaces && !r.Time.After(t.opened)
	}
	return !r.Time.After(last)
}

func (t *Tail) see(r Record) {
	if k := r.Workload.String(); r.Time.After(t.seen[k]) {
		t.seen[k] = r.Time
	}
}

// replaced reports whether another file, or none, lies at the path by now, or
// the same one was cut.
func (t *Tail) replaced() (bool, error) {
	open, err := t.file.Stat()
	if err != nil {
		return false, err
	}
	at, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, err
	}
	now, err := os.Stat(t.journal.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && (!os.SameFile(open, now) || now.Size() < at), err
}
