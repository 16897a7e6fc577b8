package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// proxy writes a log, and rotates it in every way.
type proxy struct {
	t    testing.TB
	dir  string
	file *os.File // what it writes to
	n    int      // requests it has logged
}

func newProxy(t testing.TB) *proxy {
	p := &proxy{t: t, dir: t.TempDir()}
	p.reopen()
	t.Cleanup(func() { _ = p.file.Close() })
	return p
}

func (p *proxy) path() string { return filepath.Join(p.dir, "access.log") }

func (p *proxy) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// reopen is what USR1 has nginx do.
func (p *proxy) reopen() {
	p.t.Helper()
	if p.file != nil {
		p.must(p.file.Close())
	}
	var err error
	p.file, err = os.OpenFile(p.path(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	p.must(err)
}

func (p *proxy) write(text string) {
	p.t.Helper()
	_, err := p.file.WriteString(text)
	p.must(err)
}

// line is one request's.
func (p *proxy) line() string {
	p.n++
	return fmt.Sprintf("10.0.0.1 - - [24/Nov/2026:10:05:07 +0000] \"GET /%d HTTP/1.1\" 200 13\n", p.n)
}

// serve logs so many requests.
func (p *proxy) serve(n int) {
	p.t.Helper()
	for range n {
		p.write(p.line())
	}
}

func (p *proxy) rename(to string) {
	p.t.Helper()
	p.must(os.Rename(p.path(), filepath.Join(p.dir, to)))
}

// copyTruncate is logrotate's way with programs that cannot be told.
func (p *proxy) copyTruncate(to string) {
	p.t.Helper()
	text, err := os.ReadFile(p.path())
	p.must(err)
	p.must(os.WriteFile(filepath.Join(p.dir, to), text, 0o644))
	p.must(os.Truncate(p.path(), 0))
}

// reader reads the log again and again, each time as another process does.
type reader struct {
	t         testing.TB
	config    Config
	processes map[string]autoscale.Process
	total     float64 // of the counts that were given up
	run       string
	last      float64
}

func (p *proxy) reader(c Config) *reader {
	c.Path = p.path()
	if c.writers == nil {
		c.writers = func(*logFile) (bool, error) { return true, nil }
	}
	return &reader{t: p.t, config: c}
}

func (r *reader) read() (autoscale.Sample, []string) {
	r.t.Helper()
	s, err := New(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Resume(r.processes)
	reading := s.Read(r.t.Context(), nil)
	if len(reading.Samples) != 1 || reading.Kind != autoscale.Counter || reading.Scope != autoscale.ScopeService || reading.Metric != "requests" {
		r.t.Fatalf("%+v", reading)
	}
	got := reading.Samples[0]
	// As a state file keeps it.
	text, err := json.Marshal(map[string]autoscale.Process{got.Process: {Time: got.Time, Value: got.Value, Mark: got.Mark}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.processes = nil
	if err := json.Unmarshal(text, &r.processes); err != nil {
		r.t.Fatal(err)
	}
	if got.Process != r.run {
		r.total, r.run = r.total+r.last, got.Process
	} else if got.Value < r.last {
		r.t.Errorf("the count went back from %v to %v", r.last, got.Value)
	}
	r.last = got.Value
	return got, reading.Notes
}

// counts reads, and checks how many requests were counted in all.
func (r *reader) counts(want int) {
	r.t.Helper()
	got, notes := r.read()
	if all := r.total + r.last; all != float64(want) || got.Verdict != autoscale.OK || len(notes) > 0 {
		r.t.Errorf("%v requests, want %d; %s %s %q", all, want, got.Verdict, got.Detail, notes)
	}
}

// gone reads where something cannot be known any more: counting begins anew.
func (r *reader) gone(want int, verdict autoscale.Verdict, says string) {
	r.t.Helper()
	run := r.run
	got, notes := r.read()
	if got.Verdict != verdict || got.Process == run || !strings.Contains(got.Detail+strings.Join(notes, ""), says) || r.last != float64(want) {
		r.t.Errorf("%v requests in %s, want %d; %s %s %q, want %q", r.last, got.Process, want, got.Verdict, got.Detail, notes, says)
	}
}

// What was there before counts as nothing; each line after it counts once, when it
// is whole.
func TestFollow(t *testing.T) {
	p := newProxy(t)
	p.serve(1000)
	before := p.n
	r := p.reader(Config{})
	r.counts(0)
	r.counts(0)
	p.serve(3)
	r.counts(p.n - before)
	line := p.line()
	p.write(line[:20])
	r.counts(p.n - 1 - before)
	p.write(line[20 : len(line)-1])
	r.counts(p.n - 1 - before)
	p.write("\n" + p.line())
	r.counts(p.n - before)
	p.write("10.0.0.1 - - [24/Nov/2026:10:05:07 +0000] \"\\x16\\x03\" 400 150\n")
	r.counts(p.n - before)
}

// A log that is rotated by renaming: lines go to the old file until the proxy is told.
func TestFollowRename(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{})
	r.counts(0)
	p.serve(2)
	r.counts(p.n)
	p.serve(2)
	p.rename("access.log.1")
	p.serve(2)
	r.counts(p.n) // there is no log
	r.counts(p.n)
	p.must(os.WriteFile(p.path(), nil, 0o644)) // logrotate's create
	p.serve(2)
	r.counts(p.n) // the new one is empty
	p.serve(1)
	p.reopen()
	p.serve(3)
	r.counts(p.n)
	p.serve(1)
	r.counts(p.n)
	// Twice between two readings.
	p.must(os.Rename(filepath.Join(p.dir, "access.log.1"), filepath.Join(p.dir, "access.log.2.gz")))
	p.serve(1)
	p.rename("access.log.1")
	p.reopen()
	p.serve(2)
	p.must(os.Rename(filepath.Join(p.dir, "access.log.1"), filepath.Join(p.dir, "access.log.2")))
	p.rename("access.log.1")
	p.reopen()
	p.serve(4)
	p.must(os.WriteFile(filepath.Join(p.dir, "access.log.old"), []byte(p.line()), 0o644))
	p.must(os.WriteFile(filepath.Join(p.dir, "access-2.log"), []byte(p.line()), 0o644))
	p.n -= 2 // of others
	r.counts(p.n)
	// By a date in front of the suffix.
	p.serve(1)
	p.rename("access-2026-11-25T10-00-00.000.log")
	p.serve(1)
	p.reopen()
	p.serve(1)
	r.counts(p.n)
	r.counts(p.n)
}

func TestFollowCopyTruncate(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{})
	r.counts(0)
	p.serve(5)
	r.counts(p.n)
	p.serve(2)
	p.copyTruncate("access.log.1")
	r.counts(p.n)
	p.serve(3)
	r.counts(p.n)
	// By the next reading the log is longer than where it was left.
	p.copyTruncate("access.log-20261125")
	p.serve(50)
	r.counts(p.n)
	// A copy is no rotation.
	p.must(os.WriteFile(filepath.Join(p.dir, "access.log.3"), []byte(strings.Repeat(p.line(), 9)), 0o644))
	p.n--
	p.serve(1)
	r.counts(p.n)
}

// A link to a log of today's is followed to tomorrow's.
func TestFollowLink(t *testing.T) {
	p := newProxy(t)
	p.rename("access.1")
	link := p.path()
	p.must(os.Symlink("access.1", link))
	r := p.reader(Config{})
	r.counts(0)
	p.serve(2)
	r.counts(p.n)
	p.serve(2)
	p.must(os.Remove(link))
	p.must(os.Symlink("access.2", link))
	r.counts(p.n) // it leads nowhere yet
	p.reopen()
	p.serve(3)
	r.counts(p.n)
}

// What is gone for good is told, and never taken for a rest.
func TestFollowGone(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{})
	r.counts(0)
	p.serve(5)
	r.counts(p.n)
	// Cut.
	p.must(os.Truncate(p.path(), 0))
	p.serve(1)
	r.gone(1, autoscale.OK, "was rotated or cut")
	// Rotated and compressed at once.
	p.must(os.WriteFile(filepath.Join(p.dir, "access.log.1.gz"), []byte("\x1f\x8b"), 0o644))
	p.must(os.Remove(p.path()))
	p.reopen()
	p.serve(2)
	r.gone(2, autoscale.OK, "was rotated or cut")
	// Removed: the reading says so, and the next one begins anew.
	p.must(os.Remove(p.path()))
	if got, _ := r.read(); got.Verdict != autoscale.Unreachable || !strings.Contains(got.Detail, "no such file") || got.Value != 2 {
		t.Errorf("%+v", got)
	}
	p.reopen()
	p.serve(4)
	r.gone(4, autoscale.OK, "was rotated or cut")
	// Another file in its place that is longer, by the same inode or another.
	text, err := os.ReadFile(p.path())
	p.must(err)
	p.must(os.WriteFile(p.path(), []byte(strings.Replace(strings.Repeat(string(text), 2), "GET", "PUT", -1)), 0o644))
	r.gone(8, autoscale.OK, "was rotated or cut")
}

// A backlog is not read whole.
func TestFollowBacklog(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{maxBytes: 10_000})
	r.counts(0)
	p.serve(100)
	r.counts(100)
	p.serve(300)
	size := len(p.line())
	p.n--
	r.gone((10_000-1)/size, autoscale.OK, "are left out")
	p.serve(5)
	r.counts(100 + (10_000-1)/size + 5)
	// Nor one in a file that was rotated away.
	p.serve(200)
	p.rename("access.log.1")
	p.reopen()
	p.serve(50)
	r.gone((10_000-1)/size, autoscale.OK, "are left out")
}

// A line without an end does no harm.
func TestFollowLongLine(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{})
	r.counts(0)
	p.serve(3)
	p.write(strings.Repeat("x", maxLine+10))
	r.counts(3)
	p.write(strings.Repeat("x", 3*maxLine) + "\n")
	p.serve(5)
	r.counts(8)
}

