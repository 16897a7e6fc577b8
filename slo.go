package autoscale

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// SLO is what a user asks of a service instead of settings. The zero SLO asks for
// nothing, and changes nothing.
type SLO struct {
	// Violations is the share of the requests that may meet an overloaded service, 0 <
	// Violations < 1; 0 asks for nothing.
	Violations float64
	// Capacity is the load at which one replica is overloaded, in requests/s.
	Capacity float64
	// ChangeCost is what one change of the count costs, in replica-seconds; 0 for
	// nothing.
	ChangeCost float64
}

// DefaultChangeCost is an SLO's ChangeCost where the user states none, in
// replica-seconds.
const DefaultChangeCost = 60

// AskFor is the SLO of flags, of which the first two go together: none where neither
// is given.
func AskFor(violations Share, capacity, changeCost float64) SLO {
	if violations == 0 && capacity == 0 {
		return SLO{}
	}
	return SLO{Violations: float64(violations), Capacity: capacity, ChangeCost: changeCost}
}

// Share is a part of a whole, from 0 to 1.
type Share float64

// ParseShare reads "0.1%" or "0.001": a part above 0 and below 1.
func ParseShare(text string) (Share, error) {
	number, isPercent := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(number, 64)
	if isPercent {
		value /= 100
	}
	if err != nil || !(value > 0 && value < 1) {
		return 0, fmt.Errorf("%q is no share: give one such as 0.1%% or 0.001", text)
	}
	return Share(value), nil
}

// UnmarshalText reads what ParseShare does.
func (v *Share) UnmarshalText(text []byte) (err error) {
	*v, err = ParseShare(string(text))
	return err
}

// String writes v as ParseShare reads it, and none for 0.
func (v Share) String() string {
	if v == 0 {
		return "none"
	}
	return strconv.FormatFloat(tidy(float64(v)*100), 'g', -1, 64) + "%"
}

// Validate reports everything in o that is wrong in itself, in the words of the
// command line's flags.
func (o SLO) Validate() error {
	if o == (SLO{}) {
		return nil
	}
	var errs []error
	if !(o.Violations > 0 && o.Violations < 1) {
		errs = append(errs, fmt.Errorf("--slo-violations=%v: give the share of the requests that may meet an overloaded service, such as 0.1%%, beside --capacity", o.Violations))
	}
	if !(o.Capacity > 0) || math.IsInf(o.Capacity, 0) {
		errs = append(errs, fmt.Errorf("--capacity=%v: give the requests per second at which one replica is overloaded, beside --slo-violations; autoscale stress --find-capacity measures it", o.Capacity))
	}
	if !(o.ChangeCost >= 0) || math.IsInf(o.ChangeCost, 0) {
		errs = append(errs, fmt.Errorf("--change-cost=%v: give the replica-seconds that a change costs, at least 0", o.ChangeCost))
	}
	return errors.Join(errs...)
}

// setting is one way to make the number: what a shadow tries, and one of them the
// policy in force.
type setting struct {
	// target is what a replica should carry, in requests/s, tolerance as Policy has
	// it, and hold its cooldown.
	target, tolerance float64
	hold              time.Duration
	// growths is how many times the usual growth is kept free besides.
	growths float64
}

const (
	// plainShare is the share of the capacity that the plain rule aims at, at most.
	plainShare = 0.7
	// longestHold is the longest that is tried, and learnedTolerance the tolerance.
	longestHold      = 4 * time.Hour
	learnedTolerance = 0.03
	// plainTime is how much must have been seen before settings are chosen that may
	// give fewer replicas than the plain rule at the same moment.
	plainTime = 24 * time.Hour
)

// plain is the rule that reigns until enough is known.
func (p Policy) plain() setting {
	return setting{target: min(p.Target, plainShare*p.SLO.Capacity), tolerance: p.Tolerance, hold: p.Cooldown}
}

