// Package accesslog reads the load of a service from the log that a proxy in front
// of it writes: how many requests came since the last reading. It follows the file
// through rotation and never fails: what is wrong is the verdict of its sample.
package accesslog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
)

const (
	// Metric is what the requests of a log are called where a selector picks some.
	Metric = "requests"
	// timeout bounds one reading.
	timeout = 5 * time.Second
	// maxBytes bounds what one reading takes: a quarter of a million lines or more. The slowest
	// to read, of JSON, take two seconds then.
	maxBytes = 128 << 20
	// tail is how much of its end a first reading looks at, to know the format.
	tail = 64 << 10
	// quiet is how old the last line may be where nobody can say whether the log is
	// still written to.
	quiet = 5 * time.Minute
	// keepOld is how long a rotated file is followed after its last line: a proxy goes
	// on writing to it until it is told.
	keepOld = time.Minute
	// maxPlaces is how many files are followed.
	maxPlaces = 16
)

// Config says what to read.
type Config struct {
	// Path is the log's; a relative one counts from the working directory.
	Path string
	// Takes reports whether a request is to be counted; label gives its method, path,
	// host or code. Nil takes all.
	Takes func(label func(name string) string) bool
	// Selector is what Takes was made of, for Identity; empty for all.
	Selector string

	maxBytes int64                        // 0 is maxBytes
	writers  func(*logFile) (bool, error) // nil asks the kernel
	now      func() time.Time             // nil is the clock
}

// Source counts the requests of one log. One goroutine reads it.
type Source struct {
	config Config
	mark   *mark // nil before the first reading
}

// New makes a Source. Nothing is opened yet.
func New(c Config) (*Source, error) {
	if c.Path == "" {
		return nil, errors.New("--access-log is empty; name the file that the proxy in front writes")
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("--access-log=%s: %w", c.Path, err)
	}
	c.Path = path
	c.maxBytes = cmp.Or(c.maxBytes, maxBytes)
	if c.writers == nil {
		c.writers = written
	}
	if c.now == nil {
		c.now = time.Now
	}
	return &Source{config: c}, nil
}

// Identity names what is read: file and selector.
func (s *Source) Identity() string {
	return fmt.Sprintf("access-log %s %s", s.config.Path, cmp.Or(s.config.Selector, Metric))
}

// mark is where a reading ended. It counts from an origin of its own, so that the
// difference of two is right whichever of those between them was remembered.
type mark struct {
	// Time is when it ended.
	Time time.Time `json:"t"`
	// Run tells one count from the one before it, which had to be given up.
	Run int `json:"run,omitempty"`
	// Requests, Failed and Answered count since the run began: those taken, and of them
	// those answered with a status from 500 on, and with any.
	Requests uint64 `json:"requests"`
	Failed   uint64 `json:"failed,omitempty"`
	Answered uint64 `json:"answered,omitempty"`
	// Places are the ends of the files that are followed, the log's own last.
	Places []place `json:"places"`
}

// process names a count: one that was given up is another process's to those who
// make rates of it.
func (s *Source) process(run int) string {
	if run == 0 {
		return s.config.Path
	}
	return s.config.Path + "#" + strconv.Itoa(run)
}

// Resume has the next Read go on where the last step left it: processes are those
// that are remembered. Without any of this log's own it begins at the log's end.
func (s *Source) Resume(processes map[string]autoscale.Process) {
	s.mark = nil
	for name, p := range processes {
		var m mark
		if len(p.Mark) == 0 || json.Unmarshal(p.Mark, &m) != nil || s.process(m.Run) != name || !m.sound() {
			continue
		}
		if s.mark == nil || m.Time.After(s.mark.Time) {
			s.mark = &m
		}
	}
}

// sound reports whether m may be what a reading left.
func (m *mark) sound() bool {
	return len(m.Places) > 0 && !slices.ContainsFunc(m.Places, func(p place) bool { return p.Offset < 0 })
}

