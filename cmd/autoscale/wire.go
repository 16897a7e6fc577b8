package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/store"
)

const (
	// lockWait is how long a run waits for another one on the same workload.
	lockWait = 10 * time.Second
	// readAgain is the time between a one-shot's two readings of a counter.
	readAgain = 2 * time.Second
)

// result is what one run came to, for print.
type result struct {
	key    store.Key
	report control.Report
	// decided tells that report.Decision holds one.
	decided bool
	// declared tells that an HPA's manifest is as it should be.
	declared bool
	// started tells that --start did, or would do, what it is for.
	started bool
	err     error
}

// status is the exit status that the contract gives to r.
func (r result) status() int {
	if r.err != nil || r.decided && r.report.Doubtful() {
		return statusDoubt
	}
	return statusDone
}

// once makes one step with the provider that was asked for.
func (c *scaleCommand) once(ctx context.Context, s streams, dir string) result {
	if c.Provider == k8s {
		return c.onKubernetes(ctx, s, dir)
	}
	return c.onCompose(ctx, s, dir)
}

// onCompose finds the workload, keeps other runs off it, and makes one step.
func (c *scaleCommand) onCompose(ctx context.Context, s streams, dir string) result {
	r := result{key: store.Key{Provider: string(c.Provider), Service: c.Service, Dir: dir}}
	source, err := prometheus.New(c.source())
	if err != nil {
		r.err = err
		return r
	}
	w, err := compose.Find(ctx, c.workload(s, dir, &r.key))
	if err != nil {
		r.err = errors.Join(err, c.missed(ctx, dir))
		return r
	}
	defer w.Close()
	r.key.Engine, r.key.Project, r.key.Dir = w.Engine(), w.Project(), w.Dir()
	if r.key.Project == "" {
		r.key.Project = w.Dir() // nothing but the folder says which project it is
	}
	lock, err := store.LockWorkload(ctx, r.key, lockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer lock.Unlock()
	w.Hold(lock)
	// Only now: another run may have been waited for.
	now, err := readClocks()
	if err != nil {
		r.err = err
		return r
	}
	file := store.Open(c.statePath(w.Dir()))
	memory := &memory{file: file, key: r.key, dry: c.DryRun, before: func() (json.RawMessage, error) { return standing(w, file, now) }}
	controller := control.Controller{
		Policy: c.policy(), Source: source, Workload: w, Memory: memory, Signal: source.Identity(), Again: readAgain,
		Decided: func(d autoscale.Decision) { c.printDecision(s, d) },
	}
	lost := c.dockerLost(file, w)
	if lost != nil && controller.Policy.Mode == autoscale.Auto {
		controller.Policy.Mode = autoscale.RaiseOnly // the engine may run more than the file says
	}
	r.report, r.err = controller.Step(ctx, now)
	if ctx.Err() != nil && r.report.Outcome == nil && errors.Is(r.err, context.Cause(ctx)) {
		r.err = fmt.Errorf("interrupted before anything was moved: %w", r.err)
	}
	r.err = errors.Join(r.err, lost)
	r.decided = !r.report.Decision.At.IsZero()
	r.report.Warnings = append(r.report.Warnings, memory.warnings...)
	r.report.Warnings = append(r.report.Warnings, unreachableHint(r.report.Reading)...)
	if c.Start && c.Mode != autoscale.Observe && errors.Is(r.err, compose.ErrNotRunning) {
		count := max(int(c.Min), 1)
		saved := memory.begin(now, count)
		r.start(ctx, w, count, c.DryRun)
		r.err = errors.Join(r.err, saved)
	}
	return r
}

// starter starts a service of which nothing runs.
type starter interface {
	StartMin(ctx context.Context, count int) (autoscale.Outcome, error)
}

// start is what --start does where nothing runs.
func (r *result) start(ctx context.Context, w starter, count int, dry bool) {
	outcome, err := w.StartMin(ctx, count)
	r.report.Outcome, r.err = &outcome, err
	r.started = err == nil
	if r.started && !dry {
		outcome.Notes = append(outcome.Notes, fmt.Sprintf("no replica ran; started %d as --start asks", outcome.Count))
	}
}

// workload is the flags' part of the Compose service.
func (c *flags) workload(s streams, dir string, key *store.Key) compose.Config {
	cfg := compose.Config{
		Service: c.Service, Dir: dir, DirGiven: c.ProjectDir != ".", OverrideFile: c.ComposeFile,
		Files: c.File, EnvFiles: c.EnvFile, Profiles: c.Profile, ProjectName: c.ProjectName,
		Docker: c.Docker, Apply: compose.Apply(c.Apply), DryRun: c.DryRun, Max: int(c.Max),
		Tell: func(text string) {
			// What moves goes on, whether or not somebody reads of it.
			_ = c.line(s.err, time.Now(), "", text)
		},
		Serialize: func(ctx context.Context, project string, wait time.Duration) (compose.Lock, error) {
			k := *key
			k.Project = project
			return store.LockProject(ctx, k, wait)
		},
	}
	if name := os.Getenv("COMPOSE_PROJECT_NAME"); cfg.ProjectName == "" && name != "" {
		cfg.ProjectName, cfg.NameFromEnv = name, true
	}
	if c.Wait != nil {
		cfg.Wait = time.Duration(*c.Wait)
	}
	return cfg
}

func (c *flags) statePath(dir string) string {
	if filepath.IsAbs(c.StateFile) {
		return c.StateFile
	}
	return filepath.Join(dir, c.StateFile)
}

// missed remembers a run that could not even find its workload, because the
// engine did not answer, say, as a run without a reading.
func (c *flags) missed(ctx context.Context, dir string) error {
	if ctx.Err() != nil || c.DryRun {
		return nil
	}
	now, err := readClocks()
	if err != nil {
		return err
	}
	file := store.Open(c.statePath(dir))
	keys, err := file.Keys(dir, c.Service)
	for _, key := range keys {
		if key.Provider == string(c.Provider) {
			err = errors.Join(err, missedOf(ctx, file, key, now))
		}
	}
	return err
}

func missedOf(ctx context.Context, file *store.File, key store.Key, now autoscale.Instant) error {
	lock, err := store.LockWorkload(ctx, key, lockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	state, _, err := file.Load(key)
	if err != nil {
		return err
	}
	_, err = file.Save(key, state.Missed(now))
	return err
}

// unreachableHint is the remedy for the commonest mistake: a page on localhost
// that only the replicas themselves serve. The samples' names are the URLs
// without what is secret in them.
func unreachableHint(reading autoscale.Reading) []string {
	for _, sample := range reading.Samples {
		if sample.Verdict != autoscale.Unreachable || !strings.Contains(sample.Detail, "connection refused") || reading.Scope == autoscale.ScopeReplica {
			continue
		}
		u, err := url.Parse(sample.Name)
		if err != nil || u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") {
			continue
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		each := strings.Replace(sample.Name, u.Host, "{replica}:"+port, 1)
		return []string{fmt.Sprintf("if the replicas serve that page themselves and publish no port, read each of them: --metrics-url='%s'", each)}
	}
	return nil
}

// dockerLost is the error of a run that finds no docker where an earlier one
// did: a cron job's PATH, usually.
func (c *flags) dockerLost(file *store.File, w *compose.Workload) error {
	if w.Moves() || c.Apply != "auto" {
		return nil
	}
	applied, err := file.Applied(w.Dir(), c.Service)
	if err != nil || !applied {
		return err
	}
	return fmt.Errorf("compose: an earlier run reached service %q through docker, but now %w on the PATH (%s); set PATH in the crontab or the unit, or name the binary with --docker",
		c.Service, compose.ErrNoDocker, os.Getenv("PATH"))
}

// memory is a workload's entry in the state file, and the journal beside it. In
// a dry run it only reads.
type memory struct {
	file     *store.File
	key      store.Key
	dry      bool
	warnings []string
	// before tells what stands before the first run; it is asked once.
	before func() (json.RawMessage, error)
	kept   json.RawMessage
}

// Load reads the state of the last run.
func (m *memory) Load() (autoscale.State, []string, error) {
	state, warnings, err := m.file.Load(m.key)
	if state.Known() {
		m.before = nil
	}
	return state, warnings, err
}

// Save keeps the state for the next run.
func (m *memory) Save(s autoscale.State) error {
	if m.dry {
		return nil
	}
	if m.before != nil {
		kept, err := m.before()
		if err != nil {
			m.warnings = append(m.warnings, fmt.Sprintf("autoscale rollback --restore will not know what stood before this first run: %v", err))
		}
		m.before, m.kept = nil, kept
	}
	warnings, err := m.file.SaveFirst(m.key, s, m.kept)
	m.warnings = append(m.warnings, warnings...)
	return err
}

// begin remembers, before --start acts, what stood until then.
func (m *memory) begin(now autoscale.Instant, count int) error {
	state, _, err := m.Load()
	if err != nil || state.Known() {
		return err
	}
	return m.Save(autoscale.Begun(now, count))
}

// Record appends one run to the journal.
func (m *memory) Record(r control.Report) error {
	if m.dry {
		return nil
	}
	return m.file.Journal().Append(store.Record{
		Time: time.Now(), Workload: m.key, Reading: r.Reading, Decision: r.Decision, Outcome: outcome(r),
	})
}

// outcome names what became of a decision, for the journal.
func outcome(r control.Report) store.Outcome {
	o := store.Outcome{Result: "unchanged", Count: r.Decision.From, Error: r.Error}
	if r.Outcome != nil {
		o.Count = r.Outcome.Count
	}
	switch {
	case r.Error != "":
		o.Result = "failed"
	case o.Count != r.Decision.From:
		o.Result = "scaled"
	case r.Decision.Reason == autoscale.ObserveMode:
		o.Result = "observed"
	case r.Decision.Want != r.Decision.To:
		o.Result = "held"
	}
	return o
}
