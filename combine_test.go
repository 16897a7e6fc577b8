package autoscale_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// several plays a workload with two sources: requests at 40 a replica, jobs at 5.
type several struct {
	t     *testing.T
	at    time.Duration
	state autoscale.State
	count int
}

func reading(value float64, verdict autoscale.Verdict, at time.Time) autoscale.Reading {
	return autoscale.Reading{Metric: "m", Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{{Process: "p", Name: "p", Time: at, Value: value, Verdict: verdict}}}
}

func (s *several) run(requests, jobs float64, jobsVerdict autoscale.Verdict) autoscale.Decision {
	s.t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(s.at)
	o := autoscale.Observation{At: autoscale.Instant{Time: now, Uptime: time.Hour + s.at, Boot: "b"}, Signal: "requests", Current: s.count, Reading: reading(requests, autoscale.OK, now)}
	for i := range s.count {
		o.Replicas = append(o.Replicas, autoscale.Replica{ID: fmt.Sprint(i), Started: now.Add(-24 * time.Hour)})
	}
	p := autoscale.Policy{Min: 1, Max: 20, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
	more := []autoscale.Source{{Name: "jobs", Target: 5, Signal: "jobs", Reading: reading(jobs, jobsVerdict, now)}}
	before := mustJSON(s.state)
	d, next := autoscale.DecideAll(p, s.state, o, more)
	if mustJSON(s.state) != before {
		s.t.Fatal("the state that was given was changed")
	}
	if again, nextAgain := autoscale.DecideAll(p, s.state, o, more); !reflect.DeepEqual(d, again) || !reflect.DeepEqual(next, nextAgain) {
		s.t.Fatal("two calls differ")
	}
	if d.Steps[len(d.Steps)-1].To != d.To {
		s.t.Errorf("a number without its reasons: %+v", d)
	}
	if d.To != d.From {
		next = next.Settle(d, now, d.To, "v1", false)
	}
	s.count, s.state, s.at = d.To, next, s.at+time.Minute
	return d
}

func (s *several) want(d autoscale.Decision, to int, verdict autoscale.Verdict) {
	s.t.Helper()
	if d.To != to || d.Verdict != verdict {
		s.t.Errorf("%d (%s), want %d (%s): %s", d.To, d.Verdict, to, verdict, d.Sentence())
	}
}

// The highest number wins, up at once and down only when all have been low.
func TestHighestWins(t *testing.T) {
	s := &several{t: t, count: 2}
	s.want(s.run(60, 8, autoscale.OK), 2, autoscale.OK)
	s.want(s.run(60, 30, autoscale.OK), 6, autoscale.OK)
	s.want(s.run(300, 30, autoscale.OK), 8, autoscale.OK)
	for _, to := range []int{8, 8, 7} {
		s.want(s.run(61, 30, autoscale.OK), to, autoscale.OK)
	}
	s.want(s.run(61, 7, autoscale.OK), 7, autoscale.OK)
	s.want(s.run(61, 7, autoscale.OK), 7, autoscale.OK)
	s.want(s.run(61, 7, autoscale.OK), 2, autoscale.OK)
}

// A source that fails holds or raises, and says so; the others go on raising.
func TestFailingSourceHolds(t *testing.T) {
	s := &several{t: t, count: 5}
	for range 5 {
		s.want(s.run(10, 0, autoscale.Unreachable), 5, autoscale.Unreachable)
	}
	s.want(s.run(300, 0, autoscale.Unreachable), 8, autoscale.Unreachable)
	for _, to := range []int{8, 8, 2} { // and for a cooldown after it is back
		s.want(s.run(61, 1, autoscale.OK), to, autoscale.OK)
	}
}

// What is known of a source that goes is forgotten, and one that comes begins
// anew: nothing goes down for its cooldown.
func TestSourcesComeAndGo(t *testing.T) {
	s := &several{t: t, count: 3}
	for range 4 {
		s.run(100, 1, autoscale.OK)
	}
	now := autoscale.Instant{Time: time.Date(2026, 11, 23, 12, 4, 0, 0, time.UTC), Uptime: time.Hour + 4*time.Minute, Boot: "b"}
	p := autoscale.Policy{Min: 1, Max: 20, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
	o := autoscale.Observation{At: now, Signal: "requests", Current: 3, Replicas: []autoscale.Replica{}, Reading: reading(100, autoscale.OK, now.Time)}
	_, next := autoscale.DecideAll(p, s.state, o, nil)
	if next.Sources != nil {
		t.Errorf("remembered: %v", next.Sources)
	}
	d, _ := autoscale.DecideAll(p, s.state, o, []autoscale.Source{{Name: "other", Target: 5, Signal: "x", Reading: reading(0, autoscale.OK, now.Time)}})
	if d.To != 3 {
		t.Errorf("%s", d.Sentence())
	}
}
