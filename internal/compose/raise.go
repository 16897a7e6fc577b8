package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
)

const (
	// steadyTime is how long a replica without a health check must run with an
	// unchanged restart count to be taken as started.
	steadyTime = 10 * time.Second
	// lookEvery is the time between two looks at new replicas.
	lookEvery = 500 * time.Millisecond
)

// raise adds replicas and waits until they are healthy. Those that fail are
// removed by ID; everything that ran before runs on.
func (m *move) raise(ctx context.Context, count int) error {
	w := m.w
	before := map[string]bool{}
	for _, c := range w.seen.all {
		before[c.ID] = true
	}
	stay := w.seen.replicas
	if err := m.clearLeftovers(ctx); err != nil {
		return errors.Join(err, m.settled(ctx))
	}
	declared := m.declare(count)
	started := time.Now()
	upErr := m.compose(ctx, count)
	failed, err := m.await(ctx, before)
	if late, listErr := m.newcomers(ctx, before); upErr != nil && listErr == nil {
		// The engine may still have been making what a failing Compose asked for.
		var lateErr error
		failed, lateErr = m.unstarted(ctx, late, failed)
		err = errors.Join(err, lateErr)
	}
	err = errors.Join(declared, err)
	if upErr != nil && ctx.Err() == nil {
		m.out.Failed = !errors.Is(err, ErrEngine)
		err = errors.Join(err, fmt.Errorf("compose: raising service %q to %d failed: %w", w.cfg.Service, count, upErr))
	}
	for _, f := range failed {
		m.out.Failed = m.out.Failed || !f.stopped && ctx.Err() == nil && !errors.Is(err, ErrEngine)
		err = errors.Join(err, f.err())
	}
	took := time.Since(started).Round(time.Second)
	err = errors.Join(err, m.removeFailed(ctx, failed), m.settled(ctx), m.lost(stay))
	err = errors.Join(err, m.moved(ctx))
	switch {
	case ctx.Err() != nil:
		return errors.Join(err, fmt.Errorf("compose: interrupted (%w) while raising service %q to %d; %d run now", context.Cause(ctx), w.cfg.Service, count, m.out.Count))
	case err == nil && m.out.Count == count:
		m.note("%s; the new ones took %s to start", plural(count), took)
	}
	return err
}

// fallen is a new replica that did not start.
type fallen struct {
	id, name, reason, said string
	stopped                bool // by somebody else, who is at it
}

func (f fallen) err() error {
	if f.stopped {
		return fmt.Errorf("compose: new replica %s was stopped by somebody else while it started", f.name)
	}
	said := ""
	if f.said != "" {
		said = "; it said: " + f.said
	}
	return fmt.Errorf("compose: new replica %s %s and was removed%s", f.name, f.reason, said)
}

