package prometheus

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/five-keys/autoscale"
)

const (
	firstBuffer = 64 << 10
	// maxLine bounds the memory that one page can take.
	maxLine = 1 << 20
	// maxWanted is how many selectors fit the marks of a line's first byte.
	maxWanted = 8
)

// Found is what one page says about one wanted metric.
type Found struct {
	// Sum adds the values of the selected series, in the page's order. Its unit
	// is the metric's own.
	Sum float64
	// Selected counts these series, Named all that have the metric's name.
	Selected, Named int
	// Answered adds the values of the series that tell with what status requests were
	// answered (code="200", status="5xx"): the selected ones, and those that only lack
	// the status which the selector asks for. Failed adds those of a status from 500 on.
	Answered, Failed float64
	// Type is the word after # TYPE and the metric's name, Base the same for the
	// name less its suffix _total, _count or _bucket; empty where not stated.
	Type, Base string
	// Oldest is the oldest timestamp that a selected series carries; zero where
	// none does.
	Oldest time.Time
	// Fault says what is wrong with the metric's lines: Malformed, NotFinite,
	// Negative, or OK; Detail says it in words.
	Fault  autoscale.Verdict
	Detail string
}

// BadPage is the error of a page that is not in its format as a whole, or not
// complete.
type BadPage struct {
	Line   int // counted from 1
	Reason string
}

