package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// still is a workload that is only looked at.
type still struct{ *compose.Workload }

// Set changes nothing.
func (still) Set(context.Context, int) (autoscale.Outcome, error) { return autoscale.Outcome{}, nil }

// load reads the load as a decision would, in requests/s, and decides nothing.
func (c *flags) load(ctx context.Context, w *compose.Workload, key store.Key) (float64, autoscale.Verdict, error) {
	source, err := c.reader(w.Dir(), nil)
	if err != nil {
		return 0, "", err
	}
	now, err := readClocks()
	if err != nil {
		return 0, "", err
	}
	controller := control.Controller{
		Policy: autoscale.Policy{Min: 0, Max: 1 << 20, Target: float64(c.RPSTarget), Mode: autoscale.Observe},
		Source: source, Workload: still{w}, Signal: source.Identity(), Again: readAgain,
		Memory: &memory{file: store.Open(c.statePath(w.Dir())), key: key, dry: true},
	}
	report, err := controller.Step(ctx, now)
	return report.Decision.Load, report.Decision.Verdict, err
}

// rolledBack is the object that rollback --output=json prints.
type rolledBack struct {
	Version  int        `json:"version"`
	Provider string     `json:"provider"`
	Project  string     `json:"project"`
	Service  string     `json:"service"`
	DryRun   bool       `json:"dry_run"`
	Status   int        `json:"status"`
	Steps    []*undoing `json:"steps"`
	Warnings []string   `json:"warnings"`
	Error    string     `json:"error,omitempty"`
}

// show tells what a rollback will do.
func (c *rollbackCommand) show(s streams, p *plan) {
	if c.Output == "json" {
		return
	}
	// What cannot be written nobody reads; the question after it decides.
	if len(p.steps) == 0 {
		_, _ = fmt.Fprintf(s.out, "Service %q in %s: nothing is left to undo.\n", c.Service, p.dir)
	} else {
		_, _ = fmt.Fprintf(s.out, "Rolling back service %q in %s:\n", c.Service, p.dir)
	}
	for _, step := range p.steps {
		_, _ = fmt.Fprintf(s.out, "  %-9s %s\n", step.What, step.Text)
	}
	for _, concern := range p.concerns {
		_, _ = fmt.Fprintf(s.out, "  note      %s\n", concern)
	}
	p.concerns = nil
	for _, left := range p.left {
		_, _ = fmt.Fprintf(s.out, "  note      %s\n", left)
	}
}

// ask has the plan confirmed, and a count below what the load needs once more.
func (c *rollbackCommand) ask(ctx context.Context, s streams, p *plan) error {
	s.terminal = s.terminal && c.Output != "json" // one object and nothing else
	questions := []string{"Do this?"}
	if p.below != "" {
		questions = append(questions, "Requests may be lost: go below what the load needs, or may need, all the same?")
	}
	for _, question := range questions {
		ok, err := s.confirm(ctx, question, c.Yes)
		if err != nil {
			return err
		}
		if !ok {
			return exit{statusDoubt, errors.New("not confirmed; nothing was changed")}
		}
	}
	return nil
}

// carryOut does one step after the other. The schedule goes first, so that
// nothing scales again; then no run of ours may be under way.
func (p *plan) carryOut(ctx context.Context, s streams, c *rollbackCommand) error {
	unlock := func() {}
	defer func() { unlock() }()
	locked := false
	for i := 0; i < len(p.steps); i++ {
		step := p.steps[i]
		if step.What != "schedule" && !locked {
			lock, err := store.LockWorkload(ctx, p.keys[0], lockWait)
			if err != nil {
				return err
			}
			p.hold(lock)
			unlock, locked = lock.Unlock, true
			if err := p.recheck(ctx); err != nil {
				return err
			}
			p.planMemory() // that run may have been the first to write anything
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w\nwhat was done before stays done; run this again for the rest", step.What, err)
		}
		step.Done = true
		if c.Output != "json" {
			_, _ = fmt.Fprintf(s.out, "done: %s\n", step.What)
		}
	}
	return nil
}

// end prints what is left to be said, and gives the exit status.
func (c *rollbackCommand) end(s streams, p *plan, err error) error {
	if err == nil && len(p.left) > 0 {
		err = errors.New(strings.Join(p.left, "\n"))
	}
	status := statusDone
	if err != nil {
		status = statusDoubt
	}
	if c.Output != "json" {
		for _, concern := range p.concerns {
			_, _ = fmt.Fprintf(s.err, "autoscale: %s\n", concern)
		}
		if err != nil {
			return exit{status, err}
		}
		return nil
	}
	r := rolledBack{
		Version: outputVersion, Provider: string(c.Provider), Project: p.project, Service: c.Service, DryRun: c.DryRun, Status: status,
		Steps: append([]*undoing{}, p.steps...), Warnings: append([]string{}, p.concerns...),
	}
	if err != nil {
		r.Error = err.Error()
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("the outcome cannot be printed: %w", err)
	}
	if status != statusDone {
		return exit{status: status}
	}
	return nil
}
