package upstream

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func two() []Server {
	return []Server{
		{"shop-app-1", netip.MustParseAddrPort("10.0.0.2:8000")},
		{"shop-app-3", netip.MustParseAddrPort("[fd00::3]:8000")},
	}
}

var update = flag.Bool("update", false, "write the golden files")

func TestRender(t *testing.T) {
	for _, f := range Formats() {
		for name, servers := range map[string][]Server{"two": two(), "none": nil} {
			got, err := Render(f, "app", servers)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+"."+string(f))
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(got) != string(want) {
				t.Errorf("%s, %s: %v\n%s", f, name, err, got)
			}
		}
	}
	if _, err := Render("apache", "app", nil); err == nil || !strings.Contains(err.Error(), "give nginx, haproxy") {
		t.Error(err)
	}
}

// What is read again says what was written, in the formats for which this machine
// has a parser; the others are held against the proxies themselves, under e2e.
func TestRenderReadsAgain(t *testing.T) {
	text, err := Render(Traefik, "1.5", two()) // a name that YAML would take for a number
	if err != nil {
		t.Fatal(err)
	}
	var dynamic struct {
		HTTP struct {
			Services map[string]struct {
				LoadBalancer struct{ Servers []struct{ URL string } } `yaml:"loadBalancer"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &dynamic); err != nil {
		t.Fatal(err)
	}
	if all := dynamic.HTTP.Services["1.5"].LoadBalancer.Servers; len(all) != 2 || all[1].URL != "http://[fd00::3]:8000" {
		t.Errorf("%+v", dynamic)
	}
	if text, err = Render(JSON, "app", two()); err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil || len(d.Servers) != 2 || d.Servers[0].Address != two()[0].Addr.Addr() || d.Servers[0].Port != 8000 {
		t.Errorf("%v, %+v", err, d)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.conf")
	if was, err := Read(path, "app"); was != nil || err != nil {
		t.Errorf("no file: %q, %v", was, err)
	}
	for name, c := range map[string]struct{ text, err string }{
		"empty":           {" \n", ""},
		"ours by hand":    {"# " + mark("app") + "\nserver app:8000;\n", ""},
		"a user's":        {"server 10.0.0.1:80;\n", "first line does not say so"},
		"mark not first":  {"\n# " + mark("app") + "\n", "first line does not say so"},
		"another service": {"# " + mark("api") + "\n", "lists service api"},
		"one byte":        {"#", "first line does not say so"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		was, err := Read(path, "app")
		switch {
		case c.err == "" && (err != nil || string(was) != c.text || was == nil):
			t.Errorf("%s: %q, %v", name, was, err)
		case c.err != "" && (!errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, f := range Formats() {
		text, err := Render(f, "my.app-1_x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, "my.app-1_x"); err != nil {
			t.Errorf("%s: its own list is not known again: %v", f, err)
		}
		if _, err := Read(path, "my"); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s: another service's: %v", f, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for says, s := range map[string]Settings{
		"":                           {File: "a", Format: "nginx", Port: 80, Network: "front", OnChange: "x"},
		"belong together":            {File: "a"},
		"or neither":                 {Format: "json"},
		"--upstream-format=apache":   {File: "a", Format: "apache"},
		"--upstream-port=65536":      {File: "a", Format: "json", Port: 65536},
		"are about a list":           {Network: "front", OnChange: "x"},
		"only the engine knows":      {OnChange: "x", Blind: true},
		"--apply=never: which":       {File: "a", Format: "json", Blind: true},
		"--upstream-port=-1: a port": {File: "a", Format: "json", Port: -1},
	} {
		err := s.Check()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// FuzzRead: whatever stands in a file, it is ours only where the mark says so.
func FuzzRead(f *testing.F) {
	for _, format := range Formats() {
		text, err := Render(format, "app", two())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("server a;"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path, "app")
		if ours := strings.Contains(string(text), mark("app")) || strings.TrimSpace(string(text)) == ""; err == nil && !ours {
			t.Errorf("%q is taken for ours", text)
		}
	})
}
