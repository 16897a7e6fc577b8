package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader fills Go values from YAML nodes by the fields' tags, and collects what
// is wrong.
type reader struct {
	places
	dir      string // of the file
	env      func(string) (string, bool)
	problems Problems
	// source is what each source of a list starts from.
	source Source
	// left is how many more nodes are looked at: aliases can make millions of few.
	left int
	// merging are the mappings that are being merged; one may hold itself.
	merging map[*yaml.Node]bool
}

// maxNodes is enough for ten thousand services.
const maxNodes = 300_000

// wrong notes that a value cannot be used, where it stands.
func (r *reader) wrong(n *yaml.Node, path, format string, args ...any) {
	r.bad[path] = true
	if strings.HasSuffix(path, "]") { // an item makes the list one
		r.bad[parent(path)] = true
	}
	r.problems = append(r.problems, Problem{File: r.file, Line: n.Line, Column: n.Column, Path: path, Text: fmt.Sprintf(format, args...)})
}

// value fills v from a node. The tag is that of the field which v is, or is in.
func (r *reader) value(n *yaml.Node, v reflect.Value, f field, path string) {
	if r.left--; r.left <= 0 {
		if r.left == 0 {
			r.wrong(n, "", "the file is too large once its aliases are written out; make it shorter, with defaults: for what many services share")
		}
		return
	}
	switch {
	case v.Type() == typeOf[Secret]():
		r.secret(n, v, f, path)
	case v.Kind() == reflect.Slice:
		r.list(n, v, f, path)
	case v.Kind() == reflect.Pointer:
		if target(n).Value == f.tag.Get("zero") {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		r.value(n, v.Elem(), f, path)
	case isMapping(v.Type()):
		r.mapping(n, path, nil, v)
	default:
		r.scalar(n, v, f, path)
	}
}

// isMapping reports whether values of a type are written as a mapping.
func isMapping(t reflect.Type) bool { return t.Kind() == reflect.Struct && len(fields(t)) > 0 }

// target is what a node stands for: an alias stands for what it points at.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// what names what a node is, for a message.
func what(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return fmt.Sprintf("the text %q", shorten(n.Value))
	case "!!int", "!!float":
		return "the number " + shorten(n.Value)
	case "!!bool":
		return n.Value
	}
	return "a value of type " + shorten(n.ShortTag())
}

// shorten keeps a message to a line that can be read.
func shorten(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:57]) + "…"
	}
	return text
}

// isNull reports whether a key has nothing behind it.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// mapping fills structs from a mapping: a key belongs to the first that has it.
// Hook, where set, takes keys that are read in another way.
func (r *reader) mapping(n *yaml.Node, path string, hook func(field, *yaml.Node) bool, into ...reflect.Value) {
	node := target(n)
	if isNull(node) { // all of it is commented out, say
		return
	}
	if node.Kind != yaml.MappingNode {
		r.wrong(n, path, "has to be a mapping, and is %s; write its keys below it, indented", what(node))
		return
	}
	known := map[string]reflect.Value{}
	names := map[string]field{}
	for _, v := range into {
		for _, f := range fields(v.Type()) {
			if _, taken := names[f.key]; !taken && !(len(into) > 1 && v.Type() == typeOf[Source]() && f.key == "name") {
				known[f.key], names[f.key] = v.FieldByIndex(f.index), f
			}
		}
	}
	for _, p := range r.pairs(node, path) {
		f, ok := names[p.key.Value]
		under := join(path, p.key.Value)
		if !ok {
			r.wrong(p.key, join(path, shorten(p.key.Value)), "unknown key; %s", instead(p.key.Value, names))
			continue
		}
		r.spots[under] = p.key
		if hook == nil || !hook(f, p.value) {
			r.value(p.value, known[f.key], f, under)
		}
	}
}

// pair is a key and its value.
type pair struct{ key, value *yaml.Node }

