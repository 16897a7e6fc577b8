package demo

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// zone is that of all times in the tests.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// play lets the autoscaler itself follow a story, second by second, as a service
// does whose replicas start at once. Each second's messages are given to tell.
func play(s Story, p autoscale.Policy, until time.Duration, tell func(msg any)) {
	var state autoscale.State
	current, phase := Min, ""
	for at := time.Duration(0); at <= until; at += time.Second {
		now := noon.Add(at)
		if next := s.Phase(at); next.Text != phase {
			phase = next.Text
			tell(Event{Time: now, Kind: PhaseBegan, Text: phase})
		}
		load := s.Due(at) - s.Due(max(at-time.Second, 0))
		if at > 0 {
			// Requests wait, and then fail, where more come than the replicas manage.
			over := math.Max(0, load-float64(current*Capacity))
			tell(Load{At: at, Sent: load, Failed: over, P99: 40*time.Millisecond + time.Duration(over)*time.Millisecond})
		}
		sample := autoscale.Sample{Process: "proxy", Name: "proxy", Time: now, Value: load, Verdict: autoscale.OK}
		if s.Phase(at).Unread {
			sample = autoscale.Sample{Process: "metrics", Name: "metrics", Time: now, Verdict: autoscale.Unreachable, Detail: "no answer, as the story has it"}
		}
		before := state
		var d autoscale.Decision
		d, state = autoscale.Decide(p, state, autoscale.Observation{
			At: autoscale.Instant{Time: now}, Signal: "s", Current: current,
			Reading: autoscale.Reading{Metric: "m", Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{sample}},
		})
		current = d.To
		state = state.Settle(d, now, current, "", false)
		tell(Step{At: at, Decision: d, Replicas: current})
		switch {
		case d.To > d.From:
			tell(Event{Time: now, Kind: Raised, Text: d.Sentence()})
		case d.To < d.From:
			tell(Event{Time: now, Kind: Lowered, Text: d.Sentence()})
		case d.Verdict.Doubtful() && before.Doubts == 0:
			tell(Event{Time: now, Kind: "held-on-doubt", Text: "held in doubt: " + d.Sentence()})
		}
	}
}

// followed is the course of a story that the autoscaler followed by a policy.
func followed(s Story, p autoscale.Policy) *Course {
	c := NewCourse(s)
	play(s, p, s.Length, func(msg any) {
		if step, ok := msg.(Step); ok {
			c.Add(step)
		}
	})
	return c
}

var fine = Sent{Requests: 5000, Failed: 12, P99: 90 * time.Millisecond}

// A machine that was busy, and showed it all the same, is none to be told of.
func TestBusyButFollowed(t *testing.T) {
	s := Fast()
	if missed := followed(s, s.Policy()).Missed(Sent{Requests: 5000, Late: time.Second}); len(missed) > 0 {
		t.Errorf("%q", missed)
	}
}

func TestFollowed(t *testing.T) {
	for _, s := range []Story{Full(), Fast()} {
		c := followed(s, s.Policy())
		if missed := c.Missed(fine); len(missed) > 0 {
			t.Errorf("in %s: %q", s.Length, missed)
		}
		if c.fewest != 1 || c.most != 8 || c.last != 1 {
			t.Errorf("in %s: from %d to %d, %d at the end", s.Length, c.fewest, c.most, c.last)
		}
		t.Logf("\n%s", c.Summary(s.Length, fine, true))
	}
}

// What does not follow is found out: each with the policy of somebody who got it
// wrong, or with a step changed.
func TestMissed(t *testing.T) {
	s := Fast()
	stuck, slow := s.Policy(), s.Policy()
	stuck.Max = 3
	slow.Cooldown = time.Minute
	for name, c := range map[string]struct {
		course *Course
		sent   Sent
		want   string
	}{
		"not up":   {followed(s, stuck), fine, "the load rose to 210 rps, and no more than 3 replicas came; 5 are needed"},
		"not down": {followed(s, slow), fine, "at the end, with 20 rps, there were 8 replicas; at most 2 were to be left"},
		"nothing":  {NewCourse(s), fine, "the outage of the metrics was not noticed"},
		"lost":     {followed(s, s.Policy()), Sent{Requests: 5000, Failed: 1, Lost: 1}, "1 request was lost"},
		"busy":     {followed(s, stuck), Sent{Requests: 5000, Late: time.Second}, TooBusy + ": the load itself was late by 1s; try again when less goes on; the load rose"},
		"failed":   {followed(s, s.Policy()), Sent{Requests: 5000, Failed: 501}, "501 of 5000 requests failed"},
	} {
		if missed := strings.Join(c.course.Missed(c.sent), "; "); !strings.Contains(missed, c.want) {
			t.Errorf("%s: %q, want %q", name, missed, c.want)
		}
	}
}

// Replicas that go during the outage are missed, also where others come later.
func TestReleased(t *testing.T) {
	s := Fast()
	c := followed(s, s.Policy())
	from, until := s.unread()
	for i, step := range c.steps {
		if step.at > from+time.Second && step.at < until {
			c.steps[i].to--
		}
	}
	want := "while the load could not be read, replicas went: 8 -> 7 replicas"
	if missed := c.Missed(fine); len(missed) != 1 || missed[0] != want {
		t.Errorf("%q, want %q", missed, want)
	}
	if summary := c.Summary(s.Length, fine, true); !strings.Contains(summary, "replicas went: 8 -> 7") {
		t.Errorf("the summary does not say so:\n%s", summary)
	}
}

func TestFailedStepIsMissed(t *testing.T) {
	s := Fast()
	c := followed(s, s.Policy())
	c.Add(Step{At: time.Second, Err: errors.New("no more processes")})
	if missed := c.Missed(fine); len(missed) != 1 || missed[0] != "a step failed: no more processes" {
		t.Errorf("%q", missed)
	}
}

func TestSummary(t *testing.T) {
	s := Full()
	const want = `time      3:00
requests  21,377, 1,024 of them failed; 99 % were answered within 120ms
replicas  from 1 to 8, 1 at the end; scaled 9 times
outage    6 replicas held for 18s without metrics, while the load fell from
          210 to 90 requests/s; the first went 10s after they were back
`
	got := followed(s, s.Policy()).Summary(s.Length, Sent{Requests: 21377, Failed: 1024, P99: 120 * time.Millisecond}, true)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if early := followed(s, s.Policy()).Summary(103*time.Second, fine, false); !strings.Contains(early, "6 replicas held for 3s without metrics\n") && !strings.Contains(early, "6 replicas held for 3s without metrics;") {
		t.Errorf("ended in the outage:\n%s", early)
	}
	if early := NewCourse(s).Summary(2*time.Second, Sent{}, false); !strings.Contains(early, "requests  none\n") || !strings.Contains(early, "ended before") {
		t.Errorf("ended early:\n%s", early)
	}
}
