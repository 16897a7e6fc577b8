package sim

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// TestDriversDecideAlike: the one-shot with its state in a file, the daemon, and
// the simulator come to the same decisions, to the letter, on the same load.
func TestDriversDecideAlike(t *testing.T) {
	for name, change := range map[string]func(*Service){
		"a counter":        func(*Service) {},
		"settings learned": func(*Service) {},
		"a gauge that is late": func(s *Service) {
			s.Metrics = Metrics{Gauge: true, Window: time.Minute, Every: 15 * time.Second, Age: 7 * time.Second}
		},
		"the page of each":       func(s *Service) { s.Metrics.Each = true },
		"starting while it goes": func(s *Service) { s.AtOnce, s.Metrics.Each = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			s := service()
			change(&s)
			p := plain()
			if name == "settings learned" {
				p.SLO = autoscale.SLO{Violations: 0.01, Capacity: s.Capacity, ChangeCost: autoscale.DefaultChangeCost}
			}
			requests := ticks(t, Load{Linear: true, Noise: 0.05, Poisson: true, Seed: 1}, day(3))
			daemon := byDaemon(t, s, p, requests)
			first := daemon[0].At.Sub(Epoch()) // spread over the interval, by its name
			simulated := bySimulator(t, s, p, first)
			if moves := slices.DeleteFunc(slices.Clone(daemon), func(d autoscale.Decision) bool { return d.To == d.From }); len(moves) < 5 || len(daemon) < 300 {
				t.Fatalf("%d decisions, %d of them move: that shows little", len(daemon), len(moves))
			}
			compare(t, "daemon", daemon, "simulator", simulated)
			compare(t, "one-shot", byOneShots(t, s, p, requests, first), "simulator", simulated)
		})
	}
}

func compare(t *testing.T, nameA string, a []autoscale.Decision, nameB string, b []autoscale.Decision) {
	t.Helper()
	if len(a) != len(b) {
		t.Errorf("%s decides %d times, %s %d times", nameA, len(a), nameB, len(b))
	}
	for i := range min(len(a), len(b)) {
		if textA, textB := asJSON(t, a[i]), asJSON(t, b[i]); textA != textB {
			t.Fatalf("decision %d\n%s %s\n%s %s", i, nameA, textA, nameB, textB)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const interval = 15 * time.Second

// bySimulator are the simulator's decisions.
func bySimulator(t *testing.T, s Service, policy autoscale.Policy, first time.Duration) (all []autoscale.Decision) {
	c := ByPolicy("app", policy, interval, 300)
	c.First = first
	c.Pilot.(*policyPilot).Decided = func(d autoscale.Decision) { all = append(all, d) }
	if _, err := Run(t.Context(), Config{
		Service: s, Load: Load{Linear: true, Noise: 0.05, Poisson: true, Seed: 1}, Contestants: []Contestant{c}, Min: 1, Max: 30,
	}, day(3)); err != nil {
		t.Fatal(err)
	}
	return all
}

// clocked is a Plant that has come as far as a clock says.
type clocked struct {
	*Plant
	requests []float64
}

func newClocked(s Service, requests []float64) *clocked {
	return &clocked{NewPlant(s, Epoch(), ByPolicy("", plain(), interval, 300).Begin), requests}
}

// pass lets the ticks pass that have ended by now; false where the load has ended.
func (c *clocked) pass(now time.Time) bool {
	for len(c.requests) > 0 && !c.Now().Add(Tick).After(now) {
		c.Pass(c.requests[0])
		c.requests = c.requests[1:]
	}
	return len(c.requests) > 0
}

// file keeps a state as a file would.
type file struct{ text []byte }

// Load reads it.
func (f *file) Load() (s autoscale.State, _ []string, err error) {
	if f.text != nil {
		err = json.Unmarshal(f.text, &s)
	}
	return s, nil, err
}

// Save writes it.
func (f *file) Save(s autoscale.State) (err error) {
	f.text, err = json.Marshal(s)
	return err
}

// Record does without a journal.
func (f *file) Record(control.Report) error { return nil }

// byOneShots are the decisions of runs that each are a process of their own.
func byOneShots(t *testing.T, s Service, policy autoscale.Policy, requests []float64, first time.Duration) (all []autoscale.Decision) {
	p := newClocked(s, requests)
	state := &file{}
	for now := Epoch().Add(first); p.pass(now); {
		once := control.Controller{Policy: policy, Source: p, Workload: p, Memory: state, Signal: "simulated"}
		report, err := once.Step(t.Context(), At(now))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, report.Decision)
		now = Epoch().Add(following(now.Sub(Epoch()), interval, p.Busy().Sub(Epoch())))
	}
	return all
}

// stepper makes a daemon's steps on a Plant.
type stepper struct {
	control.Controller
	plant *clocked
	all   []autoscale.Decision
	ended func()
}

// Step makes one step, which takes as long as its move does.
func (x *stepper) Step(ctx context.Context) control.Step {
	now := time.Now().Round(0).UTC()
	if !x.plant.pass(now) {
		x.ended()
		return control.Step{}
	}
	report, err := x.Controller.Step(ctx, At(now))
	if err == nil {
		x.all = append(x.all, report.Decision)
	}
	time.Sleep(time.Until(x.plant.Busy()))
	return control.Step{Report: report, Err: err}
}

// Pause is not asked for.
func (x *stepper) Pause(context.Context, *autoscale.Pause) error { return nil }

// Close has nothing to close.
func (x *stepper) Close() {}

// byDaemon are the decisions of the daemon.
func byDaemon(t *testing.T, s Service, policy autoscale.Policy, requests []float64) (all []autoscale.Decision) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := newClocked(s, requests)
		x := &stepper{plant: p, ended: stop}
		x.Controller = control.Controller{Policy: policy, Source: p, Workload: p, Memory: &memory{}, Signal: "simulated"}
		var d control.Daemon
		d.Set([]control.Service{{Name: "app", Interval: interval, Open: func() control.Stepper { return x }}})
		d.Run(ctx)
		all = x.all
	})
	return all
}
