package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

// outputVersion is the version of the object that --output=json prints; it
// grows when a field changes its meaning or goes.
const outputVersion = 1

// document is the object that --output=json prints.
type document struct {
	Version  int    `json:"version"`
	Provider string `json:"provider"`
	Project  string `json:"project"`
	Service  string `json:"service"`
	DryRun   bool   `json:"dry_run"`
	// Status is the exit status.
	Status int `json:"status"`
	// Reason is the decision's, "Started" where --start acted, "Declared" where
	// nothing but a manifest was to be written, or "Failed" where no decision was
	// made.
	Reason string `json:"reason"`
	// Decision is absent where the run ended before one was made.
	Decision *autoscale.Decision `json:"decision,omitempty"`
	// Text is the decision in words, as the log line has it.
	Text     string             `json:"text,omitempty"`
	Reading  *autoscale.Reading `json:"reading,omitempty"`
	Outcome  *autoscale.Outcome `json:"outcome,omitempty"`
	Warnings []string           `json:"warnings"`
	Error    string             `json:"error,omitempty"`
}

// print shows what the run came to, and returns its exit status as an error.
func (c *scaleCommand) print(s streams, r result) error {
	var err error
	if c.Output == "json" {
		err = c.printJSON(s.out, r)
	} else {
		err = c.printText(s, r)
	}
	if err != nil {
		return exit{statusDoubt, fmt.Errorf("the outcome cannot be printed: %w", err)}
	}
	if status := r.status(); status != statusDone {
		return exit{status: status}
	}
	return nil
}

func (c *scaleCommand) printJSON(out io.Writer, r result) error {
	d := document{
		Version: outputVersion, Provider: string(c.Provider), Project: orElse(r.key.Project, r.key.Dir), Service: c.Service, DryRun: c.DryRun,
		Status: r.status(), Reason: "Failed", Outcome: r.report.Outcome, Warnings: append([]string{}, r.report.Warnings...),
	}
	if r.decided {
		d.Reason, d.Decision, d.Text = string(r.report.Decision.Reason), &r.report.Decision, r.report.Decision.Sentence()
		d.Reading = &r.report.Reading
		// JSON has no NaN and no infinities; such a value counts for nothing.
		for i, sample := range d.Reading.Samples {
			if math.IsNaN(sample.Value) || math.IsInf(sample.Value, 0) {
				d.Reading.Samples[i].Value = 0
			}
		}
	}
	switch {
	case r.started:
		d.Reason = "Started"
	case r.declared && !r.decided && r.err == nil:
		d.Reason = "Declared"
	}
	if r.err != nil {
		d.Error = r.err.Error()
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(d)
}

// printDecision writes the decision's line, before anything moves.
func (c *scaleCommand) printDecision(s streams, d autoscale.Decision) {
	if c.Output == "json" {
		return
	}
	kind := ""
	if c.DryRun {
		kind = " dry-run"
	}
	// What was decided is done, whether or not somebody reads of it.
	_ = c.line(s.out, d.At, kind, d.Sentence())
}

// printText writes a dated line for each thing that a person should see besides
// the decision. What may need them goes to the standard error.
func (c *scaleCommand) printText(s streams, r result) error {
	now := time.Now()
	var errs []error
	line := func(out io.Writer, kind, text string) { errs = append(errs, c.line(out, now, kind, text)) }
	for _, warning := range r.report.Warnings {
		line(s.err, " warning", warning)
	}
	for _, note := range r.report.Reading.Notes {
		line(s.out, " note", note)
	}
	if o := r.report.Outcome; o != nil {
		for _, note := range o.Notes {
			line(s.out, " note", note)
		}
		if c.DryRun {
			for _, command := range o.Commands {
				line(s.out, " would run", command)
			}
		}
	}
	if r.err != nil {
		line(s.err, " error", r.err.Error())
	}
	return errors.Join(errs...)
}

// line writes one dated line of the log; what follows its first is indented.
func (c *flags) line(out io.Writer, at time.Time, kind, text string) error {
	_, err := fmt.Fprintf(out, "%s %s%s: %s\n", at.Format(time.RFC3339), c.Service, kind, strings.ReplaceAll(text, "\n", "\n    "))
	return err
}
