package sim

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/trace"
)

// rates are stretches of that length each.
func rates(step time.Duration, values ...float64) trace.Rates {
	return func(yield func(trace.Rate, error) bool) {
		for i, v := range values {
			if !yield(trace.Rate{At: time.Duration(i) * step, For: step, RPS: v}, nil) {
				return
			}
		}
	}
}

// ticks are the requests of each tick of a second.
func ticks(t testing.TB, l Load, r trace.Rates) (all []float64) {
	t.Helper()
	for n, err := range l.requests(r, time.Second) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestLoad(t *testing.T) {
	if got, want := ticks(t, Load{}, rates(2*time.Second, 10, 30)), []float64{10, 10, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// From middle to middle, at the middle of each second.
	if got, want := ticks(t, Load{Linear: true}, rates(4*time.Second, 10, 30, 30)), []float64{10, 10, 12.5, 17.5, 22.5, 27.5, 30, 30, 30, 30, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	broken := errors.New("broken")
	for _, linear := range []bool{false, true} {
		failed := 0
		for _, err := range (Load{Linear: linear}).requests(func(yield func(trace.Rate, error) bool) { yield(trace.Rate{}, broken) }, time.Second) {
			if !errors.Is(err, broken) {
				t.Error(err)
			}
			failed++
		}
		if failed != 1 {
			t.Errorf("%d errors", failed)
		}
	}
}

// moments are the mean, the standard deviation, and the correlation of one with the
// next.
func moments(all []float64) (mean, sd, correlation float64) {
	for _, v := range all {
		mean += v / float64(len(all))
	}
	var squares, products float64
	for i, v := range all {
		squares += (v - mean) * (v - mean)
		if i > 0 {
			products += (v - mean) * (all[i-1] - mean)
		}
	}
	return mean, math.Sqrt(squares / float64(len(all))), products / squares
}

// TestNoise: as large and as lasting as it is said to be, and the same for a seed.
func TestNoise(t *testing.T) {
	flat := rates(50_000*time.Second, 200)
	all := ticks(t, Load{Noise: 0.05, Seed: 1}, flat)
	if mean, sd, correlation := moments(all); math.Abs(mean-200) > 0.5 || math.Abs(sd-10) > 0.5 || math.Abs(correlation-persistence) > 0.01 {
		t.Errorf("mean %g, deviation %g, correlation %g", mean, sd, correlation)
	}
	for _, rate := range []float64{0.5, 10, 49, 60, 200} {
		some := ticks(t, Load{Poisson: true, Seed: 2}, rates(50_000*time.Second, rate))
		if mean, sd, _ := moments(some); math.Abs(mean/rate-1) > 0.03 || math.Abs(sd*sd/rate-1) > 0.05 {
			t.Errorf("Poisson of %g: mean %g, variance %g", rate, mean, sd*sd)
		}
	}
	l := Load{Noise: 0.05, Poisson: true, Seed: 3}
	if !slices.Equal(ticks(t, l, flat), ticks(t, l, flat)) {
		t.Error("the same seed gives other noise")
	}
	l.Seed = 4
	if slices.Equal(ticks(t, l, flat), all) {
		t.Error("another seed gives the same noise")
	}
	// Half the tick, half the requests, as noisy over a second.
	var fine []float64
	for n := range l.requests(flat, 500*time.Millisecond) {
		fine = append(fine, n)
	}
	if mean, _, _ := moments(fine); math.Abs(mean-100) > 0.5 || len(fine) != 100_000 {
		t.Errorf("%d halves of %g", len(fine), mean)
	}
}

// optimum is what the cheapest schedule pays that has at least so many replicas in
// each second, a start being paid for start seconds: the shortest path over counts.
func optimum(needs []int, most, start int) float64 {
	costs := make([]float64, most+1)
	for n := range costs {
		costs[n] = 0 // it began before the load did
	}
	for _, need := range needs {
		next := make([]float64, most+1)
		for n := range next {
			next[n] = math.Inf(1)
			for had := range costs {
				if n >= need {
					next[n] = min(next[n], costs[had]+float64(n)+float64(max(0, n-had)*start))
				}
			}
		}
		costs = next
	}
	return slices.Min(costs)
}

// TestClairvoyant: on small loads it pays what the cheapest schedule pays of those
// that have as many replicas as it needs, and violates nothing.
func TestClairvoyant(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 0))
	for range 300 {
		s := service()
		s.Startup = time.Duration(random.IntN(6)) * time.Second
		s.Queue = float64(random.IntN(40))
		s.Drain = time.Duration(random.IntN(2)) * time.Second
		c := newClairvoyant(s, Epoch(), random.IntN(2), 6, time.Second)
		loads := make([]float64, 40)
		level := 0.0
		for i := range loads {
			if random.IntN(5) == 0 {
				level = random.Float64() * 280
			}
			loads[i] = level * (0.9 + 0.1*random.Float64())
		}
		alike := newClairvoyant(s, Epoch(), c.floor, 6, time.Second)
		needs := make([]int, len(loads))
		paid := 0.0 // but for those that leave and finish what they hold
		for i, n := range loads {
			needs[i] = alike.enough(n)
			if c.learn(n) {
				paid += float64(len(c.plant.replicas))
			}
		}
		for c.rest() {
			paid += float64(len(c.plant.replicas))
		}
		if c.plant.now != int64(len(loads)) || c.plant.tally.violated > 0 {
			t.Fatalf("%d ticks, %g violated of %v", c.plant.now, c.plant.tally.violated, loads)
		}
		if want := optimum(needs, 6, int(c.plant.startup)); paid != want {
			t.Fatalf("startup %s: paid %g, the cheapest %g\n%v", s.Startup, paid, want, needs)
		}
	}
}

// TestTimeline: whatever its length, a timeline tells of all, in parts of a day,
// and no more memory.
func TestTimeline(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 0))
	for _, length := range []int{1, 59, 2047, 2048, 2049, 4096, 10_000, 123_457, 1_000_000} {
		line := newTimeline(time.Second)
		var total tally
		most := 0
		for range length {
			total.requests += 10
			total.violated += float64(random.IntN(2))
			total.paid += 3
			n := random.IntN(length)
			most = max(most, n)
			line.pass(&total, n)
		}
		line.end(&total)
		var sum Bucket
		for _, b := range line.Buckets {
			sum.Requests, sum.Violated, sum.Paid, sum.Most = sum.Requests+b.Requests, sum.Violated+b.Violated, sum.Paid+b.Paid, max(sum.Most, b.Most)
		}
		if want := (Bucket{total.requests, total.violated, total.paid, most}); !near(sum.Requests, want.Requests) || sum.Violated != want.Violated || sum.Paid != want.Paid || sum.Most != most {
			t.Errorf("%d s: %+v, want %+v", length, sum, want)
		}
		if n := len(line.Buckets); n > maxBuckets || n != int(math.Ceil(float64(length)/line.Width.Seconds())) || line.Width < 24*time.Hour && 24*time.Hour%line.Width != 0 {
			t.Errorf("%d s: %d stretches of %s", length, n, line.Width)
		}
	}
	for i := range len(widths) - 1 {
		if widths[i+1]%widths[i] != 0 {
			t.Errorf("%s is no multiple of %s", widths[i+1], widths[i])
		}
	}
}

