package main

import (
	"context"
	"math"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/sim"
)

// seed is the rule of the script that this project grew out of: up at once, to the
// load by the target, and down once the load has asked for fewer for one cooldown
// on end, to what it asks for then.
type seed struct {
	target   float64
	min, max int
	cooldown time.Duration
	idle     time.Time // since when fewer would do
}

func newSeed(target float64, most int) *seed {
	return &seed{target: target, min: 1, max: most, cooldown: 2 * time.Minute}
}

// Step makes one step.
func (s *seed) Step(ctx context.Context, p *sim.Plant, now time.Time) error {
	there, err := p.Observe(ctx)
	if err != nil {
		return err
	}
	reading := p.Read(ctx, nil).Samples[0]
	if reading.Verdict != autoscale.OK {
		return nil
	}
	want := min(max(int(math.Ceil(reading.Value/s.target)), s.min), s.max)
	switch {
	case want >= there.Current:
		s.idle = time.Time{}
	case s.idle.IsZero():
		s.idle = now
		return nil
	case now.Sub(s.idle) < s.cooldown:
		return nil
	}
	if want < there.Current {
		s.idle = time.Time{}
	}
	_, err = p.Set(ctx, want)
	return err
}
