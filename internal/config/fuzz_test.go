package config

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzParse: any text is either a file, and then what is in force is one that
// says the same, or has problems with a place in it.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "../../examples/daemon/*.yaml", "testdata/effective.yaml"} {
		for _, path := range files(f, pattern) {
			f.Add(read(f, path))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("/fuzz/autoscale.yaml", text, env)
		if err != nil {
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("no problems: %v", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Line > bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+bytes.Count(text, []byte("\u0085"))+bytes.Count(text, []byte("\u2028"))+bytes.Count(text, []byte("\u2029"))+1 || p.Text == "" {
					t.Errorf("%v: no place in the file", p)
				}
			}
			return
		}
		first, err := file.Effective()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("/fuzz/autoscale.yaml", first, env)
		if err != nil {
			t.Fatalf("what is in force is no file: %v\n%s", err, first)
		}
		if second, err := again.Effective(); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v: first\n%s\nthen\n%s", err, first, second)
		}
		for i, s := range file.Services {
			if s.Identity() == "" || s.Name != again.Services[i].Name || s.Policy().Validate() != nil {
				t.Errorf("service %+v", s)
			}
		}
	})
}