// plain is a policy as most have it.
func plain() autoscale.Policy {
	return autoscale.Policy{Min: 1, Max: 30, Target: 35, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}
}

// day is a load with a swing and a burst each hour.
func day(hours int) trace.Rates {
	return func(yield func(trace.Rate, error) bool) {
		for i := range hours * 60 {
			rps := 300 + 200*math.Sin(float64(i)/200)
			if i%60 == 30 {
				rps *= 2
			}
			if !yield(trace.Rate{At: time.Duration(i) * time.Minute, For: time.Minute, RPS: rps}, nil) {
				return
			}
		}
	}
}

func config(names ...string) Config {
	cfg := Config{Service: service(), Load: Load{Noise: 0.05, Poisson: true, Seed: 1}, Min: 1, Max: 30}
	for i, name := range names {
		p := plain()
		p.Target -= float64(5 * i)
		cfg.Contestants = append(cfg.Contestants, ByPolicy(name, p, 15*time.Second, 300))
	}
	return cfg
}

// TestRun: the figures are what they are said to be, and the same each time, also
// for each of several contestants.
func TestRun(t *testing.T) {
	load := day(24)
	r, err := Run(t.Context(), config("a", "b"), load)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Run(t.Context(), config("a", "b"), load)
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Error("the same gives other figures")
	}
	alone, err := Run(t.Context(), config("a"), load)
	if err != nil || !reflect.DeepEqual(r.Scores[0], alone.Scores[0]) {
		t.Error("another contestant changes the figures")
	}
	if r.Length != 24*time.Hour || r.Clairvoyant.ViolatedShare != 0 || r.Clairvoyant.CostRatio != 1 {
		t.Errorf("%s, clairvoyant %+v", r.Length, r.Clairvoyant)
	}
	for i, s := range r.Scores {
		if s.CostRatio < 1.2 || s.CostRatio > 3 || s.ViolatedShare <= 0 || s.ViolatedShare > 0.05 || s.ChangesPerDay < 20 || s.ReversalsPerDay < 20 || s.ReversalsPerDay > s.ChangesPerDay {
			t.Errorf("%+v", s)
		}
		if !near(s.CostRatio, s.ReplicaHours/r.Clairvoyant.ReplicaHours) || len(s.Worst) != worstMinutes {
			t.Errorf("%+v", s)
		}
		for _, m := range s.Worst { // bursts begin on the half hour
			if minute := int(m.At.Minutes()) % 60; minute != 30 || m.Violated > m.Requests {
				t.Errorf("worst minute %+v", m)
			}
		}
		if i > 0 && (s.CostRatio <= r.Scores[0].CostRatio || s.ViolatedShare >= r.Scores[0].ViolatedShare) {
			t.Errorf("a lower target costs %g instead of %g, and violates %g instead of %g", s.CostRatio, r.Scores[0].CostRatio, s.ViolatedShare, r.Scores[0].ViolatedShare)
		}
	}
}

