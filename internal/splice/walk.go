package splice

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// way is how far a path leads in a file.
type way struct {
	path []string
	// keys and values were found for the first len(keys) elements of the path.
	// They are as written: a value may be an alias.
	keys, values []*yaml.Node
	root         *yaml.Node
}

// last returns the deepest value found, the root where no key was.
func (w way) last() *yaml.Node {
	if len(w.values) == 0 {
		return w.root
	}
	return w.values[len(w.values)-1]
}

// key returns the deepest key found; nil where there is none.
func (w way) key() *yaml.Node {
	if len(w.keys) == 0 {
		return nil
	}
	return w.keys[len(w.keys)-1]
}

// name returns how people name the deepest value found.
func (w way) name() string { return dotted(w.path[:len(w.keys)]) }

// inFlow reports whether the deepest value found stands between { and }.
func (w way) inFlow() bool {
	switch len(w.values) {
	case 0:
		return false
	case 1:
		return isFlow(w.root)
	}
	return isFlow(w.values[len(w.values)-2])
}

// line returns where the deepest key found stands.
func (w way) line() int {
	switch {
	case len(w.keys) > 0:
		return w.keys[len(w.keys)-1].Line
	case w.root != nil:
		return w.root.Line
	}
	return 1
}

// walkOwned is walk of a path along which everything may be changed.
func (f *file) walkOwned(path []string) (way, error) {
	w, err := f.walk(path)
	if err == nil {
		err = f.owned(w)
	}
	return w, err
}

// walk follows path, through aliases too, as far as its keys are written out.
// What a merge brings is not written out. It refuses !reset, behind which
// Compose drops everything, and keys that only look like the wanted one.
func (f *file) walk(path []string) (way, error) {
	w := way{path: path, root: f.root}
	for at := f.root; at != nil; {
		if at = resolved(at); at.Tag == "!reset" {
			return w, refuse(at.Line, "%s is tagged !reset, so Compose drops what stands there; remove the tag", w.name())
		}
		if len(w.keys) == len(path) {
			break
		}
		if item := itemOf(at, path[len(w.keys)]); item != nil {
			w.keys, w.values, at = append(w.keys, item), append(w.values, item), item
			continue
		}
		if at.Kind != yaml.MappingNode {
			break
		}
		key, value, err := find(at, path[len(w.keys)])
		if err != nil {
			return w, err
		}
		if at = value; key != nil {
			w.keys, w.values = append(w.keys, key), append(w.values, value)
		}
	}
	return w, nil
}

// itemOf returns the item of a list that a path's element numbers; nil where n is
// no list, or a shorter one. An item is its own key.
func itemOf(n *yaml.Node, number string) *yaml.Node {
	i, err := strconv.Atoi(number)
	if n.Kind != yaml.SequenceNode || err != nil || i < 0 || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

// find returns the key and value of name in a mapping; nil where it is missing.
func find(mapping *yaml.Node, name string) (key, value *yaml.Node, err error) {
	for i := 0; i < len(mapping.Content); i += 2 {
		k := resolved(mapping.Content[i])
		if k.Kind != yaml.ScalarNode || k.Value != name {
			continue
		}
		if tag := k.ShortTag(); tag != "!!str" && tag != "!!merge" {
			return nil, nil, refuse(mapping.Content[i].Line, "the key %s is not text to YAML (%s); put it in quotes: %q", name, tag, name)
		}
		if k.ShortTag() == "!!str" {
			return mapping.Content[i], mapping.Content[i+1], nil
		}
	}
	return nil, nil, nil
}

// mergeLine returns where a mapping merges another; its own line where it does
// not.
func mergeLine(mapping *yaml.Node) int {
	line := mapping.Line
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].ShortTag() == "!!merge" {
			line = mapping.Content[i].Line
		}
	}
	return line
}

// owned refuses values on the way that other places in the file have a part
// in, so that changing them here would change those too, and tags that would
// give the number another meaning.
func (f *file) owned(w way) error {
	for i, n := range append([]*yaml.Node{w.root}, w.values...) {
		if n == nil {
			return nil
		}
		name := dotted(w.path[:i])
		if n.Kind == yaml.AliasNode {
			return refuse(n.Line, "%s is the alias *%s of what stands on line %d, which may serve others too; write it out here", name, n.Value, n.Alias.Line)
		}
		if users := f.users[n]; len(users) > 0 {
			return refuse(n.Line, "%s is used on line %d too, by its anchor &%s, and would change there as well; write it out there", name, users[0].Line, n.Anchor)
		}
		tag := n.ShortTag()
		plain := n.Style&yaml.TaggedStyle == 0 || tag == "!override" ||
			n.Kind == yaml.MappingNode && tag == "!!map" || n.Kind == yaml.SequenceNode && tag == "!!seq" ||
			n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!str")
		if !plain {
			return refuse(n.Line, "%s carries the tag %s; remove the tag", name, tag)
		}
	}
	return nil
}
