package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
)

// For how long a move waits for another service's in the same project, which may
// take as long as its slowest replica starts. A lowering rests on readings that
// grow old meanwhile; the next run may make it.
const (
	raiseWait = 10 * time.Minute
	lowerWait = 10 * time.Second
)

// Set brings the service to count replicas and makes the override file say so.
// Nothing is moved where something speaks against it; where a move fails, what
// ran still runs, and the file says what does. A raise goes on where only the
// file cannot be written; a lowering does not.
func (w *Workload) Set(ctx context.Context, count int) (autoscale.Outcome, error) {
	now := len(w.seen.replicas)
	if w.engine == nil {
		return autoscale.Outcome{Count: count}, w.declare(count)
	}
	m := &move{w: w, from: now, to: count, out: autoscale.Outcome{Count: now}}
	if count == now {
		err := errors.Join(m.declareChecked(ctx, count), m.refresh(ctx))
		return m.out, err
	}
	if err := m.prepare(ctx, count); err != nil {
		return m.out, err
	}
	if w.cfg.DryRun {
		m.plan(count)
		return m.out, nil
	}
	wait := raiseWait
	if count < now {
		wait = lowerWait
	}
	unlock, err := w.serialize(ctx, wait)
	if err != nil {
		return m.out, err
	}
	defer unlock()
	if err := m.unchanged(ctx); err != nil {
		return m.out, err
	}
	if count < now {
		err = m.lower(ctx, count)
	} else {
		err = m.raise(ctx, count)
	}
	return m.out, err
}

// plan says what a real run would do.
func (m *move) plan(count int) {
	leave, stay := victims(m.w.seen.replicas, min(count, len(m.w.seen.replicas)))
	waits := len(leave) > 0 && m.mustWait(stay)
	if tells := m.w.cfg.Front.OnChange; len(leave) > 0 && !waits && len(tells) > 0 {
		m.say(tells)
	} else if len(leave) == 0 && len(tells) > 0 {
		defer m.say(tells)
	}
	switch {
	case waits:
	case len(leave) > 0 && !m.byCompose(leave):
		for _, verb := range []string{"stop", "rm"} {
			m.say(append([]string{m.w.engine.docker, verb}, ids(leave)...))
		}
	default:
		m.say(m.up(count))
	}
}

// ids are the replicas' IDs.
func ids(replicas []replica) []string {
	all := make([]string, len(replicas))
	for i, r := range replicas {
		all[i] = r.ID
	}
	return all
}

// move is one change of the count on its way.
type move struct {
	w        *Workload
	from, to int // replicas
	out      autoscale.Outcome
	pin      string // the image that new replicas are pinned to
	networks string // the networks to be left alone, as YAML; empty where none needs it
	// sure tells that what runs after the move was seen.
	sure bool
	// fileFailed tells that the override file could not be written, which is
	// said once.
	fileFailed bool
}

// declare makes the file say count, unless that failed already.
func (m *move) declare(count int) error {
	if m.fileFailed {
		return nil
	}
	err := m.w.declare(count)
	m.fileFailed = err != nil
	return err
}

func (m *move) note(format string, args ...any) {
	m.out.Notes = append(m.out.Notes, fmt.Sprintf(format, args...))
}

func (m *move) warn(format string, args ...any) {
	m.out.Warnings = append(m.out.Warnings, fmt.Sprintf(format, args...))
}

// say records a command; unless this is a dry run it is about to run.
func (m *move) say(args []string) {
	text := command.Text(args)
	m.out.Commands = append(m.out.Commands, text)
	if !m.w.cfg.DryRun {
		m.w.cfg.Tell("runs " + text)
	}
}

// prepare looks for everything that speaks against the move, before anything
// starts or changes.
func (m *move) prepare(ctx context.Context, count int) (err error) {
	w := m.w
	if _, _, err := w.edited(count); err != nil {
		return err
	}
	if w.compose == nil {
		if w.compose, err = findCompose(ctx, w.engine.docker); err != nil {
			return err
		}
	}
	if len(w.seen.paused) > 0 {
		return fmt.Errorf("compose: %s is paused: Compose counts it, though it carries nothing, and every count would come out wrong; bring it back with docker unpause, or remove it", names(w.seen.paused))
	}
	model, err := w.resolve(ctx, count)
	if err != nil {
		return err
	}
	if err := w.check(model, count); err != nil {
		return err
	}
	if w.project.name == "" {
		w.project.name = model.Name
	}
	if count < len(w.seen.replicas) {
		if _, _, err := w.listed(ctx, w.seen.replicas); err != nil {
			return fmt.Errorf("%w; nothing was lowered", err)
		}
	}
	if count > len(w.seen.replicas) {
		if err := m.prepareRaise(ctx, model); err != nil {
			return err
		}
	}
	return m.rehearse(ctx, model, count)
}

// prepareRaise looks at what new replicas will be made of.
func (m *move) prepareRaise(ctx context.Context, model model) (err error) {
	w := m.w
	switch skew, err := w.skew(ctx, model); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil: // it would only have been told
		m.warn("%v", err)
	case skew != "":
		m.warn("%s", skew)
	}
	if m.pin, err = w.pin(ctx, model); err != nil {
		return err
	}
	if m.pin != "" {
		m.warn("the image name of service %q stands for another image by now: new replicas run %.19s like the old ones; deploy it with docker compose up -d", w.cfg.Service, m.pin)
	}
	return nil
}