func (e *BadPage) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Scan reads a page in the text format 0.0.4, or in OpenMetrics 1.0 where
// openMetrics is set, and gives for each wanted selector (at most eight) what the
// page says. It keeps one line in memory at a time, and judges no lines but those
// of the wanted metrics. The error is a *BadPage, or what reading r gave.
func Scan(r io.Reader, openMetrics bool, wanted ...Selector) ([]Found, error) {
	if len(wanted) > maxWanted {
		return nil, fmt.Errorf("%d selectors are wanted of one page; at most %d can be", len(wanted), maxWanted)
	}
	s := scanner{r: r, om: openMetrics, buf: make([]byte, firstBuffer), wants: make([]want, len(wanted))}
	for i, sel := range wanted {
		s.want(i, sel)
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	found := make([]Found, len(s.wants))
	for i := range s.wants {
		found[i] = s.wants[i].Found
	}
	return found, nil
}

// Marks of a line's first byte. The lower eight bits say which wanted names begin
// with it.
const (
	markOther   = 1 << 9 // a comment, a brace, a blank: needs a closer look
	markNothing = 1 << 8 // no entry begins so
)

type scanner struct {
	r          io.Reader
	err        error // what r gave last
	om         bool
	buf        []byte
	start, end int  // of the bytes in buf that are not yet scanned
	settled    int  // what lies between this and start was passed over
	escapes    bool // there is a backslash among them, perhaps
	line       int  // number of lines before start
	ended      bool // "# EOF" was seen
	marks      [256]uint16
	wants      []want
	entry      entry
	match      matchState
}

func (s *scanner) want(i int, sel Selector) {
	s.wants[i] = newWant(sel)
	if i == 0 {
		for c := range s.marks {
			if !nameByte(byte(c)) || c >= '0' && c <= '9' {
				s.marks[c] = markNothing
			}
		}
		for _, c := range []byte("# \t{") {
			s.marks[c] = markOther
		}
	}
	if first := sel.Name[0]; s.marks[first] < markNothing {
		s.marks[first] |= 1 << i
	}
}

// run is the loop over the lines. An entry is a line nearly always; only what
// stands in quotes may hold line feeds. So lines that are not wanted are passed over,
// and their quotes are counted afterwards, many lines at a time.
func (s *scanner) run() error {
	for {
		rest := s.buf[s.start:s.end]
		if s.ended && len(rest) > 0 {
			return &BadPage{s.line + 1, "there is more after # EOF"}
		}
		n := bytes.IndexByte(rest, '\n')
		if n >= 0 && !s.interesting(rest[:n+1]) {
			s.start += n + 1
			s.line++
			continue
		}
		if !s.settle() {
			continue
		}
		if n >= 0 {
			s.start += s.look(n + 1)
			s.line++
			s.settled = s.start
			continue
		}
		if err := s.fill(); err == io.EOF {
			return s.finish()
		} else if err != nil {
			return err
		}
	}
}

// interesting reports whether the line, with its line feed, has to be looked at.
func (s *scanner) interesting(line []byte) bool {
	switch mark := s.marks[line[0]]; {
	case mark < markNothing:
		return mark != 0 && s.begins(line, mark)
	case mark == markNothing:
		return false
	}
	// Half of many pages is help that interests nobody.
	return !bytes.HasPrefix(line, []byte("# HELP ")) || line[len("# HELP ")] == '"'
}

// settle makes sure that s.start is the start of an entry, and not in the middle
// of one that began in the lines just passed over. An even number of quotes and no
// backslash prove it. Else these lines are gone through one by one, which may read
// more and move s.start, and settle reports false: what was seen there is out of date.
func (s *scanner) settle() bool {
	passed := s.buf[s.settled:s.start]
	if bytes.Count(passed, []byte{'"'})&1 == 1 || s.escapes && bytes.IndexByte(passed, '\\') >= 0 {
		left := len(passed)
		s.line -= bytes.Count(passed, []byte{'\n'})
		for s.start = s.settled; left > 0; {
			used := s.pass()
			s.start += used
			s.line++
			left -= used
		}
		s.settled = s.start
		return false
	}
	s.settled = s.start
	return true
}

// pass gives the length of the unwanted entry, or comment, at s.start.
func (s *scanner) pass() int {
	n := bytes.IndexByte(s.buf[s.start:s.end], '\n')
	line := s.buf[s.start : s.start+n]
	if n == 0 || s.marks[line[0]] >= markNothing ||
		bytes.Count(line, []byte{'"'})&1 == 0 && bytes.IndexByte(line, '\\') < 0 {
		return n + 1
	}
	return s.skip(n + 1)
}

// begins reports whether the line, with its line feed, is one of the wanted metrics
// that are marked.
func (s *scanner) begins(line []byte, mark uint16) bool {
	for i := range s.wants {
		if mark>>i&1 == 1 && s.wants[i].begins(line) {
			return true
		}
	}
	return false
}

// fill reads more, and makes room for it. The error io.EOF says there is no more.
func (s *scanner) fill() error {
	copy(s.buf, s.buf[s.start:s.end])
	s.end -= s.start
	s.start, s.settled = 0, 0
	if s.end == len(s.buf) {
		if len(s.buf) >= maxLine {
			return &BadPage{s.line + 1, fmt.Sprintf("the line is longer than %d bytes", maxLine)}
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for tries := 0; s.err == nil && tries < 100; tries++ {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
		if n > 0 {
			s.escapes = bytes.IndexByte(s.buf[:s.end], '\\') >= 0
			return nil
		}
	}
	if s.err == nil {
		s.err = io.ErrNoProgress
	}
	return s.err
}

// finish judges how the page ends.
func (s *scanner) finish() error {
	last := s.buf[s.start:s.end]
	if s.om && !s.ended && string(last) == "# EOF" {
		return nil
	}
	switch {
	case len(last) > 0:
		return &BadPage{s.line + 1, "the last line has no line feed: the page was cut short"}
	case s.om && !s.ended:
		return &BadPage{s.line, "the page ends without # EOF: it was cut short"}
	}
	return nil
}

// skip gives the length of an unwanted entry whose first line, of the given
// length, may not be all of it. Where it is no entry at all that line is left
// out alone.
func (s *scanner) skip(firstLine int) int {
	n, err := s.parse()
	if err != nil {
		return firstLine
	}
	s.line += bytes.Count(s.buf[s.start:s.start+n-1], []byte{'\n'})
	return n
}

// parse reads the entry at s.start, however long it is.
func (s *scanner) parse() (int, error) {
	for {
		n, err := s.entry.parse(s.buf[s.start:s.end], s.om)
		if err != errMore {
			return n, err
		}
		if s.end-s.start >= maxLine {
			return 0, errMore
		}
		if err := s.fill(); err != nil {
			return 0, errMore // fill gives its error again in the loop over the lines
		}
	}
}

// look takes one entry or comment that may be wanted.
func (s *scanner) look(firstLine int) int {
	line := trimBlanks(s.buf[s.start : s.start+firstLine])
	if line[0] == '#' {
		return s.comment(line, firstLine)
	}
	number := s.line + 1
	n, err := s.parse()
	if err != nil {
		// parse may have moved the buffer.
		s.bad(trimBlanks(s.buf[s.start:s.start+firstLine]), number, err)
		return firstLine
	}
	s.line += bytes.Count(s.buf[s.start:s.start+n-1], []byte{'\n'})
	for i := range s.wants {
		if w := &s.wants[i]; w.named(&s.entry, &s.match) {
			w.add(&s.entry, &s.match, number)
		}
	}
	return n
}

// bad notes a line that does not parse with the metric it belongs to. Of a line
// with its name in the braces it is one that shows the name there.
func (s *scanner) bad(line []byte, number int, err error) {
	for i := range s.wants {
		w := &s.wants[i]
		if w.begins(line) || len(line) > 0 && line[0] == '{' && bytes.Contains(line, w.quoted) {
			w.fault(autoscale.Malformed, "line %d: %v: %s", number, err, excerpt(line))
		}
	}
}

// millisTime turns a timestamp of a page into a time.
func millisTime(ms int64) time.Time {
	return time.UnixMilli(min(max(ms, math.MinInt64/2), math.MaxInt64/2))
}
