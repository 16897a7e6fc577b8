// Package control makes one step of autoscaling: read, decide, apply, remember.
// The one-shot, the daemon and the simulator all make this step.
package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
)

// Source reads the load.
type Source interface {
	// Read reads once, of the given replicas where it reads replicas. What goes
	// wrong is in the samples' verdicts.
	Read(ctx context.Context, replicas []autoscale.Replica) autoscale.Reading
}

// Resumer is a Source that goes on where its last reading ended, maybe another
// process's: it is told before each step, whatever it read since.
type Resumer interface {
	// Resume has the next Read go on from what is remembered of the processes whose
	// samples the Source gave: their marks.
	Resume(processes map[string]autoscale.Process)
}

// Workload knows the replicas and sets their count.
type Workload interface {
	// Observe tells what there is now.
	Observe(ctx context.Context) (autoscale.Replicas, error)
	// Set brings the workload to count replicas, and declares that count in the
	// user's files also where it is there already. On error the Outcome says
	// what there is.
	Set(ctx context.Context, count int) (autoscale.Outcome, error)
}

// Lister is a Workload that tells a proxy in front which replicas take traffic.
type Lister interface {
	// List leaves the proxy knowing that, where nothing is to be set.
	List(ctx context.Context) (autoscale.Outcome, error)
}

// Memory keeps what must be known from one step to the next.
type Memory interface {
	// Load returns the State of the last step, the zero State where there is
	// none that can be read, and what a person should know of that.
	Load() (autoscale.State, []string, error)
	// Save keeps a State.
	Save(autoscale.State) error
	// Record appends to the journal.
	Record(Report) error
}

// Report is what one step came to; it is what the journal keeps.
type Report struct {
	Decision autoscale.Decision `json:"decision"`
	Reading  autoscale.Reading  `json:"reading"`
	// Outcome is nil where nothing was to be set.
	Outcome *autoscale.Outcome `json:"outcome,omitempty"`
	// Replicas are those that ran before anything was set.
	Replicas []autoscale.Replica `json:"-"`
	// Warnings are for a person to look into; the step went on.
	Warnings []string `json:"warnings,omitempty"`
	// Error is what failed, in words; empty where nothing did.
	Error string `json:"error,omitempty"`
	// ReadTook is how long all sources together took, MoveTook how long the
	// workload took to be moved; 0 where that was not come to.
	ReadTook, MoveTook time.Duration `json:"-"`
}

// Doubtful reports whether the step rests on a reading that is not trusted.
func (r Report) Doubtful() bool { return r.Decision.Verdict.Doubtful() }

// Controller makes steps for one workload. One goroutine owns it.
type Controller struct {
	Policy   autoscale.Policy
	Source   Source
	Workload Workload
	Memory   Memory
	// Signal identifies where Source reads: another one starts a new history.
	Signal string
	// More are further sources of the load: the highest number wins.
	More []Input
	// Again is the time after which a counter is read a second time in the same
	// step, as a one-shot must; 0 reads once.
	Again time.Duration
	// Decided, where set, is told each decision before it is carried out, which
	// may take as long as a replica takes to start.
	Decided func(autoscale.Decision)
}

// Input is a further source of the load, as autoscale.Source has it.
type Input struct {
	Name   string
	Source Source
	Signal string
	Target float64
}

// Step makes one step as of now. The Report says what was decided even where an
// error says that it could not be done; an error of the Workload's Observe ends
// the step before anything was decided.
func (c *Controller) Step(ctx context.Context, now autoscale.Instant) (Report, error) {
	var report Report
	state, warnings, lost := c.Memory.Load()
	report.Warnings = append(report.Warnings, warnings...)
	if lost != nil {
		// As a first run: what cannot be remembered lowers nothing.
		report.Warnings = append(report.Warnings, fmt.Sprintf("taken as a first run: %v", lost))
	}
	seen, err := c.Workload.Observe(ctx)
	report.Warnings = append(report.Warnings, seen.Warnings...)
	report.Replicas = seen.Running
	if err != nil {
		return report, errors.Join(err, c.missed(ctx, state, now))
	}
	if seen.Stopped != nil && !state.AtZero() {
		return report, errors.Join(seen.Stopped, c.missed(ctx, state, now))
	}
	began := time.Now()
	first, more := c.readAll(ctx, state, seen.Running)
	report.ReadTook = time.Since(began)
	report.Reading = joined(first, more)
	if ctx.Err() != nil {
		return report, fmt.Errorf("interrupted while the load was read; nothing was changed: %w", context.Cause(ctx))
	}
	decision, next := autoscale.DecideAll(c.Policy, state, autoscale.Observation{
		At: now, Signal: signal(c.Signal, state, first), Current: seen.Current, Replicas: seen.Running, Host: seen.Host, Settings: seen.Settings, Front: seen.Front, Delegate: seen.Delegate,
		Reading: first,
	}, more)
	report.Decision = decision
	report.Warnings = append(report.Warnings, decision.Warnings...)
	if c.Decided != nil {
		c.Decided(decision)
	}
	err = c.apply(ctx, &report, next, seen.Settings)
	if err != nil {
		report.Error = err.Error()
	}
	if lost := c.Memory.Record(report); lost != nil {
		report.Warnings = append(report.Warnings, fmt.Sprintf("this decision is missing in the journal: %v", lost))
	}
	return report, err
}

