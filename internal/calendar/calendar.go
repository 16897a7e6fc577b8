// Package calendar raises the minimum or sets the maximum of a service in windows
// of time: on weekday mornings, at night, on the day of a sale.
//
// It is pure: time is an argument, nothing is remembered, and a clock that went
// back gives what it would have given then.
package calendar

import (
	"errors"
	"fmt"
	"time"
)

// Unstated is a Min or Max that a window leaves as it is.
const Unstated = -1

const (
	// shortest and longest bound how long a window lasts.
	shortest, longest = time.Minute, 7 * 24 * time.Hour
	// patience is how many beginnings and ends are looked at for the one that
	// changes something.
	patience = 100
)

// Window is a time that comes again and again, and what holds in it.
//
// Daylight saving: a beginning in an hour that is skipped is at the first moment
// after it, and one in an hour that comes twice is at the first of the two.
// For and Ramp are elapsed time.
type Window struct {
	// Cron says when it begins: five fields, or a nickname such as @daily. Where
	// both days are restricted, that of the month and that of the week, either is
	// enough, as cron has it.
	Cron string
	// Zone is that of Cron; nil for the one of the time that is asked for.
	Zone *time.Location
	// For is how long it lasts, from a minute to a week. One that begins again
	// before it has ended goes on.
	For time.Duration
	// Ramp is how long before it begins the minimum starts to rise, one replica at a
	// time at equal distances, to be at Min when it begins; 0 for at once.
	Ramp time.Duration
	// Min is the least number of replicas in it, Max the most; Unstated for neither.
	// A Min below the service's own changes nothing; a Max stands in for the
	// service's own, also above it.
	Min, Max int
}

// Validate reports everything in w that is wrong in itself, in the words of the
// config file's keys.
func (w Window) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p, err := parse(w.Cron); err != nil {
		wrong("cron: %q: %w", w.Cron, err)
	} else if _, comes := p.first(0, farthest); !comes {
		wrong("cron: %q: there is no such day in any year; give another day or month", w.Cron)
	}
	if w.For < shortest || w.For > longest {
		wrong("for: %s: a window lasts from 1m to 168h; bare numbers are seconds", w.For)
	}
	if w.Ramp < 0 || w.Ramp > longest {
		wrong("ramp: %s: give a time from 0 to 168h", w.Ramp)
	}
	if w.Min < Unstated {
		wrong("min: %d: the least number of replicas cannot be below 0", w.Min)
	}
	if w.Max == 0 || w.Max < Unstated {
		wrong("max: %d: at least 1 replica must be allowed", w.Max)
	}
	switch {
	case w.Min == Unstated && w.Max == Unstated:
		wrong("neither min nor max: say what holds in the window, such as min: 4")
	case w.Min == Unstated && w.Ramp > 0:
		wrong("ramp: %s: there is no min to reach; a max holds at once", w.Ramp)
	case w.Max > 0 && w.Min > w.Max:
		wrong("min: %d is above max: %d; swap them, or raise max", w.Min, w.Max)
	}
	return errors.Join(errs...)
}

// Calendar is all the windows of one service.
type Calendar []Window

// Bounds are what the replica count is to keep to.
type Bounds struct {
	// Min ≤ Max, in replicas.
	Min, Max int
	// Reason says what the windows changed: "schedule: at least 4 until 10:30";
	// empty where they changed nothing.
	Reason string
	// Next is when Min or Max change next; zero where they never do, or not within a
	// year or a hundred beginnings and ends of windows.
	Next time.Time
}

// Bounds are those in force at now for a service whose own are min and max.
//
// Of the windows that are open the highest Min and the lowest Max win. Where a Min,
// also the service's own, is above the Max that results, the Max wins: never more
// than was allowed. A window that Validate finds fault with is passed over.
func (c Calendar) Bounds(min, max int, now time.Time) Bounds {
	if min > max {
		min = max
	}
	var room [8]window
	all := c.open(room[:0], min, now)
	standing := level(all, min, max, now)
	b := Bounds{Min: standing.min, Max: standing.max}
	at := now
	for range patience {
		if at = soonest(all, min, at); at.IsZero() {
			break
		}
		if then := level(all, min, max, at); then.min != b.Min || then.max != b.Max {
			b.Next = at.In(now.Location())
			break
		}
	}
	if b.Min != min || b.Max != max {
		b.Reason = standing.reason(min, max, now, b.Next)
	}
	return b
}

// open are the windows that can change something, ready to be searched.
func (c Calendar) open(all []window, min int, now time.Time) []window {
	for _, w := range c {
		p, err := parse(w.Cron)
		if err != nil || w.For < shortest || w.For > longest || w.Min <= min && w.Max < 1 {
			continue
		}
		if w.Zone == nil {
			w.Zone = now.Location()
		}
		w.Ramp = within(w.Ramp, 0, longest)
		all = append(all, window{Window: w, pattern: p})
	}
	return all
}

// within is d, or the bound that it is beyond.
func within(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }

// standing is what all windows together come to at a moment.
type standing struct {
	min, max int
	// begins is when the window begins that min rises to, up to which it is rising;
	// zero where no rise is under way.
	begins time.Time
	to     int
	// asked is the Min that gave way to max.
	asked int
}

// level is what holds at a moment.
func level(all []window, min, max int, at time.Time) standing {
	s := standing{min: min, max: max}
	set := false
	for i := range all {
		w := &all[i]
		if _, open := w.closes(at); open {
			if w.Min >= s.min {
				s.min, s.begins = w.Min, time.Time{}
			}
			if w.Max > 0 && (!set || w.Max < s.max) {
				s.max, set = w.Max, true
			}
		} else if n, begins := w.rising(min, at); n > s.min {
			s.min, s.begins, s.to = n, begins, w.Min
		}
	}
	if s.min > s.max {
		s.asked, s.min, s.begins = s.min, s.max, time.Time{}
	}
	return s
}

// soonest is the first moment after t at which a window may change something;
// zero for never.
func soonest(all []window, min int, t time.Time) (at time.Time) {
	for i := range all {
		if one := all[i].change(min, t); !one.IsZero() && (at.IsZero() || one.Before(at)) {
			at = one
		}
	}
	return at
}
