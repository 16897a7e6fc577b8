package main

import (
	"context"
	"math"
	"time"

	"github.com/five-keys/autoscale/internal/sim"
)

// What the documentation of AWS Application Auto Scaling says of target tracking:
// metrics by the minute, three of them above the target add, fifteen below nine
// tenths of it take away, and 300 s of cooldown for services of ECS.
const (
	awsPeriod   = time.Minute
	awsHigh     = 3
	awsLow      = 15
	awsLowShare = 0.9
	awsCooldown = 5 * time.Minute
)

// aws is target tracking as AWS documents it; its code is not to be had.
type aws struct {
	target          float64 // requests/s of each task
	min, max        int
	high, low       int // minutes in a row
	raised, lowered time.Time
	raisedTo        int
}

// newAWS wants so many requests/s of each task.
func newAWS(target float64, most int) *aws { return &aws{target: target, min: 1, max: most} }

// Step looks at the last minute.
func (a *aws) Step(ctx context.Context, p *sim.Plant, now time.Time) error {
	u := p.Usage()
	if u.Passed == 0 || u.Ready == 0 {
		return nil
	}
	there, err := p.Observe(ctx)
	if err != nil {
		return err
	}
	each := u.Offered / u.Passed.Seconds() / float64(u.Ready)
	a.high, a.low = counting(a.high, each > a.target), counting(a.low, each < awsLowShare*a.target)
	want := int(math.Ceil(each * float64(u.Ready) / a.target))
	switch {
	// While a scale-out cools down, only a larger one is made.
	case a.high >= awsHigh && want > there.Current && (now.Sub(a.raised) >= awsCooldown || want > a.raisedTo):
		a.raised, a.raisedTo = now, want
	case a.low >= awsLow && want < there.Current && now.Sub(a.raised) >= awsCooldown && now.Sub(a.lowered) >= awsCooldown:
		a.lowered = now
	default:
		return nil
	}
	_, err = p.Set(ctx, min(max(want, a.min), a.max))
	return err
}

// counting is how often in a row something was so.
func counting(n int, so bool) int {
	if so {
		return n + 1
	}
	return 0
}
