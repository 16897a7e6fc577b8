package process

import (
	"context"
	"fmt"
	"time"

	"github.com/five-keys/autoscale"
)

// leastWindow is the shortest time over which a rate is taken: over a shorter one
// a single request more or less would move the count. It is a little less than a
// second, so that steps of one second each have a rate of their own.
const leastWindow = 900 * time.Millisecond

// counts are how many requests arrived, were answered, and of those with an error.
type counts struct{ arrived, answered, failed uint64 }

func (c counts) plus(o counts) counts {
	return counts{c.arrived + o.arrived, c.answered + o.answered, c.failed + o.failed}
}

func (c counts) minus(o counts) counts {
	return counts{c.arrived - o.arrived, c.answered - o.answered, c.failed - o.failed}
}

// meter turns counts of requests into rates. Workload.mu guards it.
type meter struct {
	others counts // of requests that came while no replica took any, and of replicas that are gone
	marks  []mark // of earlier readings, oldest first; only the first may be longer ago than leastWindow
}

// mark is what had been counted at one moment.
type mark struct {
	at    time.Time
	total counts
	of    map[string]counts // by replica; part of total
}

// begin begins to count.
func (m *meter) begin(now time.Time) { m.marks = []mark{{at: now}} }

// since is the mark that a rate at now's is taken from: the newest one that is
// long enough ago, else the first there was. It keeps now's for later.
func (m *meter) since(now mark) mark {
	for len(m.marks) > 1 && now.at.Sub(m.marks[1].at) >= leastWindow {
		m.marks = m.marks[1:]
	}
	m.marks = append(m.marks, now)
	return m.marks[0]
}

// Metric is the name of what Read reads.
const Metric = "proxy_requests_per_second"

// Identity names what Read reads.
func (w *Workload) Identity() string { return "requests at the proxy of " + w.config().Service }

// Read tells the load: requests that have reached the proxy since the last
// reading, per second. Each is counted once, when it arrives, whatever becomes of
// it: for the replica that it was given to, or for the proxy where none of the
// given ones got it. In the first second it is a lower bound.
func (w *Workload) Read(_ context.Context, replicas []autoscale.Replica) autoscale.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := mark{at: time.Now(), total: w.meter.others, of: map[string]counts{}}
	flying, waiting := map[string]int{}, w.waiting
	for _, r := range w.replicas {
		now.total = now.total.plus(r.counts)
		now.of[r.id] = r.counts
		if r.backend != nil {
			flying[r.id] = r.backend.inflight
		}
	}
	before := w.meter.since(now)
	took := now.at.Sub(before.at)
	reading := autoscale.Reading{Metric: Metric, Kind: autoscale.Gauge, Scope: autoscale.ScopeReplica, Samples: []autoscale.Sample{}}
	rest := now.total.minus(before.total)
	for _, r := range replicas {
		c := now.of[r.ID].minus(before.of[r.ID])
		rest = rest.minus(c)
		reading.Samples = append(reading.Samples, c.sample(r.ID, r.Name, now.at, took, flying[r.ID]))
	}
	if rest != (counts{}) || waiting > 0 || len(replicas) == 0 {
		reading.Samples = append(reading.Samples, rest.sample("proxy", "proxy", now.at, took, waiting))
	}
	return reading
}

// sample is what was counted in the time before now.
func (c counts) sample(process, name string, now time.Time, took time.Duration, flying int) autoscale.Sample {
	s := autoscale.Sample{Process: process, Name: name, Time: now, Verdict: autoscale.OK, InFlight: float64(flying)}
	if took > 0 {
		each := 1 / took.Seconds()
		s.Value, s.Answered, s.Failed = float64(c.arrived)*each, float64(c.answered)*each, float64(c.failed)*each
	}
	if took < leastWindow {
		s.Verdict, s.Detail = autoscale.Warming, fmt.Sprintf("requests are counted since %s ago only", took.Round(time.Millisecond))
	}
	return s
}
