// Package history tells what happened, for people: it looks things up in the
// journal of decisions. No decision reads it.
package history

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/five-keys/autoscale/internal/store"
)

// Records is where decisions are looked up: a journal, or its tail.
type Records interface {
	// Read yields them, the newest last; an error tells of lines passed over.
	Read() iter.Seq2[store.Record, error]
}

// Filter says which records are meant; nil takes all.
type Filter func(store.Record) bool

// Of takes the records of one service, or of all where service is empty.
func Of(service string) Filter {
	return func(r store.Record) bool { return service == "" || r.Workload.Service == service }
}

// Told takes the records that tell something: the count moved or was to move,
// something failed, or the reading was in doubt.
func Told(r store.Record) bool {
	return r.Decision.To != r.Decision.From || r.Decision.Want != r.Decision.To || r.Outcome.Error != "" ||
		r.Outcome.Count != r.Decision.From || r.Decision.Verdict.Doubtful()
}

// And takes what both take.
func (f Filter) And(other Filter) Filter {
	return func(r store.Record) bool { return (f == nil || f(r)) && (other == nil || other(r)) }
}

// Last gives the newest n records, oldest first. An error tells of lines that
// were passed over; the records are good all the same.
func Last(from Records, keep Filter, n int) ([]store.Record, error) {
	ring := make([]store.Record, 0, min(n, 1024))
	var damaged error
	at := 0
	for r, err := range from.Read() {
		switch {
		case err != nil:
			damaged = err
		case keep != nil && !keep(r):
		case len(ring) < n:
			ring = append(ring, r)
		case n > 0:
			ring[at] = r
			at = (at + 1) % n
		}
	}
	return append(ring[at:len(ring):len(ring)], ring[:at]...), damaged
}

// Standing is what stood at a moment for one workload: the newest record that is
// not later, and the one that followed; each is nil where there is none.
type Standing struct{ In, Next *store.Record }

// At gives what stood at a moment for each workload, in the order in which they
// first appear.
func At(from Records, keep Filter, moment time.Time) (all []Standing, damaged error) {
	places := places{}
	for r, err := range from.Read() {
		if err != nil {
			damaged = err
			continue
		}
		if keep != nil && !keep(r) {
			continue
		}
		at, isNew := places.of(r)
		if isNew {
			all = append(all, Standing{})
		}
		switch one := &all[at]; {
		case !r.Decision.At.After(moment):
			one.In, one.Next = &r, nil
		case one.Next == nil:
			one.Next = &r
		}
	}
	return all, damaged
}

// places numbers workloads in the order in which they first appear.
type places map[string]int

// of is the place of a record's workload, and whether it is a new one.
func (p places) of(r store.Record) (at int, isNew bool) {
	at, known := p[r.Workload.String()]
	if !known {
		at = len(p)
		p[r.Workload.String()] = at
	}
	return at, !known
}

// Workloads gives the newest record of each workload, in the order in which they
// first appear.
func Workloads(from Records, keep Filter) (newest []store.Record, damaged error) {
	places := places{}
	for r, err := range from.Read() {
		if err != nil {
			damaged = err
			continue
		}
		if keep != nil && !keep(r) {
			continue
		}
		at, isNew := places.of(r)
		if isNew {
			newest = append(newest, r)
		} else {
			newest[at] = r
		}
	}
	return newest, damaged
}

// steady is how many gaps between decisions, about as long as each other, show
// that something runs them by the clock.
const steady = 3

// Rhythm is the longest of the last gaps between decisions, where those are as
// even as a schedule makes them; 0 where they are not, or are seconds only, as
// when somebody tries one line after another. An error is Last's.
func Rhythm(from Records, keep Filter) (time.Duration, error) {
	records, damaged := Last(from, keep, steady+1)
	if len(records) <= steady {
		return 0, damaged
	}
	shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
	for i, r := range records[1:] {
		gap := r.Decision.At.Sub(records[i].Decision.At)
		shortest, longest = min(shortest, gap), max(longest, gap)
	}
	if shortest < 10*time.Second || longest > 2*shortest {
		return 0, damaged
	}
	return longest, damaged
}

// ParseMoment reads a moment as people write it: "10:05", "10:05:30" (of today,
// or of yesterday where that is still to come), "2026-11-24 10:05", the same with
// a T, or RFC 3339. It is the last instant of the minute or second that is named,
// in now's zone. A time that autumn has twice is the later one, or the earlier
// where the later is still to come and no day was named.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []struct {
		text string
		unit time.Duration
		day  bool // the layout has none
		zone bool // the layout has one
	}{
		{"15:04", time.Minute, true, false}, {"15:04:05", time.Second, true, false},
		{"2006-01-02 15:04", time.Minute, false, false}, {"2006-01-02 15:04:05", time.Second, false, false},
		{"2006-01-02T15:04", time.Minute, false, false}, {"2006-01-02T15:04:05", time.Second, false, false},
		{time.RFC3339, time.Second, false, true},
	} {
		t, err := time.ParseInLocation(layout.text, text, now.Location())
		if err != nil {
			continue
		}
		switch {
		case layout.day:
			t = ofToday(t, now)
		case !layout.zone:
			_, t = occurrences(t)
		}
		return t.Add(layout.unit - 1), nil
	}
	return time.Time{}, fmt.Errorf("%q is no moment: give 10:05, 10:05:30, '2026-11-24 10:05', 2026-11-24T10:05:30, or RFC 3339", text)
}

// ofToday is the last time, up to now, that clocks showed the hour, minute and
// second of t.
func ofToday(t, now time.Time) time.Time {
	t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
	first, last := occurrences(t)
	switch {
	case !last.After(now):
		return last
	case !first.After(now):
		return first
	}
	_, last = occurrences(t.AddDate(0, 0, -1))
	return last
}

// occurrences are the first and the last instant at which clocks in t's zone show
// what they show at t: the same one, but where a clock is set back. Which of the
// two the time package takes, it does not say.
func occurrences(t time.Time) (first, last time.Time) {
	first, last = t, t
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		_, before := begin.Add(-1).Zone()
		if other := t.Add(time.Duration(offset-before) * time.Second); other.Before(begin) {
			first = other
		}
	}
	if !end.IsZero() {
		_, after := end.Zone()
		if other := t.Add(time.Duration(offset-after) * time.Second); !other.Before(end) {
			last = other
		}
	}
	return first, last
}

// ErrNone is the error of a journal in which nothing fits.
var ErrNone = errors.New("no decision is recorded")
