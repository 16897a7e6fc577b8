package sim

import (
	"math"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/trace"
)

// month is 30 days of load that swings by day, in stretches of 15 s.
func month(yield func(trace.Rate, error) bool) {
	const step = 15 * time.Second
	for at := time.Duration(0); at < 30*24*time.Hour; at += step {
		rps := 500 + 400*math.Sin(2*math.Pi*at.Hours()/24)
		if !yield(trace.Rate{At: at, For: step, RPS: rps}, nil) {
			return
		}
	}
}

// BenchmarkMonth is 30 days at 15 s and one policy, with all that is made up.
func BenchmarkMonth(b *testing.B) {
	b.ReportAllocs()
	p := autoscale.Policy{Min: 1, Max: 100, Target: 35, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
	for b.Loop() {
		r, err := Run(b.Context(), Config{
			Service: Service{Capacity: 50, Startup: 30 * time.Second, Drain: 10 * time.Second, Limit: 500 * time.Millisecond, Queue: 100, Retries: 1, RetryAfter: time.Second},
			Load:    Load{Linear: true, Noise: 0.05, Poisson: true, Seed: 1}, Min: 1, Max: 100,
			Contestants: []Contestant{ByPolicy("plain", p, 15*time.Second, 500)},
		}, month)
		if err != nil {
			b.Fatal(err)
		}
		s := r.Scores[0]
		b.ReportMetric(s.CostRatio, "cost")
		b.ReportMetric(s.ViolatedShare*100, "%violated")
		b.ReportMetric(r.Clairvoyant.ViolatedShare*100, "%clairvoyant")
		b.ReportMetric(s.ChangesPerDay, "changes/d")
	}
}
