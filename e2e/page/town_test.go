//go:build e2e

package page

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/web"
)

// house is a service that is not there: its load is computed, its replicas are a
// number. Everything else is real: the decisions, the daemon that makes the steps,
// the history and what is served of them.
type house struct {
	name, provider, project string
	policy                  autoscale.Policy
	interval                time.Duration
	// load is the requests/s at a moment.
	load func(time.Time) float64
	// kind is what is the matter with it from trouble on; empty for nothing.
	kind    string
	trouble time.Time

	past *history.Store

	mu       sync.Mutex
	now      time.Time // the moment of the step that is made
	replicas int
	used     time.Duration // of the processor, by each replica
	state    autoscale.State
}

const (
	doubtful = "doubtful" // its page does not answer
	failing  = "failing"  // its engine does not
	starting = "starting" // no step has ended
)

// noise is between -1 and 1, and the same again for the same moment.
func noise(name string, n int64) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, name, n)
	return float64(h.Sum64()%2001)/1000 - 1
}

// daily is a load that rises by day and falls by night, and is never quite even.
func daily(name string, base, swing float64) func(time.Time) float64 {
	h := fnv.New32a()
	fmt.Fprint(h, name)
	shift := float64(h.Sum32()%86400) / 86400
	return func(t time.Time) float64 {
		s := float64(t.Unix())
		day := 0.5 + 0.5*math.Sin(2*math.Pi*(s/86400+shift))
		hour := math.Sin(2*math.Pi*s/2900+7*shift) + 0.6*math.Sin(2*math.Pi*s/911+3*shift)
		return max(0, base+swing*day+0.12*swing*hour+0.05*(base+swing)*noise(name, t.Unix()/15))
	}
}

// steady is a load that hardly changes.
func steady(rps float64) func(time.Time) float64 {
	return func(t time.Time) float64 { return rps * (1 + 0.02*noise("steady", t.Unix()/15)) }
}

// Open makes it ready for steps: it is its own Stepper.
func (h *house) Open() control.Stepper { return h }

// Close has nothing to close.
func (h *house) Close() {}

// Pause leaves the count alone.
func (h *house) Pause(_ context.Context, p *autoscale.Pause) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Pause = p
	return nil
}

// Step makes one step as of now.
func (h *house) Step(ctx context.Context) control.Step {
	if h.kind == starting {
		<-ctx.Done()
		return control.Step{Err: context.Cause(ctx)}
	}
	return h.at(ctx, time.Now())
}

// at makes one step as of a moment.
func (h *house) at(ctx context.Context, now time.Time) control.Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
	c := control.Controller{Policy: h.policy, Source: h, Workload: h, Memory: h, Signal: h.name}
	report, err := c.Step(ctx, autoscale.Instant{Time: now})
	step := control.Step{Report: report, Err: err, Policy: h.policy, Project: h.project}
	if h.state.Pause.InForce(now) {
		step.Pause = h.state.Pause
	}
	return step
}

// out reports whether what is the matter with it has begun.
func (h *house) out(kind string) bool { return h.kind == kind && !h.now.Before(h.trouble) }

// Observe tells how many replicas there are.
func (h *house) Observe(context.Context) (autoscale.Replicas, error) {
	if h.out(failing) {
		return autoscale.Replicas{}, errors.New("docker compose ps: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running? Start it: systemctl start docker")
	}
	if passed := h.now.Sub(h.state.At.Time); h.state.Known() && h.replicas > 0 {
		busy := min(0.8, 0.6*h.load(h.now)/float64(h.replicas)/h.policy.Target)
		h.used += time.Duration(busy * float64(passed))
	}
	seen := autoscale.Replicas{Current: h.replicas}
	for i := range h.replicas {
		name := fmt.Sprintf("%s-%s-%d", h.project, h.name, i+1)
		seen.Running = append(seen.Running, autoscale.Replica{
			ID: name, Name: name, Started: h.now.Add(-24 * time.Hour), Health: autoscale.Healthy,
			Usage: autoscale.Usage{Time: h.now, CPU: h.used, Cores: 1, Memory: int64(90+7*i) << 20},
		})
	}
	return seen, nil
}

