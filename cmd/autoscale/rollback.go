package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/kubernetes"
	"github.com/five-keys/autoscale/internal/schedule"
	"github.com/five-keys/autoscale/internal/store"
)

// rollbackCommand undoes what the other commands did for one service.
type rollbackCommand struct {
	flags
	Replicas *whole `group:"run" placeholder:"N" help:"Replicas to go back to; default: 1."`
	Restore  bool   `group:"run" help:"Go back to the replicas and the override file from before the first run."`
	Yes      bool   `group:"run" short:"y" help:"Do it without asking."`
}

// Help is what stands below the flags' summary.
func (c *rollbackCommand) Help() string {
	return `Takes the flags of the line that is to be undone, and needs none of them but
those that name the service and where its files lie. With --rps-target it also
looks whether the load needs more replicas than it would leave.

Removes the schedule that "autoscale schedule install" made, sets the replicas
to 1 (on Kubernetes: deletes the HPA and its manifest, and leaves the count), and
removes this service's state and journal. It shows that beforehand and asks;
--dry-run shows it and ends. Run it again as often as you like.

Exit status: 0 all of it is undone; 1 something is left, and is named; 2 flags
wrong in themselves, or nobody there to be asked and no --yes.`
}

// undoing is one thing that a rollback does.
type undoing struct {
	What string `json:"what"` // schedule, replicas, file, textfile, state, journal
	Text string `json:"text"` // what it will do
	Done bool   `json:"done"`
	do   func(context.Context) error
	// about is the file and the entry in it that a step forgets.
	about string
}

// plan is what a rollback of one service comes to.
type plan struct {
	w            *compose.Workload // nil on Kubernetes
	dir, project string
	// hold has what is changed keep a lock.
	hold func(*store.Lock)
	// recheck looks, once no other run can be at work, whether the plan is still
	// what was confirmed.
	recheck func(context.Context) error
	// stateFolder is the folder of the state file, where that was made with it.
	stateFolder string
	file        *store.File
	keys        []store.Key
	steps       []*undoing
	concerns    []string // what the person who confirms should know
	left        []string // what stays that a person has to look at: no success
	below       string   // why the count is, or may be, too low for the load; empty where it is not
	current     int      // replicas that the plan rests on
	foreign     []schedule.Entry
}

// before is what is kept of the time before the first run.
type before struct {
	compose.Before
	At time.Time `json:"at"`
	// StateFolder is the folder of the state file, where that was made with it.
	StateFolder string `json:"state_folder,omitempty"`
}

// standing is what stands before the first run.
func standing(w *compose.Workload, file *store.File, now autoscale.Instant) (json.RawMessage, error) {
	b := before{At: now.Time}
	var err error
	if b.Before, err = w.Before(); err != nil {
		return nil, err
	}
	b.StateFolder = missingFolder(file)
	return json.Marshal(b)
}

