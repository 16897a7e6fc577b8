package adapter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// town is a service whose pods are read: what each one's page says at an instant.
type town struct {
	mu    sync.Mutex
	pages map[string]func(now time.Time) autoscale.Sample // by UID
	kind  autoscale.Kind
	name  string // of the metric that is found
	reads int
}

func newTown(kind autoscale.Kind, name string) *town {
	return &town{pages: map[string]func(time.Time) autoscale.Sample{}, kind: kind, name: name}
}

func (o *town) say(uid string, page func(now time.Time) autoscale.Sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[uid] = page
}

func (o *town) Read(_ context.Context, replicas []autoscale.Replica) autoscale.Reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads++
	now := time.Now()
	s := o.pages[replicas[0].ID](now)
	s.Process, s.Name, s.Time = replicas[0].ID, replicas[0].Name, now
	r := autoscale.Reading{Metric: o.name, Kind: o.kind, Samples: []autoscale.Sample{s}}
	if s.Verdict != autoscale.OK {
		r.Metric, r.Kind = "", ""
	}
	return r
}

func value(v float64) func(time.Time) autoscale.Sample {
	return func(time.Time) autoscale.Sample { return autoscale.Sample{Value: v, Verdict: autoscale.OK} }
}

func verdict(v autoscale.Verdict) func(time.Time) autoscale.Sample {
	return func(time.Time) autoscale.Sample { return autoscale.Sample{Verdict: v} }
}

// counted is a counter that grows by rps since an instant, and starts at zero there.
func counted(since time.Time, rps float64) func(time.Time) autoscale.Sample {
	return func(now time.Time) autoscale.Sample {
		return autoscale.Sample{Value: rps * now.Sub(since).Seconds(), Verdict: autoscale.OK}
	}
}

var rps = Metric{Namespace: "prod", Name: "http_requests_per_second"}

func pod(uid string, started time.Time) Pod {
	return Pod{UID: uid, Name: "app-" + uid, Addr: netip.MustParseAddr("127.0.0.1"), Started: started, Page: Page{"http", 8000, "/metrics"}}
}

// run runs an adapter in a bubble for as long as the test does.
func run(t *testing.T, o *town, do func(t *testing.T, a *Adapter)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := New(Config{Open: func(Metric, Page) (Reader, error) { return o, nil }})
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		do(t, a)
		cancel()
		<-done
	})
}

// served are the values as text: "a=12 b=3".
func served(a *Adapter, uids ...string) []string {
	values, _ := a.Values(rps, uids)
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf("%s=%.4g", v.UID, v.RPS))
	}
	slices.Sort(all)
	return all
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("served %v, want %v", got, want)
	}
}

func TestGauge(t *testing.T) {
	o := newTown(autoscale.Gauge, rps.Name)
	run(t, o, func(t *testing.T, a *Adapter) {
		old := time.Now().Add(-time.Hour)
		o.say("a", value(12))
		o.say("b", value(3))
		if _, known := a.Values(rps, nil); known {
			t.Error("known before anybody asks")
		}
		a.Ask(rps, 0, []Pod{pod("a", old), pod("b", old)})
		a.Wait(t.Context(), rps)
		want(t, served(a, "a", "b", "c"), "a=12", "b=3")
		want(t, served(a, "b"), "b=3")
		o.say("a", value(20))
		time.Sleep(15*time.Second + tick)
		want(t, served(a, "a", "b"), "a=20", "b=3")
		a.Ask(rps, 0, []Pod{pod("b", old)})
		want(t, served(a, "a", "b"), "b=3")
		a.Drop(rps)
		if _, known := a.Values(rps, []string{"b"}); known {
			t.Error("known though nobody asks any more")
		}
	})
}

