package autoscale

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Mode says how much of a decision may be acted on.
type Mode string

const (
	// Auto acts on every decision.
	Auto Mode = "auto"
	// RaiseOnly acts on raises and never lowers.
	RaiseOnly Mode = "raise-only"
	// Observe decides and remembers, and changes nothing.
	Observe Mode = "observe"
)

// Policy is what the user asked for one workload.
type Policy struct {
	// Min and Max bound the replica count: 0 ≤ Min ≤ Max, Max ≥ 1.
	Min, Max int
	// Bounded says why Min and Max are what they are at the moment, "schedule: at
	// least 4 until 10:30"; empty where they are the user's own.
	Bounded string
	// Target is the load that one replica should carry, in requests/s.
	Target float64
	// Tolerance is a share of the load, 0 ≤ Tolerance < 1: no raise while the
	// load is within it above what the current replicas should carry, and a
	// lowering must leave it to spare.
	Tolerance float64
	// Cooldown is how long the load must have stayed low before replicas go;
	// 0 means at once. The HPA calls it the stabilization window.
	Cooldown time.Duration
	// MaxUp bounds one raise; the zero Limit does not.
	MaxUp Limit
	// MaxDown bounds all lowerings within one Cooldown; the zero Limit does not.
	MaxDown Limit
	// OnDoubt is the replica count to raise to after three doubtful runs in a
	// row; 0 holds what is there.
	OnDoubt int
	// InFlight is how many requests one replica may be answering at once before it
	// counts as saturated; 0 where that is not looked at.
	InFlight float64
	// MaxReversals is how often the count may change its direction in an hour before
	// the cooldown is lengthened; 0 for as often as it likes.
	MaxReversals int
	// SLO is what is asked for instead of settings; the zero SLO is not there.
	SLO SLO
	// Mode says how much of a decision may be acted on.
	Mode Mode

	margin float64 // load that is kept free, in requests/s, as was learned
}

// Validate reports everything in p that is wrong in itself, in the words of
// the command line's flags.
func (p Policy) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Min < 0 {
		wrong("--min=%d: the least number of replicas cannot be below 0", p.Min)
	}
	if p.Max < 1 {
		wrong("--max=%d: at least 1 replica must be allowed", p.Max)
	}
	if p.Min > p.Max {
		wrong("--min=%d is above --max=%d; swap them, or raise --max", p.Min, p.Max)
	}
	if !(p.Target > 0) || math.IsInf(p.Target, 0) {
		wrong("--rps-target=%v: give the requests per second one replica should carry, a number above 0", p.Target)
	}
	if !(p.Tolerance >= 0 && p.Tolerance < 1) {
		wrong("--tolerance=%v: give a share from 0 up to, but not including, 1, such as 0.1", p.Tolerance)
	}
	if p.Cooldown < 0 {
		wrong("--cooldown=%v: a time cannot be below 0; 0 lowers at once", p.Cooldown)
	}
	if p.OnDoubt < 0 {
		wrong("--on-doubt=%d: give hold, or the number of replicas to raise to", p.OnDoubt)
	}
	if !(p.InFlight >= 0) || math.IsInf(p.InFlight, 0) {
		wrong("--inflight-target=%v: give the requests that one replica may be answering at once, a number above 0", p.InFlight)
	}
	if p.MaxReversals < 0 {
		wrong("--max-reversals=%d: a number of changes cannot be below 0; 0 allows any", p.MaxReversals)
	}
	if err := p.SLO.Validate(); err != nil {
		errs = append(errs, err)
	}
	switch p.Mode {
	case Auto, RaiseOnly, Observe:
	default:
		wrong("--mode=%s: give auto, raise-only or observe", p.Mode)
	}
	return errors.Join(errs...)
}

// Limit bounds a change of the replica count by a number of replicas or by a
// share of the count it starts from. The zero Limit does not bound.
type Limit struct {
	// Replicas is the most that may be added or removed; 0 where Share counts.
	Replicas int
	// Share is the largest part of the count, rounded up to whole replicas:
	// 0.5 allows 3 of 5.
	Share float64
}

// ParseLimit reads "2" (replicas) or "50%" (of the current count, rounded up);
// empty is the zero Limit.
func ParseLimit(text string) (Limit, error) {
	if text == "" {
		return Limit{}, nil
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		share, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(share > 0) || math.IsInf(share, 0) {
			return Limit{}, fmt.Errorf("%q is no share: give a percentage above 0, such as 50%%", text)
		}
		return Limit{Share: share / 100}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Limit{}, fmt.Errorf("%q is no limit: give a number of replicas such as 2, or a share such as 50%%", text)
	}
	return Limit{Replicas: n}, nil
}

// String writes l as ParseLimit reads it.
func (l Limit) String() string {
	switch {
	case l.Replicas > 0:
		return strconv.Itoa(l.Replicas)
	case l.Share > 0:
		return strconv.FormatFloat(l.Share*100, 'g', -1, 64) + "%"
	}
	return "none"
}

// of is how many replicas l allows on top of, or away from, count replicas.
func (l Limit) of(count int) int {
	switch {
	case l.Replicas > 0:
		return l.Replicas
	case l.Share > 0:
		return ceil(l.Share * float64(count))
	}
	return unlimited
}

// unlimited is more replicas than any bound allows, and small enough to be
// added to a count.
const unlimited = math.MaxInt32 / 2
