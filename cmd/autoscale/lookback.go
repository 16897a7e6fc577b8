package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

// decisions are where explain looks back: a journal, or a daemon's history.
type decisions interface {
	history.Records
	// Path is the file, for people.
	Path() string
	tail() (tail, error)
}

// tail is the newest of them, and each further one as it comes.
type tail interface {
	history.Records
	Follow(ctx context.Context, poll time.Duration) iter.Seq2[store.Record, error]
	Close()
}

// journalOf is the journal beside a state file.
type journalOf struct{ *store.Journal }

func (j journalOf) tail() (tail, error) { return j.Tail() }

// daemonLog is what a daemon keeps of one service, or of all.
type daemonLog struct {
	store   *history.Store
	path    string
	service string // the label; empty for all
	seen    time.Time
}

// openLog opens the history that a configuration names. A label that it does not
// have is an error.
func openLog(stated, service string) (*daemonLog, error) {
	f, err := daemonFile(stated)
	if err != nil {
		return nil, err
	}
	if service != "" {
		if _, err := labelled(f, service); err != nil {
			return nil, err
		}
	}
	s, err := history.ReadStore(f.History.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the daemon of %s has not run yet", history.ErrNone, f.Path)
	}
	return &daemonLog{store: s, path: f.History.File, service: service}, err
}

// daemonFile reads a daemon's configuration, to look at what it left.
func daemonFile(stated string) (*config.File, error) {
	path, err := configPath(stated)
	if err != nil {
		return nil, usage(err)
	}
	f, err := config.Read(path)
	if err != nil {
		return nil, exit{statusUsage, err}
	}
	return f, nil
}

// labelled is the service under a label.
func labelled(f *config.File, label string) (config.Service, error) {
	var known []string
	for _, s := range f.Services {
		if s.Name == label {
			return s, nil
		}
		known = append(known, s.Name)
	}
	return config.Service{}, usage(fmt.Errorf("--service=%s: %s has %s", label, f.Path, distinct(known)))
}

func (l *daemonLog) close() { _ = l.store.Close() } // it was only read

// Close is for tail: the log is closed by whoever opened it.
func (l *daemonLog) Close() {}

// Path is the history's file.
func (l *daemonLog) Path() string { return l.path }

func (l *daemonLog) tail() (tail, error) { return l, nil }

// lookedThrough bounds how many decisions are looked through, newest first.
const lookedThrough = 20000

// Read yields the decisions, the newest last.
func (l *daemonLog) Read() iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var all []store.Record
		var failed error
		for r, err := range l.store.Records(l.service, time.Time{}, time.Time{}, lookedThrough, false) {
			if err != nil {
				failed = err
				break
			}
			all = append(all, r)
		}
		if failed != nil && !yield(store.Record{}, failed) {
			return
		}
		for _, r := range slices.Backward(all) {
			l.seen = r.Time
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Follow yields each further decision as it comes, until ctx ends.
func (l *daemonLog) Follow(ctx context.Context, poll time.Duration) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(poll):
			}
			var fresh []store.Record
			for r, err := range l.store.Records(l.service, l.seen.Add(time.Millisecond), time.Time{}, lookedThrough, false) {
				if err != nil {
					yield(store.Record{}, err)
					return
				}
				fresh = append(fresh, r)
			}
			for _, r := range slices.Backward(fresh) {
				l.seen = r.Time
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// ofDaemon is where a daemon's services stand.
func (c *statusCommand) ofDaemon(now time.Time) (all []standingOf, warnings []string, err error) {
	f, err := daemonFile(c.Config)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range f.Services {
		if c.Service != "" && c.Service != s.Name {
			continue
		}
		one, more, err := c.ofLabel(f, s, now)
		if err != nil {
			return all, warnings, err
		}
		all, warnings = append(all, one...), append(warnings, more...)
	}
	if len(all) == 0 {
		if c.Service != "" {
			if _, err := labelled(f, c.Service); err != nil {
				return nil, warnings, err
			}
		}
		return nil, warnings, fmt.Errorf("nothing is known of the services in %s: the daemon has not run yet", f.Path)
	}
	return all, warnings, nil
}

// ofLabel is where one service of a daemon stands, by its state file and the
// history.
func (c *statusCommand) ofLabel(f *config.File, s config.Service, now time.Time) (all []standingOf, warnings []string, err error) {
	file := store.Open(filepath.Join(f.State, s.Name+".json"))
	keys, err := file.All()
	if err != nil || len(keys) == 0 {
		return nil, nil, err
	}
	var last, move *store.Record
	log := &daemonLog{path: f.History.File, service: s.Name}
	if log.store, err = history.ReadStore(f.History.File); err == nil {
		last, move = newestOf(log, false), newestOf(log, true)
		log.close()
	} else {
		warnings = append(warnings, fmt.Sprintf("the last decision of %s is not known: %v", s.Name, err))
	}
	for _, key := range keys {
		state, more, err := file.Load(key)
		if err != nil {
			return all, warnings, err
		}
		warnings = append(warnings, more...)
		one := standingBy(key, state, last, move, now)
		one.Service = s.Name
		if age := now.Sub(state.At.Time); age > max(3*s.Interval, leastGap) {
			one.Notes = append([]string{fmt.Sprintf("no step for %s: does the daemon run?", age.Round(time.Second))}, one.Notes...)
		}
		all = append(all, one)
	}
	return all, warnings, nil
}

// newestOf is the newest decision, or the newest that moved the count; nil for
// none.
func newestOf(l *daemonLog, moved bool) *store.Record {
	limit := 1
	if moved {
		limit = 1000
	}
	for r, err := range l.store.Records(l.service, time.Time{}, time.Time{}, limit, moved) {
		if err != nil {
			return nil // the state is shown all the same
		}
		if !moved || r.Outcome.Count != r.Decision.From {
			return &r
		}
	}
	return nil
}
