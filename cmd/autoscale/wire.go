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
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/control"
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
	// news are what people are to be told, which is remembered where noted is set.
	news  []string
	noted bool
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
	w, key, err := c.findCompose(ctx, s, dir)
	if err != nil {
		return result{key: key, err: errors.Join(err, c.missed(ctx, dir))}
	}
	defer w.Close()
	source, err := c.reader(w.Dir(), nil)
	if err != nil {
		return result{key: key, err: err}
	}
	one := composeRun{
		flags: &c.flags, source: source, w: w, memory: &memory{file: store.Open(c.statePath(w.Dir())), key: key, dry: c.DryRun, people: c.people}, again: readAgain,
		decided: func(d autoscale.Decision) { c.printDecision(s, d) },
	}
	return one.step(ctx, c.policy())
}

// clocks reads the clocks; nil reads the machine's.
type clocks func() (autoscale.Instant, error)

func (c clocks) read() (autoscale.Instant, error) {
	if c != nil {
		return c()
	}
	return readClocks()
}

// keyIn is what is known of the workload before it was found.
func (c *flags) keyIn(dir string) store.Key {
	return store.Key{Provider: string(c.Provider), Service: c.Service, Dir: dir}
}

// findCompose finds the workload. Of what could not be found the key says as much
// as is known.
func (c *flags) findCompose(ctx context.Context, s streams, dir string) (*compose.Workload, store.Key, error) {
	key := c.keyIn(dir)
	w, err := compose.Find(ctx, c.workload(s, dir, &key))
	if err != nil {
		return nil, key, err
	}
	// Where nothing says the project's name, the folder is all that does.
	key.Engine, key.Project, key.Dir = w.Engine(), cmp.Or(w.Project(), w.Dir()), w.Dir()
	return w, key, nil
}

// composeRun makes the steps of one Compose service, one at a time.
type composeRun struct {
	*flags
	source  reader
	more    []control.Input
	w       *compose.Workload
	memory  *memory
	again   time.Duration
	decided func(autoscale.Decision)
}

