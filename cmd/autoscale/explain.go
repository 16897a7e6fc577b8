package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	At      string `group:"run" placeholder:"10:05" help:"The decision of each service in force at that moment: 10:05, 10:05:30, '2026-11-24 10:05'."`
	Last    *int   `group:"run" placeholder:"N" help:"That many of the last decisions, a line each; 1, the default, is the last one of each service, in full."`
	Changes bool   `group:"run" help:"Only decisions that moved the count, were kept from it (by --mode, or after a failed start), failed or doubted; ten of them unless --last says."`
	Follow  bool   `group:"run" help:"Then each further decision as it comes."`
	Config  string `group:"run" placeholder:"FILE" help:"The daemon's configuration: its decisions, and --service is a label in it."`
}

// Help is what stands below the flags' summary.
func (c *explainCommand) Help() string {
	return `Reads the journal beside the state file, and asks nobody else: what the last
decision saw, every rule that moved or kept the number, what would change it
next, and what became of it. Without --service it takes every service's, and
shows the last of each.

--at without a day is the last time that clocks showed it. With a day, of an hour
that autumn has twice it is the later one; the zone names the earlier, as in
2026-10-25T02:30:00+02:00.

Times are those of the run's own zone, which is named where it is not yours.

--output=json prints a line for each decision, with the fields of the journal's
lines (docs/json.md).

Exit status: 0 shown; 1 nothing is recorded, or it cannot be read; 2 flags wrong
in themselves.`
}

// Run shows the decisions that are asked for.
func (c *explainCommand) Run(ctx context.Context, s streams) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if c.Last != nil && *c.Last < 1 {
		return usage(fmt.Errorf("--last=%d: at least 1", *c.Last))
	}
	if c.At != "" && (c.Follow || c.Changes || c.count() > 1) {
		return usage(errors.New("--at is about one moment; leave --follow, --changes and --last away"))
	}
	var journal decisions = journalOf{store.Open(c.statePath(dir)).Journal()}
	keep := history.Of(c.Service)
	if c.Config != "" {
		log, err := openLog(c.Config, c.Service)
		if err != nil {
			return err
		}
		defer log.close()
		journal, keep = log, history.Of("") // it has those of that label only
	}
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
	if c.count() > 1 {
		return c.print(s.out, records)
	}
	var all []history.Standing
	for _, r := range records {
		all = append(all, history.Standing{In: &r})
	}
	return c.stories(s.out, all)
}

// count is how many decisions are asked for.
func (c *explainCommand) count() int {
	switch {
	case c.Last != nil:
		return *c.Last
	case c.Changes:
		return 10
	}
	return 1
}

// last are the decisions that are asked for, oldest first; of each workload one
// where that is no number of them.
func (c *explainCommand) last(s streams, from history.Records, keep history.Filter) (records []store.Record) {
	var damaged error
	if c.count() > 1 {
		records, damaged = history.Last(from, keep, c.count())
	} else {
		records, damaged = history.Workloads(from, keep)
		slices.SortStableFunc(records, func(a, b store.Record) int { return a.Decision.At.Compare(b.Decision.At) })
	}
	if damaged != nil {
		warn(s, []string{damaged.Error()})
	}
	return records
}

// follow shows the last decisions, and each further one as it comes. The tail is
// opened first, so that none falls in between.
func (c *explainCommand) follow(ctx context.Context, s streams, journal decisions, keep history.Filter) error {
	tail, err := journal.tail()
	if err != nil {
		return err
	}
	defer tail.Close()
	if err := c.print(s.out, c.last(s, tail, keep)); err != nil {
		return err
	}
	for r, err := range tail.Follow(ctx, followPoll) {
		if err != nil {
			return err
		}
		if keep(r) {
			if err := c.print(s.out, []store.Record{r}); err != nil {
				return err
			}
		}
	}
	return nil // ended by Ctrl-C, as such things are
}

// none is the error where no decision fits; where the journal has some of other
// services it names those, since a name is easily mistyped.
func (c *explainCommand) none(journal decisions) error {
	if c.Service != "" {
		others, _ := history.Workloads(journal, nil) // what cannot be read is told of already
		var known []string
		for _, r := range others {
			known = append(known, r.Workload.Service)
		}
		if len(known) > 0 && !slices.Contains(known, c.Service) {
			return fmt.Errorf("%w for %s in %s; it knows %s", history.ErrNone, orAny(c.Service), journal.Path(), distinct(known))
		}
	}
	what := ""
	if c.Changes {
		what = " that moved or was to move the count, failed or doubted"
	}
	return fmt.Errorf("%w%s for %s in %s; run one (dry runs are not kept), or name the folder with --project-dir", history.ErrNone, what, orAny(c.Service), journal.Path())
}

