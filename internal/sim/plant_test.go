package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// byGrains is through, a grain of time after another.
func byGrains(queue, arrivals, capacity, bound, patient float64) (f flow) {
	const grains = 20000
	over := queue > bound
	for range grains {
		in, out := arrivals/grains, capacity/grains
		if over = over && queue > bound; over { // it empties down to its bound first
			f.dropped, f.late = f.dropped+in, f.late+in
			in = 0
		} else if queue > patient {
			f.late += in
		}
		queue = max(0, queue+in-out)
		if queue > bound && !over {
			lost := queue - bound
			f.dropped += lost
			if queue-in+out <= patient { // else it counts already
				f.late += lost
			}
			queue = bound
		}
	}
	f.queue = queue
	return f
}

// TestThrough holds the closed form against the same in small steps.
func TestThrough(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for range 2000 {
		capacity, bound := 1+99*random.Float64(), 150*random.Float64()
		queue, arrivals, patient := 1.3*bound*random.Float64(), 200*random.Float64(), 200*random.Float64()
		if random.IntN(3) == 0 {
			queue = 0
		}
		got, want := through(queue, arrivals, capacity, bound, patient), byGrains(queue, arrivals, capacity, bound, patient)
		for _, pair := range [][2]float64{{got.queue, want.queue}, {got.dropped, want.dropped}, {got.late, want.late}} {
			if math.Abs(pair[0]-pair[1]) > 0.1 {
				t.Fatalf("%g wait, %g come, capacity %g, bound %g, patience %g:\n got %+v\nwant %+v", queue, arrivals, capacity, bound, patient, got, want)
			}
		}
	}
	if f := through(5, 10, 0, 100, 100); f.dropped != 10 || f.late != 10 {
		t.Errorf("nobody answers: %+v", f)
	}
}

