package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

// statusCommand shows where each service stands.
type statusCommand struct {
	flags
	Config string `group:"run" placeholder:"FILE" help:"The daemon's configuration: its services."`
	Watch  bool   `group:"run" help:"Show it again every second, until Ctrl-C."`
}

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
	// Pause is what a person asked for; absent where nothing is in force.
	Pause *autoscale.Pause `json:"pause,omitempty"`
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
func (c *statusCommand) Run(ctx context.Context, s streams) error {
	if c.Watch {
		if c.Output == "json" {
			return usage(errors.New("--watch shows people a table; leave --output=json away, or ask the daemon's API"))
		}
		return c.watch(ctx, s)
	}
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

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

// watch shows the table again and again: on a terminal in place, elsewhere one
// below the other.
func (c *statusCommand) watch(ctx context.Context, s streams) error {
	for ctx.Err() == nil {
		now := time.Now()
		all, warnings, err := c.look(now)
		text := table(all, now)
		for _, warning := range warnings {
			text += "warning: " + warning + "\n"
		}
		if err != nil {
			text += err.Error() + "\n"
		}
		if s.terminal {
			text = home + strings.ReplaceAll(text, "\n", endLine) + below
		}
		if _, err := fmt.Fprint(s.out, text); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
	return nil // ended by Ctrl-C, as such things are
}

// What a terminal is told to write over what it shows (ECMA-48: cursor position,
// erase in line, erase in display).
const (
	home    = "\x1b[H"
	endLine = "\x1b[K\n"
	below   = "\x1b[J"
)

// look finds what is known; nothing is an error.
func (c *statusCommand) look(now time.Time) (all []standingOf, warnings []string, err error) {
	if c.Config != "" {
		return c.ofDaemon(now)
	}
	dir, err := c.dir()
	if err != nil {
		return nil, nil, err
	}
	file := store.Open(c.statePath(dir))
	all, warnings, err = c.collect(file, now)
	if err == nil && len(all) == 0 {
		err = c.unknown(file)
	}
	return all, warnings, err
}

// unknown is the error where nothing is known of what was asked for; it names
// the services that are known, since a name is easily mistyped.
func (c *statusCommand) unknown(file *store.File) error {
	keys, err := file.All()
	if err != nil {
		return err
	}
	var known []string
	for _, key := range keys {
		known = append(known, key.Service)
	}
	if len(known) > 0 {
		return fmt.Errorf("nothing is known of %s by %s; it knows %s", orAny(c.Service), file.Path(), distinct(known))
	}
	return fmt.Errorf("nothing is known of %s by %s: no decision was made yet (dry runs are not kept); run one, or name the folder with --project-dir", orAny(c.Service), file.Path())
}

// distinct lists names in order, each once.
func distinct(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
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
		one := standingBy(key, state, recordOf(newest, key), recordOf(movedLast, key), now)
		if said := silence(file.Journal(), key, state, now); said != "" {
			one.Notes = append([]string{said}, one.Notes...)
		}
		all = append(all, one)
	}
	return all, warnings, nil
}

// Below these nothing is said of runs that stay away: a person makes some runs
// by hand, moments apart, and then none.
const (
	leastSilence = 5 * time.Minute
	leastGap     = time.Minute
)

// silence is the note about a schedule that seems to have stopped; empty where
// nothing shows that. Runs that came faster than any cron line have to show by
// their rhythm that a timer made them.
func silence(from history.Records, key store.Key, state autoscale.State, now time.Time) string {
	age, rhythm := now.Sub(state.At.Time), state.Gap
	if rhythm <= 0 || age <= max(3*rhythm, leastSilence) {
		return ""
	}
	if rhythm < leastGap {
		// Lines that cannot be read are told of already.
		rhythm, _ = history.Rhythm(from, func(r store.Record) bool { return r.Workload.String() == key.String() })
	}
	if rhythm == 0 || age <= 3*rhythm {
		return ""
	}
	return fmt.Sprintf("no run for %s; the ones before came every %s: does the schedule still run?", age.Round(time.Second), rhythm.Round(time.Second))
}

// doubted is the note about runs in a row that could not trust the reading, with
// what was wrong with the last one's.
func doubted(runs int, last *store.Record) string {
	text := "the last run"
	if runs > 1 {
		text = fmt.Sprintf("the last %d runs", runs)
	}
	text += " could not trust the reading, and nothing goes down meanwhile; autoscale doctor with the same flags looks for the remedy"
	if last == nil {
		return text
	}
	bad := slices.DeleteFunc(slices.Clone(last.Reading.Samples), func(s autoscale.Sample) bool { return !s.Verdict.Doubtful() })
	if len(bad) == 0 {
		return text
	}
	more := ""
	if len(bad) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(bad)-1)
	}
	return fmt.Sprintf("%s: %s%s is %s", text, bad[0].Name, more, strings.TrimSuffix(string(bad[0].Verdict)+": "+bad[0].Detail, ": "))
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
		last.Decision.At = last.Decision.At.Local()
		oneZone(&last.Decision)
		one.Decision, one.Outcome = &last.Decision, &last.Outcome
	}
	if move != nil {
		one.Moved = &moved{At: move.Decision.At, From: move.Decision.From, To: move.Outcome.Count}
	}
	note := func(format string, args ...any) { one.Notes = append(one.Notes, fmt.Sprintf(format, args...)) }
	if p := state.Pause; p.InForce(now) {
		shown := *p
		shown.Until = p.Until.Local()
		one.Pause = p
		note("%s", shown.String())
	}
	if state.Doubts > 0 {
		note("%s", doubted(state.Doubts, last))
	}
	if f := state.Failure; f != nil {
		note("new replicas did not start (%d times in a row); the next attempt is made after %s", f.Count, f.Until.Local().Format(time.TimeOnly))
	}
	if state.Moving != nil {
		note("a move to %s was begun and not finished; the next run looks after it", counted(*state.Moving))
	}
	if last != nil && last.Outcome.Error != "" {
		note("the last run failed: %s", last.Outcome.Error)
	}
	if last != nil && last.Decision.Want != last.Decision.To {
		note("%d replicas were wanted and %d kept (%s)", last.Decision.Want, last.Decision.To, last.Decision.Reason)
	}
	if one.Moved != nil {
		note("last move: %d -> %s at %s", one.Moved.From, counted(one.Moved.To), one.Moved.At.Local().Format(time.DateTime))
	}
	return one
}

// loadOf is a decision's load in words. A reading that is not trusted and gave
// nothing is no load of 0.
func loadOf(d autoscale.Decision, none string) string {
	if d.Load == 0 && d.Verdict != autoscale.OK {
		return none
	}
	return autoscale.RPS(d.Load)
}

// counted is a number of replicas, as the log has it.
func counted(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

// oneZone has all times of a decision be of the zone that it was made in.
func oneZone(d *autoscale.Decision) {
	if down := d.Next.Down; down != nil && !down.HeldUntil.IsZero() {
		down.HeldUntil = down.HeldUntil.In(d.At.Location())
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
			load, verdict, next = loadOf(*d, "-"), string(d.Verdict), orElse(d.Next.String(), "-")
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
