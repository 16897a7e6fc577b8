package autoscale_test

import (
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// TestOneZone: a sentence has the zone of its own run, whatever the zones of the
// runs that it rests on.
func TestOneZone(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	p := autoscale.Policy{Min: 1, Max: 5, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
	var s autoscale.State
	decide := func(at time.Time, zone *time.Location, count int, rps float64) (d autoscale.Decision) {
		d, s = autoscale.Decide(p, s, autoscale.Observation{
			At: autoscale.Instant{Time: at.In(zone)}, Signal: "x", Current: count,
			Reading: autoscale.Reading{Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{{Process: "x", Name: "x", Time: at, Value: rps, Verdict: autoscale.OK}}},
		})
		return d
	}
	decide(noon, time.UTC, 4, 150)
	decide(noon.Add(3*time.Minute), time.UTC, 4, 150)
	got := decide(noon.Add(4*time.Minute), time.FixedZone("", 3*3600), 4, 31).Sentence()
	if !strings.Contains(got, "150 rps at 15:03:00, held until 15:06:00. Next: ") || !strings.HasSuffix(got, "held until 15:06:00") {
		t.Error(got)
	}
}
