package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/calendar"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/notify"
	"github.com/five-keys/autoscale/internal/store"
)

// stepLimit bounds one step: a raise waits for replicas that start.
const stepLimit = 20 * time.Minute

// stepper makes the daemon's steps of one service.
type stepper struct {
	*flags
	sources  []config.Source
	calendar calendar.Calendar
	places   []*notify.Place
	outbox   *notify.Outbox // what people are told goes there
	run      *composeRun    // nil until the service was found
	opened   error          // what is wrong in the configuration itself

	// Of services whose replicas are processes.
	service   config.Service
	dry       bool
	owner     *owner
	processes *processRun                         // nil until it is ready to run
	through   func(control.Source) control.Source // stands before the first source; nil for none
	paused    *autoscale.Pause
}

// newStepper makes what makes the steps of a service. Nothing is asked yet.
func newStepper(f *config.File, s config.Service, dry bool, tell func(string), record func(store.Record) error) *stepper {
	x := &stepper{flags: flagsOf(f, s, dry), sources: s.Sources, service: s, dry: dry}
	x.tell, x.record, x.anyDir = tell, record, !s.DirGiven
	x.calendar, x.opened = calendarOf(s)
	return x
}

// flagsOf are the flags that a service of the file would have in one run.
func flagsOf(f *config.File, s config.Service, dry bool) *flags {
	c := &flags{
		Provider: provider(s.Provider), Service: s.Service,
		Min: whole(s.Min), Max: whole(s.Max), RPSTarget: rate(s.RPSTarget), Cooldown: seconds(s.Cooldown), Tolerance: rate(s.Tolerance),
		MaxUp: limit{s.MaxUp}, MaxDown: limit{s.MaxDown}, OnDoubt: safeCount(s.OnDoubt),
		MaxReversals: whole(s.MaxReversals), InFlight: rate(s.InFlight), SLOViolations: s.SLOViolations, Capacity: rate(s.Capacity), ChangeCost: rate(s.ChangeCost),
		ComposeFile: s.ComposeFile, File: s.File, ProjectName: s.ProjectName, EnvFile: s.EnvFile, Profile: s.Profile, Docker: s.Docker,
		UpstreamFile: s.UpstreamFile, UpstreamFormat: s.UpstreamFormat, UpstreamPort: s.UpstreamPort, UpstreamNetwork: s.UpstreamNetwork, OnChange: s.OnChange, Drain: seconds(s.Drain),
		Namespace: s.Namespace, Context: s.Context, Kubeconfig: s.Kubeconfig, CPUTarget: s.CPUTarget, HPAFile: s.HPAFile, Kubectl: s.Kubectl,
		ProjectDir: s.ProjectDir, Start: s.Start, Apply: s.Apply, Mode: s.Mode, Output: "json",
		StateFile: filepath.Join(f.State, s.Name+".json"), alone: true,
	}
	if s.Wait != nil {
		wait := seconds(*s.Wait)
		c.Wait = &wait
	}
	if dry {
		c.Mode = autoscale.Observe
	}
	c.RPSTarget = rate(s.Sources[0].RPSTarget)
	c.setSource(s.Sources[0])
	return c
}

// setSource makes a source of the file the one that is read.
func (c *flags) setSource(s config.Source) {
	c.MetricsURL, c.MetricsHeader = nil, nil
	for _, url := range s.MetricsURL {
		c.MetricsURL = append(c.MetricsURL, url.Reveal())
	}
	for _, header := range s.MetricsHeader {
		c.MetricsHeader = append(c.MetricsHeader, header.Reveal())
	}
	c.PrometheusURL, c.PrometheusQuery, c.AccessLog = s.PrometheusURL.Reveal(), s.PrometheusQuery, s.AccessLog
	c.MetricsScope, c.RPSMetric, c.RPSMetricType, c.InFlightMetric = s.MetricsScope, s.RPSMetric, s.RPSMetricType, s.InFlightMetric
}

