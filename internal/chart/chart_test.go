package chart

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
)

// TestPage: the page holds what it was given, in a form that cannot break out of
// it, and asks nobody for anything.
func TestPage(t *testing.T) {
	const evil = `</script><script>alert("x")</script>`
	page := Page{
		Title: evil, Subtitle: evil, Warnings: []string{evil}, Notes: []string{"a note"}, Facts: []Fact{{evil, "1", "about"}},
		Charts: []Chart{{Title: evil, XName: "time", X: []float64{1, 2, 3}, Unit: "ms", Series: []Series{
			{Name: evil, Colour: "load", Values: []Number{1, Number(math.NaN()), Number(math.Inf(1))}},
		}}},
		Tables: []Table{{Title: "table", Head: []string{"a"}, Rows: [][]string{{evil}}}},
	}
	var out bytes.Buffer
	if err := page.Write(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Contains(text, `alert("x")`) || strings.Count(text, "</script>") != 2 {
		t.Error("what was given breaks out")
	}
	for _, found := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(found[1], "data:") {
			t.Errorf("it asks for %s", found[1])
		}
	}
	data := regexp.MustCompile(`(?m)^<script type="module">const charts = (.*);$`).FindStringSubmatch(text)
	if data == nil {
		t.Fatal("no figures")
	}
	var charts []struct {
		Title  string
		Series []struct{ Values []*float64 }
	}
	if err := json.Unmarshal([]byte(data[1]), &charts); err != nil {
		t.Fatal(err)
	}
	if values := charts[0].Series[0].Values; charts[0].Title != evil || *values[0] != 1 || values[1] != nil || values[2] != nil {
		t.Errorf("%+v", charts)
	}
	if !strings.Contains(text, "a note") {
		t.Error("the note is missing")
	}
}
