package sim

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/trace"
)

// compared is a report of two settings and a sweep, on load that rises so fast.
func compared(t *testing.T, step float64) *Report {
	t.Helper()
	setting := func(name string, target float64) Setting {
		return Setting{Name: name, Every: 15 * time.Second, Policy: autoscale.Policy{
			Min: 1, Max: 20, Target: target, Tolerance: 0.1, Cooldown: time.Minute, Mode: autoscale.Auto,
		}}
	}
	base := setting("plain", 35)
	ask := Ask{
		Source:  "a <b> & c",
		Service: Service{Capacity: 50, Startup: 30 * time.Second, Drain: 10 * time.Second, Limit: 500 * time.Millisecond, Queue: 100},
		// The second setting is one of the sweep's, so that both stand at one place.
		Settings: []Setting{base, setting("swept", Candidates(base.Policy, 50, []time.Duration{time.Minute})[0].Target)}, Sweep: &base, First: 100,
	}
	result, err := Run(t.Context(), ask.Config(), func(yield func(trace.Rate, error) bool) {
		for i := range 40 {
			rate := 100.0
			if i%10 >= 5 {
				rate += step
			}
			if !yield(trace.Rate{At: time.Duration(i) * time.Minute, For: time.Minute, RPS: rate}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewReport(ask, result)
}

// TestCurve: each setting that is compared stands on the chart as one point, also
// beyond the curve, and no two columns at one place.
func TestCurve(t *testing.T) {
	r := compared(t, 300)
	c := r.curveChart()
	if !slices.IsSorted(c.X) || len(slices.Compact(slices.Clone(c.X))) != len(c.X) {
		t.Errorf("x: %v", c.X)
	}
	want := map[string]int{"tried": len(r.front()), "plain": 1, "swept": 1}
	for _, s := range c.Series {
		points := 0
		for i, v := range s.Values {
			if math.IsNaN(float64(v)) {
				continue
			}
			points++
			if v < curveFloor {
				t.Errorf("%s: %v has no place on an axis of powers", s.Name, v)
			}
			if s.Name == "plain" && c.X[i] != r.Scores[0].CostRatio {
				t.Errorf("plain stands at %v, want %v", c.X[i], r.Scores[0].CostRatio)
			}
		}
		if len(s.Values) != len(c.X) || points != want[s.Name] {
			t.Errorf("%s: %d points on %d columns, want %d on %d", s.Name, points, len(s.Values), want[s.Name], len(c.X))
		}
	}
	if len(c.Series) != len(want) {
		t.Errorf("%d series, want %d", len(c.Series), len(want))
	}
}

// TestPageSaysNothingOfNoViolations: where nothing was violated there is a sentence
// instead of an empty chart and an empty table; else both are there.
func TestPageSaysNothingOfNoViolations(t *testing.T) {
	for step, violated := range map[float64]bool{0: false, 300: true} {
		var b strings.Builder
		if err := compared(t, step).WriteHTML(&b, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for text, there := range map[string]bool{
			"The worst minutes": violated, `"title":"Violated"`: violated, "No request was violated": !violated,
			"a &lt;b&gt; &amp; c": true, "a <b>": false,
		} {
			if strings.Contains(page, text) != there {
				t.Errorf("step %v: %q in the page: %v, want %v", step, text, !there, there)
			}
		}
	}
}
