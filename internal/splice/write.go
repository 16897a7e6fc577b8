package splice

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The same keys and value three times over: as block lines, as flow text, and
// as the nodes that either must parse to.

// value is a scalar: as it is written where there was none, and as what that
// parses to.
type value struct {
	text, value, tag string
	style            yaml.Style
}

func number(n int) value { return value{text: strconv.Itoa(n), value: strconv.Itoa(n), tag: "!!int"} }

// scalar is a text, in quotes where it could be read as anything else.
func scalar(s string) value {
	if needsQuotes(s) {
		return value{text: `"` + s + `"`, value: s, tag: "!!str", style: yaml.DoubleQuotedStyle}
	}
	return value{text: s, value: s, tag: "!!str"}
}

// plain reports whether s needs no escapes in quotes.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' })
}

// tagOf is what the text of a plain scalar is to YAML.
func tagOf(text string) string {
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	return n.ShortTag()
}

// blockLines writes path and v as lines, the first indented by indent
// columns and each further one by step more.
func blockLines(path []string, v value, indent, step int) []string {
	var lines []string
	for _, key := range path {
		lines = append(lines, strings.Repeat(" ", indent)+keyText(key, false)+":")
		indent += step
	}
	lines[len(lines)-1] += " " + v.text
	return lines
}

// flowText writes v as it stands behind a key, or, with a path, the flow
// mapping that leads to it. In json its keys are quoted.
func flowText(path []string, v value, json bool) string {
	if len(path) == 0 {
		return v.text
	}
	return "{" + flowPair(path, v, json) + "}"
}

// flowPair is flowText without its outer braces.
func flowPair(path []string, v value, json bool) string {
	return keyText(path[0], json) + ": " + flowText(path[1:], v, json)
}

// chain returns the nodes, one key and one value, that path and v parse to.
// The mappings among them are of the given style.
func chain(path []string, v value, style yaml.Style, json bool) []*yaml.Node {
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: path[0]}
	if json || needsQuotes(path[0]) {
		key.Style = yaml.DoubleQuotedStyle
	}
	inner := &yaml.Node{}
	become(inner, path[1:], v, style, json)
	return []*yaml.Node{key, inner}
}

// become makes n the value, or the mapping that leads to it; its anchor and
// comments stay.
func become(n *yaml.Node, path []string, v value, style yaml.Style, json bool) {
	if len(path) == 0 {
		n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, v.tag, v.value, v.style
		return
	}
	n.Kind, n.Tag, n.Value, n.Style = yaml.MappingNode, "!!map", "", style
	n.Content = chain(path, v, style, json)
}

func keyText(key string, json bool) string {
	if json || needsQuotes(key) {
		return strconv.Quote(key)
	}
	return key
}

// needsQuotes reports whether a key could be read as anything but text by a
// YAML 1.1 or 1.2 reader. It quotes some that could do without.
func needsQuotes(key string) bool {
	for i, r := range key {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r != '-' && r != '.' && (r < '0' || r > '9')) {
			return true
		}
	}
	switch strings.ToLower(key) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

func isQuoted(n *yaml.Node) bool { return n.Style&yaml.DoubleQuotedStyle != 0 }
