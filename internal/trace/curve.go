// Package trace is load over time, recorded or made up: as a rate that changes
// (a Curve), and as the single requests that come of it (Arrivals).
package trace

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// shape is a stretch of load whose rate is known at every instant. Times are
// seconds since its beginning, counts requests since then.
type shape interface {
	// rate is the requests/s at t.
	rate(t float64) float64
	// count is the integral of the rate up to t.
	count(t float64) float64
	// when is the inverse of count: the instant at which n requests are due. It
	// may be any instant where the rate is 0.
	when(n float64) float64
}

// segment is a shape within a Curve.
type segment struct {
	shape
	length float64 // seconds; +Inf for the last one of an endless Curve
	start  float64 // seconds from the Curve's beginning
	before float64 // requests due before it
}

// Curve is a rate of requests over time. The zero Curve has no length.
type Curve struct{ segments []segment }

// add puts a shape of that length, in seconds, at the end.
func (c *Curve) add(s shape, length float64) {
	next := segment{shape: s, length: length}
	if n := len(c.segments); n > 0 {
		last := c.segments[n-1]
		next.start = last.start + last.length
		next.before = last.before + last.count(last.length)
	}
	c.segments = append(c.segments, next)
}

// Constant is a Curve without an end of that many requests/s.
func Constant(rate float64) Curve {
	var c Curve
	c.add(flat(rate), math.Inf(1))
	return c
}

// Ramp is a Curve of that length whose rate changes evenly, in requests/s.
func Ramp(from, to float64, length time.Duration) Curve {
	var c Curve
	c.add(ramp{from, to, length.Seconds()}, length.Seconds())
	return c
}

// Then is the Curve, which has an end, and another one behind it.
func (c Curve) Then(next Curve) Curve {
	out := Curve{slices.Clone(c.segments)}
	for _, s := range next.segments {
		out.add(s.shape, s.length)
	}
	return out
}

// Length is how long the Curve lasts; ok is false where it has no end.
func (c Curve) Length() (length time.Duration, ok bool) {
	if len(c.segments) == 0 {
		return 0, true
	}
	last := c.segments[len(c.segments)-1]
	if math.IsInf(last.length, 1) {
		return 0, false
	}
	return duration(last.start + last.length), true
}

// Rate is the requests/s at t after the beginning; 0 behind the end.
func (c Curve) Rate(t time.Duration) float64 {
	s, at, ok := c.at(t.Seconds())
	if !ok || at >= s.length {
		return 0
	}
	return s.rate(at)
}

// Count is how many requests are due up to t after the beginning: the integral
// of the rate.
func (c Curve) Count(t time.Duration) float64 {
	s, at, ok := c.at(t.Seconds())
	if !ok {
		return 0
	}
	return s.before + s.count(at)
}

// at finds the segment at t seconds, and the seconds since its beginning; behind
// the end it is the last one's end.
func (c Curve) at(t float64) (segment, float64, bool) {
	if len(c.segments) == 0 || t < 0 {
		return segment{}, 0, false
	}
	i, _ := slices.BinarySearchFunc(c.segments, t, func(s segment, t float64) int {
		if s.start+s.length <= t {
			return -1
		}
		return 1
	})
	i = min(i, len(c.segments)-1)
	s := c.segments[i]
	return s, min(t-s.start, s.length), true
}

// Scaled is the Curve at speed times its pace, all its requests in so much less
// time, and with scale times as many of them.
func (c Curve) Scaled(speed, scale float64) Curve {
	var out Curve
	for _, s := range c.segments {
		out.add(scaled{s.shape, speed, scale}, s.length/speed)
	}
	return out
}

// Uniform are the instants at which the k-th request is due, from the 0th on,
// at the Curve's own rate: the first when the Curve begins, the k-th when k have
// been due.
func (c Curve) Uniform() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		n := 0.0
		c.instants(func() float64 { n++; return n - 1 }, yield)
	}
}

// Poisson are the instants of a Poisson process with the Curve's rate: requests
// of people who know nothing of each other. The same seed gives the same ones.
func (c Curve) Poisson(seed uint64) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		n := 0.0
		c.instants(func() float64 { n += random.ExpFloat64(); return n }, yield)
	}
}

// instants yields when each of the counts that next gives, which only grow, is
// reached, to the end of the Curve.
func (c Curve) instants(next func() float64, yield func(time.Duration) bool) {
	n := next()
	for _, s := range c.segments {
		end := s.before + s.count(s.length)
		for n < end {
			if !yield(duration(s.start + s.when(n-s.before))) {
				return
			}
			n = next()
		}
	}
}

// duration is a number of seconds.
func duration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}