// step makes one step, while no other run is at work on the workload.
func (x *composeRun) step(ctx context.Context, policy autoscale.Policy) (r result) {
	r.key = x.memory.key
	lock, err := store.LockWorkload(ctx, r.key, lockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer lock.Unlock()
	defer func() { x.memory.tell(ctx, &r, policy.Max) }()
	x.w.Hold(lock)
	defer x.w.LetGo()
	// Only now: another run may have been waited for.
	now, err := x.clocks.read()
	if err != nil {
		r.err = err
		return r
	}
	x.memory.before = func() (json.RawMessage, error) { return standing(x.w, x.memory.file, now) }
	controller := control.Controller{
		Policy: policy, Source: x.source, More: x.more, Workload: x.w, Memory: x.memory, Signal: x.source.Identity(), Again: x.again, Decided: x.decided,
	}
	lost := x.dockerLost(x.memory.file, x.w)
	if lost != nil && policy.Mode == autoscale.Auto {
		controller.Policy.Mode = autoscale.RaiseOnly // the engine may run more than the file says
	}
	r.report, r.err = controller.Step(ctx, now)
	if ctx.Err() != nil && r.report.Outcome == nil && errors.Is(r.err, context.Cause(ctx)) {
		r.err = fmt.Errorf("interrupted before anything was moved: %w", r.err)
	}
	r.err = errors.Join(r.err, lost)
	r.decided = !r.report.Decision.At.IsZero()
	r.report.Warnings = append(r.report.Warnings, x.memory.told()...)
	r.report.Warnings = append(r.report.Warnings, x.unreachableHint(r.report.Reading)...)
	if x.Start && policy.Mode != autoscale.Observe && errors.Is(r.err, compose.ErrNotRunning) {
		count := max(policy.Min, 1)
		saved := x.memory.begin(now, count)
		r.start(ctx, x.w, count, x.DryRun)
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
		Service: c.Service, Dir: dir, DirGiven: c.ProjectDir != "." && !c.anyDir, OverrideFile: c.ComposeFile,
		Files: c.File, EnvFiles: c.EnvFile, Profiles: c.Profile, ProjectName: c.ProjectName,
		Docker: c.Docker, Apply: compose.Apply(c.Apply), DryRun: c.DryRun, Max: int(c.Max),
		Tell: c.teller(s),
		Serialize: func(ctx context.Context, project string, wait time.Duration) (compose.Lock, error) {
			k := *key
			k.Project = project
			return store.LockProject(ctx, k, wait)
		},
	}
	if name := os.Getenv("COMPOSE_PROJECT_NAME"); cfg.ProjectName == "" && name != "" {
		cfg.ProjectName, cfg.NameFromEnv = name, true
	}
	cfg.Front = c.front(dir)
	if c.Wait != nil {
		cfg.Wait = time.Duration(*c.Wait)
	}
	return cfg
}

// teller tells a person what is about to be done.
func (c *flags) teller(s streams) func(string) {
	if c.tell != nil {
		return c.tell
	}
	// What is done is done, whether or not somebody reads of it.
	return func(text string) { _ = c.line(s.err, time.Now(), "", text) }
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
	if c.DryRun {
		return nil
	}
	keys, file, err := c.remembered(dir)
	return errors.Join(err, missedOf(ctx, c.clocks, file, keys))
}

// remembered are the entries in the state file that are this service's, with this
// provider, of the project in a folder.
func (c *flags) remembered(dir string) ([]store.Key, *store.File, error) {
	file := store.Open(c.statePath(dir))
	if c.alone {
		keys, err := file.All()
		return keys, file, err
	}
	keys, err := file.Keys(dir, c.Service)
	return slices.DeleteFunc(keys, func(k store.Key) bool { return k.Provider != string(c.Provider) }), file, err
}

// missedOf remembers a run that saw nothing in each of the entries.
func missedOf(ctx context.Context, clocks clocks, file *store.File, keys []store.Key) error {
	if ctx.Err() != nil {
		return nil
	}
	now, err := clocks.read()
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range keys {
		errs = append(errs, changeState(ctx, file, key, lockWait, func(s autoscale.State) (autoscale.State, bool) { return s.Missed(now), true }))
	}
	return errors.Join(errs...)
}

// changeState changes what is remembered of a workload, while no run is at work on
// it; change reports whether there is anything to be saved.
func changeState(ctx context.Context, file *store.File, key store.Key, wait time.Duration, change func(autoscale.State) (autoscale.State, bool)) error {
	lock, err := store.LockWorkload(ctx, key, wait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	state, _, err := file.Load(key)
	if err != nil {
		return err
	}
	changed, changes := change(state)
	if changes {
		_, err = file.Save(key, changed)
	}
	return err
}

// unreachableHint is the remedy for the commonest mistake: a page on localhost
// that only the replicas themselves serve. The samples' names are the URLs
// without what is secret in them.
func (c *flags) unreachableHint(reading autoscale.Reading) []string {
	if c.instead() != "" {
		return nil
	}
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
	applied, err := file.Applied(c.keyIn(w.Dir()))
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
	// record takes what the journal would; nil for the journal.
	record func(store.Record) error
	// known is what the file held when it was last as written says: it need not be
	// read again. Both are nil where each step is another process's.
	known   *autoscale.State
	written os.FileInfo
	caches  bool
	// people is what the service is called where people are told; empty for nobody.
	people string
}

// told is what there is to be told since it was last asked.
func (m *memory) told() []string {
	warnings := m.warnings
	m.warnings = nil
	return warnings
}

// Load reads the state of the last run.
func (m *memory) Load() (autoscale.State, []string, error) {
	if m.known != nil && m.unchanged() {
		m.before = nil
		return *m.known, nil, nil
	}
	state, warnings, err := m.file.Load(m.key)
	if state.Known() {
		m.before = nil
	}
	return state, warnings, err
}

// unchanged reports whether the file is the one that was written last: a pause
// is another process's.
func (m *memory) unchanged() bool {
	now, err := os.Stat(m.file.Path())
	return err == nil && os.SameFile(now, m.written) && now.ModTime().Equal(m.written.ModTime()) && now.Size() == m.written.Size()
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
	m.known = nil
	warnings, err := m.file.SaveFirst(m.key, s, m.kept)
	m.warnings = append(m.warnings, warnings...)
	if err == nil && m.caches && s.Known() {
		if written, failed := os.Stat(m.file.Path()); failed == nil {
			m.known, m.written = &s, written
		}
	}
	return err
}

// paused is the pause in force; nil for none.
func (m *memory) paused() *autoscale.Pause {
	if state, _, err := m.Load(); err == nil && state.Pause.InForce(time.Now()) {
		return state.Pause
	}
	return nil
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
	record := store.Record{Time: time.Now(), Workload: m.key, Reading: r.Reading, Decision: r.Decision, Outcome: outcome(r)}
	if m.record != nil {
		return m.record(record)
	}
	return m.file.Journal().Append(record)
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
