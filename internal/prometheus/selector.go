package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Selector picks series as a PromQL instant selector does: a metric name and
// any number of label matchers, all of which must hold.
type Selector struct {
	// Name is the metric name; never empty in a parsed Selector.
	Name     string
	matchers []matcher
}

// matcher is one condition on one label. A series without the label has the
// value "".
type matcher struct {
	label string
	op    string // "=", "!=", "=~" or "!~"
	value string
	re    *regexp.Regexp // of "=~" and "!~", anchored at both ends
}

func (m *matcher) matches(value []byte) bool {
	switch m.op {
	case "=":
		return string(value) == m.value
	case "!=":
		return string(value) != m.value
	case "=~":
		return m.re.Match(value)
	default:
		return !m.re.Match(value)
	}
}

// ParseSelector reads an instant selector in PromQL's syntax, such as
// http_requests_total{code!~"5.."}, {"http.requests", code="200"} or
// {__name__="up"}. The metric name must be stated. The error tells the byte
// position, counted from 1, and what was expected there.
func ParseSelector(text string) (Selector, error) {
	p := selectorParser{text: text}
	if !utf8.ValidString(text) {
		return Selector{}, p.fail(0, "the text is not UTF-8")
	}
	p.space()
	p.sel.Name = p.word(true)
	p.named = p.sel.Name != ""
	p.space()
	if p.peek() == '{' {
		p.pos++
		if err := p.braces(); err != nil {
			return Selector{}, err
		}
		p.space()
	}
	if p.pos < len(text) {
		return Selector{}, p.trailing()
	}
	if !p.named {
		return Selector{}, p.fail(p.pos, "expected a metric name")
	}
	return p.sel, nil
}

