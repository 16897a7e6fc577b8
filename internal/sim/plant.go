package sim

import (
	"math"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
)

// Tick is the step of the model: within it rates and capacity stay as they are.
const Tick = time.Second

// Plant is a model of a service in virtual time: its replicas, the requests that
// wait for them, and the page that tells of both. One goroutine owns it.
//
// Requests wait in one queue, first come, first served, as if the balancer in front
// knew which replica is free. They are a fluid: no request is any single one.
type Plant struct {
	service Service
	tick    time.Duration
	epoch   time.Time
	// per tick, in requests or ticks
	capacity, patient float64
	startup, drain    int64

	now      int64 // ticks that have passed
	replicas []replica
	ready    int // so many of replicas, the first ones, answer
	leaving  []leaving
	born     int
	running  []autoscale.Replica // as Observe tells; nil where it has to be made anew

	queue   float64
	retries retries
	tally   tally
	seen    seen
	asked   tally // what it was when Usage was last asked, at the tick askedAt
	askedAt int64
	busy    int64 // the tick from which on the next move can be made
	moved   int   // sign of the last change
}

// replica is one that runs and was not told to leave.
type replica struct {
	number int
	// from and ready are the ticks from which on it runs, and answers.
	from, ready int64
	// before is what had happened to each replica before it was ready.
	before totals
}

// leaving are replicas that were told to leave at the same time.
type leaving struct {
	count int
	holds float64 // requests that they still answer
	until int64
}

// tally is what has happened so far.
type tally struct {
	requests, violated, lost   float64 // requests, retries left out
	offered, answered, dropped float64 // requests, retries included
	paid                       float64 // replica-ticks
	used                       float64 // share of the capacity, in ticks
	changes, reversals         int
}

// NewPlant is a service that has run count replicas for long, at epoch.
func NewPlant(s Service, epoch time.Time, count int) *Plant { return newPlant(s, epoch, count, Tick) }

func newPlant(s Service, epoch time.Time, count int, tick time.Duration) *Plant {
	ticks := func(d time.Duration) int64 { return int64((d + tick - 1) / tick) }
	p := &Plant{
		service: s, tick: tick, epoch: epoch,
		capacity: s.Capacity * tick.Seconds(), patient: s.Capacity * s.patience().Seconds(),
		startup: ticks(s.Startup), drain: ticks(s.Drain),
		retries: newRetries(s.Retries, ticks(s.RetryAfter)),
	}
	p.seen = newSeen(s, tick)
	past := max(p.startup, ticks(24*time.Hour))
	for range count {
		p.born++
		p.replicas = append(p.replicas, replica{number: p.born, from: -past, ready: -past})
	}
	p.ready = count
	return p
}

// Now is the instant up to which the model has come.
func (p *Plant) Now() time.Time { return p.epoch.Add(time.Duration(p.now) * p.tick) }

// Busy is the instant up to which the last move goes on: the next step can begin
// then.
func (p *Plant) Busy() time.Time { return p.epoch.Add(time.Duration(p.busy) * p.tick) }

// Pass lets one tick pass, in which so many requests come.
func (p *Plant) Pass(requests float64) {
	p.begin()
	again := p.retries.due(p.now)
	all := requests + again
	n := float64(p.ready)
	f := through(p.queue, all, n*p.capacity, n*p.service.Queue, n*p.patient)
	if p.queue == 0 && f.queue == 0 && f.late == 0 {
		p.tally.answered += all // nothing but what is usual
		if n > 0 {
			p.tally.used += all / (n * p.capacity)
		}
		p.seen.share(all, 0, p.capacity, p.ready)
	} else {
		p.strain(f, requests, all)
	}
	if f.dropped > 0 || again > 0 {
		p.retries.again(p.now, requests, f.dropped/all)
	}
	p.queue = f.queue
	p.tally.requests += requests
	p.tally.offered += all
	p.tally.paid += float64(len(p.replicas))
	if len(p.leaving) > 0 {
		p.leave()
	}
	p.now++
	p.seen.keep(p.now, &p.tally)
}

// strain counts a tick in which requests waited, or were dropped.
func (p *Plant) strain(f flow, requests, all float64) {
	answered := p.queue + all - f.dropped - f.queue
	p.tally.answered += answered
	p.seen.share(answered, f.dropped, p.capacity, p.ready)
	if p.ready > 0 {
		p.tally.used += min(1, answered/(float64(p.ready)*p.capacity))
	}
	if all > 0 {
		p.tally.violated += f.late * requests / all
		p.tally.lost += f.dropped * requests / all
		p.tally.dropped += f.dropped
	}
}

