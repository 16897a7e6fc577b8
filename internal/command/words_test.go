package command

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"nginx -s reload":                       {"nginx", "-s", "reload"},
		"  docker\tkill  -s USR2 'my proxy' \n": {"docker", "kill", "-s", "USR2", "my proxy"},
		`sh -c "nginx -t && nginx -s reload"`:   {"sh", "-c", "nginx -t && nginx -s reload"},
		`echo a\ b '\' "\"" '' $HOME *`:         {"echo", "a b", `\`, `"`, "", "$HOME", "*"},
		`echo '&&' \; x>y`:                      {"echo", "&&", ";", "x>y"},
	} {
		if got, err := Words(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                            "names no program",
		"''":                          "names no program",
		"echo 'x":                     "' is not closed",
		`echo \`:                      "behind the last backslash",
		"nginx -t && nginx -s reload": "&& is for a shell",
		"echo x > /etc/list":          "> is for a shell",
	} {
		if got, err := Words(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", text, got, err, want)
		}
	}
}

// What Text writes, Words reads.
func FuzzWords(f *testing.F) {
	f.Add("nginx", "-s", "it's \"so\"\\")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		words := []string{a, b, c}
		if a == "" || !utf8(words) {
			return
		}
		if got, err := Words(Text(words)); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q: %q, %v", Text(words), got, err)
		}
	})
}

// utf8 reports whether all words are valid, as flags and YAML are.
func utf8(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return strings.ToValidUTF8(w, "") != w })
}
