package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/trace"
)

// Epoch is when a simulated load begins.
func Epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// Pilot sets the count of a Plant's replicas.
type Pilot interface {
	// Step makes one step as of now.
	Step(ctx context.Context, p *Plant, now time.Time) error
}

// Contestant is one of those whose count is compared.
type Contestant struct {
	// Name is how a person calls it.
	Name string
	// Pilot makes a step every Every, for the first time at First.
	Pilot        Pilot
	Every, First time.Duration
	// Begin is how many replicas there are at the beginning.
	Begin int
}

// ByPolicy is a Contestant that decides as autoscale does, by the same step. First
// is the rate at which the load begins, in requests/s.
func ByPolicy(name string, p autoscale.Policy, every time.Duration, first float64) Contestant {
	return Contestant{
		Name: name, Pilot: &policyPilot{control.Controller{Policy: p, Signal: "simulated", Memory: &memory{}}}, Every: every,
		Begin: max(min(p.ReplicasFor(first), p.Max), p.Min, 1),
	}
}

// policyPilot makes the Controller's step.
type policyPilot struct{ control.Controller }

// Step makes one step.
func (x *policyPilot) Step(ctx context.Context, p *Plant, now time.Time) error {
	x.Source, x.Workload = p, p
	_, err := x.Controller.Step(ctx, At(now))
	return err
}

// At is an instant of virtual time: both clocks go alike.
func At(now time.Time) autoscale.Instant {
	return autoscale.Instant{Time: now, Uptime: now.Sub(Epoch()) + time.Hour, Boot: "simulated"}
}

// memory keeps the state of a simulated controller.
type memory struct{ state autoscale.State }

// Load returns the last State.
func (m *memory) Load() (autoscale.State, []string, error) { return m.state, nil, nil }

// Save keeps a State.
func (m *memory) Save(s autoscale.State) error { m.state = s; return nil }

// Record does without a journal.
func (m *memory) Record(control.Report) error { return nil }

// Config says what is simulated.
type Config struct {
	Service Service
	Load    Load
	// Contestants are compared, each with a Plant of its own.
	Contestants []Contestant
	// Min and Max bound the clairvoyant.
	Min, Max int
	// Tick is the step of the model, a part of a second; 0 is a whole one.
	Tick time.Duration
	// Progress, where set, is told up to when the load was simulated.
	Progress func(time.Duration)
}

// Result is what a simulation came to.
type Result struct {
	// Length is that of the load, and Requests how many there were.
	Length   time.Duration
	Requests float64
	// Clairvoyant is what one who knows the future would have paid.
	Clairvoyant Score
	// Scores are in the order of the contestants.
	Scores []Score
}

// Score is what one contestant came to.
type Score struct {
	Name string
	// ReplicaHours are paid from a replica's start to its end.
	ReplicaHours float64
	// CostRatio is ReplicaHours over the clairvoyant's.
	CostRatio float64
	// ViolatedShare and DroppedShare are of the requests: answered later than the
	// limit or dropped, and dropped.
	ViolatedShare, DroppedShare float64
	// ChangesPerDay are changes of the count, ReversalsPerDay those in the other
	// direction than the one before.
	ChangesPerDay, ReversalsPerDay float64
	// Worst are the minutes with the most violated requests, the worst first.
	Worst []Minute
	// Timeline is what happened over time.
	Timeline Timeline
}

// chunk is how many ticks all contestants are given at a time.
const chunk = 4096

// Run simulates a load. The same configuration gives the same result.
func Run(ctx context.Context, cfg Config, rates trace.Rates) (Result, error) {
	if cfg.Tick == 0 {
		cfg.Tick = Tick
	}
	if cfg.Tick > time.Second || time.Second%cfg.Tick != 0 {
		return Result{}, fmt.Errorf("sim: a tick of %s is no part of a second", cfg.Tick)
	}
	r := newRace(cfg)
	requests := make([]float64, 0, chunk)
	for n, err := range cfg.Load.requests(rates, cfg.Tick) {
		if err != nil {
			return Result{}, err
		}
		if requests = append(requests, n); len(requests) < chunk {
			continue
		}
		if err := r.pass(ctx, requests); err != nil {
			return Result{}, err
		}
		requests = requests[:0]
	}
	if err := r.pass(ctx, requests); err != nil {
		return Result{}, err
	}
	if r.passed == 0 {
		return Result{}, errors.New("there is no load in it")
	}
	return r.result(), nil
}

