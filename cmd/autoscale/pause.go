package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/store"
)

const (
	// pauseWait is how long a pause waits for a run that is under way: that may
	// wait itself for replicas that start.
	pauseWait = 5 * time.Minute
	// longestPause bounds a pause: one that is forgotten must end.
	longestPause = 31 * 24 * time.Hour
	// renewed is how long a pause around a command holds without being renewed.
	renewed = 10 * time.Minute
)

// pausing are the flags that pause, hold and resume have in common.
type pausing struct {
	flags
	Config string `group:"run" placeholder:"FILE" help:"The daemon's configuration: --service is a label in it; where none is named, all of its services."`
}

// pauseCommand leaves the count of a service alone for a time.
type pauseCommand struct {
	pausing
	For    seconds  `group:"run" placeholder:"TIME" help:"How long: 30m, 2h, or bare seconds. With a command: how long it holds should this program be killed (10m)."`
	Until  string   `group:"run" placeholder:"HH:MM" help:"Until when, instead: 14:30, or 2026-11-25 14:30."`
	Reason string   `group:"run" placeholder:"TEXT" help:"What for; shown wherever the pause is."`
	Args   []string `arg:"" optional:"" passthrough:"" placeholder:"-- CMD…" help:"A command to pause around, behind --."`
}

// Help is what stands below the flags' summary.
func (c *pauseCommand) Help() string {
	return `Nothing scales the service until the time is over: no cron line, no timer, no
daemon. Readings are still taken, so that afterwards it goes on at once.

  autoscale pause --for 30m --reason "database migration"
  autoscale pause -- ./deploy.sh        # for as long as that runs; its exit status
  autoscale pause --config autoscale.yaml --service shop --for 30m   # a daemon's service

Exit status: 0 paused; 1 it could not be; 2 flags wrong in themselves; around a
command, the command's.`
}

// Run pauses.
func (c *pauseCommand) Run(ctx context.Context, s streams) error {
	words := ofLine{c.Args}.words()
	now := time.Now()
	if len(words) > 0 && c.For == 0 && c.Until == "" {
		c.For = seconds(renewed)
	}
	until, err := ends(time.Duration(c.For), c.Until, now)
	if err != nil {
		return usage(err)
	}
	pause := &autoscale.Pause{Since: now, Until: until, By: whoami(), Reason: c.Reason}
	if len(words) == 0 {
		return c.set(ctx, s, pause)
	}
	return c.around(ctx, s, pause, words)
}

// around pauses for as long as a command runs.
func (c *pauseCommand) around(ctx context.Context, s streams, pause *autoscale.Pause, words []string) error {
	if pause.Reason == "" {
		pause.Reason = strings.Join(words, " ")
	}
	if err := c.set(ctx, s, pause); err != nil {
		return err
	}
	length := pause.Until.Sub(pause.Since)
	renewing, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for renewing.Err() == nil {
			select {
			case <-renewing.Done():
				return
			case <-time.After(length / 2):
			}
			longer := *pause
			longer.Until = time.Now().Add(length)
			if err := c.write(renewing, &longer, pause); err != nil && renewing.Err() == nil {
				complain(s.err, fmt.Errorf("the pause could not be made longer: %w", err))
			}
		}
	}()
	// The terminal's Ctrl-C reaches it as well; how it ends is its own affair.
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	err := cmd.Start()
	if err == nil {
		forward := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) }) // it may have ended
		err = cmd.Wait()
		forward()
	}
	stop()
	<-ended
	// Also where we were interrupted: the pause must not outlast the command.
	resumed := c.write(context.WithoutCancel(ctx), nil, pause)
	if resumed != nil {
		complain(s.err, fmt.Errorf("the pause ends by itself, but could not be ended now: %w", resumed))
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.ExitCode() > 0 {
		return exit{status: failed.ExitCode()}
	}
	return errors.Join(err, resumed)
}

