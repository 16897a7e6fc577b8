package splice

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// properties returns where a node's anchor and tag end, and where what they
// belong to starts if that is on the same line.
func (f *file) properties(n *yaml.Node) (end, next int) {
	end = f.text.offset(n.Line, n.Column)
	for next = end; next < len(f.text.src); next = f.text.skipBlanks(end) {
		switch f.text.src[next] {
		case '&':
			end = next + tokenLen(f.text.src[next:], " \t\r\n,[]{}")
		case '!':
			end = next + tokenLen(f.text.src[next:], " \t\r\n")
		default:
			return end, next
		}
	}
	return end, next
}

// tokenLen returns how long s is up to one of the characters in stop.
func tokenLen(s []byte, stop string) int {
	if n := bytes.IndexAny(s, stop); n >= 0 {
		return n
	}
	return len(s)
}

// behindKey returns where a missing value n of key can be put, with the colon
// that is missing there if any: -1 where that is not plain to see.
func (f *file) behindKey(key, n *yaml.Node, flow bool) (at int, colon string) {
	if n.Anchor != "" {
		at, _ = f.properties(n)
		return at, ""
	}
	_, start := f.properties(key)
	length := keyLen(f.text.src[start:], key)
	if length < 0 {
		return -1, ""
	}
	at = f.text.skipBlanks(start + length)
	switch {
	case bytes.HasPrefix(f.text.src[at:], []byte(":")):
		return at + 1, ""
	case flow:
		return start + length, ":"
	}
	return -1, ""
}

// keyLen returns how long the text of a key is; -1 where it is not on one line
// or not what the node says.
func keyLen(s []byte, key *yaml.Node) int {
	text := key.Value
	switch {
	case key.Kind == yaml.AliasNode:
		text = "*" + text
	case isQuoted(key):
		text = `"` + text + `"`
	case key.Style&yaml.SingleQuotedStyle != 0:
		text = `'` + text + `'`
	}
	if !bytes.HasPrefix(s, []byte(text)) {
		return -1
	}
	return len(text)
}

// lastLine returns the line on which the last value below n starts.
func lastLine(n *yaml.Node) int {
	line := n.Line
	for _, c := range n.Content {
		line = max(line, lastLine(c))
	}
	return line
}

// nextLine returns the first line behind line on which a value starts; 0 for
// none.
func nextLine(n *yaml.Node, line int) int {
	next := 0
	if n.Line > line {
		next = n.Line
	}
	for _, c := range n.Content {
		if at := nextLine(c, line); at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// step returns by how many columns the file indents, looking first where the
// path leads; 2 where nothing is indented.
func (f *file) step(w way) int {
	for _, n := range slices.Backward(append([]*yaml.Node{f.root}, w.values...)) {
		if s := stepIn(n); s > 0 {
			return s
		}
	}
	return 2
}

func stepIn(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode && !isFlow(n) {
		for i := 1; i < len(n.Content); i += 2 {
			if inner := n.Content[i]; inner.Kind == yaml.MappingNode && !isFlow(inner) {
				return inner.Content[0].Column - n.Content[0].Column
			}
		}
	}
	for _, c := range n.Content {
		if s := stepIn(c); s > 0 {
			return s
		}
	}
	return 0
}
