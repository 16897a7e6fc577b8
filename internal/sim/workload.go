package sim

import (
	"context"
	"errors"
	"time"

	"github.com/five-keys/autoscale"
)

// Settings is what a Plant's replicas run.
const settings = "simulated"

// Read reads the page, or that of each replica, as it was at the last scrape.
func (p *Plant) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	p.begin()
	m := p.service.Metrics
	r := autoscale.Reading{Metric: "requests_total", Kind: autoscale.Counter, Scope: autoscale.ScopeService}
	if m.Gauge {
		r.Metric, r.Kind = "requests_per_second", autoscale.Gauge
	}
	at := p.seen.scraped(p.now)
	when := p.epoch.Add(time.Duration(at) * p.tick)
	if !m.Each {
		s := autoscale.Sample{Process: "page", Name: "page", Time: when, Verdict: autoscale.OK}
		s.Value = p.seen.value(p.seen.all, at, 0, p.tick)
		r.Samples = []autoscale.Sample{p.known(s, at)}
		return r
	}
	r.Scope = autoscale.ScopeReplica
	r.Samples = make([]autoscale.Sample, 0, len(p.replicas))
	for i, one := range p.replicas {
		s := autoscale.Sample{Process: one.id(), Name: one.id(), Time: when, Verdict: autoscale.OK}
		if i >= p.ready || one.ready > at {
			s.Verdict, s.Detail = autoscale.Unreachable, "it starts"
		} else {
			s.Value = p.seen.value(p.seen.ofEach, at, one.before, p.tick)
			s = p.known(s, at)
		}
		r.Samples = append(r.Samples, s)
	}
	return r
}

// known is s, unless it is of a time before there was any page, or before a rate
// could be taken.
func (p *Plant) known(s autoscale.Sample, at int64) autoscale.Sample {
	if at < 0 || at == 0 && p.service.Metrics.Gauge {
		s.Value, s.Verdict, s.Detail = 0, autoscale.Absent, "nothing was scraped yet"
	}
	return s
}

// Observe tells what there is now.
func (p *Plant) Observe(context.Context) (autoscale.Replicas, error) {
	p.begin()
	if p.running == nil {
		p.running = make([]autoscale.Replica, len(p.replicas))
		for i, one := range p.replicas {
			health := autoscale.Healthy
			if i >= p.ready {
				health = autoscale.HealthStarting
			}
			p.running[i] = autoscale.Replica{
				ID: one.id(), Name: one.id(), Started: p.epoch.Add(time.Duration(one.from) * p.tick), Health: health,
			}
		}
	}
	return autoscale.Replicas{Current: len(p.replicas), Running: p.running, Settings: settings}, nil
}

// Set brings the plant to count replicas.
func (p *Plant) Set(_ context.Context, count int) (autoscale.Outcome, error) {
	if count < 0 {
		return autoscale.Outcome{Count: len(p.replicas)}, errors.New("sim: there cannot be fewer than 0 replicas")
	}
	p.set(count)
	return autoscale.Outcome{Count: count}, nil
}

// seen is what the page told, for as long back as it may be read.
type seen struct {
	metrics            Metrics
	age, every, window int64
	// all and ofEach are the totals at the end of each tick, of all and of each
	// replica that answers, by tick modulo their length.
	all, ofEach []float64
	each        float64
}

func newSeen(m Metrics, tick time.Duration) seen {
	ticks := func(d time.Duration) int64 { return int64((d + tick - 1) / tick) }
	s := seen{metrics: m, age: ticks(m.Age), every: ticks(m.Every), window: ticks(m.Window)}
	back := s.age + s.every + s.window + 2
	s.all, s.ofEach = make([]float64, back), make([]float64, back)
	return s
}

// share counts what was answered in a tick, the same for each that answers.
func (s *seen) share(answered float64, ready int) {
	if ready > 0 {
		s.each += answered / float64(ready)
	}
}

// keep remembers the totals up to a tick.
func (s *seen) keep(now int64, t tally) {
	at := now % int64(len(s.all))
	s.all[at], s.ofEach[at] = t.answered, s.each
	if s.metrics.Offered {
		s.all[at] = t.offered
	}
}

// scraped is the tick at which what can be seen now was scraped.
func (s *seen) scraped(now int64) int64 {
	at := now - s.age
	if s.every > 0 && at > 0 {
		at -= at % s.every
	}
	return at
}

// value is what a page told at a tick: of totals, without what came before.
func (s *seen) value(totals []float64, at int64, before float64, tick time.Duration) float64 {
	total := func(at int64) float64 {
		if at <= 0 {
			return 0
		}
		return totals[at%int64(len(totals))]
	}
	if !s.metrics.Gauge {
		return total(at) - before
	}
	window := min(s.window, at)
	if window <= 0 {
		return 0
	}
	return (total(at) - max(total(at-window), before)) / (float64(window) * tick.Seconds())
}
