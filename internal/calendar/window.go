package calendar

import (
	"fmt"
	"strings"
	"time"
)

const (
	// horizon is how far a beginning is looked for, in days.
	horizon = 366
	// shift is more than clocks were ever turned at once, in days: Samoa left out a
	// whole one.
	shift = 2
)

// window is a Window whose cron expression is read and whose zone is known.
type window struct {
	Window
	pattern
}

// closes is when w, which began last at t or before, ends; unless that was before.
func (w *window) closes(t time.Time) (end time.Time, open bool) {
	now := reached(t.In(w.Zone))
	shown, found := w.last(now, now-reading(w.For/time.Minute)-shift*dayMinutes)
	if !found {
		return time.Time{}, false
	}
	end = shown.moment(w.Zone).Add(w.For)
	return end, end.After(t)
}

// begins is when w begins next after t, if that is within so many days.
func (w *window) begins(t time.Time, days int64) (moment time.Time, found bool) {
	shown, found := w.first(reached(t.In(w.Zone)), days)
	if !found {
		return time.Time{}, false
	}
	return shown.moment(w.Zone), true
}

// steps are how many replicas w's ramp adds above min, and the time between two;
// none where there is no ramp.
func (w *window) steps(min int) (n int, each time.Duration) {
	n = w.Min - min
	if n <= 0 || w.Ramp <= 0 {
		return 0, 0
	}
	if each = w.Ramp / time.Duration(n); each == 0 {
		return 0, 0
	}
	return n, each
}

// rising is how far the minimum has risen at t, before w begins; 0 where it has
// not, or not yet.
func (w *window) rising(min int, t time.Time) (to int, begins time.Time) {
	n, each := w.steps(min)
	if n == 0 {
		return 0, time.Time{}
	}
	begins, found := w.begins(t, int64(w.Ramp/(dayMinutes*time.Minute))+shift)
	if !found || begins.Sub(t) > w.Ramp {
		return 0, time.Time{}
	}
	missing := int((begins.Sub(t) + each - 1) / each)
	if missing >= n {
		return 0, time.Time{}
	}
	return w.Min - missing, begins
}

// change is the first moment after t at which w may end, begin, or its minimum
// rise; zero for none within the horizon.
func (w *window) change(min int, t time.Time) time.Time {
	if end, open := w.closes(t); open {
		return end
	}
	begins, found := w.begins(t, horizon)
	if !found {
		return time.Time{}
	}
	n, each := w.steps(min)
	if n == 0 {
		return begins
	}
	missing := (begins.Sub(t)+each-1)/each - 1
	return begins.Add(-each * within(missing, 0, time.Duration(n-1)))
}

// reason says what was changed of min and max, in words a person can read in a log.
func (s standing) reason(min, max int, now, next time.Time) string {
	var parts []string
	until := ""
	if !next.IsZero() {
		until = " until " + clock(next, now)
	}
	if s.min > min {
		part := fmt.Sprintf("at least %d", s.min)
		if !s.begins.IsZero() {
			part += fmt.Sprintf(", rising to %d by %s", s.to, clock(s.begins, now))
			until = ""
		}
		parts = append(parts, part)
	}
	if s.max != max {
		parts = append(parts, fmt.Sprintf("at most %d", s.max))
	}
	text := "schedule: " + strings.Join(parts, ", ") + until
	if s.asked > min {
		text += fmt.Sprintf(" (at least %d was asked for, but no more than %d are allowed)", s.asked, s.max)
	}
	return text
}

// clock is the time of day in now's zone, with the date where it is a day or more
// away.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	layout := "15:04"
	if t.Second() != 0 {
		layout = time.TimeOnly
	}
	if t.Sub(now) >= 24*time.Hour {
		layout = time.DateOnly + " " + layout
	}
	return t.Format(layout)
}
