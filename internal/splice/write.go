package splice

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The same keys and number three times over: as block lines, as flow text, and
// as the nodes that either must parse to.

// blockLines writes path and value as lines, the first indented by indent
// columns and each further one by step more.
func blockLines(path []string, value, indent, step int) []string {
	var lines []string
	for _, key := range path {
		lines = append(lines, strings.Repeat(" ", indent)+keyText(key, false)+":")
		indent += step
	}
	lines[len(lines)-1] += " " + strconv.Itoa(value)
	return lines
}

// flowText writes value as it stands behind a key, or, with a path, the flow
// mapping that leads to it. In json its keys are quoted.
func flowText(path []string, value int, json bool) string {
	if len(path) == 0 {
		return strconv.Itoa(value)
	}
	return "{" + flowPair(path, value, json) + "}"
}

// flowPair is flowText without its outer braces.
func flowPair(path []string, value int, json bool) string {
	return keyText(path[0], json) + ": " + flowText(path[1:], value, json)
}

// chain returns the nodes, one key and one value, that path and value parse to.
// The mappings among them are of the given style.
func chain(path []string, value int, style yaml.Style, json bool) []*yaml.Node {
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: path[0]}
	if json || needsQuotes(path[0]) {
		key.Style = yaml.DoubleQuotedStyle
	}
	inner := &yaml.Node{}
	become(inner, path[1:], value, style, json)
	return []*yaml.Node{key, inner}
}

// become makes n the number, or the mapping that leads to it; its anchor and
// comments stay.
func become(n *yaml.Node, path []string, value int, style yaml.Style, json bool) {
	if len(path) == 0 {
		n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, "!!int", strconv.Itoa(value), 0
		return
	}
	n.Kind, n.Tag, n.Value, n.Style = yaml.MappingNode, "!!map", "", style
	n.Content = chain(path, value, style, json)
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
