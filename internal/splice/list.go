package splice

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Append returns src with an item behind the last one of the list at path. The
// item is given as YAML in block style, "name: cpu\ntarget: 1\n", with comments
// if it has any, and gets the file's line ends and the list's indentation. A list
// that is missing is made.
//
// It refuses what Set refuses, and lists between [ and ].
func Append(src []byte, path []string, item string) ([]byte, error) {
	f, err := parse(src)
	if err != nil {
		return nil, err
	}
	node, err := itemNode(item)
	if err != nil {
		return nil, err
	}
	w, err := f.walkOwned(path)
	if err != nil {
		return nil, err
	}
	c := &change{path: path, line: w.line(), want: f.doc, comments: comments(f.doc)}
	list, rest := w.last(), path[len(w.keys):]
	switch {
	case list != nil && len(rest) == 0 && list.Kind == yaml.SequenceNode && list.Style&yaml.FlowStyle == 0 && len(list.Content) > 0:
		f.planBehind(c, list, itemLines(item, list.Column-1))
		list.Content = append(list.Content, node)
	case list != nil && len(rest) == 1 && list.Kind == yaml.MappingNode && !isFlow(list):
		indent, step := list.Content[0].Column-1, f.step(w)
		lines := append([]string{strings.Repeat(" ", indent) + keyText(rest[0], false) + ":"}, itemLines(item, indent+step)...)
		f.planBehind(c, list, lines)
		list.Content = append(list.Content, chain(rest, number(0), 0, false)[0],
			&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{node}})
	default:
		return nil, refuse(w.line(), "%s is not written as a list of lines that start with -, so nothing can be added to it; write it so", dotted(path))
	}
	return c.make(src)
}

// Remove returns src without the list item at path, whose last element is its
// number. Comments in it are lost only where own says that they may be; any other
// refuses the edit, and so does an item that is the list's only one.
func Remove(src []byte, path []string, own func(comment string) bool) ([]byte, error) {
	f, err := parse(src)
	if err != nil {
		return nil, err
	}
	w, err := f.walkOwned(path)
	if err != nil {
		return nil, err
	}
	if len(w.keys) < len(path) || len(w.values) < 2 {
		return nil, refuse(w.line(), "%s is no list's item", dotted(path))
	}
	item, list := w.last(), w.values[len(w.values)-2]
	number, err := strconv.Atoi(path[len(path)-1])
	if err != nil || list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) < 2 {
		return nil, refuse(item.Line, "%s cannot be taken out of its list here; do it by hand", dotted(path))
	}
	for _, comment := range comments(item) {
		if !own(comment) {
			return nil, refuse(item.Line, "%s holds a comment that would be lost with it (%s); take it out by hand", dotted(path), comment)
		}
	}
	first := f.dashLine(item)
	if first == 0 {
		return nil, refuse(item.Line, "%s does not start on a line of its own; take it out by hand", dotted(path))
	}
	last := lastLine(item)
	end := f.text.end(last + 1)
	if next := nextLine(f.root, last); next > 0 {
		end = min(end, next)
	}
	c := &change{path: path, line: item.Line, want: f.doc, count: end - last}
	c.at = func(i int) edit { return edit{f.text.start(first), f.text.start(last + 1 + i), ""} }
	list.Content = append(list.Content[:number:number], list.Content[number+1:]...)
	c.comments = comments(f.doc)
	return c.make(src)
}

// dashLine is the line that starts with the item's own dash; 0 where none does.
func (f *file) dashLine(item *yaml.Node) int {
	before := string(f.text.line(item.Line)[:item.Column-1])
	if strings.TrimSpace(before) == "-" {
		return item.Line
	}
	return 0
}

// planBehind puts lines behind the last value below n, as planBlock does.
func (f *file) planBehind(c *change, n *yaml.Node, lines []string) {
	last := lastLine(n)
	end := f.text.end(last + 1)
	if next := nextLine(f.root, last); next > 0 {
		end = min(end, next)
	}
	c.count = end - last
	c.at = func(i int) edit { return f.text.insertLines(last+1+i, lines) }
}

// itemNode is what an item parses to.
func itemNode(item string) (*yaml.Node, error) {
	f, err := parse([]byte(item))
	if err != nil {
		return nil, err
	}
	if f.root == nil {
		return nil, refuse(0, "an item that is added to a list must say something")
	}
	return f.root, nil
}

// itemLines writes an item behind a dash, the dash indented by indent columns.
func itemLines(item string, indent int) []string {
	var lines []string
	for line := range strings.Lines(item) {
		lead := "  "
		if len(lines) == 0 {
			lead = "- "
		}
		lines = append(lines, strings.TrimRight(strings.Repeat(" ", indent)+lead+strings.TrimRight(line, "\n"), " "))
	}
	return lines
}
