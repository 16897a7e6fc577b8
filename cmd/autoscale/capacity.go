package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"mvdan.cc/sh/v3/shell"

	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/stress"
)

// found is the object that stress --find-capacity --json prints.
type found struct {
	Version    int                `json:"version"`
	URL        string             `json:"url"`
	Capacities []*stress.Capacity `json:"capacities"`
	RPSTarget  float64            `json:"rps_target"`
	Advice     []string           `json:"advice"`
}

// findCapacity looks for what the server carries, with one or more numbers of
// replicas.
func (c *stressCommand) findCapacity(ctx context.Context, s streams, cfg stress.Config, began time.Time) error {
	search := stress.Search{
		Config: cfg, Step: time.Duration(c.Step), P99: time.Duration(c.P99), Errors: c.Errors,
		Tried: func(t stress.Trial) { _, _ = fmt.Fprintln(s.err, t.Line()) }, // who does not listen misses nothing but this
	}
	var all []*stress.Capacity
	look := func(replicas int) error {
		one, err := stress.FindCapacity(ctx, search)
		if one == nil || len(one.Trials) == 0 {
			return err
		}
		one.Replicas = replicas
		all = append(all, one)
		if !c.JSON {
			err = errors.Join(err, one.WriteText(s.out))
		}
		return err
	}
	var err error
	if c.ScaleWith == "" {
		err = look(0)
	} else {
		err = c.eachCount(ctx, s, look)
	}
	if len(all) == 0 {
		return err
	}
	// What was found until an error or Ctrl-C is worth as much.
	return errors.Join(err, c.advise(s, all, cfg.Target.URL.Redacted(), began))
}

// advise prints what follows from all.
func (c *stressCommand) advise(s streams, all []*stress.Capacity, url string, began time.Time) error {
	advice := stress.Advice(all)
	var err error
	if c.HTML != "" {
		err = writeFile(c.HTML, func(out io.Writer) error { return stress.WriteCapacityHTML(out, url, all, advice, began) })
	}
	last := all[len(all)-1]
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		err = errors.Join(err, encoder.Encode(found{Version: outputVersion, URL: url, Capacities: all, RPSTarget: stress.Proposed(all), Advice: advice}))
	} else {
		for _, line := range advice {
			_, failed := fmt.Fprintln(s.out, line)
			err = errors.Join(err, failed)
		}
	}
	if err == nil && last.Rate == 0 {
		err = errors.New("no rate was carried")
	}
	return err
}

// eachCount brings the service of --scale-with to 1, 2 and --max replicas, and
// back to what it was.
func (c *stressCommand) eachCount(ctx context.Context, s streams, look func(replicas int) error) (err error) {
	words, err := shell.Fields(string(c.ScaleWith), os.Getenv)
	if err != nil {
		return usage(fmt.Errorf("--scale-with: %w", err))
	}
	f, err := parseFlags(words)
	if err != nil {
		return usage(fmt.Errorf("--scale-with: %w", err))
	}
	if f.Provider == k8s {
		return usage(errors.New("--scale-with: on Kubernetes the HPA would fight that; measure one pod of a Deployment of its own"))
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	counts := slices.Compact(slices.Sorted(slices.Values([]int{1, min(2, int(f.Max)), int(f.Max)})))
	question := fmt.Sprintf("This brings service %q in %s to %v replicas in turn, under as much load as it carries and more. Do this?", f.Service, dir, counts)
	if ok, err := s.confirm(ctx, question, c.Yes); err != nil || !ok {
		return errors.Join(err, exit{statusDoubt, errors.New("not confirmed; nothing was changed")})
	}
	key := store.Key{Provider: string(f.Provider), Service: f.Service, Dir: dir}
	w, err := compose.Find(ctx, f.workload(s, dir, &key))
	if err != nil {
		return err
	}
	defer w.Close()
	if !w.Moves() {
		return usage(errors.New("--scale-with: without docker nothing can be brought to another count; leave --apply=never away, or name the binary with --docker"))
	}
	key.Engine, key.Project, key.Dir = w.Engine(), w.Project(), w.Dir()
	lock, err := store.LockWorkload(ctx, key, lockWait) // no other run moves it meanwhile
	if err != nil {
		return err
	}
	defer lock.Unlock()
	w.Hold(lock)
	seen, err := w.Observe(ctx)
	if err != nil {
		return err
	}
	if seen.Stopped != nil {
		return seen.Stopped
	}
	before, err := w.Before()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back(context.WithoutCancel(ctx), w, before)) }()
	for _, count := range counts {
		if err := set(ctx, w, count); err != nil {
			return err
		}
		if err := look(count); err != nil {
			return err
		}
	}
	return nil
}

// recovery is for how long a service that was overloaded may take until it can be
// brought back to its count.
const recovery = 2 * time.Minute

// back brings the service back to what it was before. Replicas that the load made
// unhealthy, or ended, come first.
func back(ctx context.Context, w *compose.Workload, before compose.Before) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		err := set(ctx, w, before.Replicas)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the replicas were %d, and could not be brought back to that: %w; the override file was not put back either", before.Replicas, err)
		case <-time.After(2 * time.Second):
		}
	}
	restored, err := w.RestoreFile(before)
	if err != nil {
		return fmt.Errorf("the override file could not be put back: %w", err)
	}
	if untouched, err := w.Untouched(before); err != nil || !restored && !untouched {
		return errors.Join(err, fmt.Errorf("%s could not be put back as it was: more than the count was changed in it meanwhile, or it is too large to be kept", w.OverridePath()))
	}
	return nil
}

// set brings the service to count replicas, also from none.
func set(ctx context.Context, w *compose.Workload, count int) error {
	if _, err := w.Observe(ctx); err != nil {
		return err
	}
	outcome, err := w.Set(ctx, count)
	if err == nil && outcome.Count != count {
		err = fmt.Errorf("%d replicas run, not %d", outcome.Count, count)
	}
	return err
}
