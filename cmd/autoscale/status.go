package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

// statusCommand shows where each service stands.
type statusCommand struct{ flags }

// Help is what stands below the flags' summary.
func (c *statusCommand) Help() string {
	return `Reads the state file and the journal beside it, and asks nobody else. Without
--service it shows every service that the state file knows.

Exit status: 0 shown; 1 nothing is known, or it cannot be read; 2 flags wrong in
themselves.`
}

// standingOf is where one workload stands, as status --output=json prints it.
type standingOf struct {
	Provider string `json:"provider"`
	Project  string `json:"project"`
	Service  string `json:"service"`
	Dir      string `json:"dir"`
	// Replicas is how many there were after the last run.
	Replicas int `json:"replicas"`
	// LastRun is when the last decision was made, RFC 3339.
	LastRun time.Time `json:"last_run"`
	// Decision is the last one; absent where the journal has none.
	Decision *autoscale.Decision `json:"decision,omitempty"`
	Outcome  *store.Outcome      `json:"outcome,omitempty"`
	// Doubts counts the doubtful runs in a row.
	Doubts int `json:"doubts"`
	// Moved is the last decision that changed the count; absent where the journal
	// has none.
	Moved *moved   `json:"moved,omitempty"`
	Notes []string `json:"notes"`
}

// moved is one change of the count.
type moved struct {
	At   time.Time `json:"at"`
	From int       `json:"from"`
	To   int       `json:"to"`
}

// standings is the object that status --output=json prints.
type standings struct {
	Version  int          `json:"version"`
	Status   int          `json:"status"`
	Services []standingOf `json:"services"`
	Warnings []string     `json:"warnings"`
	Error    string       `json:"error,omitempty"`
}

// Run shows the table.
func (c *statusCommand) Run(_ context.Context, s streams) error {
	now := time.Now()
	all, warnings, err := c.look(now)
	if c.Output == "json" {
		return c.print(s, all, warnings, err)
	}
	warn(s, warnings)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(s.out, table(all, now))
	return err
}

// look finds what is known; nothing is an error.
func (c *statusCommand) look(now time.Time) (all []standingOf, warnings []string, err error) {
	dir, err := c.dir()
	if err != nil {
		return nil, nil, err
	}
	file := store.Open(c.statePath(dir))
	all, warnings, err = c.collect(file, now)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("nothing is known of %s by %s: no decision was made yet (dry runs are not kept); run one, or name the folder with --project-dir", orAny(c.Service), file.Path())
	}
	return all, warnings, err
}

// print writes the object, whatever the looking came to, and gives the exit
// status.
func (c *statusCommand) print(s streams, all []standingOf, warnings []string, failed error) error {
	found := standings{Version: outputVersion, Services: append([]standingOf{}, all...), Warnings: append([]string{}, warnings...)}
	if failed != nil {
		found.Status, found.Error = statusDoubt, failed.Error()
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(found); err != nil {
		return fmt.Errorf("where the services stand cannot be printed: %w", err)
	}
	if failed != nil {
		return exit{status: statusDoubt}
	}
	return nil
}

func orAny(service string) string {
	if service == "" {
		return "any service"
	}
	return fmt.Sprintf("service %q", service)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// collect puts together what state and journal know.
func (c *statusCommand) collect(file *store.File, now time.Time) (all []standingOf, warnings []string, err error) {
	keys, err := file.All()
	if err != nil {
		return nil, nil, err
	}
	newest, damaged := history.Workloads(file.Journal(), history.Of(c.Service))
	if damaged != nil {
		warnings = append(warnings, damaged.Error())
	}
	movedLast, damaged := history.Workloads(file.Journal(), history.Of(c.Service).And(func(r store.Record) bool { return r.Outcome.Count != r.Decision.From }))
	if damaged != nil && len(warnings) == 0 {
		warnings = append(warnings, damaged.Error())
	}
	for _, key := range keys {
		if c.Service != "" && key.Service != c.Service {
			continue
		}
		state, more, err := file.Load(key)
		if err != nil {
			return all, warnings, err
		}
		warnings = append(warnings, more...)
		all = append(all, standingBy(key, state, recordOf(newest, key), recordOf(movedLast, key), now))
	}
	return all, warnings, nil
}

// recordOf is the record of a workload; nil where there is none.
func recordOf(records []store.Record, key store.Key) *store.Record {
	for _, r := range records {
		if r.Workload.String() == key.String() {
			return &r
		}
	}
	return nil
}

func standingBy(key store.Key, state autoscale.State, last, move *store.Record, now time.Time) standingOf {
	one := standingOf{
		Provider: key.Provider, Project: key.Project, Service: key.Service, Dir: key.Dir,
		Replicas: state.Count, LastRun: state.At.Time, Doubts: state.Doubts, Notes: []string{},
	}
	if last != nil {
		local(&last.Decision)
		one.Decision, one.Outcome = &last.Decision, &last.Outcome
	}
	if move != nil {
		one.Moved = &moved{At: move.Decision.At, From: move.Decision.From, To: move.Outcome.Count}
	}
	note := func(format string, args ...any) { one.Notes = append(one.Notes, fmt.Sprintf(format, args...)) }
	if age := now.Sub(state.At.Time); state.Gap > 0 && age > 3*state.Gap {
		note("no run for %s; the ones before came every %s: does the schedule still run?", age.Round(time.Second), state.Gap.Round(time.Second))
	}
	if state.Doubts > 0 {
		note("the last run, or runs (%d), could not trust the reading; nothing goes down meanwhile", state.Doubts)
	}
	if f := state.Failure; f != nil {
		note("new replicas did not start (%d times in a row); the next attempt is made after %s", f.Count, f.Until.Local().Format(time.TimeOnly))
	}
	if state.Moving != nil {
		note("a move to %d replicas was begun and not finished; the next run looks after it", *state.Moving)
	}
	if last != nil && last.Outcome.Error != "" {
		note("the last run failed: %s", last.Outcome.Error)
	}
	if last != nil && last.Decision.Want != last.Decision.To {
		note("%d replicas were wanted and %d kept (%s)", last.Decision.Want, last.Decision.To, last.Decision.Reason)
	}
	if one.Moved != nil {
		note("last move: %d -> %d replicas at %s", one.Moved.From, one.Moved.To, one.Moved.At.Local().Format(time.DateTime))
	}
	return one
}

// local has a decision's times read in this machine's zone.
func local(d *autoscale.Decision) {
	d.At = d.At.Local()
	if down := d.Next.Down; down != nil && !down.HeldUntil.IsZero() {
		down.HeldUntil = down.HeldUntil.Local()
	}
}

// table is what a person reads.
func table(all []standingOf, now time.Time) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tPROJECT\tREPLICAS\tLOAD\tREADING\tLAST RUN\tNEXT")
	for _, one := range all {
		load, verdict, next := "-", "-", "-"
		if d := one.Decision; d != nil {
			load, verdict, next = autoscale.RPS(d.Load), string(d.Verdict), orElse(d.Next.String(), "-")
		}
		ran := "-"
		if !one.LastRun.IsZero() {
			ran = fmt.Sprintf("%s (%s ago)", one.LastRun.Local().Format(time.TimeOnly), now.Sub(one.LastRun).Round(time.Second))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", one.Service, one.Project, one.Replicas, load, verdict, ran, next)
	}
	_ = w.Flush() // into memory
	for _, one := range all {
		for _, note := range one.Notes {
			fmt.Fprintf(&b, "%s: %s\n", one.Service, note)
		}
	}
	return b.String()
}
