// Package chart has the face of what we show: one look, and one way to draw
// charts. It writes reports with them, self-contained HTML pages: one file that
// needs no server and asks nobody for anything, to be kept, sent and opened
// anywhere. The daemon's page is made of the same Parts.
package chart

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"math"
)

// Page is one page.
type Page struct {
	Title    string
	Subtitle string
	// Facts are shown above the charts, the most important first.
	Facts []Fact
	// Warnings are what a reader of the figures must know.
	Warnings []string
	// Notes are what follows from the figures.
	Notes  []string
	Charts []Chart
	Tables []Table
}

// Fact is a figure and what it is.
type Fact struct {
	Name, Value, About string
}

// Chart is one chart of values over one x.
type Chart struct {
	Title string `json:"title"`
	// Hint says how to read it.
	Hint string `json:"hint,omitempty"`
	// XName is what x is, with its unit.
	XName string `json:"x_name"`
	// X are the places of the values, ascending.
	X []float64 `json:"x"`
	// Quantiles has x, from 0 to 1, drawn the wider the closer it comes to 1.
	Quantiles bool     `json:"quantiles,omitempty"`
	Series    []Series `json:"series"`
	// Log has each line of the left axis stand for ten times the one below; values
	// are above 0 then.
	Log bool `json:"log,omitempty"`
	// Unit is that of the left axis, Right that of the right one.
	Unit  string `json:"unit"`
	Right string `json:"right,omitempty"`
	// PerRight is how much on the left axis is as high as 1 on the right one; 0 for
	// axes that do not go together.
	PerRight float64 `json:"per_right,omitempty"`
	// Marks are places on x with a name.
	Marks []Mark `json:"marks,omitempty"`
}

// Mark is a place on x with a name.
type Mark struct {
	X    float64 `json:"x"`
	Name string  `json:"name"`
}

// Series is one line of a chart.
type Series struct {
	Name   string   `json:"name"`
	Values []Number `json:"values"`
	// Right counts on the right axis.
	Right bool `json:"right,omitempty"`
	// Steps has a value stay until the next one.
	Steps bool `json:"steps,omitempty"`
	// Dashed is for what was wanted, beside what was.
	Dashed bool `json:"dashed,omitempty"`
	// Fill fills the area below.
	Fill bool `json:"fill,omitempty"`
	// Joined has no gaps where values are missing.
	Joined bool `json:"joined,omitempty"`
	// Colour is one of "load", "want", "fast", "slow", "bad", "replicas".
	Colour string `json:"colour"`
}

// Number is a value that may be missing: NaN is a gap in the line.
type Number float64

// MarshalJSON writes what JSON has no number for as null.
func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// Table is a table of texts below the charts.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

//go:embed report.html
var reportText string

//go:embed report.js
var reportScript string

//go:embed look.css draw.js uplot
var parts embed.FS

// Parts are the files of which a page of ours has its look and its charts:
// look.css, draw.js, uplot/uPlot.min.css and uplot/uPlot.iife.min.js.
func Parts() fs.FS { return parts }

// Write writes the page.
func (p Page) Write(out io.Writer) error {
	page, err := template.New("report").Parse(reportText)
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	data, err := json.Marshal(p.Charts) // escapes what could end the script
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	var texts [4]string
	for i, name := range []string{"look.css", "draw.js", "uplot/uPlot.min.css", "uplot/uPlot.iife.min.js"} {
		text, err := parts.ReadFile(name)
		if err != nil {
			return fmt.Errorf("chart: %w", err)
		}
		texts[i] = string(text)
	}
	return page.Execute(out, map[string]any{
		"Page": p, "Data": template.JS(data),
		"Script": template.JS(texts[1] + reportScript), "UPlot": template.JS(texts[3]),
		"Style": template.CSS(texts[2] + texts[0]),
	})
}
