package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The grammar below is the one that Prometheus itself reads (its package
// textparse), which is laxer than the specifications in places: in the text
// format a value in quotes may hold a bare line feed, and blanks and commas are
// optional where nothing is ambiguous.

// errMore says that the entry goes on behind the bytes at hand.
var errMore = errors.New("the entry is cut short")

// span is one label as it stands on the page: without its quotes, escapes kept.
type span struct{ name, value []byte }

// entry is one sample line. Its slices point into the page.
type entry struct {
	name   []byte // without quotes, escapes kept
	labels []span
	value  float64
	millis int64 // its own timestamp, Unix time in ms
	timed  bool

	b  []byte
	i  int
	om bool
}

// parse reads the entry at the start of b, up to and with its line feed, and
// gives its length.
func (e *entry) parse(b []byte, om bool) (int, error) {
	*e = entry{labels: e.labels[:0], b: b, om: om}
	e.blanks()
	start := e.i
	for e.i < len(b) && nameByte(b[e.i]) && (e.i > start || b[e.i] > '9') {
		e.i++
	}
	named := e.i > start
	e.name = b[start:e.i]
	e.blanks()
	if e.i == len(b) {
		return 0, errMore
	}
	if b[e.i] == '{' {
		e.i++
		if err := e.braces(&named); err != nil {
			return 0, err
		}
	}
	if !named {
		return 0, errors.New("no metric name")
	}
	if err := e.tail(); err != nil {
		return 0, err
	}
	return e.i, nil
}

// nameByte reports whether c may stand in an unquoted metric name (label names
// have no colon; the first byte is no digit).
func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':'
}

// blanks skips them where the format allows any number: not in OpenMetrics.
func (e *entry) blanks() {
	for !e.om && e.i < len(e.b) && (e.b[e.i] == ' ' || e.b[e.i] == '\t') {
		e.i++
	}
}

// need skips blanks and gives the byte there without taking it.
func (e *entry) need() (byte, error) {
	e.blanks()
	if e.i == len(e.b) {
		return 0, errMore
	}
	return e.b[e.i], nil
}

// braces takes what stands after "{", and the "}". It may hold the metric name.
func (e *entry) braces(named *bool) error {
	for {
		c, err := e.need()
		if err != nil {
			return err
		}
		if c == '}' {
			e.i++
			return nil
		}
		name, quoted, err := e.labelName()
		if err != nil {
			return err
		}
		if c, err = e.need(); err != nil {
			return err
		}
		if quoted && (c == ',' || c == '}') {
			if *named {
				return errors.New("two metric names")
			}
			e.name, *named = name, true
		} else if err := e.labelValue(name); err != nil {
			return err
		} else if c, err = e.need(); err != nil {
			return err
		}
		switch {
		case c == ',':
			e.i++
		case c != '}' && e.om:
			return errors.New("no comma or } after a label")
		}
	}
}

// labelName takes a name, in quotes or not.
func (e *entry) labelName() (name []byte, quoted bool, err error) {
	if e.b[e.i] == '"' {
		name, err = e.quoted(true)
		return name, true, err
	}
	start := e.i
	for e.i < len(e.b) && nameByte(e.b[e.i]) && e.b[e.i] != ':' && (e.i > start || e.b[e.i] > '9') {
		e.i++
	}
	if e.i == start {
		return nil, false, errors.New("no label name")
	}
	return e.b[start:e.i], false, nil
}

// labelValue takes an equals sign and a value, and keeps the label.
func (e *entry) labelValue(name []byte) error {
	if e.b[e.i] != '=' {
		return errors.New("no = after a label's name")
	}
	e.i++
	c, err := e.need()
	if err != nil {
		return err
	}
	if c != '"' {
		return errors.New("no quote before a label's value")
	}
	value, err := e.quoted(!e.om)
	if err != nil {
		return err
	}
	if !utf8.Valid(value) {
		return errors.New("a label's value is not UTF-8")
	}
	e.labels = append(e.labels, span{name, value})
	return nil
}

// quoted takes a string in quotes and gives what is between them.
func (e *entry) quoted(lineFeeds bool) ([]byte, error) {
	e.i++
	start := e.i
	for ; e.i < len(e.b); e.i++ {
		switch e.b[e.i] {
		case '"':
			e.i++
			return e.b[start : e.i-1], nil
		case '\n':
			if !lineFeeds {
				return nil, errors.New("a quote is not closed")
			}
		case '\\':
			e.i++
			if e.i < len(e.b) && e.b[e.i] == '\n' {
				return nil, errors.New("a line ends with a backslash")
			}
		}
	}
	return nil, errMore
}

