package autoscale_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// BenchmarkDecideSLO is one decision with all settings tried beside it; it reports
// the bytes of its state.
func BenchmarkDecideSLO(b *testing.B) {
	p := autoscale.Policy{
		Min: 1, Max: 100, Target: 35, Tolerance: 0.1, Cooldown: time.Minute, Mode: autoscale.Auto,
		SLO: autoscale.SLO{Violations: 0.001, Capacity: 50, ChangeCost: autoscale.DefaultChangeCost},
	}
	var s autoscale.State
	now, count, i := time.Unix(1_800_000_000, 0).UTC(), 5, 0
	for b.Loop() {
		i++
		now = now.Add(5 * time.Second)
		load := float64(100 + i*7919%400)
		o := autoscale.Observation{At: autoscale.Instant{Time: now, Uptime: now.Sub(time.Unix(0, 0)), Boot: "1"}, Signal: "page", Current: count, Reading: autoscale.Reading{
			Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{{Process: "page", Time: now, Value: load, Verdict: autoscale.OK}},
		}}
		d, next := autoscale.Decide(p, s, o)
		s, count = next.Settle(d, now, d.To, "v1", false), d.To
	}
	text, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(text)), "state-bytes")
}
