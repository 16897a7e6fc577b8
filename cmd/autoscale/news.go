package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/notify"
	"github.com/five-keys/autoscale/internal/store"
)

// tell says what people are to be told of a run, and remembers that they were. The
// run's lock is held.
func (m *memory) tell(ctx context.Context, r *result, most int) {
	r.noted = true
	run, any := newsOf(ctx, *r, m.people, most)
	if !any || m.dry {
		return
	}
	state, _, err := m.Load()
	if err != nil {
		state = autoscale.State{} // the run says so
	}
	r.untold(keepTold(m.file.Aside(m.key), state, r.add(run), m.Save))
}

// lost is tell for a run that did not come as far as that: what it is about is known
// from the runs before only.
func (c *flags) lost(ctx context.Context, r *result, most int) {
	run, any := newsOf(ctx, *r, c.people, most)
	if r.noted || !any {
		return
	}
	r.noted = true
	for _, key := range c.entries(*r) {
		r.untold(c.changeTold(ctx, r.key.Dir, key, r.add(run)))
	}
}

// entries are the workload's in the state file, or what stands for it where there is
// none.
func (c *flags) entries(r result) []store.Key {
	if !r.decided { // it may not have been found
		if keys, _, err := c.remembered(r.key.Dir); err == nil && len(keys) > 0 {
			return keys
		}
	}
	return []store.Key{r.key}
}

// changeTold changes what people were told of a workload, while no run is at work on
// it.
func (c *flags) changeTold(ctx context.Context, dir string, key store.Key, change func(autoscale.Told) autoscale.Told) error {
	lock, err := store.LockWorkload(ctx, key, lockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	file := store.Open(c.statePath(dir))
	state, _, err := file.Load(key)
	if err != nil {
		state = autoscale.State{} // what can be read is aside
	}
	return keepTold(file.Aside(key), state, change, func(s autoscale.State) error {
		_, err := file.Save(key, s)
		return err
	})
}

// untold warns of news that could not be remembered, and may come again.
func (r *result) untold(err error) {
	if err != nil {
		r.report.Warnings = append(r.report.Warnings, fmt.Sprintf("what people are told cannot be remembered, so they may be told again: %v", err))
	}
}

// add takes the news of a run, each line once.
func (r *result) add(run notify.Run) func(autoscale.Told) autoscale.Told {
	return func(told autoscale.Told) autoscale.Told {
		lines, after := notify.News(told, run)
		for _, line := range lines {
			if !slices.Contains(r.news, line) {
				r.news = append(r.news, line)
			}
		}
		return after
	}
}

// newsOf is a run for those who tell of it; any is false where nobody is to be told:
// of one that somebody ended, or that another one kept from its work.
func newsOf(ctx context.Context, r result, people string, most int) (run notify.Run, any bool) {
	run = notify.Run{Service: people, At: time.Now(), Declared: r.declared, Count: r.report.Decision.From, Max: most}
	if r.decided {
		run.Decision = r.report.Decision
	}
	if o := r.report.Outcome; o != nil {
		run.Count = o.Count
	}
	if r.err != nil {
		run.Error = r.err.Error()
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		run.Error = ""
		return run, people != "" && r.decided && run.Count != run.Decision.From
	}
	return run, people != "" && !errors.Is(r.err, store.ErrLocked)
}

// keepTold changes what people were told, and remembers it: with the state, or aside
// where that cannot be.
func keepTold(aside store.Aside, state autoscale.State, change func(autoscale.Told) autoscale.Told, save func(autoscale.State) error) error {
	told, noted := state.Told, (*autoscale.Told)(nil)
	unread := aside.Load(&noted)
	if noted != nil {
		told = *noted
	}
	after := change(told)
	if after.Equal(told) && noted == nil {
		return nil // the commonest: there is nothing new
	}
	if state.Known() {
		state.Told = after
		if save(state) == nil {
			return aside.Forget()
		}
	}
	if after.IsZero() {
		return aside.Forget()
	}
	return errors.Join(unread, aside.Save(after))
}