// missingFolder is the folder of a state file, where the first run will make it;
// else empty.
func missingFolder(file *store.File) string {
	if folder := filepath.Dir(file.Path()); !exists(folder) {
		return folder
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// check looks for what is wrong in the flags themselves; those of a decision may
// be missing.
func (c *rollbackCommand) check() error {
	if c.Provider == processes {
		return errors.New("--provider=process: nothing is left to be undone once autoscale run has ended, but what it remembers: remove the state file and its journal")
	}
	var errs []error
	if c.Service == "" {
		errs = append(errs, errors.New("--service is empty; name the Compose service, or the Deployment"))
	}
	if c.Provider == k8s && c.Service != "" {
		errs = append(errs, c.hpa(streams{}, "", kubernetes.Metric{}).ValidateNames())
	}
	if c.Provider == k8s && c.Replicas != nil {
		errs = append(errs, fmt.Errorf("--replicas: without the HPA the Deployment keeps the count it has; set another with kubectl scale deployment/%s --replicas=%d", c.Service, *c.Replicas))
	}
	if c.Replicas != nil && *c.Replicas < 1 {
		errs = append(errs, fmt.Errorf("--replicas=%d: at least 1 is left running; to stop the service use docker compose stop", *c.Replicas))
	}
	if c.Replicas != nil && c.Restore {
		errs = append(errs, errors.New("--replicas and --restore both say the count; leave one of them away"))
	}
	return errors.Join(errs...)
}

// Run plans, shows, asks and undoes.
func (c *rollbackCommand) Run(ctx context.Context, s streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	if c.Provider == "" {
		c.Provider = composed
	}
	dir, err := c.dir()
	if err != nil {
		return c.end(s, &plan{}, err)
	}
	key := store.Key{Provider: string(c.Provider), Service: c.Service, Dir: dir}
	planned := c.plan
	if c.Provider == k8s {
		planned = c.planKubernetes
	}
	p, err := planned(ctx, s, &key)
	if p != nil && p.w != nil {
		defer p.w.Close()
	}
	if err != nil {
		return c.end(s, p, err)
	}
	if len(p.foreign) > 0 {
		return c.end(s, p, refuseForeign(p.foreign))
	}
	c.show(s, p)
	if len(p.steps) == 0 || c.DryRun {
		return c.end(s, p, nil)
	}
	if err := c.ask(ctx, s, p); err != nil {
		if e, ok := errors.AsType[exit](err); ok && e.status == statusUsage {
			return err
		}
		return c.end(s, p, err)
	}
	return c.end(s, p, p.carryOut(ctx, s, c))
}

// refuseForeign names what would scale again and is not ours to remove.
func refuseForeign(entries []schedule.Entry) error {
	var lines []string
	for _, e := range entries {
		why := "autoscale did not install it"
		if e.Edited {
			why = "it was changed since autoscale installed it"
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %s", e.Where, why, e.Text))
	}
	return fmt.Errorf("nothing was changed, since this would scale the service again:\n%s\nremove it by hand (crontab -e, or systemctl disable --now and the unit's files), then run this again", strings.Join(lines, "\n"))
}

// plan looks at everything and changes nothing.
func (c *rollbackCommand) plan(ctx context.Context, s streams, key *store.Key) (*plan, error) {
	p := &plan{}
	cfg := c.workload(s, key.Dir, key)
	if c.Replicas != nil {
		cfg.Max = int(*c.Replicas)
	}
	var err error
	if p.w, err = compose.Find(ctx, cfg); err != nil {
		return p, err
	}
	key.Engine, key.Project, key.Dir = p.w.Engine(), p.w.Project(), p.w.Dir()
	if key.Project == "" {
		key.Project = p.w.Dir()
	}
	p.dir, p.project = p.w.Dir(), p.w.Project()
	p.hold = func(lock *store.Lock) { p.w.Hold(lock) }
	p.recheck = func(ctx context.Context) error { return p.notRaised(ctx) }
	p.file = store.Open(c.statePath(p.dir))
	if p.keys, err = p.remembered(*key); err != nil {
		return p, err
	}
	if err := c.dockerLost(p.file, p.w); err != nil {
		return p, fmt.Errorf("nothing was changed, since the replicas that run cannot be reached: %w", err)
	}
	seen, err := p.w.Observe(ctx)
	if err != nil {
		return p, err
	}
	if err := p.schedules(ctx, c.Service, c.Provider); err != nil {
		return p, err
	}
	var kept *before
	if found, err := p.before(*key, &kept); err != nil {
		return p, err
	} else if found {
		p.stateFolder = kept.StateFolder
	}
	if err := c.planCount(ctx, p, seen, kept, *key); err != nil {
		return p, err
	}
	c.planTextfile(p)
	p.planMemory()
	if c.UpstreamFile != "" && exists(p.w.ListPath()) {
		p.concerns = append(p.concerns, fmt.Sprintf("%s stays, since the proxy in front reads it, and from then on nobody keeps it: it goes wrong with the next replica that is started anew; have the proxy look the service up by itself (docs/proxies.md), then remove it", p.w.ListPath()))
	}
	// A misspelt service, or another folder, is no success.
	if len(p.steps) == 0 && seen.Stopped != nil && !errors.Is(seen.Stopped, compose.ErrNotRunning) {
		return p, seen.Stopped
	}
	return p, nil
}

// remembered are the entries in the state file that are this workload's.
func (p *plan) remembered(key store.Key) ([]store.Key, error) {
	keys := []store.Key{key}
	// Without the engine nobody can tell which of them it is: all of this folder.
	// With it, those are its own that were made without, as by a cron whose PATH
	// lacks docker.
	all, err := p.file.Keys(key.Dir, key.Service)
	for _, k := range all {
		if k.String() != key.String() && k.Provider == key.Provider && (key.Engine == "" || k.Engine == "") {
			keys = append(keys, k)
		}
	}
	return keys, err
}

// schedules plans to remove what we installed, and finds what others did.
func (p *plan) schedules(ctx context.Context, service string, by provider) error {
	entries, warnings, err := schedule.Find(ctx, schedule.Workload{Service: service, Dir: p.dir, Provider: string(by)})
	p.concerns = append(p.concerns, warnings...)
	for _, e := range entries {
		switch {
		case e.Ours:
			p.steps = append(p.steps, &undoing{What: "schedule", Text: fmt.Sprintf("remove from %s: %s", e.Where, e.Text), do: e.Remove})
		case e.Acts:
			p.foreign = append(p.foreign, e)
		default:
			p.concerns = append(p.concerns, fmt.Sprintf("%s stays: it changes nothing (%s)", e.Where, e.Text))
		}
	}
	return err
}

// before reads what was kept of the time before the first run; found is false,
// and kept stays as it is, where nothing was.
func (p *plan) before(key store.Key, kept any) (found bool, err error) {
	text, err := p.file.Before(key)
	if err != nil || text == nil {
		return false, err
	}
	if err := json.Unmarshal(text, kept); err != nil {
		return false, fmt.Errorf("what state file %s keeps of the time before the first run cannot be read: %w", p.file.Path(), err)
	}
	return true, nil
}

// planCount plans how the count goes back.
func (c *rollbackCommand) planCount(ctx context.Context, p *plan, seen autoscale.Replicas, kept *before, key store.Key) error {
	declared, found, err := p.w.Declared()
	if err != nil {
		return err
	}
	p.current = seen.Current
	stays, err := c.countStays(p, kept, key)
	if err != nil {
		return err
	}
	if stays != "" {
		if c.Restore || seen.Current > 1 || found && declared > 1 {
			p.concerns = append(p.concerns, stays+", so the count stays as it is; --replicas N sets it")
		}
		return nil
	}
	to := 1
	switch {
	case c.Replicas != nil:
		to = int(*c.Replicas)
	case c.Restore:
		to = max(kept.Replicas, 1)
	}
	now, runs := seen.Current, p.w.Moves() && seen.Current > 0
	if runs && now != to || found && declared != to {
		p.steps = append(p.steps, &undoing{What: "replicas", Text: countText(runs, now, declared, found, to), do: func(ctx context.Context) error {
			_, err := p.w.Undo(ctx, to)
			return err
		}})
	}
	if c.Restore {
		p.steps = append(p.steps, &undoing{
			What: "file", Text: fmt.Sprintf("put %s back as it was before the first run at %s", p.w.OverridePath(), kept.At.Local().Format(time.DateTime)),
			do: func(context.Context) error { return p.restoreFile(kept) },
		})
	}
	if seen.Stopped != nil {
		p.concerns = append(p.concerns, fmt.Sprintf("no replica of service %q runs, and none is started: only the file is changed", c.Service))
	}
	if runs && to < now {
		c.planLoad(ctx, p, to, key)
	}
	return nil
}

// notRaised is an error where there are more replicas than the plan rests on.
func (p *plan) notRaised(ctx context.Context) error {
	now, err := p.w.Observe(ctx)
	if err != nil {
		return err
	}
	if now.Current > p.current { // by a run that was waited for, say
		return fmt.Errorf("the replicas were raised meanwhile, from %d to %d, and to lower those is not what was confirmed; run this again", p.current, now.Current)
	}
	return nil
}

// countStays says why the count is none of ours to change; empty where it is.
func (c *rollbackCommand) countStays(p *plan, kept *before, key store.Key) (string, error) {
	state, _, err := p.file.Load(key)
	if err != nil || c.Replicas != nil {
		return "", err
	}
	remembered := state.Known() || p.file.Journal().Count(key) > 0
	switch {
	case c.Restore && kept == nil && remembered:
		return "", errors.New("--restore: nothing is remembered of the time before the first run; say --replicas N, or leave --restore away for 1")
	case kept == nil && !remembered && c.Restore:
		return "no run is remembered and there is nothing to restore", nil
	case kept == nil && !remembered:
		return "no run is remembered", nil
	case kept == nil || p.moved(key):
		return "", nil
	}
	untouched, err := p.w.Untouched(kept.Before)
	if untouched {
		return "no run has changed it", err
	}
	return "", err
}

// moved reports whether the journal knows of a run that changed the count.
func (p *plan) moved(key store.Key) bool {
	for r, err := range p.file.Journal().Read() {
		if err == nil && r.Workload.String() == key.String() && r.Outcome.Result != "observed" && r.Outcome.Result != "unchanged" && r.Outcome.Result != "held" {
			return true
		}
	}
	return false
}

func countText(runs bool, now, declared int, found bool, to int) string {
	switch {
	case runs && now != to:
		plural := "s"
		if to == 1 {
			plural = ""
		}
		return fmt.Sprintf("%d -> %d replica%s, in the override file and on the engine", now, to, plural)
	case found:
		return fmt.Sprintf("the override file says %d; make it say %d", declared, to)
	}
	return fmt.Sprintf("make the override file say %d", to)
}

// restoreFile puts the file back, or says why it stays.
func (p *plan) restoreFile(kept *before) error {
	restored, err := p.w.RestoreFile(kept.Before)
	if err == nil && !restored {
		p.concerns = append(p.concerns, fmt.Sprintf("%s keeps the count and whatever else was changed in it since: more than the count was changed, or COMPOSE_FILE names it", p.w.OverridePath()))
	}
	return err
}

// planLoad looks whether the load needs more replicas than there will be.
func (c *rollbackCommand) planLoad(ctx context.Context, p *plan, to int, key store.Key) {
	if c.RPSTarget <= 0 {
		p.concerns = append(p.concerns, "whether the load needs more was not looked at: give --rps-target and where the load is read, such as --metrics-url, for that")
		return
	}
	load, verdict, err := c.load(ctx, p.w, key)
	target := float64(c.RPSTarget)
	switch {
	case err != nil:
		p.below = fmt.Sprintf("whether the load needs more is not known: %v", err)
		p.concerns = append(p.concerns, p.below)
	case load > target*float64(to):
		need := c.policy().ReplicasFor(load)
		p.below = fmt.Sprintf("the load is %.3g rps, for which %d replicas are needed at %.3g each; %d would be left", load, need, target, to)
		p.concerns = append(p.concerns, p.below)
	case verdict != autoscale.OK:
		p.below = fmt.Sprintf("whether the load needs more is not known: the reading is %s", verdict)
		p.concerns = append(p.concerns, p.below)
	}
}

// forgets reports whether a step that forgets this entry is planned already.
func (p *plan) forgets(path string, key store.Key) bool {
	return slices.ContainsFunc(p.steps, func(u *undoing) bool { return u.about == path+key.String() })
}

// planMemory plans to forget: the state last, since it knows what stood before.
func (p *plan) planMemory() {
	journal := p.file.Journal()
	for _, key := range p.keys {
		if n := journal.Count(key); n > 0 && !p.forgets(journal.Path(), key) {
			what := fmt.Sprintf("%d decisions", n)
			if n == 1 {
				what = "one decision"
			}
			p.steps = append(p.steps, &undoing{What: "journal", about: journal.Path() + key.String(), Text: fmt.Sprintf("remove this service's %s from %s", what, journal.Path()), do: func(context.Context) error {
				return journal.Forget(key)
			}})
		}
		state, _, err := p.file.Load(key)
		kept, _ := p.file.Before(key) // where that cannot be read, err says so too
		if (err != nil || state.Known() || kept != nil) && !p.forgets(p.file.Path(), key) {
			p.steps = append(p.steps, &undoing{What: "state", about: p.file.Path() + key.String(), Text: fmt.Sprintf("remove this service's entry from %s", p.file.Path()), do: func(context.Context) error {
				err := p.file.Remove(key)
				if p.w != nil {
					err = errors.Join(err, p.w.Told())
				}
				if err == nil && p.stateFolder != "" {
					_ = os.Remove(p.stateFolder) // stays where something else lies in it
				}
				return err
			}})
		}
	}
}
