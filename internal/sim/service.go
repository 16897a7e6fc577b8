// Package sim replays recorded load against a model of a service: what a policy
// would have cost, and how many requests would have waited too long.
//
// Nothing of the deciding is a model. A Plant stands where metrics page and engine
// stand, and the same Controller makes the same steps, in virtual time. What the
// Plant is, and what it leaves out, docs/simulation.md says.
package sim

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Service is what is known of a service: all that the model rests on.
type Service struct {
	// Capacity is how many requests/s one replica answers at most.
	Capacity float64
	// Startup is the time from asking for a replica to its first answer.
	Startup time.Duration
	// AtOnce has a raise end when its replicas were asked for, as on Kubernetes,
	// not when they answer.
	AtOnce bool
	// Drain is how long at most a replica that leaves finishes what it holds.
	Drain time.Duration
	// Limit is how long an answer may take before it counts as violated.
	Limit time.Duration
	// Latency is how long an answer takes that has to wait for nothing.
	Latency time.Duration
	// Queue is how many requests may wait for each replica; what comes on top is
	// dropped.
	Queue float64
	// Retries is how often a dropped request is sent again, each time RetryAfter
	// later. Retries are load, and count neither as requests nor as violated.
	Retries    int
	RetryAfter time.Duration
	// Metrics is how its load is seen, and Signs what else shows that its replicas
	// are at their end.
	Metrics Metrics
	Signs   Signs
}

// Signs are what shows that replicas are at the end of what they can. The zero
// value shows nothing.
type Signs struct {
	// CPU is that of the replicas, as the engine tells it: all of what each may use
	// at its capacity.
	CPU bool
	// Errors are the requests that were dropped, as the page counts them.
	Errors bool
	// InFlight is how many requests are being answered or wait, on the page.
	InFlight bool
}

// Metrics is how the load of a service is seen. The zero value is a page with a
// counter of answered requests, read at each step.
type Metrics struct {
	// Gauge is a rate over Window; else there is a counter.
	Gauge  bool
	Window time.Duration
	// Each replica has a page of its own; else one speaks for all.
	Each bool
	// Offered counts requests as they come, as a proxy in front sees them; else as
	// they are answered.
	Offered bool
	// Every is the time from one scrape to the next, and Age how long a scraped
	// value takes to be there; 0 where a step reads the page itself.
	Every, Age time.Duration
}

// patience is how long a request may wait.
func (s Service) patience() time.Duration { return s.Limit - s.Latency }

// Validate reports everything in s that is wrong in itself, in the words of the
// command line's flags.
func (s Service) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !(s.Capacity > 0) || math.IsInf(s.Capacity, 0) {
		wrong("--capacity=%v: give the requests per second at which one replica is overloaded, a number above 0; autoscale stress --find-capacity measures it", s.Capacity)
	}
	if !(s.Queue >= 0) || math.IsInf(s.Queue, 0) {
		wrong("--queue=%v: give how many requests may wait for each replica, at least 0", s.Queue)
	}
	if s.Limit <= s.Latency {
		wrong("--slo-latency=%s: an answer takes %s without any waiting; give a time above that", s.Limit, s.Latency)
	}
	if s.Retries < 0 || s.Retries > 10 {
		wrong("--retries=%d: give a number from 0 to 10", s.Retries)
	}
	if s.Retries > 0 && (s.RetryAfter <= 0 || s.RetryAfter > time.Hour) {
		wrong("--retry-after=%s: give a time above 0 and up to an hour", s.RetryAfter)
	}
	if s.Metrics.Gauge && s.Metrics.Window <= 0 {
		wrong("--metrics-window=%s: a rate is taken over a time above 0", s.Metrics.Window)
	}
	for _, t := range []struct {
		flag string
		time.Duration
	}{
		{"--startup", s.Startup}, {"--drain", s.Drain}, {"--latency", s.Latency}, {"--metrics-every", s.Metrics.Every}, {"--metrics-age", s.Metrics.Age},
		{"--metrics-window", s.Metrics.Window},
	} {
		if t.Duration < 0 || t.Duration > time.Hour {
			wrong("%s=%s: give a time from 0 to an hour", t.flag, t.Duration)
		}
	}
	return errors.Join(errs...)
}
