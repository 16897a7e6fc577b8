package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/sim"
)

// adaptiveEvery is the time between two steps of the adaptive policy.
const adaptiveEvery = 5 * time.Second

// ask reads shares in per cent.
func (c *comparison) ask(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || !(v > 0 && v < 100) {
			return fmt.Errorf("%q is no share in per cent", part)
		}
		c.asks = append(c.asks, v)
	}
	return nil
}

// adaptive is autoscale where so many per cent may be violated.
func (c comparison) adaptive(ask, first float64) sim.Contestant {
	p := autoscale.Policy{
		Min: 1, Max: c.most(), Target: 0.7 * capacity, Tolerance: 0.1, Cooldown: time.Minute, Mode: autoscale.Auto,
		SLO: autoscale.SLO{Violations: ask / 100, Capacity: capacity, ChangeCost: autoscale.DefaultChangeCost},
	}
	m := &metered{answered: c.answered}
	m.Controller = control.Controller{Policy: p, Signal: "simulated", Memory: m}
	return sim.Contestant{Name: "adaptive", Pilot: m, Every: adaptiveEvery, First: adaptiveEvery, Begin: min(max(p.ReplicasFor(first), 1), c.most())}
}

// metered is autoscale with a gauge over its own interval.
type metered struct {
	control.Controller
	plant    *sim.Plant
	answered bool
	state    autoscale.State
}

// Step makes one step.
func (m *metered) Step(ctx context.Context, p *sim.Plant, now time.Time) error {
	m.plant, m.Source, m.Workload = p, m, p
	_, err := m.Controller.Step(ctx, sim.At(now))
	return err
}

// Read is the load since the last step.
func (m *metered) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	u := m.plant.Usage()
	s := autoscale.Sample{Process: "page", Name: "page", Time: m.plant.Now(), Verdict: autoscale.OK}
	if seconds := u.Passed.Seconds(); seconds <= 0 {
		s.Verdict, s.Detail = autoscale.Absent, "nothing has passed"
	} else if m.answered {
		s.Value, s.Failed, s.Answered = u.Answered/seconds, u.Dropped/seconds, (u.Answered+u.Dropped)/seconds
	} else {
		s.Value = u.Offered / seconds
	}
	return autoscale.Reading{Metric: "requests_per_second", Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{s}}
}

// Load returns the last State.
func (m *metered) Load() (autoscale.State, []string, error) { return m.state, nil, nil }

// Save keeps a State.
func (m *metered) Save(s autoscale.State) error { m.state = s; return nil }

// Record does without a journal.
func (m *metered) Record(control.Report) error { return nil }
