package autoscale

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestHistoryForgetsNothing: what is dropped from the history would have changed
// no hold, whatever the flags are by then.
func TestHistoryForgetsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	dropped := 0
	for range 3000 {
		var all []Point
		var s State
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		for range 1 + random.IntN(60) {
			now = now.Add(time.Duration(1+random.IntN(60)) * time.Second)
			p := Point{Time: now, Load: float64(random.IntN(40) * 10), Verdict: OK}
			switch random.IntN(30) {
			case 0:
				p.Verdict = Warming
			case 1:
				p.Verdict = Unreachable
			}
			all = append(all, p)
			s.read(p)
			policy := Policy{Max: 1 + random.IntN(12), Min: 1, Target: 35, Cooldown: time.Duration(random.IntN(20)) * time.Minute}
			count := random.IntN(14)
			want := stabilize(policy, State{History: all}, count, now)
			if got := stabilize(policy, s, count, now); got != want {
				t.Fatalf("at %s, %d replicas, cooldown %s:\n got %+v of %v\nwant %+v of %v", now, count, policy.Cooldown, got, s.History, want, all)
			}
		}
		dropped += len(all) - len(s.History)
	}
	if dropped < 10_000 {
		t.Errorf("only %d readings were dropped", dropped)
	}
}
