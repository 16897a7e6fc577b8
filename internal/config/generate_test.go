package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// TestSchema: the schema that the program carries is what the structs give.
func TestSchema(t *testing.T) {
	text, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text, Schema()) {
		t.Error("schema.json is not what the structs say; run: go test ./internal/config -update, twice")
	}
}

// generated is the JSON Schema of the file. It is made in tests, so that the program
// need not carry what makes it.
func generated() ([]byte, error) {
	scalars := jsonschema.Definitions{}
	reflector := jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema { return scalar(t, scalars) },
		AdditionalFields: func(t reflect.Type) (all []reflect.StructField) {
			if t == typeOf[Service]() {
				for _, f := range ofOnlySource() {
					all = append(all, typeOf[Source]().FieldByIndex(f.index))
				}
			}
			return all
		},
	}
	schema := reflector.Reflect(document{})
	schema.Title = "autoscale.yaml"
	schema.Description = "What autoscale run looks after."
	for _, s := range sections() {
		mapping, keys := schema.Definitions[s.typ.Name()], fields(s.typ)
		switch s.typ {
		case typeOf[document]():
			mapping = schema
		case typeOf[Service]():
			keys = append(keys, ofOnlySource()...)
		}
		for _, f := range keys {
			plain, ok := mapping.Properties.Get(f.key)
			if !ok {
				return nil, fmt.Errorf("the schema of a %s lacks %s", s.name, f.key)
			}
			full, err := f.schema(plain)
			if err != nil {
				return nil, err
			}
			mapping.Properties.Set(f.key, full)
		}
	}
	maps.Copy(schema.Definitions, scalars)
	text, err := json.MarshalIndent(schema, "", "  ")
	return append(text, '\n'), err
}

// scalar refers to the schema of values that are written in a way of our own, and
// puts it among all; nil for others.
func scalar(t reflect.Type, all jsonschema.Definitions) *jsonschema.Schema {
	k := kindOf(t)
	switch {
	case t == typeOf[Secret]():
		k.name = t.Name()
		all[k.name] = secretSchema()
	case k.name != "":
		all[k.name] = &jsonschema.Schema{
			AnyOf:       []*jsonschema.Schema{{Type: k.number}, {Type: "string", Pattern: k.pattern}},
			Description: k.want,
		}
	default:
		return nil
	}
	return &jsonschema.Schema{Ref: "#/$defs/" + k.name}
}

// schema is a field's, with what its tags say.
func (f field) schema(plain *jsonschema.Schema) (*jsonschema.Schema, error) {
	full := plain
	_, needed := f.tag.Lookup("needed")
	switch t := f.typ; {
	case t.Kind() == reflect.Map:
		// A service may be nothing but its label, with all of it in defaults.
		full.AdditionalProperties = orNull(full.AdditionalProperties)
	case t.Kind() == reflect.Slice: // one item may be written as such
		if plain.Items.Type == "string" {
			plain.Items.MinLength = new(uint64(1))
		}
		if needed {
			plain.MinItems = new(uint64(1))
		}
		full = orNull(plain)
		full.AnyOf = append([]*jsonschema.Schema{plain.Items}, full.AnyOf...)
	case isMapping(t):
		full = orNull(plain)
	case f.words() != nil:
		for _, word := range f.words() {
			plain.Enum = append(plain.Enum, word)
		}
	case f.tag.Get("zero") != "" && plain.Type != "string":
		full = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{plain, {Const: f.tag.Get("zero")}}}
	case f.filled():
		plain.MinLength = new(uint64(1))
	}
	if least := f.tag.Get("atleast"); plain.Type == "integer" && least != "" {
		plain.Minimum = json.Number(least)
	}
	full.Description = f.tag.Get("help")
	if f.otherwise() == "" {
		return full, nil
	}
	return full, yaml.Unmarshal([]byte(f.otherwise()), &full.Default)
}

// orNull allows a mapping or list all of which is commented out.
func orNull(s *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "null"}}}
}

// secretSchema is that of a Secret: its text, or where that lies.
func secretSchema() *jsonschema.Schema {
	filled := new(uint64(1))
	file := jsonschema.NewProperties()
	file.Set("file", &jsonschema.Schema{Type: "string", MinLength: filled, Description: fields(typeOf[secretFile]())[0].tag.Get("help")})
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", MinLength: filled, Description: "${NAME} in it stands for a variable of the environment."},
		{Type: "object", Properties: file, Required: []string{"file"}, AdditionalProperties: jsonschema.FalseSchema},
	}}
}