// settings are all that are tried, the plain rule first.
func (p Policy) settings() []setting {
	holds := []time.Duration{p.Cooldown}
	for _, hold := range [...]time.Duration{4 * time.Minute, 15 * time.Minute, time.Hour, longestHold} {
		if hold > p.Cooldown {
			holds = append(holds, hold)
		}
	}
	all := append(make([]setting, 0, 128), p.plain())
	for _, share := range [...]float64{0.95, 0.85, 0.7, 0.5} {
		for _, growths := range [...]float64{0, 0.5, 1, 2, 4, 8} {
			for _, hold := range holds {
				all = append(all, setting{target: share * p.SLO.Capacity, tolerance: learnedTolerance, growths: growths, hold: hold})
			}
		}
	}
	return all
}

// covers reports whether s never gives fewer replicas than the plain rule.
func (s setting) covers(plain setting) bool {
	return s == plain || s.target*(1+s.tolerance) <= plain.target*(1-plain.tolerance) && s.hold >= plain.hold
}

// with is p as s has it, where growth is the usual one in requests/s.
func (p Policy) with(s setting, growth float64) Policy {
	p.Target, p.Tolerance, p.Cooldown = s.target, s.tolerance, max(s.hold, p.Cooldown)
	p.margin = s.growths * growth
	return p
}

// needs is load with what is kept free beside it, in requests/s. No load at all
// needs nothing where the minimum is 0.
func (p Policy) needs(load float64) float64 {
	if load == 0 && p.Min == 0 {
		return 0
	}
	return load + p.margin
}

// EnoughLearned is the reason for settings that were chosen by what they would have
// come to.
const EnoughLearned Reason = "SettingsLearned"

// adapt puts the settings in force that what was learnt speaks for. They rest on
// earlier runs alone, so that more load never means fewer replicas.
func (r *run) adapt(s State) {
	if r.p.SLO == (SLO{}) {
		return
	}
	all := r.p.settings()
	l := s.Learned
	if !l.sound(len(all), r.p.SLO) {
		r.p = r.p.with(all[0], 0)
		return
	}
	r.chosen = l.describe(r.p, all)
	r.p = r.p.with(all[l.Choice], l.growth())
}

// cappedFrom is the share of the capacity of those that answer from which on a load
// may be all that they manage, and not all that is asked of them.
const cappedFrom = 0.97

// capped reports whether a load may be all that the replicas manage.
func (o SLO) capped(rps float64, live int) bool {
	return rps > 0 && rps >= cappedFrom*o.Capacity*float64(live)
}

// uncap has a load that may be all that the replicas manage asked for as the plain
// rule does, besides what was learned: by a little more at a time a service that
// tells of completed requests alone would come out of an overload too late.
func (r *run) uncap(l load, o Observation) {
	if r.p.SLO == (SLO{}) || !r.p.SLO.capped(l.rps, ready(o)) {
		return
	}
	r.p.Target = min(r.p.Target, plainShare*r.p.SLO.Capacity)
	r.p.Tolerance = min(r.p.Tolerance, learnedTolerance)
}

// describe says in words what was chosen, and why.
func (l *Learned) describe(p Policy, all []setting) string {
	s, chosen, plain := all[l.Choice], l.Shadows[l.Choice], l.Shadows[0]
	hours := func(one Shadow) float64 { return one.Cost / max(l.Seconds, 1) * 24 }
	was := func(one Shadow) string {
		return fmt.Sprintf("%.2g %% violated lately for %.1f replica-hours a day", 100*one.Violated/max(l.Requests, 1e-9), hours(one))
	}
	if l.Choice == 0 {
		return fmt.Sprintf("the plain rule at %s rules: %s, and %s were seen", RPS(s.target), was(plain), short(l.seen().Round(time.Minute)))
	}
	return fmt.Sprintf("learned: %s for each replica and %s kept free (%g times the usual growth in %s), held for %s, chosen among %d settings: %s; the plain rule at %s: %s",
		RPS(s.target), RPS(s.growths*l.growth()), s.growths, short(l.startup().Round(time.Second)), short(max(s.hold, p.Cooldown)), len(all), was(chosen), RPS(all[0].target), was(plain))
}
