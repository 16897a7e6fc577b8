package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/five-keys/autoscale"
)

// version is the format of the state file that this package writes.
const version = 1

// document is a state file, taken apart no further than is needed: what is not
// this run's entry goes back as the bytes it came as.
type document struct {
	rest    []member // beside version and entries; from a later program
	entries []member
}

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// entry is one workload's.
type entry struct {
	Key
	State autoscale.State `json:"state"`
	// Before is what stood before the first run, in its provider's own words.
	Before json.RawMessage `json:"before,omitempty"`
}

// strange is the error of a file that is not to be read as a state file, but
// to be kept aside and replaced.
type strange struct {
	kind string // part of the name it is kept as
	why  error
}

const (
	kindCorrupt = "corrupt"
	kindPython  = "python"
)

func (s *strange) Error() string { return s.why.Error() }
func (s *strange) Unwrap() error { return s.why }

// corrupt is a strange file of which nothing is known.
func corrupt(format string, args ...any) *strange {
	return &strange{kind: kindCorrupt, why: fmt.Errorf(format, args...)}
}

// newer is the error of a file written by a later program. It is neither read
// nor replaced.
type newer struct{ version int }

func (n *newer) Error() string {
	return fmt.Sprintf("it has version %d, written by a newer autoscale; this one reads version %d: update it, or name another --state-file", n.version, version)
}

// parse reads a state file. Its error is a *strange or a *newer.
func parse(data []byte) (document, error) {
	top, err := members(data)
	if err != nil {
		return document{}, corrupt("%w", err)
	}
	at := slices.IndexFunc(top, func(m member) bool { return m.name == "version" })
	if at < 0 {
		if python(data, 3) {
			return document{}, &strange{kind: kindPython, why: errors.New("it was written by the earlier Python script")}
		}
		return document{}, corrupt("it has no version")
	}
	var v int
	if err := json.Unmarshal(top[at].value, &v); err != nil || v < 1 {
		return document{}, corrupt("its version is %.20q", top[at].value)
	}
	if v > version {
		return document{}, &newer{version: v}
	}
	doc := document{}
	for _, m := range top {
		switch m.name {
		case "version":
		case "entries":
			if doc.entries, err = members(m.value); err != nil {
				return document{}, corrupt("entries: %w", err)
			}
		default:
			doc.rest = append(doc.rest, m)
		}
	}
	return doc, nil
}

// members takes a JSON object apart, in its order. A name that comes twice is
// an error, since one of the two values would be lost.
func members(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", whole(err))
	} else if open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var all []member
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", whole(err))
		}
		m := member{name: name.(string)} // inside an object every other token is a name
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("not JSON: %w", whole(err))
		}
		if seen[m.name] {
			return nil, fmt.Errorf("%.100q comes twice", m.name)
		}
		seen[m.name] = true
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", whole(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the JSON object")
	}
	return all, nil
}

// whole says what an end of file means within an object.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// python reports whether a JSON object without a version is of the script that
// Autoscale replaces: one of its keys, at the top or within an entry for each
// service, down to so many levels.
func python(data []byte, levels int) bool {
	all, err := members(data)
	if err != nil || levels == 0 {
		return false
	}
	for _, m := range all {
		switch m.name {
		case "idle_since", "last_scale_at", "last_replicas":
			return true
		}
		if python(m.value, levels-1) {
			return true
		}
	}
	return false
}

// find returns the entry of k, or nil.
func (d *document) find(k Key) json.RawMessage {
	for _, e := range d.entries {
		if e.name == k.String() {
			return e.value
		}
	}
	return nil
}

// state reads the entry of k; a workload without one has the zero State. The
// error is a *strange.
func (d *document) state(k Key) (autoscale.State, error) {
	value := d.find(k)
	if value == nil {
		return autoscale.State{}, nil
	}
	e, err := decode(value)
	if err != nil {
		return autoscale.State{}, corrupt("entry %s: %w", k, err)
	}
	return e.State, nil
}

// before is what the entry of k keeps of the time before its first run. The
// error is a *strange.
func (d *document) before(k Key) (json.RawMessage, error) {
	e, err := decode(d.find(k))
	if err != nil {
		return nil, corrupt("entry %s: %w", k, err)
	}
	return e.Before, nil
}

// decode reads one entry.
func decode(value json.RawMessage) (entry, error) {
	var e entry
	// An entry that is no object, or has no state, is not one that was saved.
	all, err := members(value)
	if err != nil {
		return e, err
	}
	if !slices.ContainsFunc(all, func(m member) bool { return m.name == "state" }) {
		return e, errors.New("it has no state")
	}
	return e, json.Unmarshal(value, &e)
}

// set puts an entry in, in the place of an earlier one with its name.
func (d *document) set(m member) {
	for i := range d.entries {
		if d.entries[i].name == m.name {
			d.entries[i] = m
			return
		}
	}
	d.entries = append(d.entries, m)
}

// remove takes the entry with that name out.
func (d *document) remove(name string) {
	d.entries = slices.DeleteFunc(d.entries, func(m member) bool { return m.name == name })
}

// empty reports whether nothing would be lost with d.
func (d *document) empty() bool { return len(d.entries) == 0 && len(d.rest) == 0 }

// oldest returns the name of the entry that was saved longest ago, other than
// keep; ok is false where there is none.
func (d *document) oldest(keep string) (name string, ok bool) {
	var oldest time.Time
	for _, m := range d.entries {
		if m.name == keep {
			continue
		}
		e, err := decode(m.value)
		if err != nil {
			return m.name, true // nobody's: what cannot be read goes first
		}
		if at := e.State.At.Time; !ok || at.Before(oldest) {
			name, oldest, ok = m.name, at, true
		}
	}
	return name, ok
}

// bytes is d as a file, indented for people. Values stay as they are.
func (d *document) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"version\": %d,\n", version)
	for _, m := range d.rest {
		fmt.Fprintf(&b, "  %s: %s,\n", quote(m.name), m.value)
	}
	b.WriteString("  \"entries\": {")
	for i, m := range d.entries {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n    %s: %s", quote(m.name), m.value)
	}
	b.WriteString("\n  }\n}\n")
	return b.Bytes()
}

// quote is s as a JSON string.
func quote(s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string fails
	}
	return quoted
}

// encode makes an entry. It fails on a state with numbers that JSON does
// not have: NaN and the infinities.
func encode(e entry) (member, error) {
	value, err := json.MarshalIndent(e, "    ", "  ")
	if err != nil {
		return member{}, err
	}
	return member{name: e.String(), value: value}, nil
}
