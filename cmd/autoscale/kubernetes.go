package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/kubernetes"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/store"
)

// checkKubernetes looks for what is wrong in the flags of an HPA.
func (c *flags) checkKubernetes() error {
	var errs []error
	if c.SLOViolations != 0 || c.Capacity != 0 {
		errs = append(errs, errors.New("--slo-violations and --capacity: on Kubernetes the HPA decides; leave them away"))
	}
	if c.Mode == autoscale.RaiseOnly {
		errs = append(errs, errors.New("--mode=raise-only: on Kubernetes the HPA decides; to keep it from lowering, put selectPolicy: Disabled under behavior.scaleDown into its manifest by hand, where it stays"))
	}
	metric, err := c.hpaMetric()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, c.hpa(streams{}, "", metric).Validate())...)
}

// hpaMetric is what the HPA asks of each pod: never a counter, which grows for
// ever, and never a fallback name, which nobody asked for.
func (c *flags) hpaMetric() (kubernetes.Metric, error) {
	selector, err := prometheus.ParseSelector(c.RPSMetric)
	if err != nil {
		return kubernetes.Metric{}, fmt.Errorf("--rps-metric: %w", err)
	}
	labels, equal := selector.Equal()
	if !equal {
		return kubernetes.Metric{}, fmt.Errorf("--rps-metric=%s: an HPA selects series by labels that are equal to something only; leave the other conditions out, or serve a metric that has them", c.RPSMetric)
	}
	m := kubernetes.Metric{Name: selector.Name, Labels: labels}
	if c.RPSMetricType == "counter" || c.RPSMetricType == "" && strings.HasSuffix(m.Name, "_total") {
		m.Name = kubernetes.PerSecond(m.Name)
	}
	return m, nil
}

// hpa is the flags' part of the Deployment.
func (c *flags) hpa(s streams, dir string, metric kubernetes.Metric) kubernetes.Config {
	return kubernetes.Config{
		Service: c.Service, Namespace: c.Namespace, Context: c.Context, Kubeconfig: c.Kubeconfig, Kubectl: c.Kubectl,
		Apply: kubernetes.Apply(c.Apply), Dir: dir, File: c.HPAFile,
		Min: int(c.Min), Max: int(c.Max), Metric: metric, Target: float64(c.RPSTarget), CPUTarget: c.CPUTarget, Cooldown: time.Duration(c.Cooldown),
		DryRun: c.DryRun,
		Tell:   c.teller(s),
	}
}

// pinned are the flags that keep a scheduled line to the cluster and the namespace
// that kubectl means now, where the line does not name them itself: later its
// configuration may mean others.
func (c *flags) pinned(ctx context.Context) (words, warnings []string, err error) {
	if c.Provider != k8s || c.Apply == string(kubernetes.ApplyNever) || c.Context != "" && c.Namespace != "" {
		return nil, nil, nil
	}
	if words, err = kubernetes.Current(ctx, c.hpa(streams{}, "", kubernetes.Metric{})); err != nil {
		return nil, nil, fmt.Errorf("a scheduled line has to name its cluster and namespace; add --context and --namespace: %w", err)
	}
	if len(words) > 0 {
		warnings = append(warnings, fmt.Sprintf("added %s, which kubectl means now: without that the line would follow its configuration to wherever that points later", strings.Join(words, " ")))
	}
	return words, warnings, nil
}