// race is a simulation under way.
type race struct {
	Config
	seer    *clairvoyant
	saw     course
	courses []*course
	passed  int64 // ticks
}

// course is what a contestant does.
type course struct {
	Contestant
	plant    *Plant
	next     time.Duration // when its next step is due
	timeline Timeline
	worst    worst
}

func newRace(cfg Config) *race {
	r := &race{Config: cfg, seer: newClairvoyant(cfg.Service, Epoch(), cfg.Min, cfg.Max, cfg.Tick)}
	r.saw = *newCourse(Contestant{Name: "clairvoyant"}, r.seer.plant)
	for _, c := range cfg.Contestants {
		one := newCourse(c, newPlant(cfg.Service, Epoch(), c.Begin, cfg.Tick))
		one.next = c.First
		r.courses = append(r.courses, one)
	}
	return r
}

func newCourse(c Contestant, p *Plant) *course {
	return &course{Contestant: c, plant: p, timeline: newTimeline(p.tick), worst: worst{perTick: p.tick}}
}

// pass lets the ticks pass in which so many requests come, for all contestants at
// the same time.
func (r *race) pass(ctx context.Context, requests []float64) error {
	errs := make([]error, len(r.courses)+1)
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	each := func(i int, do func() error) {
		turn <- struct{}{}
		wg.Go(func() {
			errs[i] = do()
			<-turn
		})
	}
	for i, c := range r.courses {
		each(i, func() error { return c.pass(ctx, requests) })
	}
	each(len(r.courses), func() error {
		for _, n := range requests {
			if r.seer.learn(n) {
				r.saw.count()
			}
		}
		return nil
	})
	wg.Wait()
	r.passed += int64(len(requests))
	if r.Progress != nil {
		r.Progress(time.Duration(r.passed) * r.Tick)
	}
	return errors.Join(errs...)
}

// pass makes the steps that are due, and lets the ticks pass.
func (c *course) pass(ctx context.Context, requests []float64) error {
	p := c.plant
	for _, n := range requests {
		for end := time.Duration(p.now+1) * p.tick; c.next < end; {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("the simulation was interrupted: %w", context.Cause(ctx))
			}
			if err := c.Pilot.Step(ctx, p, p.epoch.Add(c.next)); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			c.next = following(c.next, c.Every, time.Duration(p.busy)*p.tick)
		}
		p.Pass(n)
		c.count()
	}
	return nil
}

// following is when the next step comes after one that began then, and whose move
// goes on until busy: as the daemon has it.
func following(began, every, busy time.Duration) time.Duration {
	return max(began+every, busy+control.Rest)
}

// count takes down what happened in the last tick.
func (c *course) count() {
	p := c.plant
	c.timeline.pass(&p.tally, len(p.replicas))
	c.worst.pass(time.Duration(p.now-1)*p.tick, &p.tally, len(p.replicas))
}

// result is what it came to.
func (r *race) result() Result {
	for r.seer.rest() {
		r.saw.count()
	}
	all := Result{Length: time.Duration(r.passed) * r.Tick, Requests: r.saw.plant.tally.requests, Clairvoyant: r.saw.score()}
	all.Clairvoyant.CostRatio = 1
	for _, c := range r.courses {
		s := c.score()
		s.CostRatio = s.ReplicaHours / all.Clairvoyant.ReplicaHours
		all.Scores = append(all.Scores, s)
	}
	return all
}

// score is what it came to.
func (c *course) score() Score {
	t := &c.plant.tally
	c.timeline.end(t)
	c.worst.close(0, t)
	length := time.Duration(c.plant.now) * c.plant.tick
	days := length.Hours() / 24
	s := Score{
		Name: c.Name, ReplicaHours: t.paid * c.plant.tick.Hours(),
		ChangesPerDay: float64(t.changes) / days, ReversalsPerDay: float64(t.reversals) / days,
		Worst: c.worst.minutes, Timeline: c.timeline,
	}
	if t.requests > 0 {
		s.ViolatedShare, s.DroppedShare = t.violated/t.requests, t.lost/t.requests
	}
	return s
}