// removeFailed removes the replicas that did not start, also once ctx has
// ended; not those that somebody else may be removing.
func (m *move) removeFailed(ctx context.Context, failed []fallen) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime+command.Grace)
	defer cancel()
	var errs []error
	for _, f := range failed {
		if f.stopped {
			continue
		}
		if _, err := m.docker(ctx, "rm", "--force", f.id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// await watches the replicas that were not there before until each is healthy,
// has failed, or its time is over; then it is left to start, and that is said.
func (m *move) await(ctx context.Context, before map[string]bool) ([]fallen, error) {
	w := m.w
	started := time.Now()
	pending, err := m.newcomers(ctx, before)
	if err != nil {
		return nil, err
	}
	var failed []fallen
	for first := true; len(pending) > 0; first = false {
		var still []container
		for _, c := range pending {
			d, err := w.engine.inspect(context.WithoutCancel(ctx), c.ID)
			if errors.Is(err, errGone) {
				failed = append(failed, fallen{id: c.ID, name: c.display(), stopped: true})
				continue
			}
			if err != nil {
				return failed, err
			}
			switch state, reason := judge(d, time.Since(started), w.wait(d)); state {
			case down:
				failed = append(failed, m.fell(ctx, c, d, reason))
			case late:
				m.note("%s is still starting after %s and left to it", c.display(), w.wait(d))
			case coming:
				still = append(still, c)
			}
		}
		pending = still
		if len(pending) == 0 {
			break
		}
		if first {
			w.cfg.Tell("waiting for " + names(pending) + " to be healthy")
		}
		select {
		case <-ctx.Done():
			// The rest is left to start; those not even started are in the way.
			return m.unstarted(ctx, pending, failed)
		case <-time.After(lookEvery):
		}
	}
	return failed, nil
}

// fell is a replica that did not start, for a reason. One that somebody else had
// stopped, as a hand or a deployment does, says nothing against the next attempt;
// where the engine does not know, it failed by itself.
func (m *move) fell(ctx context.Context, c container, d details, reason string) fallen {
	f := fallen{id: c.ID, name: c.display(), reason: reason}
	if d.State.Status == "exited" {
		stopped, err := m.w.engine.stopped(context.WithoutCancel(ctx), d)
		f.stopped = err == nil && stopped
	}
	if !f.stopped {
		f.said = m.lastWords(ctx, c.ID, d)
	}
	return f
}

// unstarted adds those of pending that an interrupted Compose created and did
// not start.
func (m *move) unstarted(ctx context.Context, pending []container, failed []fallen) ([]fallen, error) {
	for _, c := range pending {
		d, err := m.w.engine.inspect(context.WithoutCancel(ctx), c.ID)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return failed, err
		}
		known := slices.ContainsFunc(failed, func(f fallen) bool { return f.id == c.ID })
		if d.State.Status == "created" && !known {
			failed = append(failed, fallen{id: c.ID, name: c.display(), reason: "was not started"})
		}
	}
	return failed, nil
}

// newcomers are the service's containers that were not there before.
func (m *move) newcomers(ctx context.Context, before map[string]bool) ([]container, error) {
	all, err := m.w.engine.containers(context.WithoutCancel(ctx), m.w.cfg.Service)
	return slices.DeleteFunc(all, func(c container) bool {
		return before[c.ID] || c.Labels[labelProject] != m.w.project.name
	}), err
}

// progress is how far a new replica is.
type progress int

const (
	coming progress = iota
	up
	late
	down
)

// judge tells from one look at a new replica how far it is, and why it failed.
// watched is for how long it has been watched, wait for how long it may be.
func judge(d details, watched, wait time.Duration) (progress, string) {
	s := d.State
	timeOver := watched > wait
	switch {
	case s.Status == "exited" || s.Status == "dead":
		return down, fmt.Sprintf("exited with status %d", s.ExitCode)
	case s.Status == "created":
		return down, strings.TrimSuffix("could not be started: "+s.Error, ": ")
	case s.Status == "restarting" || d.RestartCount > 0:
		return down, "restarts again and again"
	case s.Status == "paused":
		return late, ""
	case s.Health == nil:
		// Ten seconds of running: the engine's and this machine's clock may differ,
		// so both must have passed since the start as this program saw it.
		if timeOver || min(watched, time.Since(s.StartedAt)) >= steadyTime {
			return up, ""
		}
		return coming, ""
	case s.Health.Status == "healthy":
		return up, ""
	case s.Health.Status == "unhealthy":
		said := ""
		if n := len(s.Health.Log); n > 0 {
			said = ": " + command.LastLines(s.Health.Log[n-1].Output, 1)
		}
		return down, "is unhealthy" + strings.TrimSuffix(said, ": ")
	case timeOver:
		return late, ""
	}
	return coming, ""
}

// lastWords are the last lines that a failed replica wrote.
func (m *move) lastWords(ctx context.Context, id string, d details) string {
	said, err := command.Both(context.WithoutCancel(ctx), answerTime, []string{m.w.engine.docker, "logs", "--tail", "50", id})
	if err != nil {
		return d.State.Error
	}
	if said != "" {
		m.w.cfg.Tell(fmt.Sprintf("last lines of %s:\n%s", strings.TrimPrefix(d.Name, "/"), said))
	}
	return command.LastLines(said, 3)
}

func names(containers []container) string {
	all := make([]string, len(containers))
	for i, c := range containers {
		all[i] = c.display()
	}
	return strings.Join(all, ", ")
}

// StartMin starts the service with count replicas where nothing runs: what
// --start asks for. Other services are not started.
func (w *Workload) StartMin(ctx context.Context, count int) (autoscale.Outcome, error) {
	m := &move{w: w, to: count}
	for _, c := range w.elsewhere {
		if c.Labels[labelProject] == w.project.name {
			return m.out, fmt.Errorf("compose: project name %q is taken by what runs in %s; give this one a name of its own with -p", w.project.name, c.Labels[labelDir])
		}
	}
	if err := m.prepare(ctx, count); err != nil {
		return m.out, err
	}
	if w.cfg.DryRun {
		m.say(m.up(count))
		return m.out, nil
	}
	unlock, err := w.serialize(ctx, raiseWait)
	if err != nil {
		return m.out, err
	}
	defer unlock()
	return m.out, m.raise(ctx, count)
}

// plural says how many replicas run.
func plural(count int) string {
	if count == 1 {
		return "1 replica runs"
	}
	return fmt.Sprintf("%d replicas run", count)
}