// Read counts what was written since the last reading. Replicas do not matter: the
// log speaks for the whole service.
func (s *Source) Read(ctx context.Context, _ []autoscale.Replica) autoscale.Reading {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := autoscale.Reading{Metric: Metric, Kind: autoscale.Counter, Scope: autoscale.ScopeService}
	next, verdict, detail, notes := s.read(ctx)
	r.Notes = notes
	sample := autoscale.Sample{Name: s.config.Path, Verdict: verdict, Detail: detail, Time: s.config.now()}
	if next != nil {
		next.Time = sample.Time
		s.mark = next
	}
	if s.mark != nil {
		sample.Process = s.process(s.mark.Run)
		sample.Value, sample.Failed, sample.Answered = float64(s.mark.Requests), float64(s.mark.Failed), float64(s.mark.Answered)
		sample.Mark, _ = json.Marshal(s.mark) // numbers and text
	} else {
		sample.Process = s.config.Path
	}
	r.Samples = []autoscale.Sample{sample}
	return r
}

// read makes one reading. Its mark is nil where the last one stays.
func (s *Source) read(ctx context.Context) (next *mark, verdict autoscale.Verdict, detail string, notes []string) {
	path := s.config.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	last := mark{}
	if s.mark != nil {
		last = *s.mark
	}
	files, whole, err := find(path, last.Places, last.Time)
	defer files.close()
	if err != nil {
		return nil, autoscale.Unreachable, unreadable(err), nil
	}
	next = &last
	if s.mark != nil && !whole {
		next = last.anew()
		notes = append(notes, fmt.Sprintf("%s was rotated or cut, and some of what came before that is gone: counting begins anew; logrotate's delaycompress keeps it for the next run", s.config.Path))
	}
	if s.mark == nil {
		files.skip(tail)
	} else if left := files.skip(s.config.maxBytes); left > 0 {
		next = last.anew()
		notes = append(notes, fmt.Sprintf("%s grew by %d MiB since the last reading, of which %d MiB are left out: counting begins anew; read it more often", s.config.Path, (left+s.config.maxBytes)>>20, left>>20))
	}
	t, err := s.count(ctx, files)
	if verdict, detail = judge(ctx, t, err); verdict != autoscale.OK {
		next = last.anew()
	} else if !t.grew || s.mark == nil {
		verdict, detail = s.alive(files)
	}
	if s.mark != nil && verdict != autoscale.Late {
		next.add(t)
	}
	next.Places = files.places(s.config)
	return next, verdict, detail, notes
}

// anew is the mark from which counting begins anew.
func (m *mark) anew() *mark { return &mark{Run: m.Run + 1} }

func (m *mark) add(t tally) {
	m.Requests += t.requests
	m.Failed += t.failed
	m.Answered += t.answered
}

// judge is the verdict on what was read.
func judge(ctx context.Context, t tally, err error) (autoscale.Verdict, string) {
	switch {
	case ctx.Err() != nil:
		return autoscale.Late, fmt.Sprintf("what came since the last reading was not read within %s; counting begins anew", timeout)
	case err != nil:
		return autoscale.Unreachable, fmt.Sprintf("it cannot be read to its end: %v", err)
	case 2*t.unknown > t.lines:
		return autoscale.Malformed, fmt.Sprintf("%d of the last %d lines are of no format that is read; have the proxy write the combined format, HAProxy's HTTP log, or JSON with method, uri and status", t.unknown, t.lines)
	}
	return autoscale.OK, ""
}

// unreadable says what to do about a log that cannot be opened.
func unreadable(err error) string {
	switch {
	case errors.Is(err, errIrregular):
		return "it is no regular file; the official images of nginx and others write to their standard output instead: have the proxy write to a file in a folder that this machine shares with it"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read it; run as root, or as a member of the group that owns it (often adm)"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file; name the log that the proxy in front writes"
	}
	return err.Error()
}

// alive judges a log that did not grow: nobody called, or nobody writes to it.
func (s *Source) alive(files *family) (autoscale.Verdict, string) {
	var written time.Time
	unknown := false
	for _, f := range files.all() {
		open, err := s.config.writers(f)
		if err == nil && open {
			return autoscale.OK, ""
		}
		unknown = unknown || err != nil
		if f.modified.After(written) {
			written = f.modified
		}
	}
	since := fmt.Sprintf("nothing was written to it since %s", written.Format("15:04:05"))
	switch {
	case !unknown:
		return autoscale.Stale, since + ", and no program has it open to write; does the proxy run, was it told of the last rotation, and is this its log?"
	case s.config.now().Sub(written) > quiet:
		return autoscale.Stale, fmt.Sprintf("%s, and only root or its owner can see whether a program has it open to write; run as one of them, or have something call the proxy every minute", since)
	}
	return autoscale.OK, ""
}
