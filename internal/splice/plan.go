package splice

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// plan finds the change that sets path to value. It alters f's nodes into what
// the changed file must parse to.
func (f *file) plan(path []string, v value) (*change, error) {
	w, err := f.walkOwned(path)
	if err != nil {
		return nil, err
	}
	c := &change{path: path, value: v, line: min(w.line(), len(f.text.starts)), want: f.doc, comments: comments(f.doc)}
	n, rest := w.last(), path[len(w.keys):]
	switch {
	case n == nil || n == f.root && isNull(n) && n.Value == "":
		f.planDocument(c)
		return c, nil
	case isNull(n):
		return c, f.planNull(c, w, rest)
	case len(rest) == 0:
		return c, f.planScalar(c, n)
	case n.Kind != yaml.MappingNode:
		return nil, refuse(n.Line, "%s is not a mapping, so it cannot hold %q; make it one", w.name(), rest[0])
	case len(rest) > 1 && lookup(f.data, path[:len(w.keys)+1]) != nil:
		return nil, refuse(mergeLine(n), "%s comes from a merge (<<), and one written out beside it would hide that; write the whole of it out there", dotted(path[:len(w.keys)+1]))
	case isFlow(n):
		return c, f.planFlow(c, w, rest)
	}
	f.planBlock(c, w, rest)
	return c, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isFlow(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0
}

// planScalar replaces a scalar, inside its quotes if it has any.
func (f *file) planScalar(c *change, n *yaml.Node) error {
	quote := ""
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		quote = `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		quote = `'`
	}
	_, at := f.properties(n)
	old := quote + n.Value + quote
	if !bytes.HasPrefix(f.text.src[at:], []byte(old)) {
		return refuse(n.Line, "%s is not written plainly on one line; write it as %s: %s", dotted(c.path), c.path[len(c.path)-1], c.value.text)
	}
	if n.Kind != yaml.ScalarNode {
		return refuse(n.Line, "%s is no single value; write it as %s: %s", dotted(c.path), c.path[len(c.path)-1], c.value.text)
	}
	if n.Value = c.value.value; quote == "" && n.Style&yaml.TaggedStyle == 0 {
		n.Tag = tagOf(n.Value)
	}
	c.exact = true
	c.only(edit{at, at + len(old), quote + n.Value + quote})
	return nil
}

// planNull gives a value to a key that has none: the number, or the mapping
// that leads to it. A null that is written out (~) is replaced.
func (f *file) planNull(c *change, w way, rest []string) error {
	n, flow := w.last(), w.inFlow()
	old, json := n.Value, flow && isQuoted(w.key())
	if old != "" {
		_, at := f.properties(n)
		if !bytes.HasPrefix(f.text.src[at:], []byte(old)) {
			return refuse(n.Line, "%s is not written plainly on one line; leave its value empty", w.name())
		}
		become(n, rest, c.value, yaml.FlowStyle, json)
		c.only(edit{at, at + len(old), flowText(rest, c.value, json)})
		return nil
	}
	at, colon := f.behindKey(w.key(), n, flow)
	if at < 0 {
		return refuse(c.line, "%s has no value, and its key is not written plainly on one line; write a value there by hand once", w.name())
	}
	if len(rest) > 0 && !flow {
		step := f.step(w)
		become(n, rest, c.value, 0, false)
		c.only(f.text.insertLines(f.text.lineAt(at)+1, blockLines(rest, c.value, w.key().Column-1+step, step)))
		return nil
	}
	become(n, rest, c.value, yaml.FlowStyle, json)
	c.only(edit{at, at, colon + " " + flowText(rest, c.value, json)})
	return nil
}

// planDocument writes the whole path behind a file's comments, in front of an
// end marker if there is one.
func (f *file) planDocument(c *change) {
	top := f.root
	if top == nil {
		top = &yaml.Node{}
		c.want = &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{top}}
	}
	become(top, c.path, c.value, 0, false)
	c.only(f.text.insertLines(f.text.end(1), blockLines(c.path, c.value, 0, 2)))
}

// planFlow puts the missing keys first inside { }: there they need no look at
// what the values behind them are made of.
func (f *file) planFlow(c *change, w way, rest []string) error {
	n := w.last()
	_, at := f.properties(n)
	if !bytes.HasPrefix(f.text.src[at:], []byte("{")) {
		return refuse(n.Line, "no { where %s should start; set %s by hand once", w.name(), dotted(c.path))
	}
	at++
	like := w.key()
	if len(n.Content) > 0 {
		like = n.Content[0]
	}
	json := like != nil && isQuoted(like)
	text := flowPair(rest, c.value, json)
	inside := f.text.skipBlanks(at)
	switch {
	case len(n.Content) == 0:
		c.only(edit{at, at, string(f.text.src[at:inside]) + text})
	case f.text.atLineEnd(inside):
		first := f.text.line(n.Content[0].Line)
		indent := string(first[:len(first)-len(bytes.TrimLeft(first, " \t"))])
		c.only(f.text.insertLines(f.text.lineAt(at)+1, []string{indent + text + ","}))
	default:
		c.only(edit{inside, inside, text + ", "})
	}
	n.Content = append(chain(rest, c.value, yaml.FlowStyle, json), n.Content...)
	return nil
}

// planBlock puts the missing keys behind the last line of a mapping, in front
// of the comments and blank lines that follow it. Where a value ends that goes
// over several lines is left to trying: up to the next value.
func (f *file) planBlock(c *change, w way, rest []string) {
	n, step := w.last(), f.step(w)
	f.planBehind(c, n, blockLines(rest, c.value, n.Content[0].Column-1, step))
	n.Content = append(n.Content, chain(rest, c.value, 0, false)...)
}