// A log of a format that is not read is no log of no requests.
func TestFollowFormat(t *testing.T) {
	p := newProxy(t)
	p.write(strings.Repeat("2026-11-24 10:05:07 GET / 200\n", 9))
	r := p.reader(Config{})
	if got, _ := r.read(); got.Verdict != autoscale.Malformed || !strings.Contains(got.Detail, "9 of the last 9 lines") {
		t.Errorf("%+v", got)
	}
	p.serve(5)
	r.counts(5)
	p.serve(2)
	p.write("nginx was restarted\n")
	r.counts(7)
	p.write("a\nb\n")
	p.serve(1)
	r.gone(1, autoscale.Malformed, "2 of the last 3 lines")
}

// A log that does not grow means no requests only while somebody could write to it.
func TestFollowSilence(t *testing.T) {
	p := newProxy(t)
	now := time.Now()
	var open bool
	var failed error
	asked := 0
	r := p.reader(Config{
		writers: func(*logFile) (bool, error) { asked++; return open, failed },
		now:     func() time.Time { return now },
	})
	open = true
	r.counts(0)
	p.serve(2)
	r.counts(2)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	r.counts(2)
	now = now.Add(time.Hour)
	r.counts(2)
	open = false
	if got, _ := r.read(); got.Verdict != autoscale.Stale || !strings.Contains(got.Detail, "no program has it open") || got.Value != 2 {
		t.Errorf("%+v", got)
	}
	p.serve(1) // it was not noticed to be there, and is
	r.counts(3)
	now, failed = time.Now(), errors.New("not permitted")
	r.counts(3)
	now = now.Add(quiet + time.Second)
	if got, _ := r.read(); got.Verdict != autoscale.Stale || !strings.Contains(got.Detail, "only root or its owner") {
		t.Errorf("%+v", got)
	}
}