func TestRunErrors(t *testing.T) {
	if _, err := Run(t.Context(), config("a"), rates(time.Second)); err == nil || !strings.Contains(err.Error(), "no load") {
		t.Error(err)
	}
	broken := errors.New("broken")
	if _, err := Run(t.Context(), config("a"), func(yield func(trace.Rate, error) bool) { yield(trace.Rate{}, broken) }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := Run(ctx, config("a"), day(1)); !errors.Is(err, broken) {
		t.Error(err)
	}
	cfg := config("a")
	cfg.Tick = 300 * time.Millisecond
	if _, err := Run(t.Context(), cfg, day(1)); err == nil {
		t.Error("a tick that is no part of a second")
	}
}

// TestRunInFineTicks: the step of the model makes little of a difference.
func TestRunInFineTicks(t *testing.T) {
	coarse, err := Run(t.Context(), config("a"), day(6))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config("a")
	cfg.Tick = 100 * time.Millisecond
	fine, err := Run(t.Context(), cfg, day(6))
	if err != nil {
		t.Fatal(err)
	}
	a, b := coarse.Scores[0], fine.Scores[0]
	if math.Abs(a.ReplicaHours/b.ReplicaHours-1) > 0.02 || math.Abs(a.ViolatedShare/b.ViolatedShare-1) > 0.2 {
		t.Errorf("%g hours and %g violated, in fine ticks %g and %g", a.ReplicaHours, a.ViolatedShare, b.ReplicaHours, b.ViolatedShare)
	}
}

// TestRunInFlatMemory: a load ten times as long takes no more memory.
func TestRunInFlatMemory(t *testing.T) {
	var most uint64
	live := func(hours int) uint64 {
		most = 0
		cfg := config("a")
		n := 0
		cfg.Progress = func(time.Duration) {
			if n++; n%8 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		if _, err := Run(t.Context(), cfg, day(hours)); err != nil {
			t.Fatal(err)
		}
		return most
	}
	short, long := live(2*24), live(20*24)
	if long > short+1<<20 {
		t.Errorf("2 days take %d bytes, 20 take %d", short, long)
	}
}
