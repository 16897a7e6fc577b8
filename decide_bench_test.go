package autoscale_test

import (
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// BenchmarkDecide is one decision of a daemon that has run for hours, every 15 s,
// on a counter of the whole service.
func BenchmarkDecide(b *testing.B) {
	p := autoscale.Policy{Min: 1, Max: 100, Target: 35, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	replicas := make([]autoscale.Replica, 20)
	for i := range replicas {
		replicas[i] = autoscale.Replica{ID: string(rune('a' + i)), Started: now.Add(-time.Hour)}
	}
	var s autoscale.State
	value := 0.0
	step := func(i int) {
		now = now.Add(15 * time.Second)
		value += 15 * float64(560+i%64)
		o := autoscale.Observation{
			At: autoscale.Instant{Time: now, Uptime: time.Hour + time.Duration(i)*15*time.Second, Boot: "1"}, Signal: "page", Current: 20, Replicas: replicas,
			Reading: autoscale.Reading{Metric: "m", Kind: autoscale.Counter, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{
				{Process: "page", Name: "page", Time: now, Value: value, Verdict: autoscale.OK},
			}},
		}
		_, s = autoscale.DecideAll(p, s, o, nil)
	}
	for i := range 1000 {
		step(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		step(i)
	}
}
