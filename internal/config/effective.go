package config

import (
	"bytes"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Effective is the file as it is in force: YAML with every default filled in, and
// *** for what is secret. Parse reads it again.
func (f *File) Effective() ([]byte, error) {
	root := mappingNode(reflect.ValueOf(*f), "")
	services := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range f.Services {
		services.Content = append(services.Content, textNode(s.Name), mappingNode(reflect.ValueOf(s), s.Provider))
	}
	root.Content = append(root.Content, textNode("services"), services)
	return encode(root)
}

// show is a service as Effective has it.
func show(s Service) ([]byte, error) { return encode(mappingNode(reflect.ValueOf(s), s.Provider)) }

func encode(n *yaml.Node) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(n); err != nil {
		return nil, err
	}
	err := encoder.Close()
	return text.Bytes(), err
}

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// mappingNode writes a struct's keys, less those that say nothing: of another
// provider, or with no value and no word for that.
func mappingNode(v reflect.Value, provider string) *yaml.Node {
	all := &yaml.Node{Kind: yaml.MappingNode}
	source, _ := v.Interface().(Source)
	for _, f := range fields(v.Type()) {
		if v.Type() == typeOf[Source]() && !source.tells(f.key) {
			continue
		}
		value := v.FieldByIndex(f.index)
		if node := valueNode(value, f); node != nil && f.isFor(provider) {
			all.Content = append(all.Content, textNode(f.key), node)
		}
	}
	return all
}

// valueNode writes one value; nil where it says nothing.
func valueNode(v reflect.Value, f field) *yaml.Node {
	word := f.tag.Get("zero")
	switch {
	case v.IsZero() && word != "":
		return textNode(word)
	case v.IsZero() && (v.Kind() == reflect.String || v.Kind() == reflect.Struct || v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice):
		return nil
	case v.Type() == typeOf[Secret]():
		return textNode(v.Interface().(Secret).String())
	case v.Kind() == reflect.Pointer:
		return valueNode(v.Elem(), f)
	case isMapping(v.Type()):
		return mappingNode(v, "")
	case v.Kind() == reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			list.Content = append(list.Content, valueNode(v.Index(i), field{}))
		}
		return list
	}
	text := kindOf(v.Type()).show(v.Interface())
	switch {
	case text == f.tag.Get("unset"):
		return nil
	case v.Kind() == reflect.String:
		return textNode(text)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
}
