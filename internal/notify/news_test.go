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

// run is a run after so long; want is what each line of its message has to hold.
func (s *story) run(after time.Duration, r Run, want ...string) []string {
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
	lines, next := News(kept, r)
	if !kept.Equal(s.told) {
		s.t.Error("News changed what it was given")
	}
	s.told = next
	if len(lines) != len(want) {
		s.t.Fatalf("at %s: %q, want %q", s.at.Format(time.TimeOnly), lines, want)
	}
	for i, text := range want {
		if !strings.Contains(lines[i], text) {
			s.t.Errorf("at %s: %q, want %q", s.at.Format(time.TimeOnly), lines[i], text)
		}
	}
	return lines
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

// A raise that failed is not mended while it waits to be tried again.
func TestNewsOfBackoff(t *testing.T) {
	s := newStory(t)
	failed := move(2, 3)
	failed.Count, failed.Error = 2, "compose: new replica shop-3 exited with status 3 and was removed"
	waits := steady(2)
	waits.Decision.Want, waits.Decision.Reason = 3, autoscale.FailedScaleUp
	waits.Decision.Steps = []autoscale.Step{{Stage: autoscale.StageGuard, To: 2, Reason: autoscale.FailedScaleUp}}
	s.run(0, failed, "failed, and 2 replicas run on")
	s.run(time.Minute, waits)
	s.run(time.Minute, failed)
	s.run(time.Minute, doubt(2))
	s.run(time.Minute, waits) // the readings are good again
	s.run(time.Hour, doubt(2))
	s.run(time.Minute, move(2, 3), "recovered, after it failed from 14:00:00 on", "2 -> 3 replicas")
	s.run(time.Minute, steady(3))
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
	s.run(time.Minute, doubt(4), "held on doubt since 14:03:00 (look at the metrics page, or at what autoscale doctor says): 4 replicas kept")
	s.run(time.Hour, doubt(4))
	s.run(time.Minute, steady(4), "recovered, after doubt from 14:03:00 on")
	s.run(time.Minute, steady(4))
	s.run(time.Minute, doubt(4)) // a short one is not
	s.run(time.Minute, steady(4))

	// A failure is told once, also where nothing could be decided.
	s.run(time.Minute, Run{Error: "the Docker Engine does not answer"}, "failed: the Docker Engine")
	s.run(time.Minute, Run{Error: "the Docker Engine does not answer"})
	s.run(time.Minute, doubt(4)) // that is no recovery
	s.run(time.Minute, steady(4), "recovered, after it failed from 15:13:00 on")
	failed := move(4, 5)
	failed.Count, failed.Error = 4, "1 of 1 new replicas failed:\nlog\nmore"
	s.run(time.Minute, failed, "failed, and 4 replicas run on: 1 of 1 new replicas failed:; log; more")

	// A raise that got half of the way is told as what it is.
	half := move(2, 5)
	half.Count = 3
	s.run(time.Minute, half, "recovered", "2 -> 3 replicas, of 5")
}

// Another failure, with nothing good in between, is told as well, but not one that
// differs in its numbers only, nor two that take turns.
func TestNewsOfOtherFailures(t *testing.T) {
	s := newStory(t)
	s.run(0, Run{Error: "locked by process 17 since 14:00:01"}, "process 17")
	s.run(time.Hour, Run{Error: "locked by process 18 since 15:00:01"})
	s.run(time.Minute, Run{Error: "disk full"}, "disk full")
	s.run(time.Minute, Run{Error: "locked by process 19 since 15:01:01"})
	s.run(time.Minute, Run{Error: "disk full"})
	s.run(20*time.Minute, Run{Error: "locked by process 20 since 15:21:01"}, "process 20")
	s.run(time.Minute, Run{Declared: true}, "recovered, after it failed from 14:00:00 on: all is declared")
	s.run(time.Minute, Run{Declared: true})
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
	saturated := steady(5)
	saturated.Decision.Verdict = autoscale.Saturated
	s.run(time.Minute, saturated)
	s.run(time.Minute, steady(4))
	s.run(time.Minute, saturated, "at its maximum of 5 replicas, and they are saturated at 20 rps")
	s.run(time.Minute, steady(4))
	tight := steady(3)
	tight.Decision.Want = 4
	tight.Decision.Steps = []autoscale.Step{{Stage: autoscale.StageGuard, To: 3, Reason: autoscale.NoMemory, Detail: "room for 0 more"}}
	s.run(time.Minute, tight, "4 replicas wanted, and no room for them: room for 0 more")
	s.run(time.Minute, tight)
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
	s.run(time.Second, Run{Error: "no engine"}, "failed") // has room of its own
	s.run(time.Hour, steady(1), "recovered", "1 replica runs now; 6 more changes were not told")
	for range 7 {
		s.run(time.Hour/6, steady(1))
	}
}

// What flaps between failure and recovery does not, and in the end it is told how it
// stands.
func TestNewsOfFlaps(t *testing.T) {
	s := newStory(t)
	for range 3 {
		s.run(time.Second, Run{Error: "no engine"}, "failed")
		s.run(time.Second, steady(1), "recovered")
	}
	for range 50 {
		s.run(time.Second, Run{Error: "no engine"})
		s.run(time.Second, steady(1))
	}
	s.run(time.Minute, Run{Error: "no engine"})
	s.run(time.Hour, Run{Error: "no engine"}, "failed")
	s.run(time.Minute, steady(1), "recovered")
}

// What could not be sent comes with the next run, once, and with its time; of very
// much the newest.
func TestNewsOwed(t *testing.T) {
	s := newStory(t)
	lines := s.run(0, move(1, 2), "1 -> 2")
	s.told = Owed(s.told, lines, s.at)
	lines = s.run(time.Minute, move(2, 3), "(14:00) shop: 1 -> 2 replicas", "shop: 2 -> 3")
	s.told = Owed(s.told, lines, s.at)
	s.run(time.Minute, steady(3), "(14:00) shop: 1 -> 2", "(14:01) shop: 2 -> 3")
	s.run(time.Minute, steady(3))
	for range mostLate + 2 {
		s.told = Owed(s.told, []string{"shop: x"}, s.at)
	}
	if len(s.told.Waiting) != mostLate || s.told.LeftOut != 2 {
		t.Errorf("%d wait, %d were left out", len(s.told.Waiting), s.told.LeftOut)
	}
}

// A clock that was set back neither silences anything nor tells it again.
func TestNewsAndTheClock(t *testing.T) {
	s := newStory(t)
	for range 6 {
		s.run(time.Second, Run{Error: "no engine"}, "failed")
		s.told.Failure = ""
	}
	s.run(time.Second, doubt(1))
	s.run(-5*time.Hour, doubt(1))
	s.run(5*time.Minute, doubt(1), "held on doubt since 09:00:07")
}

// A line is short enough for a phone, and names the service first.
func TestNewsLength(t *testing.T) {
	s := newStory(t)
	lines := s.run(0, Run{Error: strings.Repeat("the log of a replica that did not start\n", 50)}, "failed")
	if n := len([]rune(lines[0])); n != mostLine || !strings.HasPrefix(lines[0], "shop: failed: the log") || !strings.HasSuffix(lines[0], "…") {
		t.Errorf("%d characters: %s", n, lines[0])
	}
}