// begin has replicas answer from the tick on at which they are ready.
func (p *Plant) begin() {
	for p.ready < len(p.replicas) && p.replicas[p.ready].ready <= p.now {
		p.replicas[p.ready].before = p.seen.now
		p.ready++
		p.running = nil
	}
}

// leave lets those that leave answer what they hold.
func (p *Plant) leave() {
	left := p.leaving[:0]
	for _, l := range p.leaving {
		answered := min(l.holds, float64(l.count)*p.capacity)
		l.holds -= answered
		p.tally.answered += answered
		p.tally.paid += float64(l.count)
		if l.holds > 0 && p.now+1 < l.until {
			left = append(left, l)
		}
	}
	p.leaving = left
}

// set brings the plant to count replicas: the youngest leave first.
func (p *Plant) set(count int) {
	had := len(p.replicas)
	if count == had {
		return
	}
	direction := 1
	if count < had {
		direction = -1
	}
	p.tally.changes++
	if p.moved == -direction {
		p.tally.reversals++
	}
	p.moved = direction
	p.running = nil
	for len(p.replicas) < count {
		p.born++
		p.replicas = append(p.replicas, replica{number: p.born, from: p.now, ready: p.now + p.startup})
	}
	if count > had {
		if !p.service.AtOnce {
			p.busy = p.now + p.startup
		}
		return
	}
	p.begin()
	p.replicas = p.replicas[:count]
	if count < p.ready {
		p.dismiss(p.ready - count)
	}
}

// dismiss has so many replicas that answer leave, each with its part of those that
// wait. What they do not answer in time is lost.
func (p *Plant) dismiss(count int) {
	part := p.queue * float64(count) / float64(p.ready)
	if part > 0 {
		manage := float64(count) * p.capacity * float64(p.drain)
		if lost := part - manage; lost > 0 {
			// Those that are late in any case were counted when they came.
			p.tally.violated += max(0, min(part, float64(count)*p.patient)-manage)
			p.tally.lost += lost
			p.tally.dropped += lost
		}
		p.queue -= part
		if manage > 0 {
			p.leaving = append(p.leaving, leaving{count: count, holds: min(part, manage), until: p.now + p.drain})
		}
	}
	p.ready -= count
}

// Usage is how hard a Plant worked since it was last asked.
type Usage struct {
	// Passed is the time since then.
	Passed time.Duration
	// Offered, Answered and Dropped count requests, retries included.
	Offered, Answered, Dropped float64
	// Share is the part of its capacity that was used, from 0 to 1.
	Share float64
	// Waiting is how many requests wait now, and Ready how many replicas answer.
	Waiting float64
	Ready   int
}

// Usage tells how hard p worked since it was last asked: what an engine's CPU
// figures and a page's count of requests in flight tell of a real service.
func (p *Plant) Usage() Usage {
	p.begin()
	now, last := p.tally, p.asked
	passed := p.now - p.askedAt
	p.asked, p.askedAt = now, p.now
	u := Usage{
		Passed: time.Duration(passed) * p.tick, Offered: now.offered - last.offered, Answered: now.answered - last.answered,
		Dropped: now.dropped - last.dropped, Waiting: p.queue, Ready: p.ready,
	}
	if passed > 0 {
		u.Share = (now.used - last.used) / float64(passed)
	}
	return u
}

func (r replica) id() string { return "replica-" + strconv.Itoa(r.number) }

// retries are dropped requests on their way back.
type retries struct {
	after   int64
	waiting [][]float64 // by attempt, by tick modulo after
	pending float64     // of all together, roughly
	now     []float64   // those of this tick, by attempt
}

func newRetries(times int, after int64) retries {
	r := retries{after: after, now: make([]float64, times)}
	for range times {
		r.waiting = append(r.waiting, make([]float64, after))
	}
	return r
}

// due are those that come again in a tick.
func (r *retries) due(now int64) (sum float64) {
	if r.pending == 0 {
		return 0
	}
	r.pending = 0
	for i, w := range r.waiting {
		at := now % r.after
		r.now[i], w[at] = w[at], 0
		sum += r.now[i]
		for _, n := range w {
			r.pending += n
		}
	}
	return sum
}

// again has a share of those of this tick come back later.
func (r *retries) again(now int64, fresh, share float64) {
	for i, w := range r.waiting {
		n := fresh * share
		fresh, r.now[i] = r.now[i], 0
		if n < 1e-6 || math.IsNaN(n) {
			continue
		}
		w[now%r.after] += n
		r.pending += n
	}
}
