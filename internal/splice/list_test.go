package splice

import (
	"strconv"
	"strings"
	"testing"
)

// What is added to a list and taken out of it, everything else staying.
func TestList(t *testing.T) {
	const item = "name: cpu # ours\ntarget:\n  value: 70\n"
	tests := map[string]struct{ in, out string }{
		"behind the last":   {"a:\n  list:\n    - name: x\n  b: 1\n", "a:\n  list:\n    - name: x\n    - name: cpu # ours\n      target:\n        value: 70\n  b: 1\n"},
		"not indented":      {"a:\n  list:\n  - name: x # own\n  # below\n", "a:\n  list:\n  - name: x # own\n  - name: cpu # ours\n    target:\n      value: 70\n  # below\n"},
		"behind long text":  {"a:\n  list:\n    - |\n      x\n\n      y\n", "a:\n  list:\n    - |\n      x\n\n      y\n    - name: cpu # ours\n      target:\n        value: 70\n"},
		"no list yet":       {"a:\n  b: 1\nc: 2\n", "a:\n  b: 1\n  list:\n    - name: cpu # ours\n      target:\n        value: 70\nc: 2\n"},
		"CRLF, no last one": {"a:\r\n  list:\r\n    - x", "a:\r\n  list:\r\n    - x\r\n    - name: cpu # ours\r\n      target:\r\n        value: 70"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := Append([]byte(test.in), []string{"a", "list"}, item)
			if err != nil || string(out) != test.out {
				t.Fatalf("got\n%q (%v), want\n%q", out, err, test.out)
			}
			if name == "no list yet" {
				return
			}
			back, err := Remove(out, []string{"a", "list", "1"}, func(comment string) bool { return comment == "# ours" })
			if err != nil || strings.TrimRight(string(back), "\r\n") != strings.TrimRight(test.in, "\r\n") {
				t.Errorf("and back\n%q (%v), want\n%q", back, err, test.in)
			}
		})
	}
}

func TestListRefused(t *testing.T) {
	for in, want := range map[string]string{
		"a: {list: [x]}\n":                 "line 1: a.list is not written as a list of lines that start with -",
		"a:\n  list: []\n":                 "line 2: a.list is not written as a list",
		"a: &x\n  list:\n    - 1\nb: *x\n": "line 1: a is used on line 4 too",
		"b: 1\n":                           "line 1: a.list is not written as a list",
	} {
		if _, err := Append([]byte(in), []string{"a", "list"}, "y: 1\n"); !strings.HasPrefix(errorText(err), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"a:\n  - x: 1 # theirs\n  - y: 1\n": "line 2: a.0 holds a comment that would be lost with it (# theirs)",
		"a:\n  - x: 1\n":                    "line 2: a.0 cannot be taken out of its list here",
		"a: [1, 2]\n":                       "line 1: a.0 cannot be taken out of its list here",
		"a: 1\n":                            "line 1: a.0 is no list's item",
	} {
		if _, err := Remove([]byte(in), []string{"a", "0"}, func(string) bool { return false }); !strings.HasPrefix(errorText(err), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

// Values inside a list's items, and texts.
func TestSetText(t *testing.T) {
	const src = "a:\n  - b: \"50\" # why\n  - b: 50\n  - b: 'x'\n  - c: 1\n"
	for path, want := range map[string]string{
		"a.0.b": "a:\n  - b: \"7500m\" # why\n  - b: 50\n  - b: 'x'\n  - c: 1\n",
		"a.1.b": "a:\n  - b: \"50\" # why\n  - b: 7500m\n  - b: 'x'\n  - c: 1\n",
		"a.2.b": "a:\n  - b: \"50\" # why\n  - b: 50\n  - b: '7500m'\n  - c: 1\n",
		"a.3.b": "a:\n  - b: \"50\" # why\n  - b: 50\n  - b: 'x'\n  - c: 1\n    b: \"7500m\"\n",
	} {
		out, err := SetText([]byte(src), strings.Split(path, "."), "7500m")
		if err != nil || string(out) != want {
			t.Errorf("%s: got\n%s(%v), want\n%s", path, out, err, want)
		}
	}
	if out, err := SetText([]byte(src), []string{"a", "1", "b"}, "50"); err != nil || string(out) != src {
		t.Errorf("what is so already: %s (%v)", out, err)
	}
	out, err := Set([]byte("a:\n  - b: 1\n    c: 2\n"), []string{"a", "0", "c"}, 5)
	if err != nil || string(out) != "a:\n  - b: 1\n    c: 5\n" {
		t.Errorf("a number in an item: %s (%v)", out, err)
	}
	for _, wrong := range []string{"a\"b", "a\nb", "ä"} {
		if _, err := SetText([]byte(src), []string{"a", "0", "b"}, wrong); err == nil {
			t.Errorf("%q was set", wrong)
		}
	}
}

// An item is added and taken away again, and the file is as it was.
func FuzzList(f *testing.F) {
	f.Add("a:\n  - x\n")
	f.Add("# c\na: # d\n- |\n  x\n\n- y: 1\nb: 2\n...\n")
	f.Add("a:\r\n  - {b: 1}\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		with, err := Append([]byte(src), []string{"a"}, "name: cpu # ours\n")
		if err != nil {
			return
		}
		before, err := parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		w, err := before.walk([]string{"a"})
		if err != nil || len(w.keys) == 0 {
			return // the list was made
		}
		number := len(w.last().Content)
		back, err := Remove(with, []string{"a", strconv.Itoa(number)}, func(comment string) bool { return comment == "# ours" })
		if err != nil {
			return // the library may count a comment before the list to the item
		}
		after, err := parse(back)
		if err != nil || !same(before.doc, after.doc, false) {
			t.Errorf("%q became %q, and that %q (%v)", src, with, back, err)
		}
	})
}