// String gives the selector in one spelling: the same for selectors that differ
// in spaces, quotes or the order of matchers only.
func (s Selector) String() string {
	parts := make([]string, 0, len(s.matchers)+1)
	for _, m := range s.matchers {
		parts = append(parts, quoteName(m.label, false)+m.op+strconv.Quote(m.value))
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	name := quoteName(s.Name, true)
	if strings.HasPrefix(name, `"`) {
		return "{" + strings.Join(append([]string{name}, parts...), ",") + "}"
	}
	if len(parts) == 0 {
		return name
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

// Selects reports whether all conditions hold of what label gives; the name is not
// looked at.
func (s Selector) Selects(label func(name string) string) bool {
	for i := range s.matchers {
		if !s.matchers[i].matches([]byte(label(s.matchers[i].label))) {
			return false
		}
	}
	return true
}

// Labels are the names of those that s has a condition on.
func (s Selector) Labels() (all []string) {
	for _, m := range s.matchers {
		all = append(all, m.label)
	}
	return all
}

// Equal are the labels that s asks to be equal to something; ok is false where it
// has any other condition.
func (s Selector) Equal() (labels map[string]string, ok bool) {
	labels = map[string]string{}
	for _, m := range s.matchers {
		if m.op != "=" {
			return nil, false
		}
		labels[m.label] = m.value
	}
	return labels, true
}

// legacy reports whether every name in s can be written without quotes, that
// is, in the character set that exporters without UTF-8 support use.
func (s Selector) legacy() bool {
	return !strings.HasPrefix(quoteName(s.Name, true), `"`) &&
		!slices.ContainsFunc(s.matchers, func(m matcher) bool {
			return strings.HasPrefix(quoteName(m.label, false), `"`)
		})
}

func quoteName(name string, colon bool) string {
	p := selectorParser{text: name}
	if name != "" && p.word(colon) == name {
		return name
	}
	return strconv.Quote(name)
}

type selectorParser struct {
	text  string
	pos   int
	sel   Selector
	named bool
}

func (p *selectorParser) fail(pos int, format string, args ...any) error {
	return fmt.Errorf("position %d of %q: %s", pos+1, p.text, fmt.Sprintf(format, args...))
}

func (p *selectorParser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *selectorParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// word takes an unquoted name; metric names may hold colons, label names not.
func (p *selectorParser) word(colon bool) string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if !nameByte(c) || c == ':' && !colon || c >= '0' && c <= '9' && p.pos == start {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

// braces takes what stands after "{", and the "}".
func (p *selectorParser) braces() error {
	for {
		p.space()
		if p.peek() == '}' {
			p.pos++
			return nil
		}
		if err := p.item(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
		default:
			return p.fail(p.pos, "expected , or }")
		}
	}
}

// item takes one matcher, or the metric name in quotes.
func (p *selectorParser) item() error {
	start := p.pos
	var label string
	quoted := strings.IndexByte("\"'`", p.peek()) >= 0 && p.pos < len(p.text)
	if quoted {
		var err error
		if label, err = p.quotedString(); err != nil {
			return err
		}
	} else if label = p.word(false); label == "" {
		return p.fail(p.pos, "expected a label name or }")
	}
	p.space()
	if c := p.peek(); quoted && (c == ',' || c == '}') {
		return p.setName(start, label)
	}
	op := p.operator()
	if op == "" {
		return p.fail(p.pos, "expected =, !=, =~ or !~")
	}
	p.space()
	if strings.IndexByte("\"'`", p.peek()) < 0 || p.pos == len(p.text) {
		return p.fail(p.pos, "expected a value in quotes")
	}
	at := p.pos
	value, err := p.quotedString()
	if err != nil {
		return err
	}
	if label == "__name__" {
		if op != "=" {
			return p.fail(start, "the metric name must be stated with =, not %s", op)
		}
		return p.setName(start, value)
	}
	return p.add(at, matcher{label: label, op: op, value: value})
}

func (p *selectorParser) setName(at int, name string) error {
	if p.named {
		return p.fail(at, "the metric name is stated twice: %q and %q", p.sel.Name, name)
	}
	if name == "" {
		return p.fail(at, "the metric name is empty")
	}
	p.sel.Name, p.named = name, true
	return nil
}

func (p *selectorParser) add(at int, m matcher) error {
	if m.label == "" {
		return p.fail(at, "the label name is empty")
	}
	if strings.HasSuffix(m.op, "~") {
		if _, err := regexp.Compile(m.value); err != nil {
			return p.fail(at, "the value is no regular expression: %v", regexpReason(err))
		}
		re, err := regexp.Compile("^(?s:" + m.value + ")$")
		if err != nil {
			return p.fail(at, "the value is no regular expression: %v", regexpReason(err))
		}
		m.re = re
	}
	p.sel.matchers = append(p.sel.matchers, m)
	return nil
}

// regexpReason drops the package's prefix from the message.
func regexpReason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

func (p *selectorParser) operator() string {
	for _, op := range []string{"=~", "!~", "!=", "="} {
		if strings.HasPrefix(p.text[p.pos:], op) {
			p.pos += len(op)
			return op
		}
	}
	return ""
}

// quotedString takes a string in ", ' or ` quotes, with Go's escapes in the
// first two.
func (p *selectorParser) quotedString() (string, error) {
	start, quote := p.pos, p.text[p.pos]
	p.pos++
	if quote == '`' {
		end := strings.IndexByte(p.text[p.pos:], '`')
		if end < 0 {
			return "", p.fail(start, "the quote ` is not closed")
		}
		value := p.text[p.pos : p.pos+end]
		p.pos += end + 1
		return value, nil
	}
	var out []byte
	for p.pos < len(p.text) && p.text[p.pos] != quote {
		if p.text[p.pos] == '\n' {
			return "", p.fail(p.pos, "a line feed in quotes must be written as \\n")
		}
		r, multibyte, rest, err := strconv.UnquoteChar(p.text[p.pos:], quote)
		if err != nil {
			return "", p.fail(p.pos, "unknown escape sequence; a backslash itself is written as \\\\")
		}
		if r < utf8.RuneSelf || !multibyte {
			out = append(out, byte(r))
		} else {
			out = utf8.AppendRune(out, r)
		}
		p.pos = len(p.text) - len(rest)
	}
	if p.pos == len(p.text) {
		return "", p.fail(start, "the quote %c is not closed", quote)
	}
	p.pos++
	return string(out), nil
}

// trailing says what is wrong with text after a whole selector; people paste
// queries here.
func (p *selectorParser) trailing() error {
	switch c := p.text[p.pos]; {
	case c == '(':
		return p.fail(p.pos, "functions are not read here; a Prometheus server answers them (--prometheus-query)")
	case c == '[':
		return p.fail(p.pos, "no range is needed: counters become rates by themselves")
	case c == '{':
		return p.fail(p.pos, "expected nothing after the }")
	case p.pos == 0:
		return p.fail(p.pos, "expected a metric name or {")
	case !p.named && len(p.sel.matchers) == 0:
		return p.fail(p.pos, "expected a metric name")
	}
	return p.fail(p.pos, "expected { or the end; a name with other characters than letters, digits, _ and : stands in quotes: {\"http.requests\"}")
}