// Every verdict but ok has the pod left out, and none is ever a zero.
func TestDoubtIsLeftOut(t *testing.T) {
	for _, v := range []autoscale.Verdict{autoscale.Absent, autoscale.Unreachable, autoscale.Late, autoscale.TooLarge, autoscale.Malformed, autoscale.NotFinite, autoscale.Negative, autoscale.Stale, autoscale.Partial} {
		o := newTown(autoscale.Gauge, rps.Name)
		run(t, o, func(t *testing.T, a *Adapter) {
			young := time.Now()
			o.say("a", value(12))
			o.say("b", value(12))
			a.Ask(rps, time.Hour, []Pod{pod("a", young), pod("b", young)})
			a.Wait(t.Context(), rps)
			o.say("b", verdict(v))
			time.Sleep(15*time.Second + tick)
			want(t, served(a, "a", "b"), "a=12")
			o.say("b", value(5))
			time.Sleep(15*time.Second + tick)
			want(t, served(a, "a", "b"), "a=12", "b=5")
			o.say("a", verdict(v))
			o.say("b", verdict(v))
			time.Sleep(15*time.Second + tick)
			want(t, served(a, "a", "b"))
		})
	}
}

// A page without the series, while others have it: a young pod is left out, an old
// one is without traffic. Where no page has it, nothing is said.
func TestSilentPods(t *testing.T) {
	o := newTown(autoscale.Gauge, rps.Name)
	run(t, o, func(t *testing.T, a *Adapter) {
		old, young := time.Now().Add(-time.Hour), time.Now()
		o.say("a", value(12))
		o.say("old", verdict(autoscale.Absent))
		o.say("young", verdict(autoscale.Absent))
		o.say("unknown", verdict(autoscale.Absent))
		a.Ask(rps, 5*time.Minute, []Pod{pod("a", old), pod("old", old), pod("young", young), pod("unknown", time.Time{})})
		a.Wait(t.Context(), rps)
		want(t, served(a, "a", "old", "young", "unknown"), "a=12", "old=0")
		want(t, served(a, "old", "young"))
		time.Sleep(6 * time.Minute)
		want(t, served(a, "a", "old", "young", "unknown"), "a=12", "old=0", "young=0")
	})
}

// A counter has its first rate within seconds, and a step in the load is seen whole
// within one interval, whenever it comes.
func TestCounter(t *testing.T) {
	for after := time.Duration(0); after < 15*time.Second; after += 700 * time.Millisecond {
		o := newTown(autoscale.Counter, "http_requests_total")
		run(t, o, func(t *testing.T, a *Adapter) {
			began := time.Now()
			o.say("a", counted(began, 40))
			a.Ask(rps, 0, []Pod{pod("a", began.Add(-time.Hour))})
			a.Wait(t.Context(), rps)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the first rate took %v", took)
			}
			want(t, served(a, "a"), "a=40")
			time.Sleep(time.Minute + after)
			step := time.Now()
			o.say("a", func(now time.Time) autoscale.Sample {
				return autoscale.Sample{Value: 40*now.Sub(began).Seconds() + 60*now.Sub(step).Seconds(), Verdict: autoscale.OK}
			})
			time.Sleep(15*time.Second + tick)
			want(t, served(a, "a"), "a=100")
		})
	}
}

// A counter that starts anew has no value until it has been seen for an interval.
func TestCounterReset(t *testing.T) {
	o := newTown(autoscale.Counter, "http_requests_total")
	run(t, o, func(t *testing.T, a *Adapter) {
		began := time.Now()
		o.say("a", counted(began.Add(-time.Hour), 40))
		a.Ask(rps, 0, []Pod{pod("a", time.Time{})})
		a.Wait(t.Context(), rps)
		want(t, served(a, "a"), "a=40")
		time.Sleep(time.Minute)
		o.say("a", counted(time.Now(), 40))
		time.Sleep(8 * time.Second)
		want(t, served(a, "a"))
		time.Sleep(22 * time.Second)
		want(t, served(a, "a"), "a=40")
	})
}