// service is a usual one.
func service() Service {
	return Service{
		Capacity: 50, Startup: 30 * time.Second, Drain: 10 * time.Second, Limit: 500 * time.Millisecond, Queue: 100, Retries: 1, RetryAfter: 2 * time.Second,
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// TestPlantLosesNothing: every request that came was answered, was dropped, or
// waits, whatever happens to the replicas.
func TestPlantLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	for range 50 {
		s := service()
		s.Drain = time.Duration(random.IntN(4)) * time.Second
		s.Retries = random.IntN(3)
		p := NewPlant(s, Epoch(), 1+random.IntN(5))
		sent := 0.0
		for range 600 {
			if random.IntN(15) == 0 {
				if _, err := p.Set(t.Context(), random.IntN(8)); err != nil {
					t.Fatal(err)
				}
			}
			n := random.Float64() * 400
			sent += n
			p.Pass(n)
			waits := p.queue
			for _, l := range p.leaving {
				waits += l.holds
			}
			if u := p.tally; !near(u.offered, u.answered+u.dropped+waits) {
				t.Fatalf("offered %g, answered %g, dropped %g, waiting %g", u.offered, u.answered, u.dropped, waits)
			}
			if u := p.tally; !near(u.requests, sent) || u.violated < 0 || u.violated > u.requests*(1+1e-9) || u.lost > u.violated*(1+1e-9) || u.offered < u.requests {
				t.Fatalf("%+v of %g sent", u, sent)
			}
		}
	}
}

// pass lets seconds pass at a rate.
func pass(p *Plant, seconds int, rate float64) {
	for range seconds {
		p.Pass(rate)
	}
}

// TestPlantIsHonest: what is answered cannot exceed the capacity, and what is full
// looks full.
func TestPlantIsHonest(t *testing.T) {
	s := service()
	s.Metrics = Metrics{Gauge: true, Window: 10 * time.Second}
	p := NewPlant(s, Epoch(), 2)
	pass(p, 60, 70)
	if got := p.Read(t.Context(), nil).Samples[0]; !near(got.Value, 70) || got.Verdict != autoscale.OK {
		t.Errorf("at 70 requests/s: %+v", got)
	}
	if u := p.Usage(); !near(u.Share, 0.7) || u.Waiting != 0 || u.Dropped != 0 || u.Ready != 2 || u.Passed != time.Minute {
		t.Errorf("at 70 requests/s: %+v", u)
	}
	pass(p, 60, 300)
	if got := p.Read(t.Context(), nil).Samples[0]; !near(got.Value, 100) {
		t.Errorf("at 300 requests/s two replicas of 50 answer %+v", got)
	}
	if u := p.Usage(); u.Share < 0.999 || u.Waiting != 200 || u.Dropped < 60*200 {
		t.Errorf("at 300 requests/s: %+v", u)
	}
	// The first ones have to wait for half a second after as long as it takes to
	// have 50 waiting: a quarter of a second at 200 too many.
	if want := 60*300 - 0.25*300; !near(p.tally.violated, want) {
		t.Errorf("violated %g, want %g", p.tally.violated, want)
	}
}

// TestPlantStarts: a replica answers after its start, is paid for from the
// beginning, and a raise goes on until then, unless it ends at once.
func TestPlantStarts(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		s := service()
		s.AtOnce = atOnce
		p := NewPlant(s, Epoch(), 1)
		pass(p, 10, 10)
		if _, err := p.Set(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if ends := p.Busy().Sub(p.Now()); !atOnce && ends != s.Startup || atOnce && ends > 0 {
			t.Errorf("at once %t: the raise ends in %s", atOnce, ends)
		}
		pass(p, 29, 10)
		if u := p.Usage(); u.Ready != 1 {
			t.Errorf("%d are ready too early", u.Ready)
		}
		there, err := p.Observe(t.Context())
		if err != nil || there.Current != 3 || there.Running[2].Health != autoscale.HealthStarting || !there.Running[2].Started.Equal(Epoch().Add(10*time.Second)) {
			t.Errorf("%+v, %v", there, err)
		}
		pass(p, 1, 10)
		there, _ = p.Observe(t.Context())
		if u := p.Usage(); u.Ready != 3 || there.Running[2].Health != autoscale.Healthy {
			t.Errorf("%d are ready in time", u.Ready)
		}
		if want := 10.0 + 3*30; p.tally.paid != want {
			t.Errorf("paid %g, want %g", p.tally.paid, want)
		}
	}
}

// TestPlantDrains: those that leave answer what they hold, within their time.
func TestPlantDrains(t *testing.T) {
	for _, c := range []struct {
		drain          time.Duration
		lost, paid     float64
		violatedBefore bool
	}{
		{10 * time.Second, 0, 2, false}, // 80 requests at 50/s: two seconds
		{time.Second, 30, 1, false},
		{0, 80, 0, false},
	} {
		s := service()
		s.Drain, s.Limit, s.Retries = c.drain, 10*time.Second, 0
		p := NewPlant(s, Epoch(), 2)
		p.Pass(100 + 160) // 160 wait
		if _, err := p.Set(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		before := p.tally
		pass(p, 5, 0)
		if p.tally.lost != c.lost || p.tally.violated != c.lost {
			t.Errorf("drain %s: lost %g of 80, violated %g", c.drain, p.tally.lost, p.tally.violated)
		}
		if paid := p.tally.paid - before.paid - 5; paid != c.paid {
			t.Errorf("drain %s: paid for %g s of leaving", c.drain, paid)
		}
	}
}

// TestPlantRetries: what was dropped comes again, so often and so much later, and
// counts once.
func TestPlantRetries(t *testing.T) {
	s := service()
	s.Queue, s.Retries = 0, 2
	p := NewPlant(s, Epoch(), 1)
	for i, want := range []float64{80, 0, 30, 0, 0, 0} { // 30 dropped; they fit two seconds later
		before := p.tally.offered
		if i == 0 {
			p.Pass(80)
		} else {
			p.Pass(0)
		}
		if got := p.tally.offered - before; !near(got, want) {
			t.Errorf("second %d: %g came, want %g", i, got, want)
		}
	}
	if u := p.tally; u.requests != 80 || !near(u.violated, 30) || !near(u.lost, 30) || !near(u.answered, 80) {
		t.Errorf("%+v", u)
	}
	// Where they never fit, each is sent three times.
	p = NewPlant(s, Epoch(), 0)
	p.Pass(80)
	pass(p, 10, 0)
	if u := p.tally; u.requests != 80 || !near(u.offered, 240) || !near(u.violated, 80) || !near(u.dropped, 240) {
		t.Errorf("%+v", u)
	}
}

// TestPlantMetrics: what a page tells is as old as it was scraped.
func TestPlantMetrics(t *testing.T) {
	read := func(m Metrics, seconds int) autoscale.Reading {
		s := service()
		s.Metrics = m
		p := NewPlant(s, Epoch(), 2)
		for i := range seconds {
			p.Pass(float64(i)) // 0, 1, 2 …
		}
		return p.Read(t.Context(), nil)
	}
	sum := func(n float64) float64 { return n * (n - 1) / 2 } // of the first n
	for _, c := range []struct {
		name    string
		metrics Metrics
		at      int
		value   float64
	}{
		{"a counter", Metrics{}, 100, sum(100)},
		{"a counter, scraped", Metrics{Every: 15 * time.Second}, 90, sum(100)},
		{"a counter, scraped and late", Metrics{Every: 15 * time.Second, Age: 12 * time.Second}, 75, sum(100)},
		{"a gauge", Metrics{Gauge: true, Window: 10 * time.Second}, 100, 94.5},
		{"a gauge, scraped and late", Metrics{Gauge: true, Window: 30 * time.Second, Every: 15 * time.Second, Age: 12 * time.Second}, 75, 59.5},
	} {
		r := read(c.metrics, 100)
		got := r.Samples[0]
		want := c.value
		if !c.metrics.Gauge {
			want = sum(float64(c.at))
		}
		if len(r.Samples) != 1 || got.Verdict != autoscale.OK || !near(got.Value, want) || !got.Time.Equal(Epoch().Add(time.Duration(c.at)*time.Second)) {
			t.Errorf("%s: %+v, want %g", c.name, r, want)
		}
	}
	for _, m := range []Metrics{{Gauge: true, Window: time.Second}, {Age: 5 * time.Second}} {
		if got := read(m, 0).Samples[0]; got.Verdict != autoscale.Absent {
			t.Errorf("before anything happened: %+v", got)
		}
	}
}

// TestPlantMetricsOfEach: replicas share the load, and one that starts cannot be
// read.
func TestPlantMetricsOfEach(t *testing.T) {
	s := service()
	s.Metrics.Each = true
	p := NewPlant(s, Epoch(), 2)
	pass(p, 50, 80)
	if _, err := p.Set(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	r := p.Read(t.Context(), nil)
	if len(r.Samples) != 4 || r.Samples[1].Value != 2000 || r.Samples[3].Verdict != autoscale.Unreachable || r.Scope != autoscale.ScopeReplica {
		t.Errorf("%+v", r)
	}
	pass(p, 40, 80) // 30 s for two, 10 s for four
	r = p.Read(t.Context(), nil)
	if r.Samples[0].Value != 2000+1200+200 || r.Samples[3].Value != 200 || r.Samples[3].Verdict != autoscale.OK {
		t.Errorf("%+v", r)
	}
}

func TestServiceValidate(t *testing.T) {
	if err := service().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Service){
		func(s *Service) { s.Capacity = 0 }, func(s *Service) { s.Capacity = math.Inf(1) }, func(s *Service) { s.Queue = -1 },
		func(s *Service) { s.Limit = 0 }, func(s *Service) { s.Latency = s.Limit }, func(s *Service) { s.Retries = -1 },
		func(s *Service) { s.RetryAfter = 0 }, func(s *Service) { s.Startup = -1 }, func(s *Service) { s.Drain = 2 * time.Hour },
		func(s *Service) { s.Metrics.Gauge = true }, func(s *Service) { s.Metrics.Age = -1 },
	} {
		s := service()
		if change(&s); s.Validate() == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

// TestPlantShows: what replicas at their end show, on their pages and to the engine.
func TestPlantShows(t *testing.T) {
	for _, each := range []bool{false, true} {
		s := service()
		s.Signs = Signs{CPU: true, Errors: true, InFlight: true}
		s.Metrics.Each, s.Latency, s.Retries = each, 20*time.Millisecond, 0
		p := NewPlant(s, Epoch(), 2)
		pass(p, 60, 50)
		sum := func() (n autoscale.Sample, cpu time.Duration) {
			for _, one := range p.Read(t.Context(), nil).Samples {
				n.Value, n.Failed, n.Answered, n.InFlight = n.Value+one.Value, n.Failed+one.Failed, n.Answered+one.Answered, n.InFlight+one.InFlight
			}
			there, err := p.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range there.Running {
				if one.Usage.Cores != 1 || !one.Usage.Time.Equal(p.Now()) {
					t.Errorf("%+v", one.Usage)
				}
				cpu += one.Usage.CPU
			}
			return n, cpu
		}
		calm, half := sum()
		if calm.Failed != 0 || !near(calm.Answered, 3000) || !near(calm.InFlight, 1) || half.Round(time.Millisecond) != time.Minute {
			t.Errorf("each %t: half full %+v, %s", each, calm, half)
		}
		pass(p, 60, 300)
		full, all := sum()
		if failed := full.Failed - calm.Failed; !near(failed, 60*200-200) || !near(full.Answered-full.Failed, full.Value) || !near(full.InFlight, 202) || (all-half).Round(time.Millisecond) != 2*time.Minute {
			t.Errorf("each %t: full %+v, %s", each, full, all-half)
		}
	}
}
