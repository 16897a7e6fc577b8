package autoscale_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// FuzzDecideSLO plays what FuzzDecide does, with an SLO: all that holds without one
// holds with it.
func FuzzDecideSLO(f *testing.F) {
	f.Add([]byte("\x01\x05\x02\x02seeds are bytes; these are a few of them to begin with"))
	f.Add([]byte{3, 9, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200, 200, 1, 1, 0, 0, 255, 255, 0, 4, 4, 4, 9, 9})
	f.Add(make([]byte, 300))
	random := rand.NewChaCha8([32]byte{11})
	for range 300 {
		tape := make([]byte, 900)
		_, _ = random.Read(tape) // it gives what it is asked for
		f.Add(tape)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		play := &tape{bytes}
		p := play.policy()
		p.SLO = autoscale.SLO{Violations: 0.001, Capacity: 1 + float64(play.byte()), ChangeCost: float64(play.byte())}
		if err := p.Validate(); err != nil {
			return // not a policy
		}
		now := autoscale.Instant{Time: time.Unix(1_800_000_000, 0).UTC(), Uptime: time.Hour, Boot: "1"}
		var s autoscale.State
		count := play.pick(12)
		for range 16 {
			passed := time.Duration(play.pick(5)*play.byte()) * time.Second
			now.Time, now.Uptime = now.Time.Add(passed), now.Uptime+passed
			if s.Learned != nil {
				l := *s.Learned
				switch play.pick(8) {
				case 1:
					l.Seen = 1e8 // knows enough for every setting
				case 2:
					l.Choice = play.byte() - 4 // may not be there
				case 3:
					l.Short, l.Long = play.float(), play.float()
				}
				s.Learned = &l
			}
			d, next := checkDecide(t, p, s, play.observation(now, count))
			if text := mustJSON(next); len(text) > 256<<10 {
				t.Fatalf("a state of %d bytes", len(text))
			}
			if d.To != d.From {
				next = next.Settle(d, now.Time, d.To, "v1", false)
				count = d.To
			}
			s = next
		}
	})
}

// sloRun drives a policy over rates, five seconds apart, and gives the counts.
func sloRun(t *testing.T, p autoscale.Policy, rates []float64, scale float64, began time.Time, each func(*autoscale.State)) (counts []int, last autoscale.State) {
	t.Helper()
	count := 3
	var s autoscale.State
	for i, rate := range rates {
		now := began.Add(time.Duration(i) * 5 * time.Second)
		if each != nil {
			each(&s)
		}
		d, next := autoscale.Decide(p, s, autoscale.Observation{
			At: autoscale.Instant{Time: now, Uptime: time.Hour + time.Duration(i)*5*time.Second, Boot: "1"}, Signal: "page", Current: count,
			Reading: autoscale.Reading{Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{{Process: "page", Time: now, Value: rate * scale, Verdict: autoscale.OK}}},
		})
		if d.To != d.From {
			next = next.Settle(d, now, d.To, "v1", false)
		}
		s, count = next, d.To
		counts = append(counts, count)
	}
	return counts, s
}

func sloPolicy(scale float64) autoscale.Policy {
	return autoscale.Policy{
		Min: 1, Max: 100, Target: 35 * scale, Tolerance: 0.1, Cooldown: time.Minute, Mode: autoscale.Auto,
		SLO: autoscale.SLO{Violations: 0.001, Capacity: 50 * scale, ChangeCost: 60},
	}
}

// wave is more than a day of a load that rises and falls within hours, and jumps at times.
func wave() []float64 {
	all := make([]float64, 22000)
	for i := range all {
		all[i] = math.Round(300 + 200*math.Sin(float64(i)/2000))
		if i%3000 < 60 {
			all[i] += 256
		}
	}
	return all
}

func TestSLOIsLearned(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0).UTC()
	counts, s := sloRun(t, sloPolicy(1), wave(), 1, began, nil)
	if s.Learned == nil || s.Learned.Choice == 0 {
		t.Fatalf("the plain rule still rules after a day: %+v", s.Learned)
	}
	if len(mustJSON(s)) > 256<<10 {
		t.Errorf("a state of %d bytes", len(mustJSON(s)))
	}
	t.Run("the unit of the load does not matter", func(t *testing.T) {
		t.Parallel()
		other, _ := sloRun(t, sloPolicy(8), wave()[:20000], 8, began, nil) // a power of two: no rounding
		if !reflect.DeepEqual(counts[:20000], other) {
			t.Error("eight times the load and the capacity has other counts")
		}
	})
	t.Run("the date does not matter", func(t *testing.T) {
		t.Parallel()
		other, _ := sloRun(t, sloPolicy(1), wave()[:20000], 1, began.Add(1234567*time.Second), nil)
		if !reflect.DeepEqual(counts[:20000], other) {
			t.Error("two weeks later there are other counts")
		}
	})
	t.Run("a state through a file decides the same", func(t *testing.T) {
		t.Parallel()
		other, _ := sloRun(t, sloPolicy(1), wave()[:3000], 1, began, func(s *autoscale.State) {
			var read autoscale.State
			if err := json.Unmarshal([]byte(mustJSON(*s)), &read); err != nil {
				t.Fatal(err)
			}
			*s = read
		})
		if !reflect.DeepEqual(counts[:3000], other) {
			t.Error("states through JSON have other counts")
		}
	})
}

func TestSLOWithoutSoundMemoryIsPlain(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0).UTC()
	plain := sloPolicy(1)
	plain.SLO = autoscale.SLO{}
	want, s := sloRun(t, plain, wave()[:2000], 1, began, nil)
	if s.Learned != nil {
		t.Error("learned without an SLO")
	}
	for name, spoil := range map[string]func(*autoscale.Learned){
		"not a number":    func(l *autoscale.Learned) { l.Long = math.NaN() },
		"below nothing":   func(l *autoscale.Learned) { l.Shadows[3].Cost = -1 },
		"no such setting": func(l *autoscale.Learned) { l.Choice = 9999 },
		"too few":         func(l *autoscale.Learned) { l.Shadows = l.Shadows[:7] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := sloRun(t, sloPolicy(1), wave()[:2000], 1, began, func(s *autoscale.State) {
				if s.Learned != nil {
					spoil(s.Learned)
				}
			})
			if !reflect.DeepEqual(got, want) {
				t.Error("decides otherwise than the plain rule")
			}
		})
	}
}

// A page that tells of completed requests alone shows no more than the replicas
// manage: the count climbs out of an overload as fast as with the plain rule.
func TestSLOClimbsOutOfAnOverload(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0).UTC()
	_, s := sloRun(t, sloPolicy(1), wave(), 1, began, nil)
	if s.Learned.Choice == 0 {
		t.Fatal("nothing was learned")
	}
	count := 4
	at := s.At
	for range 4 {
		at.Time, at.Uptime = at.Time.Add(5*time.Second), at.Uptime+5*time.Second
		d, next := autoscale.Decide(sloPolicy(1), s, autoscale.Observation{
			At: at, Signal: "page", Current: count,
			Reading: autoscale.Reading{Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{{Process: "page", Time: at.Time, Value: 50 * float64(count), Verdict: autoscale.OK}}},
		})
		if least := int(math.Ceil(float64(count) / 0.7)); d.To < least {
			t.Fatalf("%d saturated replicas become %d, and with the plain rule %d: %s", count, d.To, least, d.Sentence())
		}
		s, count = next.Settle(d, at.Time, d.To, "v1", false), d.To
	}
}