func calendarOf(s config.Service) (calendar.Calendar, error) {
	var all calendar.Calendar
	for _, w := range s.Schedule {
		zone, err := time.LoadLocation(w.TimeZone)
		if w.TimeZone == "" {
			zone = time.Local
		}
		if err != nil {
			return nil, fmt.Errorf("services.%s.schedule: time-zone %s: %w", s.Name, w.TimeZone, err)
		}
		all = append(all, calendar.Window{Cron: w.Cron, Zone: zone, For: w.For, Ramp: w.Ramp, Min: w.Min, Max: w.Max})
	}
	return all, nil
}

// inputs are the sources behind the first one.
func (x *stepper) inputs(dir string) ([]control.Input, error) {
	var more []control.Input
	for _, s := range x.sources[1:] {
		c := *x.flags
		c.setSource(s)
		source, err := c.reader(dir, nil)
		if err != nil {
			return nil, err
		}
		more = append(more, control.Input{Name: s.Name, Source: source, Signal: source.Identity(), Target: s.RPSTarget})
	}
	return more, nil
}

// policyAt is the policy with the bounds that the schedule gives at now.
func (x *stepper) policyAt(now time.Time) autoscale.Policy {
	p := x.policy()
	b := x.calendar.Bounds(p.Min, p.Max, now)
	p.Min, p.Max, p.Bounded = b.Min, b.Max, b.Reason
	return p
}

// Step makes one step.
func (x *stepper) Step(ctx context.Context) control.Step {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, fmt.Errorf("the step did not end within %s", stepLimit))
	defer cancel()
	policy := x.policyAt(time.Now())
	r := result{key: x.keyIn(x.ProjectDir)}
	switch {
	case x.opened != nil:
		r.err = x.opened
	case x.Provider == k8s:
		c := scaleCommand{*x.flags}
		c.Min, c.Max = whole(policy.Min), whole(policy.Max)
		r = c.onKubernetes(ctx, streams{}, x.ProjectDir)
	case x.Provider == processes:
		r = x.onProcesses(ctx, policy)
	default:
		r = x.onCompose(ctx, policy)
	}
	if x.lost(ctx, &r, policy.Max); x.outbox != nil {
		x.outbox.Add(x.places, r.news)
	}
	return control.Step{Report: r.report, Err: r.err, Declared: r.declared, Policy: policy, Project: r.key.Project, Pause: x.paused}
}

// onCompose makes one step of a Compose service, which is found anew where the
// last step could not decide: the engine may be another one.
func (x *stepper) onCompose(ctx context.Context, policy autoscale.Policy) result {
	if x.run == nil {
		if r := x.open(ctx); r.err != nil {
			return r
		}
	}
	r := x.run.step(ctx, policy)
	x.paused = x.run.memory.paused()
	if r.err != nil && !r.decided && !errors.Is(r.err, compose.ErrNotRunning) {
		x.Close()
	}
	return r
}

// open finds the service.
func (x *stepper) open(ctx context.Context) (r result) {
	r.key = x.keyIn(x.ProjectDir)
	w, key, err := x.findCompose(ctx, streams{}, x.ProjectDir)
	if r.key = key; err != nil {
		r.err = errors.Join(err, x.missed(ctx, x.ProjectDir))
		return r
	}
	source, err := x.reader(w.Dir(), nil)
	if err != nil {
		w.Close()
		r.err = err
		return r
	}
	more, err := x.inputs(w.Dir())
	if err != nil {
		w.Close()
		r.err = err
		return r
	}
	memory := &memory{file: store.Open(x.StateFile), key: key, caches: true, record: x.record, people: x.people}
	x.run = &composeRun{flags: x.flags, source: source, more: more, w: w, memory: memory}
	return r
}

// Pause leaves the count alone, or holds it; nil ends that.
func (x *stepper) Pause(ctx context.Context, p *autoscale.Pause) error {
	switch x.Provider {
	case k8s:
		return errors.New("on Kubernetes the HPA goes on scaling, whatever is paused here")
	case processes:
		return writePause(ctx, store.Open(x.StateFile), x.processKey(), p, nil)
	}
	return x.write(ctx, p, nil)
}

// Close ends the connection to the engine, and leaves processes to their owner.
func (x *stepper) Close() {
	if x.processes != nil {
		x.owner.leave(x.service, x.processes.w)
	}
	x.processes = nil
	if x.run != nil {
		x.run.w.Close()
	}
	x.run = nil
}