// Read reads each replica's share of the load.
func (h *house) Read(_ context.Context, replicas []autoscale.Replica) autoscale.Reading {
	reading := autoscale.Reading{Metric: "http_requests_per_second", Kind: autoscale.Gauge, Scope: autoscale.ScopeReplica}
	for i, r := range replicas {
		share := h.load(h.now) / float64(len(replicas)) * (1 + 0.03*noise(r.Name, h.now.Unix()))
		sample := autoscale.Sample{Process: r.ID, Name: r.Name, Time: h.now, Value: share, Verdict: autoscale.OK}
		if h.out(doubtful) && i > 0 {
			sample.Value, sample.Verdict, sample.Detail = 0, autoscale.Unreachable, "connection refused: does something listen at port 8000 inside?"
		}
		reading.Samples = append(reading.Samples, sample)
	}
	return reading
}

// Set makes the replicas so many, at once.
func (h *house) Set(_ context.Context, count int) (autoscale.Outcome, error) {
	if count == h.replicas {
		return autoscale.Outcome{Count: count}, nil
	}
	h.replicas = count
	return autoscale.Outcome{Count: count, Commands: []string{fmt.Sprintf(
		"docker compose -p %s -f /srv/%[1]s/compose.yaml -f /srv/%[1]s/deploy/compose.override.yml up -d --no-deps --no-recreate --no-build --pull never --scale %[2]s=%[3]d %[2]s", h.project, h.name, count)}}, nil
}

// Load and Save keep the state.
func (h *house) Load() (autoscale.State, []string, error) { return h.state, nil, nil }

// Save is as Load says.
func (h *house) Save(s autoscale.State) error {
	h.state = s
	return nil
}

// Record keeps a step in the history.
func (h *house) Record(r control.Report) error {
	result := "unchanged"
	if r.Decision.To != r.Decision.From {
		result = "scaled"
	}
	return h.past.Append(h.name, store.Record{
		Time: h.now, Workload: store.Key{Provider: h.provider, Project: h.project, Service: h.name}, Reading: r.Reading, Decision: r.Decision,
		Outcome: store.Outcome{Result: result, Count: h.replicas},
	})
}

// live makes the steps from one moment to another, every so often, as if they had
// been made; events are kept of the last day.
func (h *house) live(t *testing.T, from, to time.Time, every time.Duration) {
	t.Helper()
	h.replicas = min(max(h.policy.Min, h.policy.ReplicasFor(h.load(from))), h.policy.Max)
	n, last := 0, from
	for now := from; now.Before(to); now = now.Add(every) {
		step := h.at(t.Context(), now)
		if step.Err != nil {
			continue
		}
		if d := step.Report.Decision; d.To != d.From && to.Sub(now) < 24*time.Hour {
			h.event(t, now, "scaled", d.Sentence(), "")
		}
		last = now
		if n++; n%1000 == 0 {
			h.settle(t, last)
		}
	}
	h.settle(t, last)
}

// settle waits until the step of a moment is written, and so all before it: of what
// waits in too great a number the oldest is dropped.
func (h *house) settle(t *testing.T, at time.Time) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		points, err := h.past.Points(h.name, at.Truncate(time.Second), at.Add(time.Second), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(points) > 0 {
			return
		}
		if time.Since(began) > within {
			t.Fatalf("the step of %s at %s is not written", h.name, at)
		}
	}
}

func (h *house) event(t *testing.T, at time.Time, kind, text, by string) {
	t.Helper()
	if _, err := h.past.AddEvent(history.Event{Time: at, Service: h.name, Kind: kind, Text: text, By: by}); err != nil {
		t.Fatal(err)
	}
}