// pairs are those of a mapping, each key once, merged ones last.
func (r *reader) pairs(n *yaml.Node, path string) (all []pair) {
	var merged []*yaml.Node
	have := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := target(n.Content[i]), n.Content[i+1]
		switch first := have[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.wrong(n.Content[i], path, "a key here is %s; write the name of a setting", what(key))
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case first != nil:
			r.wrong(n.Content[i], join(path, shorten(key.Value)), "stands on line %d already; leave one of the two away", first.Line)
		default:
			have[key.Value] = n.Content[i]
			all = append(all, pair{r.placed(n.Content[i]), value})
		}
	}
	for _, m := range merged {
		for _, p := range r.merge(m, path) {
			if have[p.key.Value] == nil {
				have[p.key.Value] = p.key
				all = append(all, p)
			}
		}
	}
	return all
}

// placed is a key with the place where it is written, should it be an alias.
func (r *reader) placed(key *yaml.Node) *yaml.Node {
	to := *target(key)
	to.Line, to.Column = key.Line, key.Column
	return &to
}

// merge are the pairs that "<<" takes from elsewhere.
func (r *reader) merge(n *yaml.Node, path string) (all []pair) {
	node := target(n)
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			if target(item).Kind == yaml.MappingNode {
				all = append(all, r.merge(item, path)...)
			} else {
				r.wrong(item, path, "<<: merges mappings, not %s; name an anchor of one: <<: *name", what(target(item)))
			}
		}
		return all
	}
	if r.left -= len(node.Content); node.Kind != yaml.MappingNode || r.merging[node] || r.left <= 0 {
		r.wrong(n, path, "<<: merges mappings that do not hold themselves; name an anchor of one: <<: *name")
		return nil
	}
	r.merging[node] = true
	defer delete(r.merging, node)
	return r.pairs(node, path)
}

// list fills a slice, from a list or from one value.
func (r *reader) list(n *yaml.Node, v reflect.Value, f field, path string) {
	node := target(n)
	_, needed := f.tag.Lookup("needed")
	items, at := []*yaml.Node{n}, func(int) string { return path }
	switch {
	case isNull(node): // all of it is commented out, say
		return
	case node.Kind == yaml.SequenceNode:
		items, at = node.Content, func(i int) string { return fmt.Sprintf("%s[%d]", path, i) }
	}
	if needed && len(items) == 0 {
		r.wrong(n, path, "is an empty list; write at least one item, or leave the key away")
		return
	}
	all := reflect.MakeSlice(v.Type(), 0, min(len(items), 100))
	for i, item := range items {
		if node.Kind == yaml.SequenceNode {
			r.spots[at(i)] = item
		}
		if to := target(item); to.Kind == yaml.ScalarNode && to.Value == "" || isNull(to) {
			r.wrong(item, at(i), "is empty; write a value behind the -, or leave the - away")
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one)
		if one.Type() == typeOf[Source]() {
			one.Set(reflect.ValueOf(r.source))
		}
		r.value(item, one, f, at(i))
		all = reflect.Append(all, one)
	}
	v.Set(all)
}

// scalar fills v from a single value.
func (r *reader) scalar(n *yaml.Node, v reflect.Value, f field, path string) {
	node, k := target(n), kindOf(v.Type())
	if word := f.tag.Get("zero"); word != "" && node.Kind == yaml.ScalarNode && node.Value == word {
		v.SetZero()
		return
	}
	switch {
	case isNull(node):
		r.wrong(n, path, "is empty; write %s, or leave the key away", f.want(k))
		return
	case node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "${"):
		r.wrong(n, path, "${…} is taken from the environment in token, metrics-url and metrics-header only; write the value itself")
		return
	case node.Kind != yaml.ScalarNode || !slices.Contains(k.tags, node.ShortTag()):
		r.wrong(n, path, "is %s; write %s%s", what(node), f.want(k), quotes(node, k))
		return
	case node.Value == "" && f.filled():
		r.wrong(n, path, "is empty; write %s, or leave the key away", f.want(k))
		return
	}
	read, err := k.read(node)
	switch {
	case err != nil:
		is := what(node)
		if _, err := strconv.ParseFloat(node.Value, 64); err == nil {
			is += ", which is out of range"
		}
		r.wrong(n, path, "is %s; write %s", is, f.want(k))
		return
	case f.words() != nil && !slices.Contains(f.words(), node.Value):
		r.wrong(n, path, "there is no %q; write %s", shorten(node.Value), f.want(k))
		return
	}
	v.Set(reflect.ValueOf(read).Convert(v.Type()))
	r.bounds(n, v, f, path)
}