// Of a counter that is asked for by its own name nothing is served: it grows for
// ever. Nor is a gauge under the name of a rate.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		asked, found string
		kind         autoscale.Kind
		served       int
	}{
		{"http_requests_per_second", "http_requests_per_second", autoscale.Gauge, 1},
		{"http_requests_per_second", "http_requests_total", autoscale.Counter, 1},
		{"http_requests_per_second", "http_requests", autoscale.Counter, 1},
		{"http_requests_per_second", "http_requests", autoscale.Gauge, 0},
		{"http_requests_per_second", "http_requests_per_second", autoscale.Counter, 0},
		{"http_requests_total", "http_requests_total", autoscale.Counter, 0},
		{"http_requests_per_second", "rps", autoscale.Gauge, 1},
		{"jobs_waiting", "jobs_waiting", autoscale.Gauge, 1},
	} {
		o := newTown(c.kind, c.found)
		run(t, o, func(t *testing.T, a *Adapter) {
			o.say("a", counted(time.Now().Add(-time.Minute), 7))
			m := Metric{Namespace: "prod", Name: c.asked}
			a.Ask(m, 0, []Pod{pod("a", time.Time{})})
			a.Wait(t.Context(), m)
			if values, _ := a.Values(m, []string{"a"}); len(values) != c.served {
				t.Errorf("%s found as %s %s: %v", c.asked, c.kind, c.found, values)
			}
		})
	}
	if got := Names("http_requests_per_second", prometheus.Fallbacks("http_requests_per_second")); !slices.Equal(got, []string{"http_requests_total", "http_requests", "requests_per_second", "http_requests_rps", "rps"}) {
		t.Errorf("names are %v", got)
	}
	if got := Names("jobs_waiting", nil); got == nil || len(got) != 0 {
		t.Errorf("names are %#v, want none, which is not nil", got)
	}
}

// A reader that hangs takes a slot, and no value is served that is out of date.
func TestHangingPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := newTown(autoscale.Gauge, rps.Name)
		o.say("a", value(12))
		hang := make(chan struct{})
		var hung atomic.Bool
		a := New(Config{Slots: 1, Open: func(Metric, Page) (Reader, error) {
			return reader(func(ctx context.Context, r []autoscale.Replica) autoscale.Reading {
				if hung.Load() {
					<-hang
				}
				return o.Read(ctx, r)
			}), nil
		}})
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		a.Ask(rps, 0, []Pod{pod("a", time.Time{})})
		a.Wait(ctx, rps)
		want(t, served(a, "a"), "a=12")
		hung.Store(true)
		time.Sleep(time.Minute)
		want(t, served(a, "a"))
		hung.Store(false)
		close(hang)
		time.Sleep(time.Second)
		want(t, served(a, "a"), "a=12")
		cancel()
		<-done
	})
}

type reader func(context.Context, []autoscale.Replica) autoscale.Reading

func (f reader) Read(ctx context.Context, r []autoscale.Replica) autoscale.Reading { return f(ctx, r) }

// What cannot be read at all is known at once, and counted.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := New(Config{Open: func(Metric, Page) (Reader, error) { return nil, errors.New("no such selector") }})
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		began := time.Now()
		portless := pod("b", time.Time{})
		portless.Fault = "it has 2 ports"
		a.Ask(rps, 0, []Pod{pod("a", time.Time{}), portless})
		if a.Ready() == nil {
			t.Error("ready before anything was read")
		}
		a.Wait(ctx, rps)
		if err := a.Ready(); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		want(t, served(a, "a", "b"))
		if f := a.Figures(); f.Pods[autoscale.Malformed] != 1 || f.Pods[autoscale.Unreachable] != 1 || f.Asked != 1 {
			t.Errorf("figures are %+v", f)
		}
		if got := a.Metrics(); !slices.Equal(got, []string{rps.Name}) {
			t.Errorf("metrics are %v", got)
		}
		// Nobody asks for this one: that is said soon.
		began = time.Now()
		a.Wait(ctx, Metric{Namespace: "prod", Name: "other"})
		if time.Since(began) > patienceAsked+tick {
			t.Errorf("waited %v", time.Since(began))
		}
		cancel()
		<-done
	})
}

// Sums beyond what a number holds are no reason to fall.
func TestExtremes(t *testing.T) {
	o := newTown(autoscale.Gauge, rps.Name)
	run(t, o, func(t *testing.T, a *Adapter) {
		o.say("a", value(math.MaxFloat64))
		o.say("b", value(math.MaxFloat64))
		a.Ask(rps, 0, []Pod{pod("a", time.Time{}), pod("b", time.Time{})})
		a.Wait(t.Context(), rps)
		if values, _ := a.Values(rps, []string{"a", "b"}); len(values) != 2 || values[0].RPS != math.MaxFloat64 {
			t.Errorf("served %v", values)
		}
	})
}
