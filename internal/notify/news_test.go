package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// story tells one service's runs, as different processes that share a state file.
type story struct {
	t    *testing.T
	at   time.Time
	told autoscale.Told
}

// run is a run after so long; want is what its message has to hold, "" for none.
func (s *story) run(after time.Duration, r Run, want ...string) {
	s.t.Helper()
	s.at = s.at.Add(after)
	r.Service, r.At, r.Max = "shop", s.at, 5
	if r.Decision.Verdict != "" {
		r.Decision.At = s.at
	}
	text, err := json.Marshal(s.told)
	if err != nil {
		s.t.Fatal(err)
	}
	var kept autoscale.Told
	if err := json.Unmarshal(text, &kept); err != nil {
		s.t.Fatal(err)
	}
	before := s.told
	lines, next := News(kept, r)
	if !before.Equal(s.told) {
		s.t.Error("News changed what it was given")
	}
	s.told = next
	said := strings.Join(lines, "\n")
	if len(want) == 0 && said != "" || len(lines) != len(want) {
		s.t.Fatalf("at %s: %q, want %q", s.at.Format(time.TimeOnly), said, want)
	}
	for i, text := range want {
		if !strings.Contains(lines[i], text) {
			s.t.Errorf("at %s: %q, want %q", s.at.Format(time.TimeOnly), lines[i], text)
		}
	}
}

func steady(count int) Run {
	return Run{Count: count, Decision: autoscale.Decision{From: count, To: count, Want: count, Load: 20, Verdict: autoscale.OK, Reason: autoscale.DesiredWithinRange}}
}

func move(from, to int) Run {
	return Run{Count: to, Decision: autoscale.Decision{From: from, To: to, Want: to, Load: 90, Verdict: autoscale.OK, Reason: autoscale.LoadAboveTarget}}
}

func doubt(count int) Run {
	r := steady(count)
	r.Decision.Verdict, r.Decision.Reason = autoscale.Unreachable, autoscale.HeldOnDoubt
	return r
}

func newStory(t *testing.T) *story {
	return &story{t: t, at: time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)}
}

// Each transition is told once, whoever makes the run.
func TestNews(t *testing.T) {
	s := newStory(t)
	s.run(0, steady(2))
	s.run(time.Minute, move(2, 4), "shop: 2 -> 4 replicas")
	s.run(time.Minute, steady(4))

	// Doubt is told once it has lasted for five minutes, and that it has ended.
	s.run(time.Minute, doubt(4)) // 14:03
	s.run(4*time.Minute, doubt(4))
	s.run(time.Minute, doubt(4), "held on doubt since 14:03:00")
	s.run(time.Hour, doubt(4))
	s.run(time.Minute, steady(4), "recovered")
	s.run(time.Minute, steady(4))
	s.run(time.Minute, doubt(4)) // a short one is not
	s.run(time.Minute, steady(4))

	// A failure is told once, also where nothing could be decided.
	s.run(time.Minute, Run{Error: "the Docker Engine does not answer"}, "failed: the Docker Engine")
	s.run(time.Minute, Run{Error: "the Docker Engine does not answer"})
	s.run(time.Minute, doubt(4)) // that is no recovery
	s.run(time.Minute, steady(4), "recovered")
	failed := move(4, 5)
	failed.Count, failed.Error = 4, "1 of 1 new replicas failed"
	s.run(time.Minute, failed, "failed: 1 of 1")

	// A raise that got half of the way is told as what it is.
	half := move(2, 5)
	half.Count = 3
	s.run(time.Minute, half, "recovered", "2 -> 3 replicas, of 5")
}

// That more is wanted than may be is told once, until it is not any more.
func TestNewsAtMaximum(t *testing.T) {
	s := newStory(t)
	most := steady(5)
	most.Decision.Load = 400
	most.Decision.Steps = []autoscale.Step{{Stage: autoscale.StageBound, To: 5, Reason: autoscale.TooManyReplicas}}
	s.run(0, most, "at its maximum of 5 replicas, and 400 rps asks for more")
	s.run(time.Minute, most)
	s.run(time.Minute, steady(5))
	s.run(time.Minute, most, "at its maximum")
}

// What is only observed is told as that, each number once.
func TestNewsObserved(t *testing.T) {
	s := newStory(t)
	would := steady(1)
	would.Decision.Want, would.Decision.Reason = 3, autoscale.ObserveMode
	s.run(0, would, "would go from 1 to 3 replicas (only observed)")
	s.run(time.Minute, would)
	would.Decision.Want = 4
	s.run(time.Minute, would, "would go from 1 to 4")
	s.run(time.Minute, steady(1))
	s.run(time.Minute, would, "would go from 1 to 4")
}

// A count that flaps does not flood anybody, and nothing is concealed.
func TestNewsOfMany(t *testing.T) {
	s := newStory(t)
	for i := range 12 {
		r := move(1+i%2, 2-i%2)
		if i < 6 {
			s.run(time.Second, r, "replica")
		} else {
			s.run(time.Second, r)
		}
	}
	s.run(10*time.Minute, move(1, 2), "(6 more changes were not told)")
}