// looker is the web's History on a Store.
type looker struct{ *history.Store }

func (l looker) Points(service string, from, to time.Time, step time.Duration) ([]web.Point, error) {
	points, err := l.Store.Points(service, from, to, step)
	var all []web.Point
	for _, p := range points {
		all = append(all, web.Point(p))
	}
	return all, err
}

func (l looker) Events(service string, since time.Time, limit int) ([]web.Event, error) {
	events, err := l.Store.Events(service, since, limit)
	var all []web.Event
	for _, e := range events {
		all = append(all, web.Event(e))
	}
	return all, err
}

// month is how long a history is kept.
const month = 30 * 24 * time.Hour

// openPast opens a history in a folder of the test's.
func openPast(t *testing.T) *history.Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "history.db"))
}

// reopen opens the history in a file until the test ends.
func reopen(t *testing.T, path string) *history.Store {
	t.Helper()
	past, err := history.OpenStore(path, month, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := past.Close(); err != nil {
			t.Error(err)
		}
	})
	return past
}

const secret = "open sesame 42"

// town is a daemon that looks after houses, and what it serves.
type town struct {
	t      *testing.T
	config web.Config
	past   *history.Store
	houses []*house
	daemon *control.Daemon
	server *web.Server
	stop   func()
}

// found makes a town and starts its daemon.
func found(t *testing.T, past *history.Store, houses ...*house) *town {
	t.Helper()
	c := &town{t: t, past: past, houses: houses, config: web.Config{Listen: "127.0.0.1:0", Token: secret, Host: "web1", Version: "1.4.0"}}
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

// start starts the daemon, at the address where it was before.
func (c *town) start() {
	c.t.Helper()
	d := &control.Daemon{}
	s, err := web.New(c.config, d, looker{c.past})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.config.Listen = s.Addr().String()
	d.Stepped = func(before, after control.Snapshot) {
		s.Stepped(before, after)
		if d := after.Last.Report.Decision; after.Replicas != d.From && !d.At.IsZero() {
			c.happened(history.Event{Service: after.Name, Kind: "scaled", Text: d.Sentence()})
		}
	}
	c.daemon, c.server = d, s
	c.set()
	s.Reloaded(nil)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	running.Go(func() {
		if err := s.Serve(ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.stop = func() {
		stop()
		running.Wait()
	}
}

// settled waits until every house that can has ended a step.
func (c *town) settled() {
	c.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		missing := 0
		for i, s := range c.daemon.Snapshots() {
			if s.Steps == 0 && c.houses[i].kind != starting {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if time.Since(began) > within {
			c.t.Fatalf("%d services have ended no step", missing)
		}
	}
}

// set has the houses looked after.
func (c *town) set() {
	slices.SortFunc(c.houses, func(a, b *house) int { return strings.Compare(a.name, b.name) })
	var services []control.Service
	for _, h := range c.houses {
		services = append(services, control.Service{Name: h.name, Provider: h.provider, Target: h.name, Interval: h.interval, Open: h.Open})
	}
	c.daemon.Set(services)
}

// happened keeps an event, and tells those who listen.
func (c *town) happened(e history.Event) {
	e.Time = time.Now()
	kept, err := c.past.AddEvent(e)
	if err != nil {
		c.t.Error(err)
	}
	c.server.Happened(web.Event(kept))
}

// url is where the page is.
func (c *town) url() string { return "http://" + c.config.Listen + "/" }

// usual are the bounds and the target of a house where nothing else is said.
var usual = autoscale.Policy{Min: 1, Max: 8, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto}

// built makes a house.
func built(past *history.Store, name string, load func(time.Time) float64) *house {
	return &house{name: name, provider: "compose", project: "shop", policy: usual, interval: time.Second, load: load, replicas: 1, past: past}
}

// historyEvent is an event of the daemon as a whole.
func historyEvent(kind, text string) history.Event { return history.Event{Kind: kind, Text: text} }
