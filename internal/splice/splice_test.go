package splice

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// cases reads testdata/set: in each folder in.yml is a file, out.yml what it
// becomes when the replicas of a service are set to 5, refused.txt the error
// where it is refused instead, and service the service's name where that is not
// app.
func cases(t testing.TB) []setCase {
	t.Helper()
	folders, err := filepath.Glob("testdata/set/*")
	if err != nil || len(folders) < 200 {
		t.Fatalf("%d cases in testdata/set, want some hundred (%v)", len(folders), err)
	}
	var all []setCase
	for _, folder := range folders {
		c := setCase{name: filepath.Base(folder), service: "app"}
		c.in = readFile(t, folder, "in.yml")
		c.out = readFile(t, folder, "out.yml")
		c.refused = string(readFile(t, folder, "refused.txt"))
		if name := readFile(t, folder, "service"); name != nil {
			c.service = string(name)
		}
		if c.in == nil || (c.out == nil) == (c.refused == "") {
			t.Fatalf("%s: want in.yml and one of out.yml and refused.txt", folder)
		}
		all = append(all, c)
	}
	return all
}

type setCase struct {
	name, service string
	in, out       []byte
	refused       string
}

// readFile returns nil for a file that is not there.
func readFile(t testing.TB, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

func TestSet(t *testing.T) {
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			out, err := Set(c.in, replicas(c.service), 5)
			switch {
			case c.refused == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case c.refused != "" && err == nil:
				t.Fatalf("not refused, but\n%s\nwant: %s", out, c.refused)
			case c.refused != "" && err.Error()+"\n" != c.refused:
				t.Fatalf("refused: %v\n   want: %s", err, c.refused)
			case !bytes.Equal(out, c.out):
				t.Fatalf("got\n%q\nwant\n%q", out, c.out)
			}
			checkSet(t, c.in, replicas(c.service), 5)
		})
	}
}

func replicas(service string) []string {
	return []string{"services", service, "deploy", "replicas"}
}

// FuzzSet holds what Set promises for any file: an error and no change, or a
// file in which one number, or the keys that lead to it, differ.
func FuzzSet(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c.in, c.service, 5)
		f.Add(c.in, "web", 12)
	}
	f.Fuzz(func(t *testing.T, src []byte, service string, value int) {
		if len(src) > 1<<16 || value < 0 || value > 1<<31-2 {
			return
		}
		checkSet(t, src, replicas(service), value)
	})
}

// checkSet sets and holds the outcome against the promise, by means of its own.
func checkSet(t *testing.T, src []byte, path []string, value int) {
	t.Helper()
	before := bytes.Clone(src)
	out, err := Set(src, path, value)
	if !bytes.Equal(src, before) {
		t.Fatalf("Set wrote to its argument:\n%q\nwas\n%q", src, before)
	}
	if err != nil {
		checkRefusal(t, src, out, err)
		return
	}
	if n, found, err := Get(out, path); n != value || !found || err != nil {
		t.Fatalf("Get = %d, %v, %v, want %d from\n%s", n, found, err, value, out)
	}
	again, err := Set(out, path, value)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("set twice (%v):\n%q\nonce:\n%q", err, again, out)
	}
	if bytes.Equal(src, out) {
		return
	}
	checkDifference(t, src, out, path, value)
	checkMeaning(t, src, out, path, value)
	other, err := Set(out, path, value+1)
	if err != nil {
		t.Fatalf("what was set once is refused: %v\n%q", err, out)
	}
	back, err := Set(other, path, value)
	if err != nil || !bytes.Equal(back, out) {
		t.Fatalf("there and back (%v):\n%q\nwant\n%q", err, back, out)
	}
}

func checkRefusal(t *testing.T, src, out []byte, err error) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) || out != nil {
		t.Fatalf("refused with %T %v and output %q, want *Error alone", err, err, out)
	}
	if lines := bytes.Count(src, []byte("\n")) + bytes.Count(src, []byte("\r")) + 1; refusal.Line > lines && !bytes.ContainsAny(src, "\u0085\u2028\u2029") {
		t.Fatalf("%v, but the file has %d lines", err, lines)
	}
}

