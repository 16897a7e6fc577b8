package stress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

const (
	// TargetShare is the share of what a replica can carry that is proposed as
	// --rps-target: the rest is for what comes while a new replica starts.
	TargetShare = 0.7
	// slower is by how much p99 may rise above the unloaded one.
	slower = 5
	// leastLimit keeps the limit above what a busy machine does to a fast page, in
	// milliseconds.
	leastLimit = 10
	// close enough are two rates that differ by less than this share.
	closeEnough = 0.05
	// mostTrials bounds a search.
	mostTrials = 24
)

// Search looks for the highest rate that a server carries.
type Search struct {
	// Config is how requests are sent; its load and its times are the search's.
	Config
	// Step is for how long each rate is held.
	Step time.Duration
	// P99 is the latency that no rate may exceed; 0 for five times the unloaded
	// one, and at least 10 ms.
	P99 time.Duration
	// Errors is the share of failed requests that no rate may exceed, 0 to 1.
	Errors float64
	// Tried is told each rate that was tried.
	Tried func(Trial)
}

// Trial is one rate that was tried.
type Trial struct {
	Asked  float64 `json:"asked"`  // requests/s
	Sent   float64 `json:"sent"`   // requests/s
	P50    float64 `json:"p50_ms"` // latency
	P99    float64 `json:"p99_ms"`
	Errors float64 `json:"errors"` // share, 0 to 1
	// Why says what was exceeded; empty where the server carried the rate.
	Why string `json:"why,omitempty"`
}

// Capacity is what a search came to.
type Capacity struct {
	// Replicas is how many there were; 0 where nobody counted.
	Replicas int `json:"replicas,omitempty"`
	// Unloaded are the latencies of one request at a time.
	Unloaded Times `json:"unloaded_ms"`
	// Limit is the p99 that was allowed, in milliseconds.
	Limit float64 `json:"limit_ms"`
	// Rate is the highest one that was carried, in requests/s; 0 where none was.
	Rate float64 `json:"rate"`
	// Bound tells that the search ended before the server's limit was found.
	Bound string `json:"bound,omitempty"`
	// Cores is how many cores the generator itself used at that rate.
	Cores  float64 `json:"generator_cores"`
	Trials []Trial `json:"trials"`
}

// Target is the --rps-target that is proposed for one of n replicas which share
// the rate, in requests/s.
func (c *Capacity) Target(n int) float64 {
	target := TargetShare * c.Rate / float64(max(1, n))
	if target >= 10 {
		return math.Floor(target + 1e-9)
	}
	return math.Floor(target*10+1e-9) / 10
}

// FindCapacity doubles the rate until the server no longer carries it, and then
// halves the gap between the two until they are close.
func FindCapacity(ctx context.Context, s Search) (*Capacity, error) { return findCapacity(ctx, s, Run) }

// sender sends a load, as Run does.
type sender func(context.Context, Config) (*Report, error)

func findCapacity(ctx context.Context, s Search, send sender) (*Capacity, error) {
	c := &Capacity{}
	quiet := s.Config
	quiet.Load, quiet.Workers, quiet.Duration, quiet.Requests, quiet.Think = nil, 1, s.Step, 0, 5*time.Millisecond
	report, err := send(ctx, quiet)
	if err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case report.Requests == report.Failed():
		return nil, fmt.Errorf("nothing succeeded: %v", report.Examples)
	}
	c.Unloaded = report.Latency
	c.Limit = max(leastLimit, slower*report.Latency.P99)
	if s.P99 > 0 {
		c.Limit = float64(s.P99) / float64(time.Millisecond)
	}
	good, bad := 0.0, math.Inf(1)
	next := max(1, math.Round(1000/max(report.Latency.Mean, 1))/4)
	for range mostTrials {
		t, report, err := s.try(ctx, send, next, c.Limit)
		if errors.Is(err, errTooLate) {
			c.Bound = err.Error()
			return c, nil
		}
		if err != nil {
			return c, err
		}
		c.Trials = append(c.Trials, t)
		if s.Tried != nil {
			s.Tried(t)
		}
		if t.Why == "" {
			good, c.Rate, c.Cores = next, t.Sent, report.CPU/report.Duration
		} else {
			bad = next
		}
		if bad-good < closeEnough*good || bad < 1 {
			return c, nil
		}
		next = middle(good, bad)
		if next > trace.MaxRate {
			break
		}
	}
	c.Bound = "the server carried every rate that was tried"
	if !math.IsInf(bad, 1) {
		c.Bound = "the search was ended before the two rates were close"
	}
	return c, nil
}

// middle is the next rate between one that was carried and one that was not.
func middle(good, bad float64) float64 {
	switch {
	case math.IsInf(bad, 1):
		return 2 * good
	case good == 0:
		return bad / 4
	}
	return math.Sqrt(good * bad)
}

// errTooLate is a rate that the generator cannot send in time.
var errTooLate = errors.New("this program itself is too late")

// try holds one rate.
func (s Search) try(ctx context.Context, send sender, asked, limit float64) (Trial, *Report, error) {
	one := s.Config
	one.Load, one.Duration, one.Requests = trace.At(trace.Constant(asked).Uniform()), s.Step, 0
	one.Due = trace.Constant(asked).Count
	report, err := send(ctx, one)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return Trial{}, nil, err
	}
	t := Trial{Asked: asked, Sent: report.RateSent, P50: report.Latency.P50, P99: report.Latency.P99}
	if report.Requests > 0 {
		t.Errors = float64(report.Failed()) / float64(report.Requests)
	}
	switch {
	case t.Errors > s.Errors:
		t.Why = fmt.Sprintf("%.3g%% failed", 100*t.Errors)
	case report.Reached() < 0.99 || report.Dropped > 0:
		t.Why = fmt.Sprintf("only %.4g%% could be sent", 100*report.Reached())
	case t.P99 > limit:
		t.Why = fmt.Sprintf("p99 %s, above %s", Milliseconds(t.P99), Milliseconds(limit))
	case report.Late.P99 > limit:
		return t, nil, fmt.Errorf("%w at %s/s, so nothing beyond that can be measured from here; give it more of the CPU, or run it on another machine", errTooLate, rate(asked))
	}
	return t, report, nil
}
