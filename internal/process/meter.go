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

// meter turns counts of requests into rates. Workload.mu guards it.
type meter struct {
	others uint64 // requests that came while no replica took any, and those of replicas that are gone
	marks  []mark // of earlier readings, oldest first; only the first may be longer ago than leastWindow
}

// mark is what had been counted at one moment.
type mark struct {
	at    time.Time
	total uint64
	of    map[string]uint64 // by replica; part of total
}

// begin begins to count.
func (m *meter) begin(now time.Time) { m.marks = []mark{{at: now}} }

// leave keeps what was given to a replica that is gone.
func (m *meter) leave(arrived uint64) { m.others += arrived }

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
	now := mark{at: time.Now(), total: w.meter.others, of: map[string]uint64{}}
	for _, r := range w.replicas {
		now.total += r.arrived
		now.of[r.id] = r.arrived
	}
	before := w.meter.since(now)
	took := now.at.Sub(before.at)
	reading := autoscale.Reading{Metric: Metric, Kind: autoscale.Gauge, Scope: autoscale.ScopeReplica, Samples: []autoscale.Sample{}}
	sample := func(process, name string, count uint64) {
		s := autoscale.Sample{Process: process, Name: name, Time: now.at, Verdict: autoscale.OK}
		if took > 0 {
			s.Value = float64(count) / took.Seconds()
		}
		if took < leastWindow {
			s.Verdict, s.Detail = autoscale.Warming, fmt.Sprintf("requests are counted since %s ago only", took.Round(time.Millisecond))
		}
		reading.Samples = append(reading.Samples, s)
	}
	rest := now.total - before.total
	for _, r := range replicas {
		count := now.of[r.ID] - before.of[r.ID]
		rest -= count
		sample(r.ID, r.Name, count)
	}
	if rest > 0 || len(replicas) == 0 {
		sample("proxy", "proxy", rest)
	}
	return reading
}