// checkDifference holds that one place differs: there a number or null made
// way, and nothing came but keys, a number and what joins them.
func checkDifference(t *testing.T, src, out []byte, path []string, value int) {
	t.Helper()
	head := 0
	for head < len(src) && head < len(out) && src[head] == out[head] {
		head++
	}
	tail := 0
	for tail < len(src)-head && tail < len(out)-head && src[len(src)-1-tail] == out[len(out)-1-tail] {
		tail++
	}
	gone, come := src[head:len(src)-tail], out[head:len(out)-tail]
	if left := without(gone, "0123456789abcdefABCDEFxo_+-~nulNUL"); left != "" {
		t.Fatalf("%q with %q in it went from\n%q\nwhich is now\n%q", gone, left, src, out)
	}
	if left := without(come, fmt.Sprintf("{}:, \t\r\n%d%q%s", value, path, strings.Join(path, ""))); left != "" {
		t.Fatalf("%q with %q in it came into\n%q\nwhich is now\n%q", come, left, src, out)
	}
}

// without returns the bytes of s that are not in set.
func without(s []byte, set string) string {
	var left []byte
	for _, b := range s {
		if strings.IndexByte(set, b) < 0 {
			left = append(left, b)
		}
	}
	return string(left)
}

// checkMeaning decodes both and holds that they differ in the number alone.
func checkMeaning(t *testing.T, src, out []byte, path []string, value int) {
	t.Helper()
	var was, is any
	if err := yaml.Unmarshal(src, &was); err != nil {
		t.Fatalf("%v in the input, which was not refused:\n%q", err, src)
	}
	if err := yaml.Unmarshal(out, &is); err != nil {
		t.Fatalf("%v in the output:\n%q\nfrom\n%q", err, out, src)
	}
	was = put(was, path, value)
	if a, b := fmt.Sprintf("%#v", was), fmt.Sprintf("%#v", is); a != b {
		t.Fatalf("reads as\n%s\nwant\n%s\nin\n%q\nfrom\n%q", b, a, out, src)
	}
}

// put sets path in decoded data; a number that was text stays text.
func put(data any, path []string, value int) any {
	if len(path) == 0 {
		if _, ok := data.(string); ok {
			return fmt.Sprint(value)
		}
		return value
	}
	switch m := data.(type) {
	case map[string]any:
		m[path[0]] = put(m[path[0]], path[1:], value)
		return m
	case map[any]any:
		m[path[0]] = put(m[path[0]], path[1:], value)
		return m
	}
	return map[string]any{path[0]: put(nil, path[1:], value)}
}

