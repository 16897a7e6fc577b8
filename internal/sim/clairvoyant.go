package sim

import (
	"math"
	"slices"
	"time"
)

// clairvoyant is the schedule of one who knows the future: at each instant just
// enough replicas that no request waits too long, each of them asked for in time
// to be ready, and kept over a lull that is shorter than its start takes, since it
// is paid for from its start on.
//
// Replicas are numbered: the k-th runs when at least k are needed. Between two
// times at which it is needed it is kept where the gap is no longer than Startup,
// and started anew otherwise; whichever is cheaper, for each by itself. So of all
// schedules that have enough replicas at each instant it is the cheapest.
type clairvoyant struct {
	plant *Plant
	floor int // fewest replicas
	most  int
	ahead []float64 // requests of the ticks to come, by tick modulo its length
	read  int64     // ticks that were put there
	queue float64   // of the least that are enough
	slack float64   // how many may wait for each
	// until is, for each replica, the last tick, as far as is known, at which it is
	// needed.
	until []int64
}

// newClairvoyant knows what comes as far ahead as a start takes.
func newClairvoyant(s Service, epoch time.Time, floor, most int, tick time.Duration) *clairvoyant {
	s.AtOnce, s.Retries = true, 0
	p := newPlant(s, epoch, floor, tick)
	c := &clairvoyant{plant: p, floor: floor, most: most, ahead: make([]float64, p.startup+1)}
	if s.Drain >= s.patience() { // else those that leave could not answer who waits
		c.slack = min(p.patient, s.Queue) * (1 - 1e-6)
	}
	return c
}

// learn is told what comes in a further tick, and reports whether one passed.
func (c *clairvoyant) learn(requests float64) bool {
	c.ahead[c.read%int64(len(c.ahead))] = requests
	c.need(c.read, c.enough(requests))
	c.read++
	if c.read <= c.plant.startup {
		return false
	}
	c.pass()
	return true
}

// rest lets a tick pass of those that are known; false where there is none left.
func (c *clairvoyant) rest() bool {
	if c.plant.now >= c.read {
		return false
	}
	c.pass()
	return true
}

// enough is the fewest replicas with which no request of a tick waits too long,
// after those that were just enough before. Some wait, as long as they may.
func (c *clairvoyant) enough(requests float64) int {
	n := float64(c.floor)
	if all := c.queue + requests; all > 0 {
		capacity := c.plant.capacity
		n = max(n, math.Ceil(all/(capacity+c.slack)-1e-9), 1)
		if c.slack > 0 {
			n = max(n, math.Ceil(c.queue/c.slack-1e-9)) // those that wait already
		}
	}
	n = min(n, float64(c.most))
	c.queue = max(0, c.queue+requests-n*c.plant.capacity)
	return int(n)
}

// need has so many replicas ready at a tick. Those that are running now are kept
// for it, the others are started.
func (c *clairvoyant) need(at int64, count int) {
	for len(c.until) < count {
		c.until = append(c.until, math.MinInt64)
	}
	for i := range count {
		c.until[i] = at
	}
}

// pass lets the next tick pass, with the replicas that are needed from now on.
func (c *clairvoyant) pass() {
	p := c.plant
	running, _ := slices.BinarySearchFunc(c.until, p.now, func(until, now int64) int {
		if until >= now {
			return -1
		}
		return 1
	})
	if p.now == 0 { // it began before the load did
		*p = *newPlant(p.service, p.epoch, running, p.tick)
	}
	p.set(running)
	p.Pass(c.ahead[p.now%int64(len(c.ahead))])
}