// tail takes the value and what may follow it, to the end of the line.
func (e *entry) tail() error {
	var err error
	if e.value, err = e.number("value"); err != nil {
		return err
	}
	if e.om {
		return e.openMetricsTail()
	}
	c, err := e.need()
	if err != nil || c == '\n' {
		e.i++
		return err
	}
	start := e.i
	for e.i < len(e.b) && e.b[e.i] >= '0' && e.b[e.i] <= '9' {
		e.i++
	}
	digits := e.b[start:e.i]
	if c, err = e.need(); err != nil {
		return err
	}
	if e.millis, err = strconv.ParseInt(string(digits), 10, 64); err != nil || c != '\n' {
		return errors.New("after the value stands something else than a timestamp in ms")
	}
	e.timed = true
	e.i++
	return nil
}

// openMetricsTail takes an optional timestamp and an optional exemplar.
func (e *entry) openMetricsTail() error {
	if err := e.openMetricsTime(&e.millis, &e.timed); err != nil {
		return err
	}
	if e.i == len(e.b) {
		return errMore
	}
	if bytes.HasPrefix(e.b[e.i:], []byte(" # {")) {
		e.i += len(" # {")
		if err := e.exemplar(); err != nil {
			return err
		}
	}
	if e.i == len(e.b) {
		return errMore
	}
	if e.b[e.i] != '\n' {
		return errors.New("no line feed after the value, timestamp or exemplar")
	}
	e.i++
	return nil
}

// openMetricsTime takes a blank and a timestamp in seconds, where they stand.
func (e *entry) openMetricsTime(millis *int64, timed *bool) error {
	rest := e.b[e.i:]
	if len(rest) < len(" # {") && bytes.IndexByte(rest, '\n') < 0 {
		return errMore
	}
	if rest[0] != ' ' || bytes.HasPrefix(rest, []byte(" # {")) {
		return nil
	}
	seconds, err := e.number("timestamp")
	if err != nil {
		return err
	}
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return errors.New("the timestamp is not finite")
	}
	*millis, *timed = int64(seconds*1000), true
	return nil
}

// exemplar takes one, behind its "{"; nothing of it is kept.
func (e *entry) exemplar() error {
	kept, named := len(e.labels), true // so that a lone name in quotes is refused
	if err := e.braces(&named); err != nil {
		return fmt.Errorf("exemplar: %w", err)
	}
	e.labels = e.labels[:kept]
	if _, err := e.number("exemplar's value"); err != nil {
		return err
	}
	var millis int64
	var timed bool
	return e.openMetricsTime(&millis, &timed)
}

// number takes a floating-point number: in OpenMetrics a blank and all up to
// the next blank, else all up to the next blank or brace.
func (e *entry) number(what string) (float64, error) {
	e.blanks()
	if e.om {
		if e.i == len(e.b) {
			return 0, errMore
		}
		if e.b[e.i] != ' ' {
			return 0, fmt.Errorf("no blank before the %s", what)
		}
		e.i++
	}
	start := e.i
	for e.i < len(e.b) && !e.endsNumber(e.b[e.i]) {
		e.i++
	}
	if e.i == len(e.b) {
		return 0, errMore
	}
	token := e.b[start:e.i]
	// Prometheus keeps to the spellings of Go before 1.13.
	if !bytes.ContainsAny(token, "pP_") {
		if v, err := strconv.ParseFloat(string(token), 64); err == nil {
			return v, nil
		}
	}
	if strings.HasSuffix(string(token), "\r") {
		return 0, errors.New("the line ends with CR LF; the format ends lines with LF alone")
	}
	return 0, fmt.Errorf("the %s %s is not a number", what, excerpt(token))
}

func (e *entry) endsNumber(c byte) bool {
	return c == ' ' || c == '\n' || !e.om && (c == '\t' || c == '{')
}

// excerpt quotes the first line of b for a message, cut where it is long.
func excerpt(b []byte) string {
	const most = 80
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}

// appendUnescaped appends b to buf with \", \\ and \n resolved; any other
// backslash stays as it is.
func appendUnescaped(buf, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case '"', '\\':
				i++
				c = b[i]
			case 'n':
				i++
				c = '\n'
			}
		}
		buf = append(buf, c)
	}
	return buf
}