// want says what a field takes.
func (f field) want(k kind) string {
	want := k.want
	if words := f.words(); words != nil {
		want = strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	}
	if zero := f.tag.Get("zero"); zero != "" && !slices.Contains(f.words(), zero) {
		want += ", or " + zero
	}
	return want
}

// quotes says what to do about a value that would do if YAML took it for another.
func quotes(n *yaml.Node, k kind) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		return ""
	case slices.Contains(k.tags, "!!str"):
		return fmt.Sprintf(", in quotes: %q", shorten(n.Value))
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return ", without quotes"
	}
	return ""
}

// bounds looks whether a value is within those of its tag.
func (r *reader) bounds(n *yaml.Node, v reflect.Value, f field, path string) {
	limit := func(name string) (int64, string) {
		text := f.tag.Get(name)
		if text == "" {
			return v.Int(), ""
		}
		bound := reflect.New(v.Type()).Elem()
		set(bound, text)
		return bound.Int(), text
	}
	if !v.CanInt() {
		return
	}
	show := kindOf(v.Type()).show(v.Interface())
	if least, text := limit("atleast"); v.Int() < least {
		r.wrong(n, path, "%s is below %s; write %s or more", show, text, text)
	}
	if most, text := limit("atmost"); v.Int() > most {
		r.wrong(n, path, "%s is above %s; write %s or less", show, text, text)
	}
}

// secret fills a Secret.
func (r *reader) secret(n *yaml.Node, v reflect.Value, f field, path string) {
	node, mask := target(n), f.tag.Get("mask")
	switch {
	case node.Kind == yaml.MappingNode:
		from, before := secretFile{}, len(r.problems)
		r.mapping(node, path, nil, reflect.ValueOf(&from).Elem())
		if len(r.problems) > before {
			return
		}
		text, err := from.read(r.dir)
		if err != nil {
			r.wrong(n, path, "%v", err)
			return
		}
		v.Set(reflect.ValueOf(masked(text, hidden, mask)))
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" || node.Value == "":
		is := what(node)
		switch {
		case isNull(node) || node.Value == "" && node.Kind == yaml.ScalarNode:
			is = "empty"
		case node.Kind == yaml.ScalarNode:
			is = "no text" // it may be the secret itself
		}
		r.wrong(n, path, "is %s; write it in quotes, or as ${VARIABLE}, or as {file: /path}", is)
	default:
		text, written, err := expand(node.Value, r.env)
		if err != nil {
			r.wrong(n, path, "%v", err)
			return
		}
		v.Set(reflect.ValueOf(masked(text, written, mask)))
	}
}

// fill sets a struct to what holds where nothing is stated. Other values it
// leaves alone.
func fill(v reflect.Value) {
	if !isMapping(v.Type()) {
		return
	}
	for _, f := range fields(v.Type()) {
		at := v.FieldByIndex(f.index)
		fill(at)
		for _, tag := range []string{"default", "unset"} {
			if text := f.tag.Get(tag); text != "" {
				set(at, text)
			}
		}
	}
}

// set gives a value the text of a tag, which is right: a test reads them all.
func set(v reflect.Value, text string) {
	if v.Type() == typeOf[[]Secret]() {
		v.Set(reflect.ValueOf([]Secret{masked(text, text, "url")}))
		return
	}
	read, err := kindOf(v.Type()).read(&yaml.Node{Kind: yaml.ScalarNode, Value: text})
	if err == nil {
		v.Set(reflect.ValueOf(read).Convert(v.Type()))
	}
}
