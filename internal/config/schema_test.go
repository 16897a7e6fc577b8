package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// schema is the one that editors get, compiled by another's validator.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("autoscale.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("autoscale.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestExamples: the shipped examples are right, for the daemon and for editors.
func TestExamples(t *testing.T) {
	editor := schema(t)
	all := append(files(t, "../../examples/daemon/*.yaml"), files(t, "../../examples/process/*.yaml")...)
	if len(all) < 3 {
		t.Errorf("only %d examples", len(all))
	}
	for _, path := range all {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text := read(t, path)
			parsed(t, path, string(text))
			var data any
			if err := yaml.Unmarshal(text, &data); err != nil {
				t.Fatal(err)
			}
			if err := editor.Validate(data); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFullExample: the commented one has every key there is.
func TestFullExample(t *testing.T) {
	text := string(read(t, "../../examples/daemon/full.yaml")) + string(read(t, "../../examples/daemon/kubernetes.yaml")) + string(read(t, "../../examples/process/autoscale.yaml"))
	for _, s := range sections() {
		for _, f := range fields(s.typ) {
			if !strings.Contains(text, f.key+":") {
				t.Errorf("no example has %s", f.key)
			}
		}
	}
}

// TestSchemaOfBad: an editor complains of each problem of a bad file, unless its
// first line says that only Parse can know; of those it does not complain.
func TestSchemaOfBad(t *testing.T) {
	editor := schema(t)
	for _, path := range files(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text := read(t, path)
			var data any
			if err := yaml.Unmarshal(text, &data); err != nil {
				return // the editor's YAML says so as well
			}
			err := editor.Validate(data)
			if bytes.HasPrefix(text, []byte("# Only Parse knows.")) {
				if err != nil {
					t.Errorf("the schema does know: %v", err)
				}
				return
			}
			failed, ok := errors.AsType[*jsonschema.ValidationError](err)
			if !ok {
				t.Fatalf("no complaint, but %v", err)
			}
			places := locations(failed)
			_, err = Parse(path, text, env)
			problems, _ := errors.AsType[Problems](err)
			for _, p := range problems {
				if !slices.Contains(places, p.Path) && !slices.Contains(places, parent(p.Path)) {
					t.Errorf("an editor does not know of %v, only of %q", p, places)
				}
			}
		})
	}
}

// locations are the paths of everything that a validator has complained of.
func locations(err *jsonschema.ValidationError) []string {
	path := ""
	for _, step := range err.InstanceLocation {
		if _, number := strconv.Atoi(step); number == nil {
			path += "[" + step + "]"
		} else {
			path = join(path, step)
		}
	}
	all := []string{path}
	for _, cause := range err.Causes {
		all = append(all, locations(cause)...)
	}
	return all
}
