package demo

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// Both tellings are one story: the same phases with the same words, in which the
// load is what the words say.
func TestFastIsTheSameStory(t *testing.T) {
	full, fast := Full(), Fast()
	if full.Length != 3*time.Minute || fast.Length != 42*time.Second {
		t.Errorf("they take %s and %s; their help says 3m and 42s", full.Length, fast.Length)
	}
	same := slices.EqualFunc(full.Phases, fast.Phases, func(a, b Phase) bool {
		return a.Name == b.Name && a.Text == b.Text && a.Unread == b.Unread
	})
	if !same {
		t.Errorf("the phases differ: %+v and %+v", full.Phases, fast.Phases)
	}
	for i, p := range full.Phases {
		if a, b := full.Rate(p.From), fast.Rate(fast.Phases[i].From); a != b {
			t.Errorf("%q begins with %g requests/s, and with %g in the fast one", p.Text, a, b)
		}
	}
}

// Every move has the time that its rules need: replicas start before the next
// phase, and a cooldown passes before the next rise or the end.
func TestTimesSuffice(t *testing.T) {
	for _, s := range []Story{Full(), Fast()} {
		from, until := s.unread()
		if until-from < 5*time.Second {
			t.Errorf("of %s the outage takes only %s", s.Length, until-from)
		}
		back, _ := s.phase(func(p Phase) bool { return p.Name == "way down" })
		if back-until < s.Cooldown+time.Second {
			t.Errorf("of %s nothing can go between the outage and the way down: %s", s.Length, back-until)
		}
		end := s.Phases[len(s.Phases)-1]
		if s.Length-end.From < s.Cooldown+2*time.Second {
			t.Errorf("of %s the end is too short: %s", s.Length, s.Length-end.From)
		}
	}
}

func TestSameSeedSameLoad(t *testing.T) {
	take := func(s Story, seed uint64, n int) (all []time.Duration) {
		for a, err := range s.Arrivals(seed) {
			if err != nil || len(all) == n {
				break
			}
			all = append(all, a.At)
		}
		return all
	}
	s := Fast()
	one, two, other := take(s, 7, 1e6), take(s, 7, 1e6), take(s, 8, 1e6)
	if !slices.Equal(one, two) || slices.Equal(one, other) {
		t.Errorf("seed 7 gives %d and %d requests, seed 8 %d", len(one), len(two), len(other))
	}
	if due := s.Due(s.Length); math.Abs(float64(len(one))-due) > 5*math.Sqrt(due) {
		t.Errorf("%d requests come, %g are due", len(one), due)
	}
	s.Again = true
	many := take(s, 7, 3*len(one))
	if !slices.Equal(many[:len(one)], one) {
		t.Error("the first time differs where the story is told again")
	}
	if !slices.IsSorted(many) || many[len(many)-1] < 2*s.Length {
		t.Errorf("the load of a story that is told again ends at %s, or goes back", many[len(many)-1])
	}
	if got, want := s.Due(3*s.Length), 3*Fast().Due(Fast().Length); math.Abs(got-want) > 1e-6 {
		t.Errorf("%g requests are due in three tellings, want %g", got, want)
	}
	if s.Phase(s.Length).Text != s.Phases[0].Text || s.Rate(s.Length+1) != quiet {
		t.Error("the second telling does not begin like the first")
	}
}

// fixed is a source that gives the same reading.
type fixed struct{ reads int }

func (f *fixed) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	f.reads++
	return autoscale.Reading{Metric: "m", Kind: autoscale.Gauge, Samples: []autoscale.Sample{{Process: "p", Value: 40, Verdict: autoscale.OK}}}
}

// The outage is one as any: what is known of the source stays, the values do not.
func TestSourceIsKeptAway(t *testing.T) {
	away := false
	inner := &fixed{}
	s := Source{Source: inner, Unread: func() bool { return away }}
	if r := s.Read(t.Context(), nil); len(r.Samples) != 1 || r.Samples[0].Value != 40 {
		t.Errorf("read %+v", r)
	}
	away = true
	r := s.Read(t.Context(), nil)
	if len(r.Samples) != 1 || !r.Samples[0].Verdict.Doubtful() || r.Samples[0].Value != 0 || r.Metric != "m" {
		t.Errorf("while it is kept away: read %+v", r)
	}
	if inner.reads != 2 {
		t.Errorf("the source was read %d times; a rate would span the outage", inner.reads)
	}
}
