package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// byDays is a score of which so large a share was violated on each day.
func byDays(paid float64, shares ...float64) Score {
	s := Score{ReplicaHours: paid, Timeline: Timeline{Width: 24 * time.Hour}}
	for _, share := range shares {
		s.Timeline.Buckets = append(s.Timeline.Buckets, Bucket{Requests: 1000, Violated: 1000 * share, Paid: paid})
	}
	return s
}

func TestRecommend(t *testing.T) {
	thrifty := byDays(10, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02)
	middle := byDays(12, 0.004, 0.004, 0.004, 0.004, 0.004, 0.004, 0.004, 0.004)
	fickle := byDays(11, 0, 0, 0, 0, 0, 0, 0, 0.07) // within the ask, unless its worst day comes again
	careful := byDays(20, 0, 0, 0, 0, 0, 0, 0, 0)
	growing := byDays(9, 0, 0, 0, 0, 0.001, 0.004, 0.012, 0.03)
	for _, c := range []struct {
		name   string
		scores []Score
		asked  float64
		best   int
		keeps  bool
		holds  bool
	}{
		{"the cheapest that keeps it", []Score{thrifty, middle, careful}, 0.01, 1, true, true},
		{"the worst day may come again", []Score{thrifty, fickle, middle, careful}, 0.01, 2, true, false},
		{"none keeps it: the nearest", []Score{thrifty, middle}, 0.001, 1, false, false},
		{"what came to be worse is noticed", []Score{growing, careful}, 0.01, 1, true, true},
	} {
		r := Recommend(c.scores, c.asked)
		if r.Best != c.best || r.Keeps != c.keeps || r.Unseen.Count != 4 || r.Unseen.Length != 24*time.Hour || r.Unseen.Holds(c.asked) != c.holds {
			t.Errorf("%s: %+v", c.name, r)
		}
		if sure := r.Unseen.Sure(); sure < 0 || sure > 1 || r.Unseen.Kept == 4 && sure < 0.5 || r.Unseen.Kept == 0 && sure > 0 {
			t.Errorf("%s: sure to %g", c.name, sure)
		}
	}
}

// TestRecommendShort: a short load is divided into parts, and one that is too short
// says so.
func TestRecommendShort(t *testing.T) {
	hour := Score{Timeline: Timeline{Width: time.Minute}}
	for range 61 {
		hour.Timeline.Buckets = append(hour.Timeline.Buckets, Bucket{Requests: 10, Paid: 1})
	}
	r := Recommend([]Score{hour}, 0.01)
	if r.Unseen.Count != 4 || r.Unseen.Length != 7*time.Minute || !r.Keeps {
		t.Errorf("%+v", r)
	}
	hour.Timeline.Buckets = hour.Timeline.Buckets[:1]
	choice := &Choice{Recommendation: Recommend([]Score{hour}, 0.01)}
	if text := choice.sureness(0.01); !strings.Contains(text, "too short to tell") {
		t.Error(text)
	}
}

// TestCandidates: they raise before they are full, and cover what people choose.
func TestCandidates(t *testing.T) {
	all := Candidates(plain(), 50, Cooldowns())
	targets := map[float64]bool{}
	for _, p := range all {
		if err := p.Validate(); err != nil || p.Target*(1+p.Tolerance) > 50*0.951 || p.Max != 30 {
			t.Errorf("%+v, %v", p, err)
		}
		targets[p.Target] = true
	}
	if len(targets) < 20 || len(all) != 3*len(targets) || !targets[43.2] {
		t.Errorf("%d of %d targets", len(all), len(targets))
	}
	if v := readable(0.00123456); v != 0.00123 {
		t.Error(v)
	}
	if v := readable(1234567); v != 1_230_000 {
		t.Error(v)
	}
}

// TestFront: only settings than which none is better are shown.
func TestFront(t *testing.T) {
	r := &Report{}
	for _, one := range [][2]float64{{5, 0}, {1, 0.1}, {3, 0.01}, {2, 0.2}, {4, 0.01}, {1, 0.3}} {
		r.Tried = append(r.Tried, Tried{Setting{Policy: autoscale.Policy{Target: one[0]}}, Score{ReplicaHours: one[0], ViolatedShare: one[1]}})
	}
	var front [][2]float64
	for _, f := range r.front() {
		front = append(front, [2]float64{f.Score.ReplicaHours, f.Score.ViolatedShare})
	}
	if want := [][2]float64{{1, 0.1}, {3, 0.01}, {5, 0}}; !slices.Equal(front, want) {
		t.Errorf("%v, want %v", front, want)
	}
}

func TestWords(t *testing.T) {
	for _, c := range [][2]string{
		{short(90 * time.Second), "90s"}, {short(5 * time.Minute), "5m"}, {short(2 * time.Hour), "2h"}, {short(500 * time.Millisecond), "0.5s"},
		{percent(0), "0 %"}, {percent(1e-9), "< 0.0001 %"}, {percent(0.0123), "1.23 %"},
		{moment(26*time.Hour + 5*time.Minute), "day 2, 02:05"}, {long(58 * time.Minute), "58 minutes"}, {long(14 * 24 * time.Hour), "14 days"},
		{count(12), "12"}, {count(0.123), "0.12"}, {count(999.7), "1,000"}, {count(12345), "12,345"}, {count(1005), "1,005"}, {count(173_600_000), "174 million"}, {count(2.5e9), "2.5 billion"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}
