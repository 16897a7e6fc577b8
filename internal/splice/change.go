package splice

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// edit replaces the bytes from start to end by text.
type edit struct {
	start, end int
	text       string
}

// change is what a file must become, and the edits that may make it so.
type change struct {
	path  []string
	value value
	// line is where the path leads, for errors.
	line int
	// want is the document the changed file must parse to.
	want *yaml.Node
	// exact is set where every comment must stay with its value. An inserted
	// line may come between the two; then all of comments must still be there.
	exact    bool
	comments []string
	// count edits are to be had from at, in the order of their places. Of them,
	// those before a certain one cut a text in two, and the others do not.
	count int
	at    func(int) edit
}

func (c *change) only(e edit) {
	c.count, c.at = 1, func(int) edit { return e }
}

// make returns src with the first edit that changes what it should, and
// nothing else.
func (c *change) make(src []byte) ([]byte, error) {
	out, ok := c.try(src, 0)
	if !ok {
		i := 1 + sort.Search(c.count-1, func(i int) bool {
			_, ok := c.try(src, i+1)
			return ok
		})
		if i < c.count {
			out, ok = c.try(src, i)
		}
	}
	if !ok {
		if c.value.tag == "" { // a list's item
			return nil, refuse(c.line, "%s cannot be changed here without changing something else; change it by hand once", dotted(c.path))
		}
		return nil, refuse(c.line, "%s cannot be set here without changing something else; set it to %s by hand once", dotted(c.path), c.value.text)
	}
	return out, nil
}

// try makes one edit, parses the result and compares.
func (c *change) try(src []byte, i int) ([]byte, bool) {
	e := c.at(i)
	out := slices.Concat(src[:e.start], []byte(e.text), src[e.end:])
	f, err := parse(out)
	if err != nil || f.doc == nil {
		return nil, false
	}
	if !same(c.want, f.doc, c.exact) || !contains(comments(f.doc), c.comments) {
		return nil, false
	}
	if c.value.tag == "" { // a list's item
		return out, true
	}
	got, found := f.written(c.path)
	return out, found && got == c.value.value
}

// same compares two trees: kinds, tags, values, styles, anchors and order, and
// with exact the comments. An alias points at the last anchor of its name before
// it, so that where all this is equal, so are the aliases' ends.
func same(a, b *yaml.Node, exact bool) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Style != b.Style || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if exact && (a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i], exact) {
			return false
		}
	}
	return true
}

// comments returns the lines of all comments in a tree, sorted.
func comments(n *yaml.Node) []string {
	var lines []string
	var collect func(*yaml.Node)
	collect = func(n *yaml.Node) {
		for _, comment := range []string{n.HeadComment, n.LineComment, n.FootComment} {
			for line := range strings.Lines(comment) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		for _, c := range n.Content {
			collect(c)
		}
	}
	if n != nil {
		collect(n)
	}
	slices.Sort(lines)
	return lines
}

// contains reports whether the sorted all holds each of the sorted some, as
// often as it occurs there.
func contains(all, some []string) bool {
	for _, s := range some {
		i, ok := slices.BinarySearch(all, s)
		if !ok {
			return false
		}
		all = all[i+1:]
	}
	return true
}

// insertLines puts lines in front of a line, with the line ends used there; at
// the end of a file without a last newline it leaves none either.
func (t text) insertLines(line int, lines []string) edit {
	at, nl := t.start(line), t.newline(line)
	block := strings.Join(lines, nl)
	if before := t.src[:at]; len(bytes.TrimPrefix(before, []byte("\ufeff"))) == 0 || lineBreak(before) != nil {
		return edit{at, at, block + nl}
	}
	return edit{at, at, nl + block}
}