// holdCommand keeps the count of a service at a number for a time.
type holdCommand struct {
	pausing
	Replicas whole   `group:"run" required:"" placeholder:"N" help:"How many replicas to hold."`
	For      seconds `group:"run" placeholder:"TIME" help:"How long: 30m, 2h, or bare seconds."`
	Until    string  `group:"run" placeholder:"HH:MM" help:"Until when, instead: 14:30, or 2026-11-25 14:30."`
	Reason   string  `group:"run" placeholder:"TEXT" help:"What for; shown wherever the hold is."`
}

// Help is what stands below the flags' summary.
func (c *holdCommand) Help() string {
	return `The next run goes to that count, up or down, and every run keeps it until the
time is over. A mode, and the back-off after replicas that do not start, still
hold.

  autoscale hold --replicas 6 --for 2h --reason "the newsletter"

Exit status: 0 held; 1 it could not be; 2 flags wrong in themselves.`
}

// Run holds.
func (c *holdCommand) Run(ctx context.Context, s streams) error {
	if c.Replicas < 1 {
		return usage(fmt.Errorf("--replicas=%d: at least 1 can be held", c.Replicas))
	}
	now := time.Now()
	until, err := ends(time.Duration(c.For), c.Until, now)
	if err != nil {
		return usage(err)
	}
	return c.set(ctx, s, &autoscale.Pause{Replicas: int(c.Replicas), Since: now, Until: until, By: whoami(), Reason: c.Reason})
}

// resumeCommand ends a pause or a hold.
type resumeCommand struct{ pausing }

// Help is what stands below the flags' summary.
func (c *resumeCommand) Help() string {
	return `Ends what "autoscale pause" or "autoscale hold" began. Where nothing is paused it
says so.

Exit status: 0 nothing is paused any more; 1 it could not be ended; 2 flags wrong
in themselves.`
}

// Run resumes.
func (c *resumeCommand) Run(ctx context.Context, s streams) error { return c.set(ctx, s, nil) }

// ends is when a pause ends.
func ends(length time.Duration, until string, now time.Time) (time.Time, error) {
	switch {
	case length != 0 && until != "":
		return now, errors.New("--for and --until both say how long; leave one of them away")
	case until != "":
		at, err := pauseEnd(until, now)
		length = at.Sub(now)
		if err != nil {
			return now, err
		}
	case length <= 0:
		return now, errors.New("a pause has an end: say --for 30m, or --until 14:30")
	}
	if length > longestPause {
		return now, fmt.Errorf("a pause of %s is longer than %s; to switch scaling off for good use --mode=observe, or take the schedule away", length.Round(time.Minute), longestPause)
	}
	return now.Add(length), nil
}

// pauseEnd reads a time of day, the next one of that name, or a date with one.
func pauseEnd(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			next := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location())
			if !next.After(now) {
				next = time.Date(now.Year(), now.Month(), now.Day()+1, at.Hour(), at.Minute(), at.Second(), 0, now.Location())
			}
			return next, nil
		}
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			if !at.After(now) {
				return now, fmt.Errorf("--until=%s is over already", text)
			}
			return at, nil
		}
	}
	return now, fmt.Errorf("--until=%s: give a time such as 14:30, or a date with one: 2026-11-25 14:30", text)
}

// whoami is who is at work here, for others to read.
func whoami() string {
	name := os.Getenv("SUDO_USER")
	if me, err := user.Current(); name == "" && err == nil {
		name = me.Username
	}
	host, err := os.Hostname()
	if name == "" || err != nil {
		return orElse(name, "somebody")
	}
	return name + "@" + host
}

