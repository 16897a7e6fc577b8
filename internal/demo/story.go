// Package demo is what `autoscale demo` has to tell: a load with a story, the
// screen on which it is followed, and whether the replicas followed it.
package demo

import (
	"context"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/trace"
)

// What the service of the story is like, and what is asked of it.
const (
	// Capacity is the requests/s that one replica manages, Target those that it
	// should carry.
	Capacity, Target = 50, 40
	// Min and Max bound the number of replicas.
	Min, Max = 1, 8
	// Tolerance is as autoscale.Policy has it.
	Tolerance = 0.1
)

// The rates that the story is made of, in requests/s.
const (
	quiet   = 25
	busy    = 210
	burst   = 300
	evening = 90
	night   = 20
)

// Phase is a part of a story.
type Phase struct {
	// From is when it begins, since the story did.
	From time.Duration
	// Name stands below the chart; empty where nothing does.
	Name string
	// Text says what happens.
	Text string
	// Unread tells that the load cannot be read in it.
	Unread bool
}

// Story is a load and what happens meanwhile.
type Story struct {
	// Phases are in order, the first from 0 on.
	Phases []Phase
	// Length is how long it lasts, once.
	Length time.Duration
	// Again has it begin anew whenever it is over.
	Again bool
	// Cooldown is the policy's, Startup how long a replica takes to start.
	Cooldown, Startup time.Duration

	load trace.Curve
}

// stretch is a phase with its load: an even change from one rate to another.
type stretch struct {
	Phase
	length   time.Duration
	from, to float64
}

// Full is the story in three minutes.
func Full() Story {
	const second = time.Second
	return tell(10*second, 1500*time.Millisecond, []stretch{
		{Phase{Text: "a quiet start: one replica is enough for 25 requests/s"}, 15 * second, quiet, quiet},
		{Phase{Name: "ramp", Text: "the load rises to 210 requests/s"}, 45 * second, quiet, busy},
		{Phase{Text: "the load stays at 210 requests/s"}, 10 * second, busy, busy},
		{Phase{Name: "burst", Text: "a burst of 300 requests/s"}, 12 * second, burst, burst},
		{Phase{Text: "the burst is over: 210 requests/s again"}, 18 * second, busy, busy},
		{Phase{Name: "outage", Text: "the metrics fail; nobody sees the load now", Unread: true}, 6 * second, busy, busy},
		{Phase{Text: "unseen, the load falls to 90 requests/s", Unread: true}, 12 * second, evening, evening},
		{Phase{Text: "the metrics are back"}, 17 * second, evening, evening},
		{Phase{Name: "way down", Text: "the load falls to 20 requests/s"}, 15 * second, evening, night},
		{Phase{Text: "a quiet end: 20 requests/s"}, 30 * second, night, night},
	})
}

// Fast is the same story in 42 seconds.
func Fast() Story {
	const second = time.Second
	return tell(3*second, 500*time.Millisecond, []stretch{
		{Phase{Text: "a quiet start: one replica is enough for 25 requests/s"}, 4 * second, quiet, quiet},
		{Phase{Name: "ramp", Text: "the load rises to 210 requests/s"}, 9 * second, quiet, busy},
		{Phase{Text: "the load stays at 210 requests/s"}, 3 * second, busy, busy},
		{Phase{Name: "burst", Text: "a burst of 300 requests/s"}, 4 * second, burst, burst},
		{Phase{Text: "the burst is over: 210 requests/s again"}, 2 * second, busy, busy},
		{Phase{Name: "outage", Text: "the metrics fail; nobody sees the load now", Unread: true}, 2 * second, busy, busy},
		{Phase{Text: "unseen, the load falls to 90 requests/s", Unread: true}, 4 * second, evening, evening},
		{Phase{Text: "the metrics are back"}, 5 * second, evening, evening},
		{Phase{Name: "way down", Text: "the load falls to 20 requests/s"}, 3 * second, evening, night},
		{Phase{Text: "a quiet end: 20 requests/s"}, 6 * second, night, night},
	})
}

// tell makes a story of its parts.
func tell(cooldown, startup time.Duration, parts []stretch) Story {
	s := Story{Cooldown: cooldown, Startup: startup}
	for _, p := range parts {
		p.From = s.Length
		s.Phases = append(s.Phases, p.Phase)
		s.load = s.load.Then(trace.Ramp(p.from, p.to, p.length))
		s.Length += p.length
	}
	return s
}

// Policy is what the story's service is scaled by.
func (s Story) Policy() autoscale.Policy {
	return autoscale.Policy{Min: Min, Max: Max, Target: Target, Tolerance: Tolerance, Cooldown: s.Cooldown, Mode: autoscale.Auto}
}

// within is t since the story last began, and how often it had ended before.
func (s Story) within(t time.Duration) (time.Duration, int) {
	if !s.Again || t < s.Length {
		return t, 0
	}
	return t % s.Length, int(t / s.Length)
}

// Phase is the one at t, which counts from the beginning of all.
func (s Story) Phase(t time.Duration) Phase {
	t, _ = s.within(t)
	now := s.Phases[0]
	for _, p := range s.Phases {
		if p.From <= t {
			now = p
		}
	}
	return now
}

// Rate is the load at t, in requests/s.
func (s Story) Rate(t time.Duration) float64 {
	t, _ = s.within(t)
	return s.load.Rate(t)
}

// Due is how many requests are due up to t.
func (s Story) Due(t time.Duration) float64 {
	t, times := s.within(t)
	return float64(times)*s.load.Count(s.Length) + s.load.Count(t)
}

// Arrivals are the requests. The same seed gives the same ones.
func (s Story) Arrivals(seed uint64) trace.Arrivals {
	return func(yield func(trace.Arrival, error) bool) {
		for times := 0; times == 0 || s.Again; times++ {
			for at := range s.load.Poisson(seed + uint64(times)) {
				if !yield(trace.Arrival{At: at + time.Duration(times)*s.Length}, nil) {
					return
				}
			}
		}
	}
}

// Source is one that cannot be read in the parts of a story that say so.
type Source struct {
	control.Source
	// Unread tells whether it cannot be read now.
	Unread func() bool
}

// Read reads the load, or says that it cannot.
func (s Source) Read(ctx context.Context, replicas []autoscale.Replica) autoscale.Reading {
	reading := s.Source.Read(ctx, replicas) // also where it is kept back: the next rate begins here
	if !s.Unread() {
		return reading
	}
	reading.Samples = []autoscale.Sample{{
		Process: "metrics", Name: "metrics", Time: time.Now(), Verdict: autoscale.Unreachable, Detail: "no answer, as the story has it",
	}}
	return reading
}