// onKubernetes leaves the HPA as it should be, and starts the Deployment at the
// count that the load asks for, where the HPA is new or cannot act.
func (c *scaleCommand) onKubernetes(ctx context.Context, s streams, dir string) result {
	r := result{key: store.Key{Provider: string(k8s), Service: c.Service, Dir: dir}}
	metric, err := c.hpaMetric()
	if err != nil {
		r.err = err
		return r
	}
	w, err := kubernetes.Find(ctx, c.hpa(s, dir, metric))
	if err != nil {
		r.err = errors.Join(err, c.missed(ctx, dir))
		return r
	}
	r.key.Engine, r.key.Project = w.Engine(), w.Project()
	if r.key.Project == "" {
		r.key.Project = dir // nothing but the folder says which it is
	}
	lock, err := store.LockWorkload(ctx, r.key, lockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer lock.Unlock()
	w.Hold(lock)
	memory := &memory{file: store.Open(c.statePath(dir)), key: r.key, dry: c.DryRun, record: c.record, people: c.people}
	if w.Moves() {
		c.stepKubernetes(ctx, s, w, &r, memory)
	} else {
		r.declare(ctx, w, c.Mode)
	}
	memory.tell(ctx, &r, int(c.Max))
	return r
}

// declare leaves the manifest as it should be, and applied where a cluster is
// asked.
func (r *result) declare(ctx context.Context, w *kubernetes.Workload, mode autoscale.Mode) {
	if mode == autoscale.Observe {
		return
	}
	outcome, err := w.Declare(ctx)
	r.declared = err == nil
	r.err = errors.Join(r.err, err)
	r.report.Warnings = append(r.report.Warnings, outcome.Warnings...)
	if before := r.report.Outcome; before != nil {
		outcome.Count, outcome.Failed = before.Count, before.Failed
		outcome.Notes, outcome.Commands = append(outcome.Notes, before.Notes...), append(outcome.Commands, before.Commands...)
	}
	r.report.Outcome = &outcome
}

// stepKubernetes is what a run does where a cluster is asked.
func (c *scaleCommand) stepKubernetes(ctx context.Context, s streams, w *kubernetes.Workload, r *result, memory *memory) {
	now, err := c.clocks.read()
	if err != nil {
		r.err = err
		return
	}
	seen, err := w.Observe(ctx)
	if err != nil {
		r.report.Warnings, r.err = seen.Warnings, errors.Join(err, missedHere(ctx, memory, now))
		return
	}
	c.begin(w, memory, now, seen.Current)
	later := w.Lowers()
	if !later {
		r.declare(ctx, w, c.Mode)
	}
	if r.err != nil && (ctx.Err() != nil || !kubernetes.Raises(r.err)) {
		r.report.Warnings = slices.Concat(seen.Warnings, r.report.Warnings, memory.told())
		r.err = errors.Join(r.err, missedHere(ctx, memory, now))
		return
	}
	undeclared := r.err
	c.raise(ctx, s, w, r, now, looked{w, seen}, memory, later)
	r.err = errors.Join(undeclared, r.err)
}

// raise decides, and raises the Deployment to what the load asks for where that
// is not the HPA's to do; later tells that the HPA was not applied yet.
func (c *scaleCommand) raise(ctx context.Context, s streams, w *kubernetes.Workload, r *result, now autoscale.Instant, seen looked, memory *memory, later bool) {
	declared := r.report
	r.err = nil
	source, err := c.reader(r.key.Dir, w.Page)
	if err != nil {
		r.err = err
		return
	}
	policy := c.policy()
	if later {
		policy.MaxDown = autoscale.Limit{} // the HPA takes all of the surplus at once
	}
	controller := control.Controller{
		Policy: policy, Source: source, Workload: seen, Memory: memory, Signal: source.Identity(), Again: readAgain,
		Decided: func(d autoscale.Decision) { c.printDecision(s, d) },
	}
	r.report, r.err = controller.Step(ctx, now)
	if ctx.Err() != nil && errors.Is(r.err, context.Cause(ctx)) {
		r.err = fmt.Errorf("interrupted before anything was scaled: %w", r.err)
	}
	r.decided = !r.report.Decision.At.IsZero()
	r.join(declared)
	if later {
		c.declareLater(ctx, w, r)
	}
	r.report.Warnings = append(r.report.Warnings, memory.told()...)
	r.report.Warnings = append(r.report.Warnings, c.unreachableHint(r.report.Reading)...)
	r.err = errors.Join(r.err, c.namesCounter(r.report.Reading))
	if c.Start && c.Mode != autoscale.Observe && errors.Is(r.err, kubernetes.ErrNotRunning) {
		w.Keep()
		r.start(ctx, w, max(int(c.Min), 1), c.DryRun)
	}
}

// join puts what was applied before the step in front of what became of it.
func (r *result) join(declared control.Report) {
	r.report.Warnings = append(declared.Warnings, r.report.Warnings...)
	if declared.Outcome == nil {
		return
	}
	joined := *declared.Outcome
	if after := r.report.Outcome; after != nil {
		joined.Count = after.Count
		joined.Notes, joined.Commands = append(joined.Notes, after.Notes...), append(joined.Commands, after.Commands...)
	}
	r.report.Outcome = &joined
}

// declareLater applies an HPA whose maximum takes replicas away at once, where
// the load allows it.
func (c *scaleCommand) declareLater(ctx context.Context, w *kubernetes.Workload, r *result) {
	d := r.report.Decision
	switch {
	case r.err != nil || c.Mode == autoscale.Observe:
	case w.Unready() != "":
		r.err = w.AboveMax(w.Unready())
	case r.decided && d.Verdict == autoscale.OK && d.Want <= int(c.Max):
		r.declare(ctx, w, c.Mode)
	default:
		why := "no decision was made"
		if len(d.Steps) > 0 {
			why = d.Steps[len(d.Steps)-1].Detail
		}
		r.err = w.AboveMax(why)
	}
}

// namesCounter is the error of a metric that the HPA is to read as requests/s,
// and that is a counter.
func (c *flags) namesCounter(reading autoscale.Reading) error {
	if reading.Kind != autoscale.Counter || c.RPSMetricType != "" || strings.HasSuffix(reading.Metric, "_total") {
		return nil
	}
	return fmt.Errorf("%s is a counter, which an HPA cannot use; say --rps-metric-type=counter, and the HPA asks for its rate as %s", reading.Metric, kubernetes.PerSecond(reading.Metric))
}

// looked is a workload that was looked at a moment ago.
type looked struct {
	*kubernetes.Workload
	seen autoscale.Replicas
}

// Observe tells what was seen.
func (l looked) Observe(context.Context) (autoscale.Replicas, error) { return l.seen, nil }

// beforeHPA is what is kept of the time before the first run.
type beforeHPA struct {
	kubernetes.Before
	At time.Time `json:"at"`
	// StateFolder is the folder of the state file, where that was made with it.
	StateFolder string `json:"state_folder,omitempty"`
}

// begin has what stands before the first run kept before anything is written, so
// that a run which is killed takes nothing of it along.
func (c *scaleCommand) begin(w *kubernetes.Workload, m *memory, now autoscale.Instant, count int) {
	state, strange, err := m.file.Load(m.key)
	if err == nil && state.Known() {
		return
	}
	if kept, failed := m.file.Before(m.key); failed == nil && kept != nil {
		return
	}
	stood, failed := standingHPA(w, m.file, now)
	m.before = func() (json.RawMessage, error) { return stood, failed }
	w.First(func() {
		if err != nil || failed != nil || len(strange) > 0 || m.dry || m.before == nil {
			return // the first Save keeps it, or says why it does not
		}
		state.Count, state.Applied = count, true
		if warnings, err := m.file.SaveFirst(m.key, state, stood); err == nil {
			m.before, m.warnings = nil, append(m.warnings, warnings...)
		}
	})
}

// missedHere remembers a run that saw no load, as missed does, while this run
// itself keeps others off the workload.
func missedHere(ctx context.Context, m *memory, now autoscale.Instant) error {
	state, _, err := m.Load()
	if err != nil || ctx.Err() != nil || !state.Known() {
		return err
	}
	return m.Save(state.Missed(now))
}

// standingHPA is what stands before the first run.
func standingHPA(w *kubernetes.Workload, file *store.File, now autoscale.Instant) (json.RawMessage, error) {
	b := beforeHPA{At: now.Time}
	var err error
	if b.Before, err = w.Before(); err != nil {
		return nil, err
	}
	b.StateFolder = missingFolder(file)
	return json.Marshal(b)
}
