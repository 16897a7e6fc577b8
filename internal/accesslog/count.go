package accesslog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
)

// maxLine bounds a line; what is longer is none.
const maxLine = 256 << 10

// tally is what was found in the lines of one reading.
type tally struct {
	lines, unknown             int
	requests, failed, answered uint64
	grew                       bool // by a part of a line even
}

// skip leaves out the oldest of what there is to be read, so that no more than most
// bytes stay, and gives how many bytes that were.
func (f *family) skip(most int64) (left int64) {
	over := -most
	for _, one := range f.all() {
		over += one.size - one.from
	}
	for _, one := range f.all() {
		cut := min(max(over-left, 0), one.size-one.from)
		one.from += cut
		one.torn = cut > 0
		left += cut
	}
	return left
}

// count reads the lines of all files to their last line feeds.
func (s *Source) count(ctx context.Context, files *family) (tally, error) {
	var t tally
	var errs []error
	for _, f := range files.all() {
		t.grew = t.grew || f.size > f.from
		f.end = f.from
		errs = append(errs, s.countFile(ctx, f, &t))
		if ctx.Err() != nil {
			f.end = f.size // the next reading would not get any further
		}
	}
	return t, errors.Join(errs...)
}

// countFile reads one file from where it was left to where it ended when it was
// opened.
func (s *Source) countFile(ctx context.Context, f *logFile, t *tally) error {
	lines := bufio.NewReaderSize(io.NewSectionReader(f, f.from, f.size-f.from), maxLine)
	torn, long := f.torn, false
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil && (torn || long):
		case err == nil:
			s.countLine(line, t)
		case errors.Is(err, io.EOF) && !long && !torn:
			return nil // the rest of the line comes later
		case errors.Is(err, io.EOF):
			f.end += int64(len(line))
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		case !long && !torn:
			t.lines, t.unknown = t.lines+1, t.unknown+1
		}
		f.end += int64(len(line))
		long = errors.Is(err, bufio.ErrBufferFull)
		torn = torn && long
	}
}

// countLine takes one whole line.
func (s *Source) countLine(line []byte, t *tally) {
	r, kind := Parse(line)
	t.lines++
	switch {
	case kind == Unknown:
		t.unknown++
		return
	case kind == Other || s.config.Takes != nil && !s.config.Takes(r.label):
		return
	}
	t.requests++
	if r.Status > 0 {
		t.answered++
	}
	if r.Status >= 500 {
		t.failed++
	}
}

// label is what a selector can ask for.
func (r Request) label(name string) string {
	switch name {
	case "method":
		return r.Method
	case "path":
		return r.Path()
	case "host":
		return r.Host
	case "code":
		if r.Status > 0 {
			return strconv.Itoa(r.Status)
		}
	}
	return ""
}

// Labels are the names that a selector can ask for.
func Labels() []string { return []string{"method", "path", "host", "code"} }

// places are where the files were read to. A rotated one is followed while somebody
// may write to it.
func (f *family) places(c Config) []place {
	var all []place
	for _, one := range f.all() {
		if one != f.log && c.now().Sub(one.modified) > keepOld {
			if open, err := c.writers(one); err != nil || !open {
				continue
			}
		}
		sum, err := before(one, one.end)
		if err != nil {
			continue // as one that is gone
		}
		all = append(all, place{Inode: one.inode, Offset: one.end, Before: sum})
	}
	return all[max(0, len(all)-maxPlaces):]
}