// readAll reads every source, all at the same time.
func (c *Controller) readAll(ctx context.Context, state autoscale.State, replicas []autoscale.Replica) (first autoscale.Reading, more []autoscale.Source) {
	more = make([]autoscale.Source, len(c.More))
	var wg sync.WaitGroup
	for i, input := range c.More {
		wg.Go(func() {
			reading := c.read(ctx, input.Source, state.Sources[input.Name], replicas)
			more[i] = autoscale.Source{Name: input.Name, Target: input.Target, Signal: signal(input.Signal, state.Sources[input.Name], reading), Reading: reading}
		})
	}
	first = c.read(ctx, c.Source, state, replicas)
	wg.Wait()
	return first, more
}

// joined is everything that was read, for those who look at it.
func joined(first autoscale.Reading, more []autoscale.Source) autoscale.Reading {
	for _, source := range more {
		first.Samples = append(first.Samples[:len(first.Samples):len(first.Samples)], source.Reading.Samples...)
		first.Notes = append(first.Notes[:len(first.Notes):len(first.Notes)], source.Reading.Notes...)
		if source.Reading.Metric != "" && source.Reading.Metric != first.Metric {
			first.Metric = strings.Trim(first.Metric+", "+source.Reading.Metric, ", ")
		}
		if source.Reading.Kind != first.Kind {
			first.Kind = ""
		}
		if source.Reading.Scope != first.Scope {
			first.Scope = ""
		}
	}
	return first
}

// signal names what was read, a fallback name included. Where no metric was
// found it is still the one of the last step.
func signal(identity string, state autoscale.State, reading autoscale.Reading) string {
	if reading.Metric != "" {
		return identity + " metric=" + reading.Metric
	}
	if strings.HasPrefix(state.Signal, identity+" metric=") {
		return state.Signal
	}
	return identity
}

// missed remembers that this step saw nothing: nothing goes down before a full
// cooldown of trusted readings has followed.
func (c *Controller) missed(ctx context.Context, state autoscale.State, now autoscale.Instant) error {
	if ctx.Err() != nil || !state.Known() {
		return nil
	}
	return c.Memory.Save(state.Missed(now))
}

// read reads the load, a counter twice where that is asked for.
func (c *Controller) read(ctx context.Context, source Source, state autoscale.State, replicas []autoscale.Replica) autoscale.Reading {
	if resumer, ok := source.(Resumer); ok {
		resumer.Resume(state.Processes)
	}
	reading := source.Read(ctx, replicas)
	if c.Again == 0 || reading.Kind != autoscale.Counter {
		return reading
	}
	select {
	case <-ctx.Done():
		return reading
	case <-time.After(c.Again):
	}
	second := source.Read(ctx, replicas)
	if second.Metric != "" && second.Metric != reading.Metric {
		return reading // another metric's counter is none of this one's
	}
	reading.Samples = append(reading.Samples, second.Samples...)
	return reading
}

// apply carries the decision out and remembers what became of it. A state that
// cannot be saved stops a lowering, not a raise.
func (c *Controller) apply(ctx context.Context, report *Report, next autoscale.State, settings string) error {
	d := report.Decision
	if d.To == d.From {
		return errors.Join(c.Memory.Save(next), c.declare(ctx, report))
	}
	saved := c.Memory.Save(next)
	if saved != nil && d.To < d.From {
		return fmt.Errorf("nothing was lowered: %w", saved)
	}
	began := time.Now()
	outcome, err := c.Workload.Set(ctx, d.To)
	report.MoveTook = time.Since(began)
	report.Outcome = &outcome
	report.Warnings = append(report.Warnings, outcome.Warnings...)
	next = next.Settle(d, d.At, outcome.Count, settings, outcome.Failed)
	if again := c.Memory.Save(next); saved == nil {
		saved = again
	}
	return errors.Join(err, saved)
}

// declare leaves the user's files saying what a trusted step decided, also
// where nothing is to be moved. What a proxy in front is told rests on no reading.
func (c *Controller) declare(ctx context.Context, report *Report) error {
	if c.Policy.Mode == autoscale.Observe {
		return nil
	}
	set := func(ctx context.Context) (autoscale.Outcome, error) { return c.Workload.Set(ctx, report.Decision.To) }
	if report.Decision.Verdict != autoscale.OK {
		lister, ok := c.Workload.(Lister)
		if !ok {
			return nil
		}
		set = lister.List
	}
	outcome, err := set(ctx)
	if err != nil || len(outcome.Notes) > 0 {
		report.Outcome = &outcome
	}
	return err
}
