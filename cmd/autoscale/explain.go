package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

// followPoll is how often explain --follow looks into the journal.
const followPoll = 500 * time.Millisecond

// explainCommand tells why.
type explainCommand struct {
	flags
	At      string `group:"run" placeholder:"10:05" help:"The decision in force at that moment: 10:05, 10:05:30, '2026-11-24 10:05'."`
	Last    int    `group:"run" default:"1" placeholder:"1" help:"That many of the last decisions; of more than one, a line each."`
	Changes bool   `group:"run" help:"Only decisions that moved, failed or doubted; ten of them unless --last says."`
	Follow  bool   `group:"run" help:"Then each further decision as it comes."`
}

// Help is what stands below the flags' summary.
func (c *explainCommand) Help() string {
	return `Reads the journal beside the state file, and asks nobody else: what the last
decision saw, every rule that moved or kept the number, what would change it
next, and what became of it. Without --service it takes every service's.

--output=json prints the journal's own lines (docs/json.md).

Exit status: 0 shown; 1 nothing is recorded, or it cannot be read; 2 flags wrong
in themselves.`
}

// Run shows the decisions that are asked for.
func (c *explainCommand) Run(ctx context.Context, s streams) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if c.Last < 1 {
		return usage(fmt.Errorf("--last=%d: at least 1", c.Last))
	}
	if c.At != "" && (c.Follow || c.Changes || c.Last > 1) {
		return usage(errors.New("--at is about one moment; leave --follow, --changes and --last away"))
	}
	journal := store.Open(c.statePath(dir)).Journal()
	keep := history.Of(c.Service)
	if c.Changes {
		keep = keep.And(history.Told)
	}
	if c.At != "" {
		return c.at(s, journal, keep)
	}
	if c.Follow {
		return c.follow(ctx, s, journal, keep)
	}
	records := c.last(s, journal, keep)
	if len(records) == 0 {
		return c.none(journal)
	}
	return c.print(s.out, records, c.count() == 1)
}

// count is how many decisions are asked for.
func (c *explainCommand) count() int {
	if c.Changes && c.Last == 1 {
		return 10
	}
	return c.Last
}

// last are the decisions that are asked for.
func (c *explainCommand) last(s streams, from history.Records, keep history.Filter) []store.Record {
	records, damaged := history.Last(from, keep, c.count())
	if damaged != nil {
		warn(s, []string{damaged.Error()})
	}
	return records
}

// follow shows the last decisions, and each further one as it comes. The tail is
// opened first, so that none falls in between.
func (c *explainCommand) follow(ctx context.Context, s streams, journal *store.Journal, keep history.Filter) error {
	tail, err := journal.Tail()
	if err != nil {
		return err
	}
	defer tail.Close()
	if err := c.print(s.out, c.last(s, tail, keep), false); err != nil {
		return err
	}
	for r, err := range tail.Follow(ctx, followPoll) {
		if err != nil {
			return err
		}
		if keep(r) {
			if err := c.print(s.out, []store.Record{r}, false); err != nil {
				return err
			}
		}
	}
	return nil // ended by Ctrl-C, as such things are
}

func (c *explainCommand) none(journal *store.Journal) error {
	what := ""
	if c.Changes {
		what = " that moved, failed or doubted"
	}
	return fmt.Errorf("%w%s for %s in %s; run one (dry runs are not kept), or name the folder with --project-dir", history.ErrNone, what, orAny(c.Service), journal.Path())
}

// at shows the decision in force at one moment.
func (c *explainCommand) at(s streams, journal *store.Journal, keep history.Filter) error {
	moment, err := history.ParseMoment(c.At, time.Now())
	if err != nil {
		return usage(fmt.Errorf("--at=%w", err))
	}
	in, next, damaged := history.At(journal, keep, moment)
	if damaged != nil {
		warn(s, []string{damaged.Error()})
	}
	if in == nil && next == nil {
		return c.none(journal)
	}
	if in == nil {
		return fmt.Errorf("%w before %s; the first is of %s", history.ErrNone, moment.Local().Format(time.DateTime), next.Decision.At.Local().Format(time.DateTime))
	}
	if err := c.print(s.out, []store.Record{*in}, true); err != nil || c.Output == "json" {
		return err
	}
	if next != nil {
		_, err = fmt.Fprintf(s.out, "  then      %s\n", line(*next))
	}
	return err
}

// print shows records: whole, a line each, or as the journal has them.
func (c *explainCommand) print(out io.Writer, records []store.Record, whole bool) error {
	for _, r := range records {
		var err error
		switch {
		case c.Output == "json":
			encoder := json.NewEncoder(out)
			encoder.SetEscapeHTML(false)
			err = encoder.Encode(r)
		case whole:
			_, err = io.WriteString(out, story(r))
		default:
			_, err = fmt.Fprintln(out, line(r))
		}
		if err != nil {
			return fmt.Errorf("the decisions cannot be printed: %w", err)
		}
	}
	return nil
}

// line is a decision as the log has it.
func line(r store.Record) string {
	local(&r.Decision)
	text := fmt.Sprintf("%s %s: %s", r.Decision.At.Format(time.DateTime), r.Workload.Service, r.Decision.Sentence())
	if r.Outcome.Error != "" {
		text += fmt.Sprintf(" [failed, %d run: %s]", r.Outcome.Count, strings.ReplaceAll(r.Outcome.Error, "\n", "; "))
	}
	return text
}

// story is everything about one decision.
func story(r store.Record) string {
	local(&r.Decision)
	d := r.Decision
	var b strings.Builder
	change, _, _ := strings.Cut(d.Sentence(), ":") // "1 -> 3 replicas"
	fmt.Fprintf(&b, "%s  %s in %s: %s\n\n", d.At.Format(time.DateTime), r.Workload.Service, r.Workload.Project, change)
	fmt.Fprintf(&b, "  load      %s, %s%s\n", autoscale.RPS(d.Load), d.Verdict, source(r.Reading))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, sample := range r.Reading.Samples {
		value := fmt.Sprintf("%.6g", sample.Value)
		if sample.Verdict != autoscale.OK {
			value = "-"
		}
		fmt.Fprintf(w, "            %s\t%s\t%s\t%s", sample.Name, value, sample.Time.Local().Format(time.TimeOnly), sample.Verdict)
		if sample.Detail != "" {
			fmt.Fprintf(w, ": %s", sample.Detail)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	b.WriteString("\n")
	for i, step := range d.Steps {
		head := "why"
		if i > 0 {
			head = ""
		}
		fmt.Fprintf(w, "  %-8s\t%s\t%d\t%s\t%s\n", head, step.Stage, step.To, step.Reason, step.Detail)
	}
	_ = w.Flush()
	if next := d.Next.String(); next != "" {
		fmt.Fprintf(&b, "  next      %s\n", next)
	}
	fmt.Fprintf(&b, "  outcome   %s, %d run\n", r.Outcome.Result, r.Outcome.Count)
	if r.Outcome.Error != "" {
		fmt.Fprintf(&b, "  error     %s\n", strings.ReplaceAll(r.Outcome.Error, "\n", "\n            "))
	}
	for _, text := range append(d.Warnings, r.Reading.Notes...) {
		fmt.Fprintf(&b, "  note      %s\n", text)
	}
	return b.String()
}

// source says what was read.
func source(reading autoscale.Reading) string {
	if reading.Metric == "" {
		return ""
	}
	text := ": " + reading.Metric
	if reading.Kind != "" {
		text += fmt.Sprintf(", a %s", reading.Kind)
	}
	if reading.Scope == autoscale.ScopeReplica {
		text += ", of each replica"
	}
	return text
}