// at shows the decisions in force at one moment, of each workload one.
func (c *explainCommand) at(s streams, journal decisions, keep history.Filter) error {
	moment, err := history.ParseMoment(c.At, time.Now())
	if err != nil {
		return usage(fmt.Errorf("--at=%w", err))
	}
	all, damaged := history.At(journal, keep, moment)
	if damaged != nil {
		warn(s, []string{damaged.Error()})
	}
	if len(all) == 0 {
		return c.none(journal)
	}
	inForce := slices.DeleteFunc(slices.Clone(all), func(one history.Standing) bool { return one.In == nil })
	if len(inForce) == 0 {
		first := slices.MinFunc(all, func(a, b history.Standing) int { return a.Next.Decision.At.Compare(b.Next.Decision.At) }).Next
		return fmt.Errorf("%w before %s; the first is of %s", history.ErrNone, moment.Local().Format(time.DateTime), first.Decision.At.Local().Format(time.DateTime))
	}
	slices.SortStableFunc(inForce, func(a, b history.Standing) int { return a.In.Decision.At.Compare(b.In.Decision.At) })
	return c.stories(s.out, inForce)
}

// stories shows decisions in full, each with the one that followed where that is
// known.
func (c *explainCommand) stories(out io.Writer, all []history.Standing) error {
	for i, one := range all {
		if c.Output == "json" {
			if err := c.print(out, []store.Record{*one.In}); err != nil {
				return err
			}
			continue
		}
		text := story(*one.In)
		if i > 0 {
			text = "\n" + text
		}
		if one.Next != nil {
			text += fmt.Sprintf("  then      %s\n", line(*one.Next))
		}
		if _, err := io.WriteString(out, text); err != nil {
			return fmt.Errorf("the decisions cannot be printed: %w", err)
		}
	}
	return nil
}

// print shows records, a line each.
func (c *explainCommand) print(out io.Writer, records []store.Record) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, r := range records {
		var err error
		if c.Output == "json" {
			err = encoder.Encode(r)
		} else {
			_, err = fmt.Fprintln(out, line(r))
		}
		if err != nil {
			return fmt.Errorf("the decisions cannot be printed: %w", err)
		}
	}
	return nil
}

// stamp is when a decision was made, in the zone of the run that made it: its
// texts hold times of that zone. Where that is not this machine's, the stamp
// names it.
func stamp(t time.Time) string {
	_, made := t.Zone()
	if _, here := t.Local().Zone(); here != made {
		return t.Format(time.DateTime + " -07:00")
	}
	return t.Format(time.DateTime)
}

// line is a decision as the log has it.
func line(r store.Record) string {
	oneZone(&r.Decision)
	text := fmt.Sprintf("%s %s: %s", stamp(r.Decision.At), r.Workload.Service, r.Decision.Sentence())
	if r.Outcome.Error != "" {
		text += fmt.Sprintf(" [failed, %s: %s]", running(r.Outcome.Count), strings.ReplaceAll(r.Outcome.Error, "\n", "; "))
	}
	return text
}

// story is everything about one decision.
func story(r store.Record) string {
	oneZone(&r.Decision)
	d := r.Decision
	var b strings.Builder
	change, _, _ := strings.Cut(d.Sentence(), ":") // "1 -> 3 replicas"
	fmt.Fprintf(&b, "%s  %s in %s: %s\n\n", stamp(d.At), r.Workload.Service, r.Workload.Project, change)
	fmt.Fprintf(&b, "  load      %s, %s%s\n", loadOf(d, "unknown"), d.Verdict, source(r.Reading))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, sample := range r.Reading.Samples {
		value := fmt.Sprintf("%.6g", sample.Value)
		if sample.Verdict != autoscale.OK {
			value = "-"
		}
		fmt.Fprintf(w, "            %s\t%s\t%s\t%s", sample.Name, value, sample.Time.In(d.At.Location()).Format(time.TimeOnly), sample.Verdict)
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
	fmt.Fprintf(&b, "  outcome   %s, %s\n", r.Outcome.Result, running(r.Outcome.Count))
	if r.Outcome.Error != "" {
		fmt.Fprintf(&b, "  error     %s\n", strings.ReplaceAll(r.Outcome.Error, "\n", "\n            "))
	}
	for _, text := range append(d.Warnings, r.Reading.Notes...) {
		fmt.Fprintf(&b, "  note      %s\n", text)
	}
	return b.String()
}

// running says how many replicas there are: "1 run" alone would read like a run
// of this program.
func running(n int) string {
	if n == 1 {
		return "1 replica runs"
	}
	return fmt.Sprintf("%d replicas run", n)
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
