package splice

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// file is one parsed YAML document.
type file struct {
	text text
	// root is the document's top value; nil where there is no document at all,
	// only blanks and comments.
	root *yaml.Node
	// doc carries comments that belong to no value; nil with root.
	doc *yaml.Node
	// data is root as Compose gets to see it: aliases and merges resolved.
	data any
	// users are the aliases that point at an anchored node.
	users map[*yaml.Node][]*yaml.Node
}

// parse reads src, which must hold at most one document that Compose can read.
func parse(src []byte) (*file, error) {
	if err := readable(src); err != nil {
		return nil, err
	}
	doc, next, err := read(src)
	switch {
	case err != nil:
		return nil, invalid(src, err)
	case next != nil:
		return nil, refuse(next.Line, "a second YAML document starts here; keep one document in this file")
	}
	f := &file{text: newText(src), users: map[*yaml.Node][]*yaml.Node{}}
	if doc == nil {
		return f, nil
	}
	f.doc, f.root = doc, doc.Content[0]
	if err := f.index(f.root); err != nil {
		return nil, err
	}
	if err := doc.Decode(&f.data); err != nil {
		return nil, invalid(src, err)
	}
	return f, nil
}

// read returns the first two documents of src, nil where there are fewer.
func read(src []byte) (doc, next *yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for _, to := range []**yaml.Node{&doc, &next} {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		*to = &n
	}
	return doc, next, nil
}

// index notes who uses which anchor, and refuses doubled keys: Compose rejects
// them, and which of the two counts would be a guess.
func (f *file) index(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		f.users[n.Alias] = append(f.users[n.Alias], n)
		return nil
	}
	if n.Kind == yaml.MappingNode {
		lines := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			key := resolved(n.Content[i])
			if key.Kind != yaml.ScalarNode {
				continue
			}
			if first, ok := lines[key.Value]; ok {
				return refuse(n.Content[i].Line, "the key %q stands on line %d already; keep one of the two", key.Value, first)
			}
			lines[key.Value] = n.Content[i].Line
		}
	}
	for _, c := range n.Content {
		if err := f.index(c); err != nil {
			return err
		}
	}
	return nil
}

// resolved returns what an alias points at, and any other node itself.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// readable refuses encodings other than UTF-8 and characters that YAML does not
// allow; the YAML library rejects most of them too, but without the line.
func readable(src []byte) error {
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		return refuse(1, "the file is UTF-16; save it as UTF-8")
	}
	for at := 0; at < len(src); {
		r, size := utf8.DecodeRune(src[at:])
		if r == utf8.RuneError && size == 1 {
			return refuse(newText(src).lineAt(at), "the file is not UTF-8 here; save it as UTF-8")
		}
		if !allowed(r) {
			return refuse(newText(src).lineAt(at), "the character %U is not allowed in YAML; remove it, or save the file as UTF-8", r)
		}
		at += size
	}
	return nil
}

// allowed are the characters of YAML 1.1, "5.1. Character Set".
func allowed(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == 0x85:
		return true
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// invalid makes an *Error of what the YAML library says about src. The line it
// says is often that of the thing around the fault, or none: the line taken is
// the first with which the file can end and earn the same words.
func invalid(src []byte, err error) error {
	said := words(err)
	t := newText(src)
	line := 1 + sort.Search(len(t.starts)-1, func(i int) bool {
		err := fault(src[:t.start(i+2)])
		return err != nil && words(err) == said
	})
	return refuse(line, "not valid YAML: %s; mend it by hand", said)
}

// fault returns what the library has against src.
func fault(src []byte) error {
	doc, _, err := read(src)
	if err != nil || doc == nil {
		return err
	}
	var data any
	return doc.Decode(&data)
}

// words is the library's message without its line.
func words(err error) string {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	if inner := (*yaml.TypeError)(nil); errors.As(err, &inner) && len(inner.Errors) > 0 {
		said = inner.Errors[0]
	}
	if rest, ok := strings.CutPrefix(said, "line "); ok {
		_, said, _ = strings.Cut(rest, ": ")
	}
	return said
}
