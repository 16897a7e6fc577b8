package adapter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/five-keys/autoscale"
)

// outdated is how many intervals old a value may be before it is left out, as a
// sample with a timestamp of its own.
const outdated = 3

// Values are the loads of those of the pods that have one, and whether anybody asks
// for the metric. What is in doubt is left out.
func (a *Adapter) Values(m Metric, uids []string) (values []Value, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asking := a.asked[m]
	if asking == nil {
		return nil, false
	}
	now := time.Now()
	var silent []*series
	served := false
	var long, short float64
	var all []*series
	for _, uid := range uids {
		s := asking.series[uid]
		if s == nil || s.rounds == 0 || now.Sub(s.at) > outdated*a.config.Interval {
			continue
		}
		switch s.measured.Verdict {
		case autoscale.OK:
			served = true
			long, short = long+s.measured.Long, short+s.measured.Short
			all = append(all, s)
		case autoscale.Warming:
			served = true
		case autoscale.Absent:
			silent = append(silent, s)
		}
	}
	for _, s := range all {
		v := Value{UID: s.pod.UID, RPS: s.measured.Long, Time: s.at, Window: s.window}
		if short > long {
			v.RPS, v.Window = s.measured.Short, s.window/2
		}
		values = append(values, v)
	}
	if !served {
		return values, true
	}
	// A page of a library that shows a series from its first request on.
	for _, s := range silent {
		if !s.pod.Started.IsZero() && now.Sub(s.pod.Started) >= asking.settled {
			values = append(values, Value{UID: s.pod.UID, Time: s.at})
		}
	}
	return values, true
}

// patience is how long Wait waits at most for somebody to ask for a metric, and
// then for its first values.
const (
	patienceAsked = time.Second
	patienceRead  = 8 * time.Second
)

// Wait returns once there is something to say about all pods that the metric is
// asked of. An autoscaler that was just made asks at once: to answer it that there
// is nothing would be told to its owner as a failure.
func (a *Adapter) Wait(ctx context.Context, m Metric) {
	began := time.Now()
	for !a.waited(m, began) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(tick):
		}
	}
}

func (a *Adapter) waited(m Metric, began time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	asking := a.asked[m]
	if asking == nil {
		return time.Since(began) >= patienceAsked
	}
	return asking.complete(time.Now())
}

// complete tells whether all pods were read since the metric was first asked for.
// Pods that came later are not waited for, nor is any for long.
func (q *asked) complete(now time.Time) bool {
	if now.Sub(q.since) >= patienceRead {
		return true
	}
	for _, s := range q.series {
		if !s.known() {
			return false
		}
	}
	return true
}

// Ready is nil once all pods that anything is asked of were read: what is asked of
// another copy of this program need not be asked of this one before.
func (a *Adapter) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for m, asking := range a.asked {
		if !asking.complete(now) {
			return fmt.Errorf("the pods of %s are being read for the first time", m)
		}
	}
	return nil
}

// Metrics are the names of all that is asked for, in order.
func (a *Adapter) Metrics() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := map[string]bool{}
	for m := range a.asked {
		names[m.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Figures are what the adapter knows of its own work.
type Figures struct {
	// Asked is how many metrics are asked for.
	Asked int
	// Pods counts the series of pods by what their last reading was worth.
	Pods map[autoscale.Verdict]int
	// Reads counts all readings since the start by the same.
	Reads map[autoscale.Verdict]uint64
	// Oldest is the age of the oldest value that is served.
	Oldest time.Duration
	// Busy is how many pages are being read.
	Busy int
}

// Figures counts.
func (a *Adapter) Figures() Figures {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := Figures{Asked: len(a.asked), Pods: map[autoscale.Verdict]int{}, Reads: maps.Clone(a.reads), Busy: len(a.slots)}
	now := time.Now()
	for _, asking := range a.asked {
		for _, s := range asking.series {
			if s.measured.Verdict == "" {
				continue
			}
			f.Pods[s.measured.Verdict]++
			if age := now.Sub(s.at); s.measured.Verdict == autoscale.OK && age <= outdated*a.config.Interval {
				f.Oldest = max(f.Oldest, age)
			}
		}
	}
	return f
}
