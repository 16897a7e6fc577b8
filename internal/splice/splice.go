// Package splice changes one thing in a YAML file that a person wrote, a number, a
// text or an item of a list, and leaves every other byte as it was: comments,
// order, quoting, indentation, anchors, line ends, a byte-order mark, a missing
// last newline.
//
// Printing a parsed YAML file again does not do that, so nothing is printed:
// the YAML library says where the value stands, the bytes there are replaced
// (or a few lines are inserted), the result is parsed again and compared, node
// by node, with what it should be. Any difference refuses the edit.
//
// What is read and refused follows Docker Compose: its tags !reset and
// !override, its strings that are numbers ("3"), and one document per file.
//
// A path is the mapping keys from the top; where it meets a list, the item's
// number, from 0.
package splice

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is a file that is not edited, or a value that is not read: what is
// wrong, where, and what to do about it.
type Error struct {
	// Line counts from 1; it is 0 where the fault has no place in the file.
	Line int
	// Problem says what is wrong and what to do.
	Problem string
}

// Error returns the problem with its line in front.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Problem
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
}

func refuse(line int, format string, args ...any) error {
	return &Error{Line: line, Problem: fmt.Sprintf(format, args...)}
}

// Set returns src with the number at path set to value. Keys that are missing
// are inserted in the file's own indentation and line ends; an empty src gives a
// new file. Where Get already reads value, src comes back as it is. src itself is
// never written to.
//
// It refuses, with an *Error, what it cannot change without changing something
// else or losing what a person wrote: a file that is not valid YAML or not a
// mapping, several documents, doubled keys, aliases and merges that carry the
// value, anchors that are used elsewhere, values that are not whole numbers
// (${VARIABLES} among them), tags other than !override, !!int and !!str.
func Set(src []byte, path []string, value int) ([]byte, error) {
	if len(path) == 0 || value < 0 {
		return nil, refuse(0, "cannot set %s to %d: give a path and a number of at least 0", dotted(path), value)
	}
	f, err := parse(src)
	if err != nil {
		return nil, err
	}
	n, found, err := f.get(path)
	if err != nil {
		return nil, err
	}
	if found && n == value {
		return src, nil
	}
	c, err := f.plan(path, number(value))
	if err != nil {
		return nil, err
	}
	return c.make(src)
}

// SetText is Set of a text, which may be one that looks like a number. It keeps
// to the quotes that are there. A text that is inserted gets quotes where it
// could be read as anything else; it must not hold quotes, backslashes or
// control characters.
func SetText(src []byte, path []string, value string) ([]byte, error) {
	if len(path) == 0 || !plain(value) {
		return nil, refuse(0, "cannot set %s to %q: give a path, and a text of letters, digits and plain punctuation", dotted(path), value)
	}
	f, err := parse(src)
	if err != nil {
		return nil, err
	}
	if got, found := f.written(path); found && got == value {
		return src, nil
	}
	c, err := f.plan(path, scalar(value))
	if err != nil {
		return nil, err
	}
	return c.make(src)
}

// written is the scalar at path as it is written, without its quotes.
func (f *file) written(path []string) (string, bool) {
	w, err := f.walk(path)
	if err != nil || len(w.keys) < len(path) {
		return "", false
	}
	n := resolved(w.last())
	return n.Value, n.Kind == yaml.ScalarNode && !isNull(n)
}

// Get returns the number at path as Compose reads it: through aliases and
// merges, and from a string that is a decimal number. found is false where a
// key is missing or its value is null. Anything else that is not a whole
// number, ${REPLICAS:-3} for one, is an *Error: what it stands for is not in
// the file.
func Get(src []byte, path []string) (n int, found bool, err error) {
	f, err := parse(src)
	if err != nil {
		return 0, false, err
	}
	return f.get(path)
}

func (f *file) get(path []string) (int, bool, error) {
	w, err := f.walk(path)
	if err != nil {
		return 0, false, err
	}
	line := w.line()
	switch v := lookup(f.data, path).(type) {
	case nil:
		return 0, false, nil
	case int:
		return v, true, nil
	case string:
		if n, err := strconv.Atoi(v); err == nil {
			return n, true, nil
		}
		if strings.Contains(v, "$") {
			return 0, false, refuse(line, "%s is %q, which is filled in from the environment; write a plain number there so that it can be managed", dotted(path), v)
		}
		return 0, false, refuse(line, "%s is %q, not a whole number; write one there", dotted(path), v)
	case []any:
		return 0, false, refuse(line, "%s is a list, not a whole number; write one there", dotted(path))
	case map[string]any, map[any]any:
		return 0, false, refuse(line, "%s is a mapping, not a whole number; write one there", dotted(path))
	default:
		shown := fmt.Sprint(v)
		if len(w.keys) == len(path) {
			shown = resolved(w.last()).Value
		}
		return 0, false, refuse(line, "%s is %s, not a usable whole number; write one there", dotted(path), shown)
	}
}

// lookup follows path through decoded mappings and lists; nil where it ends
// early.
func lookup(data any, path []string) any {
	for _, key := range path {
		switch m := data.(type) {
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(m) {
				return nil
			}
			data = m[i]
		case map[string]any:
			data = m[key]
		case map[any]any:
			data = m[key]
		default:
			return nil
		}
	}
	return data
}

// dotted writes a path the way people name it.
func dotted(path []string) string {
	if len(path) == 0 {
		return "the top level"
	}
	return strings.Join(path, ".")
}