// up is the Compose command that moves the service to count replicas and
// touches nothing else.
func (m *move) up(count int, files ...string) []string {
	args := slices.Concat(m.w.compose.words, m.w.projectArgs())
	for _, f := range files {
		args = append(args, "-f", f)
	}
	return append(args, "up", "-d", "--no-deps", "--no-recreate", "--no-build", "--pull", "never", "--remove-orphans=false",
		"--scale", m.w.cfg.Service+"="+strconv.Itoa(count), m.w.cfg.Service)
}

// compose runs the Compose command for count replicas.
func (m *move) compose(ctx context.Context, count int) error {
	files, remove, err := m.pins()
	if err != nil {
		return err
	}
	defer remove()
	args := m.up(count, files...)
	m.say(args)
	_, err = run(ctx, m.w.project.dir, args, m.w.held...)
	return err
}

// pins writes the temporary file that keeps image and networks as they are,
// where one is needed.
func (m *move) pins() (files []string, remove func(), err error) {
	if m.pin == "" && m.networks == "" {
		return nil, func() {}, nil
	}
	settings := map[string]any{}
	if m.pin != "" {
		settings["image"] = m.pin
	}
	text, err := m.w.saying(settings, m.networks)
	if err != nil {
		return nil, nil, err
	}
	path, remove, err := temporary(text)
	return []string{path}, remove, err
}

// unchanged looks again, since a counter's second reading or another service's
// move was waited for, and refuses a move that was decided on other replicas.
func (m *move) unchanged(ctx context.Context) error {
	before := ids(m.w.seen.replicas) // in order of their numbers
	if err := m.w.look(ctx); err != nil {
		return err
	}
	if !slices.Equal(before, ids(m.w.seen.replicas)) {
		m.out.Count = len(m.w.seen.replicas)
		return fmt.Errorf("compose: somebody else changed the replicas of service %q while this run was at it; nothing was moved, and the next run decides anew", m.w.cfg.Service)
	}
	return nil
}

// declareChecked makes the file say count where nothing is to be moved. Where
// that changes the file, Compose is asked first what it makes of it.
func (m *move) declareChecked(ctx context.Context, count int) error {
	_, text, err := m.w.edited(count)
	if err != nil || text == nil {
		return err
	}
	if m.w.compose == nil {
		if m.w.compose, err = findCompose(ctx, m.w.engine.docker); err != nil {
			return err
		}
	}
	if _, err := m.w.resolve(ctx, count); err != nil {
		return err
	}
	return m.declare(count)
}

// docker runs one docker command on some containers.
func (m *move) docker(ctx context.Context, args ...string) (string, error) {
	args = append([]string{m.w.engine.docker}, args...)
	m.say(args)
	out, err := run(ctx, "", args, m.w.held...)
	if err != nil {
		return "", fmt.Errorf("compose: %s: %w", command.Text(args), err)
	}
	return out, nil
}

// clearLeftovers removes the service's ended containers, which Compose would
// count: it then removes a healthy one for them, even on the way up. What they
// said last goes to the log.
func (m *move) clearLeftovers(ctx context.Context) error {
	for _, c := range m.w.seen.leftovers {
		if err := m.bury(ctx, c.ID, c.display(), c.State); err != nil {
			return err
		}
	}
	m.w.seen.leftovers = nil
	return nil
}

// bury removes one container by its ID and shows the last lines it wrote.
func (m *move) bury(ctx context.Context, id, name, state string) error {
	logs := []string{m.w.engine.docker, "logs", "--tail", "50", id}
	if said, err := command.Both(ctx, answerTime, logs); err != nil {
		m.note("the last lines of %s could not be had: %v", name, err)
	} else if said != "" {
		m.w.cfg.Tell(fmt.Sprintf("last lines of %s (%s):\n%s", name, state, said))
	}
	if _, err := m.docker(ctx, "rm", "--force", id); err != nil {
		return err
	}
	m.note("removed %s (%s)", name, state)
	return nil
}

// settled ends every move that changed something: file and count say what runs.
// It also works once ctx has ended, so that an interrupted run leaves both
// agreeing.
func (m *move) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime+command.Grace)
	defer cancel()
	if err := m.w.look(ctx); err != nil {
		// Nobody knows what runs now. The higher number is the one that a later
		// "docker compose up" can do no harm with.
		return errors.Join(err, m.declare(max(m.from, m.to)))
	}
	m.sure = true
	m.out.Count = len(m.w.seen.replicas)
	if m.out.Count == 0 && m.to > 0 {
		// Somebody took all down meanwhile, or none started. A file that says 0
		// would keep the next "docker compose up" from starting the service.
		return m.declare(max(m.from, 1))
	}
	return m.declare(m.out.Count)
}

// wait is how long a new replica may take to be healthy: the longer of 60 s and
// start_period + interval × retries, unless the user says.
func (w *Workload) wait(d details) time.Duration {
	if w.cfg.Wait > 0 {
		return w.cfg.Wait
	}
	const least = 60 * time.Second
	check := d.Config.Healthcheck
	if check == nil {
		return least
	}
	// The engine's own defaults: https://docs.docker.com/reference/dockerfile/#healthcheck
	interval, retries := check.Interval, check.Retries
	if interval == 0 {
		interval = 30 * time.Second
	}
	if retries == 0 {
		retries = 3
	}
	return max(least, check.StartPeriod+interval*time.Duration(retries))
}