// Only the requests that are asked for count; their statuses are told.
func TestFollowSelected(t *testing.T) {
	p := newProxy(t)
	r := p.reader(Config{Takes: func(label func(string) string) bool {
		return label("path") != "/healthz" && label("method") == "GET" && label("other") == "" && label("host") == ""
	}})
	r.counts(0)
	for _, asked := range []string{`GET /a HTTP/1.1" 200`, `GET /healthz?x HTTP/1.1" 200`, `POST /a HTTP/1.1" 200`, `GET /b HTTP/1.1" 502`, `GET /b HTTP/1.1" 499`, `GET /b HTTP/1.1" -`} {
		p.write("h - - [24/Nov/2026:10:05:07 +0000] \"" + asked + " 1\n")
	}
	if got, _ := r.read(); got.Value != 4 || got.Failed != 1 || got.Answered != 3 {
		t.Errorf("%+v", got)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for path, says := range map[string]string{
		dir: "no regular file", "/dev/null": "no regular file", filepath.Join(dir, "none"): "no such file", filepath.Join(dir, "none/x"): "no such file",
	} {
		s, err := New(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Read(t.Context(), nil).Samples[0]; got.Verdict != autoscale.Unreachable || !strings.Contains(got.Detail, says) || got.Process != path || got.Mark != nil {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "--access-log") {
		t.Error(err)
	}
	if got := unreadable(os.ErrPermission); !strings.Contains(got, "run as root") {
		t.Error(got)
	}
}

// The kernel tells who writes.
func TestWritten(t *testing.T) {
	p := newProxy(t)
	f, err := openLog(p.path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open, err := written(f)
	if err != nil {
		t.Skipf("not on this system: %v", err)
	}
	if !open {
		t.Error("its writer is not seen")
	}
	p.must(p.file.Close())
	for range 3 {
		if open, err = written(f); open || err != nil {
			t.Errorf("%t %v", open, err)
		}
	}
	p.file = nil
	p.reopen()
	if open, err = written(f); !open || err != nil {
		t.Errorf("%t %v", open, err)
	}
}

// FuzzFollow: whatever happens to a log, in any order, no line counts twice, and all
// count once unless they were destroyed.
func FuzzFollow(f *testing.F) {
	f.Add([]byte{0, 1, 5, 0, 1, 6, 0, 1, 7, 0, 1, 3, 1, 4})
	f.Add([]byte{5, 6, 0, 5, 6, 1, 7, 0, 1, 8, 0, 1, 9, 0, 1})
	f.Add([]byte{0, 5, 1, 6, 0, 5, 6, 0, 0, 7, 7, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 40 {
			return
		}
		p := newProxy(t)
		r := p.reader(Config{})
		half, lost, rotations := "", false, 0
		r.read()
		for _, c := range script {
			switch "srspPmoctd"[c%10] {
			case 's':
				if half == "" {
					p.serve(3)
				}
			case 'p': // a part of a line
				if half == "" {
					line := p.line()
					half = line[len(line)/2:]
					p.write(line[:len(line)/2])
				}
			case 'P':
				p.write(half)
				half = ""
			case 'm':
				if _, err := os.Stat(p.path()); err == nil && half == "" && rotations < maxPlaces-2 {
					rotations++
					p.rename(fmt.Sprintf("access.log.%d", rotations))
				}
			case 'o':
				if half == "" {
					p.reopen()
				}
			case 'c':
				if _, err := os.Stat(p.path()); err == nil && half == "" && rotations < maxPlaces-2 {
					rotations++
					p.copyTruncate(fmt.Sprintf("access.log-%08d", rotations))
					lost = true // of a copy of a file that nothing was read of nobody knows
				}
			case 't':
				_ = os.Truncate(p.path(), 0) // it may not be there
				lost = true
			case 'd':
				_ = os.Remove(p.path())
				lost = true
			default:
				r.read()
			}
		}
		p.write(half)
		r.read()
		all := r.total + r.last
		if all > float64(p.n) || !lost && all != float64(p.n) {
			t.Errorf("%q: %v requests counted of %d", script, all, p.n)
		}
	})
}
