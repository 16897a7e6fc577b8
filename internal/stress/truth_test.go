package stress

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// TestCurves: the server sees the curve that was asked for, in every second.
func TestCurves(t *testing.T) {
	for _, profile := range []string{
		"const:500/20s", "ramp:10..500/60s", "ramp:500..10/60s", "sine:mean=200,amplitude=190,period=20/60s",
		"step:50,0,200/20s", "spike:base=20,peak=900,at=10,for=2/20s",
	} {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := curve(t, profile)
				s := serve(t, ok)
				report := s.send(t, c)
				asked, err := trace.ParseProfile(profile)
				if err != nil {
					t.Fatal(err)
				}
				got := s.perSecond()
				for i := range int(c.Duration / time.Second) {
					want := asked.Count(time.Duration(i+1)*time.Second) - asked.Count(time.Duration(i)*time.Second)
					have := 0.0
					if i < len(got) {
						have = got[i]
					}
					if math.Abs(have-want) > max(1, 0.01*want) {
						t.Errorf("second %d: %g requests, want %g", i, have, want)
					}
				}
				if report.Reached() < 0.9999 || report.Dropped != 0 || report.Failed() != 0 || report.Requests != int64(math.Ceil(asked.Count(c.Duration)-1e-9)) {
					t.Errorf("%+v", report)
				}
				for _, s := range report.Seconds {
					if s.Asked == nil || math.Abs(*s.Asked-s.Sent) > 2 || s.Length > 1.001 {
						t.Errorf("%+v", s)
					}
				}
			})
		})
	}
}

// TestStall: a server that stalls for 1 s in every 10 keeps a tenth of the
// requests waiting for half a second on average. What a load generator counts
// from the moment it gets round to a request misses nearly all of that.
func TestStall(t *testing.T) {
	for _, workers := range []int{10, 300} {
		synctest.Test(t, func(t *testing.T) {
			var truth []float64
			for i := range 200 * 60 {
				at := float64(i) / 200
				truth = append(truth, max(0, 1000*(1-math.Mod(at, 10)))+5)
			}
			begun := time.Now()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if into := time.Since(begun) % (10 * time.Second); into < time.Second {
					time.Sleep(time.Second - into)
				}
				time.Sleep(5 * time.Millisecond)
				ok(w, r)
			})
			c := curve(t, "const:200/60s")
			c.Workers = workers
			report := s.send(t, c)
			slow := int64(0)
			for _, ms := range truth {
				if ms > 500 {
					slow++
				}
			}
			// Ten connections need a tenth of a second to work off what has queued.
			if got := report.Later(500 * time.Millisecond); math.Abs(float64(got-slow)) > 0.02*float64(slow)+20 && workers == 300 || got < slow*98/100 || got > slow*5/4 {
				t.Errorf("%d workers: %d took longer than 500 ms, want %d", workers, got, slow)
			}
			for q, got := range map[float64]float64{0.5: report.Latency.P50, 0.99: report.Latency.P99, 0.999: report.Latency.P999} {
				// Ten connections need a tenth of a second to work off what has queued.
				want := exact(truth, q)
				if math.Abs(got-want) > 0.03*want+5 {
					t.Errorf("%d workers: p%g is %g ms, want %g", workers, 100*q, got, want)
				}
			}
			if workers == 10 && report.Service.P90 > 10 || report.Requests != 12000 {
				t.Errorf("%d workers: %+v", workers, report)
			}
		})
	}
}

// TestOwnLateness: what the generator itself is late by is no latency of the
// server's.
func TestOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, ok)
		c := curve(t, "const:10/10s")
		a := newAddresses(target(t, "http://127.0.0.1/"))
		a.dial = s.dial
		c.Target, c.Queue = a.target, 100
		r := newRun(c, a, &tardy{newSleeper()})
		report, err := r.run(t.Context())
		if err != nil || report.Late.P50 < 29 || report.Late.P50 > 31 || report.Latency.Max > 1 || report.Requests != 100 {
			t.Errorf("%v %+v", err, report)
		}
	})
}

// tardy is always 30 ms late.
type tardy struct{ *sleeper }

func (l *tardy) wait(ctx context.Context, d time.Duration) {
	l.sleeper.wait(ctx, d+30*time.Millisecond)
}

// TestDropped: what cannot be sent is counted, and said; the queue stays bounded.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			ok(w, r)
		})
		c := curve(t, "const:100/10s")
		c.Workers, c.Queue, c.Target = 2, 20, target(t, "http://127.0.0.1/")
		c.Target.Timeout = 3 * time.Second
		report := s.send(t, c)
		// 2 a second for ten seconds, and for the three in which the rest may follow.
		if report.Requests < 24 || report.Requests > 28 || report.Dropped != 1000-report.Requests || report.Reached() > 0.03 || len(report.Warnings()) < 2 {
			t.Errorf("%d requests, %d dropped, reached %g, warnings %q", report.Requests, report.Dropped, report.Reached(), report.Warnings())
		}
		if broken := limits(t, "rate>=0.99,dropped<1%,errors<1%"); broken[0].Check(report) == "" || broken[1].Check(report) == "" || broken[2].Check(report) != "" {
			t.Error("limits")
		}
	})
}

// TestClosedLoop: as many requests at a time as there are workers, each after
// its think time, until the time or the number is up.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			ok(w, r)
		})
		report := s.send(t, Config{Workers: 8, Duration: 10 * time.Second})
		if report.Requests != 800 || report.RateDone != 80 || report.RateAsked != nil || report.Latency.P50 < 99 || report.Latency.P50 > 101 {
			t.Errorf("%+v", report)
		}
		report = s.send(t, Config{Workers: 8, Duration: 10 * time.Second, Think: 400 * time.Millisecond})
		if report.Requests != 160 || report.Latency.Max > 101 {
			t.Errorf("%d requests", report.Requests)
		}
		report = s.send(t, Config{Workers: 3, Requests: 10})
		if report.Requests != 10 || math.Abs(report.Duration-0.4) > 0.01 {
			t.Errorf("%d requests in %g s", report.Requests, report.Duration)
		}
	})
}

// TestLongTimeline: a day has no more points than an hour or two.
func TestLongTimeline(t *testing.T) {
	line := &timeline{}
	for i := range 86400 {
		line.add(Second{At: float64(i + 1), Length: 1, Sent: 2, P99: float64(i % 100)})
	}
	if n := len(line.points); n > maxSeconds || n < maxSeconds/2 {
		t.Errorf("%d points", n)
	}
	for _, s := range line.points {
		if s.Sent != 2 || s.Length != 16 || s.P99 < 15 {
			t.Fatalf("%+v", s)
		}
	}
}

// TestReportJSON has the fields that are promised.
func TestReportJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := serve(t, ok).send(t, curve(t, "const:100/3s"))
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"requests", "errors", "dropped", "duration_s", "rate_asked", "rate_sent", "rate_done", "bytes", "latency_ms", "service_ms"} {
			if _, ok := fields[name]; !ok {
				t.Errorf("no %s in %s", name, text)
			}
		}
		for _, name := range []string{"p50", "p90", "p99", "p999", "max", "mean"} {
			if _, ok := fields["latency_ms"].(map[string]any)[name]; !ok {
				t.Errorf("no latency_ms.%s", name)
			}
		}
	})
}
