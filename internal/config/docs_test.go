package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// manual is the page of the file.
const manual = "../../docs/config.md"

// table is a section's part of the manual.
func (s section) table() string {
	var text strings.Builder
	text.WriteString("| key | default | meaning |\n|---|---|---|\n")
	for _, f := range fields(s.typ) {
		value := "–"
		if f.otherwise() != "" {
			value = "`" + f.otherwise() + "`"
		}
		meaning := f.tag.Get("help")
		if only := f.providers(); only != nil {
			meaning = "*" + strings.Join(only, ", ") + "*: " + meaning
		}
		if words := f.words(); words != nil {
			meaning += " One of `" + strings.Join(words, "`, `") + "`."
		}
		if least := f.tag.Get("atleast"); least != "" {
			meaning += " At least " + least + "."
		}
		if most := f.tag.Get("atmost"); most != "" {
			meaning += " At most " + most + "."
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", f.key, value, strings.ReplaceAll(meaning, "|", `\|`))
	}
	return text.String()
}

// TestManual: the tables of the manual say what the structs say.
func TestManual(t *testing.T) {
	text := string(read(t, manual))
	for _, s := range sections() {
		begin, end := fmt.Sprintf("<!-- keys of a %s -->\n", s.name), "<!-- end -->"
		before, rest, ok := strings.Cut(text, begin)
		table, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Errorf("%s has no table between %q and %q", manual, begin, end)
			continue
		}
		if *update {
			text = before + begin + s.table() + end + after
			continue
		}
		if table != s.table() {
			t.Errorf("the table of a %s in %s is not what the structs say; run: go test ./internal/config -update", s.name, manual)
		}
	}
	if *update {
		if err := os.WriteFile(manual, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManualExample: what the manual shows is right.
func TestManualExample(t *testing.T) {
	blocks := strings.Split(string(read(t, manual)), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("there is no example")
	}
	for _, block := range blocks {
		example, _, _ := strings.Cut(block, "```")
		parsed(t, "autoscale.yaml", example)
	}
}
