package sim

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// Load says how recorded rates become requests. A recording says what came in 15 s,
// or in an hour; what happened within is made up.
type Load struct {
	// Linear has the rate change evenly from the middle of one recorded stretch to
	// that of the next; else it stays for as long as the stretch.
	Linear bool
	// Noise is by what share the rate varies from second to second: the standard
	// deviation of a first-order autoregression.
	Noise float64
	// Poisson has requests come as of people who know nothing of each other.
	Poisson bool
	// Seed repeats what is made up.
	Seed uint64
}

// persistence is how much of the noise of one second is there in the next: it is
// forgotten in some ten seconds.
const persistence = 0.9

// requests are those of each tick. They do not depend on what any policy does.
func (l Load) requests(rates trace.Rates, tick time.Duration) iter.Seq2[float64, error] {
	return func(yield func(float64, error) bool) {
		noise := l.newNoise(tick)
		at := tick / 2 // the middle of a tick stands for it
		for s, err := range l.stretches(rates) {
			if err != nil {
				yield(0, err)
				return
			}
			for ; at < s.end; at += tick {
				if !yield(noise.requests(s.rate(at)), nil) {
					return
				}
			}
		}
	}
}

// stretch is one in which the rate is known at each instant.
type stretch struct {
	begin, end time.Duration
	from, to   float64 // requests/s at both
}

func (s stretch) rate(at time.Duration) float64 {
	if s.from == s.to {
		return s.from
	}
	return s.from + (s.to-s.from)*float64(at-s.begin)/float64(s.end-s.begin)
}

// stretches are the recorded ones, or those between their middles.
func (l Load) stretches(rates trace.Rates) iter.Seq2[stretch, error] {
	return func(yield func(stretch, error) bool) {
		var last stretch // from the middle of the last recorded one to its end
		for r, err := range rates {
			s := stretch{begin: r.At, end: r.At + r.For, from: r.RPS, to: r.RPS}
			if l.Linear && err == nil {
				middle := r.At + r.For/2
				s = stretch{begin: last.begin, end: middle, from: last.from, to: r.RPS}
				if last.end == 0 { // nobody knows what was before
					s.from = r.RPS
				}
				last = stretch{begin: middle, end: r.At + r.For, from: r.RPS, to: r.RPS}
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
		if last.end > 0 {
			yield(last, nil)
		}
	}
}

// noise is what happens below what was recorded.
type noise struct {
	random       *rand.Rand
	seconds      float64 // of a tick
	deviation    float64
	keep, renew  float64
	value        float64
	poisson, any bool
}

func (l Load) newNoise(tick time.Duration) *noise {
	keep := math.Pow(persistence, tick.Seconds())
	n := &noise{
		random: rand.New(rand.NewPCG(l.Seed, 1)), seconds: tick.Seconds(), deviation: l.Noise, keep: keep, renew: math.Sqrt(1 - keep*keep),
		poisson: l.Poisson, any: l.Noise > 0,
	}
	n.value = n.random.NormFloat64()
	return n
}

// requests are those of one tick at that rate.
func (n *noise) requests(rate float64) float64 {
	mean := rate * n.seconds
	if n.any {
		n.value = n.keep*n.value + n.renew*n.random.NormFloat64()
		mean *= max(0, 1+n.deviation*n.value)
	}
	if n.poisson {
		return poisson(n.random, mean)
	}
	return mean
}

// poisson is a number of events of which mean are expected. Large ones are taken
// from the normal distribution, which is within a percent of it from some dozens on.
func poisson(random *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64()))
	}
	// By inversion: the sum of the probabilities up to n reaches a uniform number.
	n, p := 0.0, math.Exp(-mean)
	for sum, u := p, random.Float64(); sum < u && n < 1000; sum += p {
		n++
		p *= mean / n
	}
	return n
}