// set writes a pause, or its end, and says so.
func (c *pausing) set(ctx context.Context, s streams, p *autoscale.Pause) error {
	all, err := c.services()
	if err != nil {
		return err
	}
	for _, one := range all {
		how := "dry-run: would be "
		if !c.DryRun {
			how = ""
			err = one.write(ctx, p, nil)
		}
		if err == nil {
			err = one.tellPause(s, how, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write puts a pause into the state of each service, or takes it out. Where only
// is given, one that is somebody else's stays.
func (c *pausing) write(ctx context.Context, p, only *autoscale.Pause) error {
	all, err := c.services()
	for _, one := range all {
		err = errors.Join(err, one.write(ctx, p, only))
	}
	return err
}

// services are the flags of each service that is meant.
func (c *pausing) services() ([]*flags, error) {
	if c.Config == "" {
		one := c.flags
		one.Service = cmp.Or(one.Service, "app")
		one.Provider = cmp.Or(one.Provider, one.known())
		return []*flags{&one}, one.pausable()
	}
	f, err := daemonFile(c.Config)
	if err != nil {
		return nil, err
	}
	if c.Service != "" {
		s, err := labelled(f, c.Service)
		if err != nil {
			return nil, err
		}
		f.Services = []config.Service{s}
	}
	var all []*flags
	for _, s := range f.Services {
		one := flagsOf(f, s, false)
		one.Output, one.anyDir = c.Output, !s.DirGiven
		if err := one.pausable(); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// pausable reports what keeps a service from being paused.
func (c *flags) pausable() error {
	if c.Provider != k8s {
		return nil
	}
	return usage(fmt.Errorf("on Kubernetes the HPA goes on scaling, whatever is paused here; to keep it at a count set its bounds to it: kubectl patch hpa %s-hpa -p '{\"spec\":{\"minReplicas\":N,\"maxReplicas\":N}}', and take the schedule away meanwhile, since each run sets them again", c.Service))
}

// known is the provider of the service where none is stated: that of processes
// where a daemon of theirs remembers it here, else Compose.
func (c *flags) known() provider {
	if dir, err := c.dir(); err == nil {
		of := *c
		of.Provider = processes
		if keys, _, err := of.remembered(dir); err == nil && len(keys) > 0 {
			return processes
		}
	}
	return composed
}

// paused is the object that pause, hold and resume print with --output=json.
type paused struct {
	Version int              `json:"version"`
	Service string           `json:"service"`
	Pause   *autoscale.Pause `json:"pause"` // null: nothing is paused
}

func (c *flags) tellPause(s streams, how string, p *autoscale.Pause) error {
	if c.Output == "json" {
		return json.NewEncoder(s.out).Encode(paused{outputVersion, c.Service, p})
	}
	text := "not paused"
	if p != nil {
		text = p.String()
	}
	// Which runs obey it: a daemon has a state of its own.
	return c.line(s.out, time.Now(), "", fmt.Sprintf("%s%s, for the runs whose state is %s", how, text, c.StateFile))
}

// write puts a pause into the state of the service, or takes it out. Where only
// is given, one that is somebody else's stays.
func (c *flags) write(ctx context.Context, p, only *autoscale.Pause) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	keys, file, err := c.keysOf(ctx, dir)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := writePause(ctx, file, key, p, only); err != nil {
			return err
		}
	}
	return nil
}

// keysOf are the entries of the service in the state file; where there is none
// yet, the one that its first run will make.
func (c *flags) keysOf(ctx context.Context, dir string) ([]store.Key, *store.File, error) {
	keys, file, err := c.remembered(dir)
	if err != nil || len(keys) > 0 {
		return keys, file, err
	}
	if c.Provider == processes {
		return nil, nil, fmt.Errorf("no autoscale run of service %q is remembered in %s; start it first, or name the one that is meant with --state-file or --config", c.Service, file.Path())
	}
	w, key, err := c.findCompose(ctx, streams{}, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("no run of service %q is remembered in %s, and it cannot be found: %w", c.Service, file.Path(), err)
	}
	w.Close()
	return []store.Key{key}, store.Open(c.statePath(key.Dir)), nil
}

// writePause changes the pause in one entry of a state file, while no run is
// under way.
func writePause(ctx context.Context, file *store.File, key store.Key, p, only *autoscale.Pause) error {
	return changeState(ctx, file, key, pauseWait, func(s autoscale.State) (autoscale.State, bool) {
		if only != nil && (s.Pause == nil || !s.Pause.Since.Equal(only.Since) || s.Pause.By != only.By) {
			return s, false // somebody paused it anew, or resumed it
		}
		changes := p != nil || s.Pause != nil
		s.Pause = p
		return s, changes
	})
}
