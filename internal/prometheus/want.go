package prometheus

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/five-keys/autoscale"
)

// want is one selector and what was found for it so far.
type want struct {
	Found
	sel    Selector
	whose  []matcher // those of sel that are about anything but the status of an answer
	name   []byte    // as it begins a line; nil where it must stand in quotes
	quoted []byte    // as it stands in braces
	base   string    // name of the family that the metric may be a part of
	seen   map[uint64]struct{}
	seed   maphash.Seed
}

func newWant(sel Selector) want {
	w := want{
		Found:  Found{Fault: autoscale.OK},
		sel:    sel,
		quoted: []byte(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(sel.Name) + `"`),
		seed:   maphash.MakeSeed(),
	}
	for _, m := range sel.matchers {
		if !isStatus(m.label) {
			w.whose = append(w.whose, m)
		}
	}
	if (Selector{Name: sel.Name}).legacy() {
		w.name = []byte(sel.Name)
	}
	for _, suffix := range []string{"_total", "_count", "_bucket"} {
		if base, ok := strings.CutSuffix(sel.Name, suffix); ok && base != "" {
			w.base = base
		}
	}
	return w
}

// begins reports whether the line begins with the metric's name.
func (w *want) begins(line []byte) bool {
	n := len(w.name)
	return n > 0 && len(line) > n && !nameByte(line[n]) && bytes.Equal(line[:n], w.name)
}

// named reports whether the entry has the metric's name.
func (w *want) named(e *entry, m *matchState) bool {
	return string(m.plain(e.name)) == w.sel.Name
}

// fault keeps the first thing that is wrong; what does not parse comes first.
func (w *want) fault(v autoscale.Verdict, format string, args ...any) {
	if w.Fault == autoscale.OK || v == autoscale.Malformed && w.Fault != autoscale.Malformed {
		w.Fault, w.Detail = v, fmt.Sprintf(format, args...)
	}
}

// add takes an entry of the metric, which begins in the given line.
func (w *want) add(e *entry, m *matchState, line int) {
	w.Named++
	id, ok := m.identity(e, w.seed)
	if !ok {
		w.fault(autoscale.Malformed, "line %d: a label stands twice in one series: %s", line, excerpt(e.b))
		return
	}
	w.addStatus(e, m)
	if !m.selects(w.sel.matchers, e.labels) {
		return
	}
	if w.seen == nil {
		w.seen = make(map[uint64]struct{})
	}
	if _, twice := w.seen[id]; twice {
		w.fault(autoscale.Malformed, "line %d: the series stands twice on the page: %s", line, excerpt(e.b))
		return
	}
	w.seen[id] = struct{}{}
	w.Selected++
	w.Sum += e.value
	switch {
	case math.IsNaN(e.value) || math.IsInf(e.value, 0):
		w.fault(autoscale.NotFinite, "line %d: the value is %v", line, e.value)
	case e.value < 0:
		w.fault(autoscale.Negative, "line %d: the value is %v", line, e.value)
	case math.IsInf(w.Sum, 0):
		w.fault(autoscale.NotFinite, "line %d: the sum up to here is %v", line, w.Sum)
	}
	if e.timed {
		if t := millisTime(e.millis); w.Oldest.IsZero() || t.Before(w.Oldest) {
			w.Oldest = t
		}
	}
}

// isStatus reports whether a label tells with what status requests were answered.
func isStatus(label string) bool {
	switch label {
	case "code", "status", "status_code", "http_status_code", "http_response_status_code":
		return true
	}
	return false
}

// addStatus counts an entry that tells with what status requests were answered, of
// those that the selector means: a page may be of several services.
func (w *want) addStatus(e *entry, m *matchState) {
	if !(e.value >= 0) || math.IsInf(w.Answered+e.value, 0) || !m.selects(w.whose, e.labels) {
		return
	}
	for _, l := range e.labels {
		if !isStatus(string(m.plain(l.name))) {
			continue
		}
		value := m.plain(l.value)
		if len(value) != 3 || value[0] < '1' || value[0] > '5' {
			continue
		}
		w.Answered += e.value
		if value[0] == '5' {
			w.Failed += e.value
		}
		return
	}
}

// matchState holds the buffers that matching needs, so that a page with many
// wanted series allocates no more than one with few.
type matchState struct {
	scratch []byte
	hashes  []uint64
}

// plain gives b with its escapes resolved, until the next call.
func (m *matchState) plain(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	m.scratch = appendUnescaped(m.scratch[:0], b)
	return m.scratch
}

// selects reports whether all matchers hold. A label without a value is the
// same as none.
func (m *matchState) selects(matchers []matcher, labels []span) bool {
	for i := range matchers {
		var value []byte
		for _, l := range labels {
			if string(m.plain(l.name)) == matchers[i].label {
				value = m.plain(l.value)
				break
			}
		}
		if !matchers[i].matches(value) {
			return false
		}
	}
	return true
}

// identity gives a number that is the same for the same labels in any order,
// and whether each label stands there once.
func (m *matchState) identity(e *entry, seed maphash.Seed) (uint64, bool) {
	m.hashes = append(m.hashes[:0], maphash.String(seed, "__name__"))
	var id uint64
	for _, l := range e.labels {
		name := maphash.Bytes(seed, m.plain(l.name))
		m.hashes = append(m.hashes, name)
		if len(l.value) > 0 {
			hi, lo := bits.Mul64(name^0x9e3779b97f4a7c15, maphash.Bytes(seed, m.plain(l.value))|1)
			id += hi ^ lo
		}
	}
	slices.Sort(m.hashes)
	for i := 1; i < len(m.hashes); i++ {
		if m.hashes[i] == m.hashes[i-1] {
			return 0, false
		}
	}
	return id, true
}
