package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/five-keys/autoscale/internal/kubernetes"
	"github.com/five-keys/autoscale/internal/store"
)

// planKubernetes looks at everything and changes nothing: the schedule, our HPA,
// its manifest, and what is remembered. The Deployment keeps its count.
func (c *rollbackCommand) planKubernetes(ctx context.Context, s streams, key *store.Key) (*plan, error) {
	p := &plan{dir: key.Dir, recheck: func(context.Context) error { return nil }}
	metric, err := c.hpaMetric()
	if err != nil {
		return p, err
	}
	w, err := kubernetes.Find(ctx, c.hpa(s, key.Dir, metric))
	if err != nil {
		return p, err
	}
	key.Engine, key.Project = w.Engine(), w.Project()
	if key.Project == "" {
		key.Project = key.Dir
	}
	p.project, p.hold = key.Project, func(lock *store.Lock) { w.Hold(lock) }
	p.file = store.Open(c.statePath(key.Dir))
	if p.keys, err = p.remembered(*key); err != nil {
		return p, err
	}
	if applied, err := p.file.Applied(*key); err != nil || applied && !w.Moves() {
		return p, errors.Join(err, errors.New("nothing was changed, since an earlier run reached the cluster and this one does not, and the HPA would stay; install kubectl, or name it with --kubectl"))
	}
	if err := p.schedules(ctx, c.Service, k8s); err != nil {
		return p, err
	}
	var kept *beforeHPA
	if found, err := p.before(*key, &kept); err != nil {
		return p, err
	} else if found {
		p.stateFolder = kept.StateFolder
	}
	if c.Restore && kept == nil {
		return p, errors.New("--restore: nothing is remembered of the time before the first run; leave --restore away to have the HPA and its manifest removed")
	}
	standing, err := w.Standing(ctx)
	if err != nil {
		return p, err
	}
	if standing.Kept != "" {
		p.concerns = append(p.concerns, standing.Kept)
	}
	if standing.Left != "" {
		p.left = append(p.left, standing.Left)
	}
	if err := c.planHPA(ctx, p, w, standing, kept); err != nil {
		return p, err
	}
	c.planTextfile(p)
	p.planMemory()
	if len(p.steps) == 0 && w.Moves() {
		// A misspelt service has nothing to be undone either. Where the Deployment
		// may not be read, nothing is said.
		if count, err := w.Count(ctx); err == nil && count == 0 {
			p.concerns = append(p.concerns, fmt.Sprintf("there is no Deployment %q that runs (%s); is it another --service or --namespace?", c.Service, w.Place()))
		}
	}
	return p, nil
}

// planLowering looks whether the HPA that is applied again takes replicas away.
func (c *rollbackCommand) planLowering(ctx context.Context, p *plan, w *kubernetes.Workload, most int) error {
	count, err := w.Count(ctx)
	if err != nil {
		return err
	}
	p.current = count
	if count > most {
		p.below = fmt.Sprintf("%d replicas of Deployment %q run, and the HPA as it was before the first run has a maximum of %d: it takes %d of them away at once, whatever the load", count, c.Service, most, count-most)
		p.concerns = append(p.concerns, p.below)
	}
	p.recheck = func(ctx context.Context) error {
		now, err := w.Count(ctx)
		if err == nil && now > max(p.current, most) { // by a run that was waited for, say
			err = fmt.Errorf("the replicas were raised meanwhile, from %d to %d, and to lower those is not what was confirmed; run this again", p.current, now)
		}
		return err
	}
	return nil
}

// planHPA plans what becomes of the HPA and of its manifest.
func (c *rollbackCommand) planHPA(ctx context.Context, p *plan, w *kubernetes.Workload, standing kubernetes.Standing, kept *beforeHPA) error {
	restorable := false
	if kept != nil && kept.Text != nil {
		var err error
		if restorable, err = w.Restorable(kept.Before); err != nil {
			return err
		}
	}
	again := c.Restore && kept != nil && kept.HPA
	if again && !restorable {
		return fmt.Errorf("--restore: the HPA was there before the first run at %s, but more than autoscale's own numbers was changed in %s since; set it as you want it and apply it by hand", kept.At.Local().Format(time.DateTime), c.HPAFile)
	}
	if standing.HPA && !again {
		p.steps = append(p.steps, &undoing{What: "hpa", Text: w.DeleteText(standing), do: func(ctx context.Context) error { return w.Delete(ctx, standing) }})
		if kept != nil && kept.HPA {
			p.concerns = append(p.concerns, "the HPA was there before the first run; --restore would put it back as it was")
		}
	}
	switch {
	case standing.File == "":
	case restorable:
		p.steps = append(p.steps, &undoing{What: "file", Text: fmt.Sprintf("put %s back as it was before the first run at %s", standing.File, kept.At.Local().Format(time.DateTime)), do: func(context.Context) error { return w.RestoreFile(kept.Before) }})
	case standing.Ours || kept != nil && kept.Absent:
		folder := ""
		if kept != nil {
			folder = kept.Folder
		}
		p.steps = append(p.steps, &undoing{What: "file", Text: "remove " + standing.File, do: func(context.Context) error { return w.RemoveFile(folder) }})
	default:
		p.concerns = append(p.concerns, fmt.Sprintf("%s stays: autoscale did not make it", standing.File))
	}
	if !again {
		return nil
	}
	p.steps = append(p.steps, &undoing{What: "hpa", Text: "apply it", do: w.Reapply})
	return c.planLowering(ctx, p, w, kept.Max())
}
