package sim

import (
	"context"
	"errors"
	"slices"
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
		s := autoscale.Sample{Process: "page", Name: "page", Time: when, Verdict: autoscale.OK, InFlight: p.inFlight()}
		r.Samples = []autoscale.Sample{p.known(p.seen.tell(s, at, totals{}, totals.all), at)}
		return r
	}
	r.Scope = autoscale.ScopeReplica
	r.Samples = make([]autoscale.Sample, 0, len(p.replicas))
	for i, one := range p.replicas {
		s := autoscale.Sample{Process: one.id(), Name: one.id(), Time: when, Verdict: autoscale.OK}
		if i >= p.ready || one.ready > at {
			s.Verdict, s.Detail = autoscale.Unreachable, "it starts"
		} else {
			s.InFlight = p.inFlight() / float64(p.ready)
			s = p.known(p.seen.tell(s, at, one.before, totals.ofEach), at)
		}
		r.Samples = append(r.Samples, s)
	}
	return r
}

// known is s, unless it is of a time before there was any page, or before a rate
// could be taken.
func (p *Plant) known(s autoscale.Sample, at int64) autoscale.Sample {
	if at < 0 || at == 0 && p.service.Metrics.Gauge {
		s.Value, s.Failed, s.Answered, s.InFlight = 0, 0, 0, 0
		s.Verdict, s.Detail = autoscale.Absent, "nothing was scraped yet"
	}
	return s
}

// inFlight is how many requests wait or are being answered; 0 where nobody tells.
func (p *Plant) inFlight() float64 {
	if !p.service.Signs.InFlight {
		return 0
	}
	return p.queue + p.seen.rate*p.service.Latency.Seconds()
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
	if p.service.Signs.CPU {
		p.running = p.measured(p.running)
	}
	return autoscale.Replicas{Current: len(p.replicas), Running: p.running, Settings: settings}, nil
}

// measured are the replicas with the processor time that each has used: as much as
// there is, while it answers as much as it can.
func (p *Plant) measured(running []autoscale.Replica) []autoscale.Replica {
	running = slices.Clone(running) // whoever has asked before keeps what was told
	now := p.Now()
	for i, one := range p.replicas {
		u := autoscale.Usage{Time: now, Cores: 1}
		if i < p.ready {
			u.CPU = time.Duration((p.seen.now.used - one.before.used) * float64(p.tick))
		}
		running[i].Usage = u
	}
	return running
}

// Set brings the plant to count replicas.
func (p *Plant) Set(_ context.Context, count int) (autoscale.Outcome, error) {
	if count < 0 {
		return autoscale.Outcome{Count: len(p.replicas)}, errors.New("sim: there cannot be fewer than 0 replicas")
	}
	p.set(count)
	return autoscale.Outcome{Count: count}, nil
}

// totals are what has happened up to a tick.
type totals struct {
	answered, dropped         float64 // of all
	eachAnswered, eachDropped float64 // of each replica that answers, since the beginning
	used                      float64 // of each one's capacity, in ticks
}

// all are those of the service, ofEach those of a replica.
func (t totals) all() (answered, dropped float64)    { return t.answered, t.dropped }
func (t totals) ofEach() (answered, dropped float64) { return t.eachAnswered, t.eachDropped }

// seen is what the page told, for as long back as it may be read.
type seen struct {
	metrics            Metrics
	errors             bool
	age, every, window int64
	tick               time.Duration
	past               []totals // at the end of each tick, by tick modulo its length
	now                totals
	rate               float64 // of what was answered in the last tick, in requests/s
}

func newSeen(s Service, tick time.Duration) seen {
	ticks := func(d time.Duration) int64 { return int64((d + tick - 1) / tick) }
	m := s.Metrics
	all := seen{metrics: m, errors: s.Signs.Errors, tick: tick, age: ticks(m.Age), every: ticks(m.Every), window: ticks(m.Window)}
	all.past = make([]totals, all.age+all.every+all.window+2)
	return all
}

// share counts what was answered and dropped in a tick, the same for each replica
// that answers.
func (s *seen) share(answered, dropped, capacity float64, ready int) {
	s.rate = answered / s.tick.Seconds()
	if ready == 0 {
		return
	}
	n := float64(ready)
	s.now.eachAnswered += answered / n
	s.now.eachDropped += dropped / n
	s.now.used += answered / (n * capacity)
}

// keep remembers the totals up to a tick.
func (s *seen) keep(now int64, t *tally) {
	s.now.answered, s.now.dropped = t.answered, t.dropped
	if s.metrics.Offered {
		s.now.answered = t.offered
	}
	s.past[now%int64(len(s.past))] = s.now
}

// scraped is the tick at which what can be seen now was scraped.
func (s *seen) scraped(now int64) int64 {
	at := now - s.age
	if s.every > 0 && at > 0 {
		at -= at % s.every
	}
	return at
}

// at are the totals at a tick.
func (s *seen) at(at int64) totals {
	if at <= 0 {
		return totals{}
	}
	return s.past[at%int64(len(s.past))]
}

// tell is a sample with what a page told at a tick: of totals, since those before.
func (s *seen) tell(sample autoscale.Sample, at int64, before totals, of func(totals) (answered, dropped float64)) autoscale.Sample {
	answered, dropped := of(s.at(at))
	from, fromDropped := of(before)
	seconds := 1.0
	if s.metrics.Gauge {
		window := min(s.window, at)
		if window <= 0 {
			return sample
		}
		a, d := of(s.at(at - window))
		from, fromDropped = max(from, a), max(fromDropped, d)
		seconds = float64(window) * s.tick.Seconds()
	}
	sample.Value = (answered - from) / seconds
	if s.errors {
		sample.Failed = (dropped - fromDropped) / seconds
		sample.Answered = sample.Value + sample.Failed
	}
	return sample
}