func TestGet(t *testing.T) {
	tests := []struct {
		name, src string
		n         int
		found     bool
		err       string
	}{
		{name: "number", src: "a: {b: 3}", n: 3, found: true},
		{name: "hexadecimal", src: "a: {b: 0x10}", n: 16, found: true},
		{name: "text", src: `a: {b: "3"}`, n: 3, found: true},
		{name: "alias", src: "x: &x {b: 3}\na: *x", n: 3, found: true},
		{name: "merge", src: "x: &x {b: 3}\na:\n  <<: *x", n: 3, found: true},
		{name: "merge hidden", src: "x: &x {b: 3}\na:\n  b: 4\n  <<: *x", n: 4, found: true},
		{name: "block", src: "a:\n  b: |-\n    3\n", n: 3, found: true},
		{name: "empty file"},
		{name: "missing", src: "a: {c: 3}"},
		{name: "null", src: "a: {b: ~}"},
		{name: "above is null", src: "a:"},
		{name: "above is text", src: "a: b"},
		{name: "variable", src: "c: 1\na:\n  b: ${N:-3}", err: `line 3: a.b is "${N:-3}", which is filled in from the environment; write a plain number there so that it can be managed`},
		{name: "variable by a merge", src: "x: &x {b: $N}\na:\n  <<: *x", err: `line 2: a.b is "$N", which is filled in from the environment; write a plain number there so that it can be managed`},
		{name: "fraction", src: "a: {b: 2.5}", err: "line 1: a.b is 2.5, not a usable whole number; write one there"},
		{name: "fraction by a merge", src: "x: &x {b: 2.5}\na: {<<: *x}", err: "line 2: a.b is 2.5, not a usable whole number; write one there"},
		{name: "beyond an integer", src: "a: {b: 18446744073709551615}", err: "line 1: a.b is 18446744073709551615, not a usable whole number; write one there"},
		{name: "list", src: "a: {b: [3]}", err: "line 1: a.b is a list, not a whole number; write one there"},
		{name: "mapping", src: "a: {b: {c: 3}}", err: "line 1: a.b is a mapping, not a whole number; write one there"},
		{name: "reset", src: "a: !reset\n  b: 3", err: "line 1: a is tagged !reset, so Compose drops what stands there; remove the tag"},
		{name: "reset behind an alias", src: "x: &x !reset {b: 3}\na: *x", err: "line 1: a is tagged !reset, so Compose drops what stands there; remove the tag"},
		{name: "not YAML", src: "a: {", err: "line 1: not valid YAML: did not find expected node content; mend it by hand"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, found, err := Get([]byte(test.src), []string{"a", "b"})
			if n != test.n || found != test.found {
				t.Errorf("Get = %d, %v, want %d, %v", n, found, test.n, test.found)
			}
			if got := errorText(err); got != test.err {
				t.Errorf("error %q\n want %q", got, test.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Paths of other lengths than Compose's, as other manifests will have them.
func TestSetPaths(t *testing.T) {
	src := "kind: HorizontalPodAutoscaler # ours\nspec:\n  minReplicas: 1\n  maxReplicas: 3 # money\n"
	out, err := Set([]byte(src), []string{"spec", "maxReplicas"}, 20)
	if want := strings.Replace(src, "3", "20", 1); err != nil || string(out) != want {
		t.Errorf("got %q (%v), want %q", out, err, want)
	}
	out, err = Set([]byte("a: 1\n"), []string{"b"}, 0)
	if want := "a: 1\nb: 0\n"; err != nil || string(out) != want {
		t.Errorf("got %q (%v), want %q", out, err, want)
	}
}

// Files that Compose would not take, but that YAML does.
func TestSetOddities(t *testing.T) {
	tests := []struct{ name, service, in, out string }{
		{"name that needs escapes", "a: b #\"\\😀\n", "services:\n", "services:\n  \"a: b #\\\"\\\\😀\\n\":\n    deploy:\n      replicas: 5\n"},
		{"no name", "", "services: {}\n", "services: {\"\": {deploy: {replicas: 5}}}\n"},
		{"merge key as a name", "<<", "services: {}\n", "services: {\"<<\": {deploy: {replicas: 5}}}\n"},
		{"quoted merge key", "app", "services: {app: {\"<<\": x, deploy: {replicas: 2}}}", "services: {app: {\"<<\": x, deploy: {replicas: 5}}}"},
		{"colon that belongs to the key", "app", "services: {app: {deploy: {replicas:, a: b}}}", "services: {app: {deploy: {replicas: 5, replicas:, a: b}}}"},
		{"names of any script", "日本", "services: {日本: {é: 😀, deploy: {replicas: 2}}}", "services: {日本: {é: 😀, deploy: {replicas: 5}}}"},
		{"line separator", "app", "a: b\u2028services: {app: {deploy: {replicas: 2}}}", "a: b\u2028services: {app: {deploy: {replicas: 5}}}"},
		{"lines of all kinds", "app", "a: b\rservices:\u0085 app:\u2029  c: d\u0085", "a: b\rservices:\u0085 app:\u2029  c: d\u0085  deploy:\r   replicas: 5\r"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := Set([]byte(test.in), replicas(test.service), 5)
			if err != nil || string(out) != test.out {
				t.Fatalf("got\n%q (%v), want\n%q", out, err, test.out)
			}
			checkSet(t, []byte(test.in), replicas(test.service), 5)
		})
	}
}

func TestSetArguments(t *testing.T) {
	for _, test := range []struct {
		path  []string
		value int
		want  string
	}{
		{nil, 1, "cannot set the top level to 1: give a path and a number of at least 0"},
		{[]string{"a", "b"}, -1, "cannot set a.b to -1: give a path and a number of at least 0"},
		{[]string{"\xff"}, 1, "line 1: \xff cannot be set here without changing something else; set it to 1 by hand once"},
	} {
		out, err := Set([]byte("a: {}\n"), test.path, test.value)
		if out != nil || errorText(err) != test.want {
			t.Errorf("Set(%q, %d) = %q, %v, want error %s", test.path, test.value, out, err, test.want)
		}
	}
}

// A value of many lines must not make an insertion slow: its end is
// found by halving.
func TestSetBehindLongText(t *testing.T) {
	src := "services:\n  app:\n    command: |\n" + strings.Repeat("      echo\n\n", 200) + "  web: {}\n"
	f, err := parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.plan(replicas("app"), number(5))
	if err != nil {
		t.Fatal(err)
	}
	tries, at := 0, c.at
	c.at = func(i int) edit { tries++; return at(i) }
	out, err := c.make([]byte(src))
	if err != nil || tries > 11 {
		t.Fatalf("%d tries (%v), want at most 11", tries, err)
	}
	checkMeaning(t, []byte(src), out, replicas("app"), 5)
}

// Edits that do what they should, and something else besides, are not made.
func TestTry(t *testing.T) {
	const src = "# top\nservices: # all\n  app:\n    image: a # pinned\n"
	tests := map[string]struct {
		old, new string
		ok       bool
	}{
		"right":            {"pinned\n", "pinned\n    deploy:\n      replicas: 5\n", true},
		"right, elsewhere": {"pinned\n", "pinned\n\n    deploy: # new\n      replicas: 5\n", true},
		"comment gone":     {" # pinned\n", "\n    deploy:\n      replicas: 5\n", false},
		"comment changed":  {"pinned\n", "pinned!\n    deploy:\n      replicas: 5\n", false},
		"value changed":    {"a # pinned\n", "b # pinned\n    deploy:\n      replicas: 5\n", false},
		"another number":   {"pinned\n", "pinned\n    deploy:\n      replicas: 6\n", false},
		"another style":    {"pinned\n", "pinned\n    deploy: {replicas: 5}\n", false},
		"another place":    {"pinned\n", "pinned\n  deploy:\n    replicas: 5\n", false},
		"another document": {"pinned\n", "pinned\n    deploy:\n      replicas: 5\n---\n", false},
		"not YAML":         {"pinned\n", "pinned\n   deploy:\n      replicas: 5\n", false},
		"nothing left":     {src, "", false},
	}
	for name, test := range tests {
		f, err := parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.plan(replicas("app"), number(5))
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(src, test.old)
		c.only(edit{at, at + len(test.old), test.new})
		out, err := c.make([]byte(src))
		if (err == nil) != test.ok || (out != nil) != test.ok {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// An edit of a number in place must leave every comment with its value.
func TestTryExact(t *testing.T) {
	const src = "a: 1\n# about b\nb: 2\n"
	f, err := parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.plan([]string{"a"}, number(5))
	if err != nil {
		t.Fatal(err)
	}
	c.only(edit{0, len(src), "a: 5\nb: 2\n# about b\n"})
	if out, err := c.make([]byte(src)); err == nil {
		t.Errorf("a comment that moved is not noticed:\n%s", out)
	}
}

// What the comparison behind an edit must notice.
func TestSame(t *testing.T) {
	const base = "a: &x 1 # one\nb: [*x, &y two, *y]\n"
	tests := map[string]string{
		"value":   "a: &x 2 # one\nb: [*x, &y two, *y]\n",
		"quotes":  "a: &x 1 # one\nb: [*x, &y 'two', *y]\n",
		"tag":     "a: &x !!int 1 # one\nb: [*x, &y two, *y]\n",
		"anchor":  "a: &z 1 # one\nb: [*z, &y two, *y]\n",
		"alias":   "a: &x 1 # one\nb: [*x, &y two, *x]\n",
		"order":   "b: [&x 1, &y two, *y]\na: *x\n",
		"style":   "a: &x 1 # one\nb:\n- *x\n- &y two\n- *y\n",
		"more":    "a: &x 1 # one\nb: [*x, &y two, *y, c]\n",
		"comment": "a: &x 1 # two\nb: [*x, &y two, *y]\n",
	}
	node := func(src string) *yaml.Node {
		f, err := parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return f.doc
	}
	for name, other := range tests {
		if same(node(base), node(other), true) {
			t.Errorf("%s: not noticed", name)
		}
	}
	if !same(node(base), node(base), true) {
		t.Error("a file differs from itself")
	}
	if all := comments(node("# a\nb: 1 # c\n# c\n")); !contains(all, []string{"# a", "# c", "# c"}) || contains(all, []string{"# c", "# c", "# c"}) || contains(all, []string{"# d"}) {
		t.Errorf("comments %q", all)
	}
}
