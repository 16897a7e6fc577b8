package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/replace"
)

const (
	// maxJournal is how large the journal grows before it is rotated, in bytes.
	// With the one rotated away it takes at most twice that: a week of
	// decisions, one a minute.
	maxJournal = 16 << 20
	// maxLine bounds one record, in bytes.
	maxLine = 1 << 20
)

// Journal is the record of decisions beside a state file, for people: NDJSON,
// bounded, the older half rotated to <name>.1. No decision reads it, so that
// whatever goes wrong with it is worth a warning, no more.
type Journal struct {
	path string
	max  int64 // bytes
}

// Record is one line of the journal: one run.
type Record struct {
	// Version is that of the line's format; Append sets it.
	Version int `json:"version"`
	// Time is when the run ended.
	Time time.Time `json:"time"`
	// Workload is what was decided on.
	Workload Key `json:"workload"`
	// Reading is what was read of the load.
	Reading autoscale.Reading `json:"reading"`
	// Decision is what was decided, and why.
	Decision autoscale.Decision `json:"decision"`
	// Outcome is what became of it.
	Outcome Outcome `json:"outcome"`
}

// Outcome is what became of a decision.
type Outcome struct {
	// Result is a stable name: "unchanged", "scaled", "observed", "failed" …
	Result string `json:"result"`
	// Count is how many replicas there were when the run ended.
	Count int `json:"count"`
	// Error says what failed; empty where nothing did.
	Error string `json:"error,omitempty"`
}

// Journal returns the journal beside f: <name without .json>.journal.ndjson.
func (f *File) Journal() *Journal {
	return &Journal{path: strings.TrimSuffix(f.path, ".json") + ".journal.ndjson", max: maxJournal}
}

// Path is where the journal lies.
func (j *Journal) Path() string { return j.path }

// Append adds r as the newest record. After an error, or a process killed, the
// records before are still there, and the next Append works.
func (j *Journal) Append(r Record) error {
	line, err := r.line()
	if err == nil {
		err = j.append(line)
	}
	if err != nil {
		return fmt.Errorf("store: decision not written to journal %s: %w", j.path, err)
	}
	return nil
}

// line is r with its line feed.
func (r Record) line() ([]byte, error) {
	r.Version = version
	// A value that is not to be used may be one that JSON does not have.
	r.Reading.Samples = slices.Clone(r.Reading.Samples)
	for i, s := range r.Reading.Samples {
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			r.Reading.Samples[i].Value = 0
		}
	}
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxLine {
		return nil, fmt.Errorf("it has %d bytes; a line may have %d", len(line), maxLine)
	}
	return append(line, '\n'), nil
}

func (j *Journal) append(line []byte) error {
	path, unlock, err := lockBeside(j.path)
	if err != nil {
		return err
	}
	defer unlock()
	file, size, err := openJournal(path)
	if err != nil {
		return err
	}
	if size > 0 && size+int64(len(line))+1 > j.max {
		if err := errors.Join(file.Close(), os.Rename(path, path+".1")); err != nil {
			return err
		}
		if file, size, err = openJournal(path); err != nil {
			return err
		}
	}
	return errors.Join(appendLine(file, size, line), file.Close())
}

// openJournal opens the file at path to append to, and makes it where there is
// none.
func openJournal(path string) (file *os.File, size int64, err error) {
	const flags = os.O_RDWR | os.O_APPEND | syscall.O_NONBLOCK
	file, err = os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := replace.File(path, nil); err != nil {
			return nil, 0, err
		}
		file, err = os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return nil, 0, err
	}
	if size, err = regularSize(file); err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}

// regularSize is the size of a regular file; anything else is an error.
func regularSize(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", file.Name())
	}
	return info.Size(), nil
}

// appendLine writes line at the end of file, on a line of its own even where
// the writer before was killed in the middle of one. What could not be written
// in full is taken back.
func appendLine(file *os.File, size int64, line []byte) error {
	if size > 0 {
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := file.Write(line); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	return nil
}

// Read yields the records, the newest last. Lines that are damaged or of a
// newer version are passed over; they, like a file that cannot be read, are
// told of by one error, which comes last. A journal that does not exist has no
// records.
func (j *Journal) Read() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		fail := func(err error) {
			yield(Record{}, fmt.Errorf("store: journal %s: %w", j.path, err))
		}
		parts, err := j.open()
		defer func() {
			for _, p := range parts {
				_ = p.file.Close() // was only read
			}
		}()
		if err != nil {
			fail(err)
			return
		}
		passed := 0
		for _, p := range parts {
			for line, err := range lines(io.NewSectionReader(p.file, 0, p.size)) {
				if err != nil {
					fail(err)
					return
				}
				r, ok := parseRecord(line)
				if !ok {
					passed++
				} else if !yield(r, nil) {
					return
				}
			}
		}
		if passed > 0 {
			fail(fmt.Errorf("lines passed over, damaged or of a newer version: %d", passed))
		}
	}
}

// part is one of the journal's files, of which size bytes are to be read.
type part struct {
	file *os.File
	size int64
}

// open opens the journal's files, the older one first. The lock is held only
// here: what is appended or rotated away later does not disturb the reader.
func (j *Journal) open() (parts []part, err error) {
	path, err := resolve(j.path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, name := range []string{path + ".1", path} {
		file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return parts, err
		}
		size, err := regularSize(file)
		parts = append(parts, part{file: file, size: size})
		if err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// lines yields the lines of r, the last one also without its line feed. One
// longer than any record comes out empty, and so damaged, however long it is.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		b := bufio.NewReaderSize(r, maxLine)
		for tooLong := false; ; {
			line, err := b.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				tooLong = true
				continue
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(nil, err)
				return
			}
			end := err != nil
			if tooLong {
				line, tooLong = []byte{' '}, false
			} else if end && len(line) == 0 {
				return
			}
			if !yield(line, nil) || end {
				return
			}
		}
	}
}

// parseRecord reads one line.
func parseRecord(line []byte) (Record, bool) {
	var r Record
	err := json.Unmarshal(line, &r)
	return r, err == nil && r.Version == version
}
