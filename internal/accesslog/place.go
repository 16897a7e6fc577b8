package accesslog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// place is how far one file was read. File systems give inodes away again and logs
// are cut in place, so what stands before the offset says whether it still is that
// file.
type place struct {
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
	// Before is a hash of the last bytes before Offset; empty at the beginning.
	Before string `json:"before,omitempty"`
}

// beforeLen is how many bytes before an offset are compared.
const beforeLen = 256

// clockSlack is how far a file's time may lie behind the clock: the kernel counts in
// ticks, some file systems in seconds.
const clockSlack = time.Second

// before is the hash of the bytes before an offset.
func before(f io.ReaderAt, offset int64) (string, error) {
	if offset == 0 {
		return "", nil
	}
	buffer := make([]byte, min(offset, beforeLen))
	if _, err := f.ReadAt(buffer, offset-int64(len(buffer))); err != nil {
		return "", err
	}
	sum := fnv.New64a()
	_, _ = sum.Write(buffer) // a hash takes everything
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, sum.Sum64())), nil
}

// logFile is a file that is open to be read.
type logFile struct {
	*os.File
	inode    uint64
	size     int64
	modified time.Time
	from     int64 // what stands before was counted
	torn     bool  // from is within a line
	end      int64 // to where it was read
}

// errIrregular is the error of what is no file that could be followed.
var errIrregular = errors.New("it is no regular file")

// openLog opens a file without waiting for anybody.
func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &logFile{File: f, inode: inodeOf(info), size: info.Size(), modified: info.ModTime()}, nil
}

func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}

// holds reports whether the file, or a copy of it, is the one that p is a place in.
func (f *logFile) holds(p place) bool {
	if f.size < p.Offset {
		return false
	}
	sum, err := before(f, p.Offset)
	return err == nil && sum == p.Before
}

// family are the files of a log, its rotated ones included, open.
type family struct {
	path string
	log  *logFile // nil while there is none at the path
	old  []*logFile
}

func (f *family) close() {
	for _, one := range f.all() {
		_ = one.Close() // read only
	}
}

// all are the files from the oldest to the log itself.
func (f *family) all() []*logFile {
	if f.log == nil {
		return f.old
	}
	return append(f.old[:len(f.old):len(f.old)], f.log)
}

// rotated matches the names that rotation gives: access.log.1, access.log-20261125 and,
// with the date before the suffix, access-2026-11-25T10-00-00.log.
func rotated(name string) *regexp.Regexp {
	suffix := filepath.Ext(name)
	stem := strings.TrimSuffix(name, suffix)
	return regexp.MustCompile(fmt.Sprintf(`^(?:%s[.-]\d[\dT:.-]*|%s[.-]\d{4}-?\d\d-?\d\d[\dT:.-]*%s)$`,
		regexp.QuoteMeta(name), regexp.QuoteMeta(stem), regexp.QuoteMeta(suffix)))
}

// find opens what was written since the places were left, of which the last was in
// the log at that time; at is when. It is not whole where some of it is gone.
func find(path string, places []place, at time.Time) (found *family, whole bool, err error) {
	found = &family{path: path}
	found.log, err = openLog(path)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || len(places) == 0) {
		return found, false, err
	}
	var gone []place
	for i, p := range places {
		if last := i == len(places)-1; last && found.log != nil && found.log.inode == p.Inode && found.log.holds(p) {
			found.log.from = p.Offset
			continue
		}
		gone = append(gone, p)
	}
	if len(gone) == 0 {
		return found, true, nil
	}
	missing := err
	whole, err = found.findOld(gone, places, at.Add(-clockSlack))
	if err == nil && found.log == nil && len(found.old) == 0 {
		err = missing
	}
	return found, whole, err
}

// findOld opens the files that were rotated away.
func (f *family) findOld(gone, places []place, at time.Time) (whole bool, err error) {
	fresh, err := f.rotatedSince(gone, at)
	if err != nil {
		return false, err
	}
	last := places[len(places)-1]
	turned := slices.Contains(gone, last) // the log itself was rotated
	for _, p := range gone {
		i := slices.IndexFunc(fresh, func(one *logFile) bool { return one.inode == p.Inode && one.holds(p) })
		if i < 0 && p.Offset > 0 { // copied, and then cut
			i = slices.IndexFunc(fresh, func(one *logFile) bool { return one.holds(p) })
		}
		if i < 0 {
			continue
		}
		fresh[i].from = p.Offset
		f.old = append(f.old, fresh[i])
		fresh = slices.Delete(fresh, i, i+1)
		whole = whole || p == last
	}
	slices.SortFunc(fresh, func(a, b *logFile) int { return a.modified.Compare(b.modified) })
	names := rotated(filepath.Base(f.path))
	for _, one := range fresh {
		if whole && one.modified.After(at) && names.MatchString(filepath.Base(one.Name())) {
			f.old = append(f.old, one) // it came and went in between
			continue
		}
		_ = one.Close() // read only
	}
	return whole || !turned, nil
}

// rotatedSince opens the files that places may be in, and those of the log's rotated
// ones that were written after a time.
func (f *family) rotatedSince(places []place, at time.Time) (all []*logFile, err error) {
	dir, name := filepath.Split(f.path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	names := rotated(name)
	for _, entry := range entries {
		if entry.Name() == name || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // gone by now
		}
		known := slices.ContainsFunc(places, func(p place) bool { return p.Inode == inodeOf(info) })
		if !known && !(names.MatchString(entry.Name()) && info.ModTime().After(at)) {
			continue
		}
		if one, err := openLog(filepath.Join(dir, entry.Name())); err == nil { // else what is in it stays missing
			all = append(all, one)
		}
	}
	return all, nil
}
