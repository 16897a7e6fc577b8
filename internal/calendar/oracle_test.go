package calendar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// timed is a window and what its expression means, said without reading it.
type timed struct {
	Window
	means [5]map[int]bool
	stars bool // of either day
}

// zones have clocks that are changed by an hour, by half an hour, by a whole day,
// at midnight, and not at all.
var zones = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "Africa/Cairo", "Asia/Kathmandu", "UTC"}

// changes are moments shortly before clocks were changed somewhere.
var changes = []string{
	"2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z", "2026-03-08T05:00:00Z", "2026-11-01T04:00:00Z", "2026-04-04T13:00:00Z", "2026-10-03T13:00:00Z",
	"2026-09-06T02:00:00Z", "2026-04-05T02:00:00Z", "2011-12-30T08:00:00Z", "2026-04-23T20:00:00Z", "2026-12-31T20:00:00Z", "2028-02-28T22:00:00Z",
}

// randomField is a field and the values that it takes.
func randomField(r *rand.Rand, f field) (text string, takes map[int]bool) {
	takes = map[int]bool{}
	var parts []string
	for range 1 + r.IntN(2) {
		low := f.min + r.IntN(f.max-f.min+1)
		high := low + r.IntN(f.max-low+1)
		step := 1 + r.IntN(f.max)
		part := fmt.Sprint(low)
		switch r.IntN(4) {
		case 0:
			high, step = low, 1
		case 1:
			part, step = fmt.Sprintf("%d-%d", low, high), 1
		case 2:
			part = fmt.Sprintf("%d-%d/%d", low, high, step)
		case 3:
			low, high = f.min, f.max
			part = fmt.Sprintf("*/%d", step)
		}
		parts = append(parts, part)
		for n := low; n <= high; n += step {
			takes[n] = true
		}
	}
	return strings.Join(parts, ","), takes
}

func randomWindow(t testing.TB, r *rand.Rand) timed {
	w := timed{Window: Window{
		Zone: zone(t, zones[r.IntN(len(zones))]),
		For:  []time.Duration{time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour, 26 * time.Hour}[r.IntN(5)],
		Ramp: []time.Duration{0, 0, 5 * time.Minute, time.Hour}[r.IntN(4)],
		Min:  r.IntN(10) - 1, Max: r.IntN(8),
	}}
	if w.Max == 0 {
		w.Max = Unstated
	}
	var words []string
	for i, f := range fields {
		text, takes := randomField(r, f)
		if i > 1 && r.IntN(2) == 0 { // else few days would match
			text, takes = "*", map[int]bool{}
			for n := f.min; n <= f.max; n++ {
				takes[n] = true
			}
		}
		w.stars = w.stars || (i == 2 || i == 4) && text[0] == '*'
		w.means[i] = takes
		words = append(words, text)
	}
	w.means[4][0] = w.means[4][0] || w.means[4][7]
	w.Cron = strings.Join(words, " ")
	return w
}

// matches reports whether w begins at a reading of a clock.
func (w timed) matches(wall time.Time) bool {
	day, weekday := w.means[2][wall.Day()], w.means[4][int(wall.Weekday())]
	days := day && weekday
	if !w.stars {
		days = day || weekday
	}
	return days && w.means[3][int(wall.Month())] && w.means[1][wall.Hour()] && w.means[0][wall.Minute()]
}

// beginnings are when w begins between two moments: whenever clocks first show a
// reading, or first show a later one.
func (w timed) beginnings(from, to time.Time) (all []time.Time) {
	var seen time.Time
	for at := from; !at.After(to); at = at.Add(time.Minute) {
		_, offset := at.In(w.Zone).Zone()
		wall := at.UTC().Add(time.Duration(offset) * time.Second)
		if seen.IsZero() {
			seen = wall
		}
		begins := false
		for ; seen.Before(wall); seen = seen.Add(time.Minute) {
			begins = begins || w.matches(seen.Add(time.Minute))
		}
		if begins {
			all = append(all, at)
		}
	}
	return all
}

// bounds says what holds at a moment, given the beginnings of each window.
func bounds(all []timed, begins [][]time.Time, least, most int, at time.Time) (int, int) {
	low, high := min(least, most), 1<<62
	base := low
	for i, w := range all {
		for _, b := range begins[i] {
			switch until := b.Sub(at); {
			case until <= 0 && -until < w.For:
				low = max(low, w.Min)
				if w.Max > 0 {
					high = min(high, w.Max)
				}
			case until > 0 && w.Ramp > 0 && w.Min > base:
				each := w.Ramp / time.Duration(w.Min-base)
				for missing := range w.Min - base {
					if !at.Before(b.Add(-each * time.Duration(missing))) {
						low = max(low, w.Min-missing)
					}
				}
			}
		}
	}
	if high == 1<<62 {
		high = most
	}
	return min(low, high), high
}

// FuzzBounds compares Bounds with a clock that is looked at each minute.
func FuzzBounds(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed, uint8(seed), uint16(seed*97), uint8(1), uint8(8))
	}
	f.Fuzz(func(t *testing.T, seed uint64, change uint8, minutes uint16, least, most uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		near := moment(t, changes[int(change)%len(changes)])
		now := near.Add(time.Duration(int(minutes)%(36*60)-12*60) * time.Minute)
		var all []timed
		var cal Calendar
		var begins [][]time.Time
		for range 1 + r.IntN(3) {
			w := randomWindow(t, r)
			all, cal = append(all, w), append(cal, w.Window)
			begins = append(begins, w.beginnings(now.Add(-29*time.Hour), now.Add(11*time.Hour)))
		}
		low, high := int(least%8), 1+int(most%10)
		for range 12 {
			checkBounds(t, cal, all, begins, low, high, now)
			now = now.Add(time.Duration(r.IntN(40*60)) * time.Second)
			now = now.Truncate([]time.Duration{time.Second, time.Minute}[r.IntN(2)])
		}
	})
}

func checkBounds(t *testing.T, cal Calendar, all []timed, begins [][]time.Time, low, high int, now time.Time) {
	t.Helper()
	wantMin, wantMax := bounds(all, begins, low, high, now)
	got := cal.Bounds(low, high, now)
	if got.Min != wantMin || got.Max != wantMax || got.Min > got.Max {
		t.Fatalf("at %s: %+v, want %d to %d; %+v", now, got, wantMin, wantMax, cal)
	}
	// What comes next comes as late as said, and not before. The beginnings known
	// reach some hours.
	end := now.Add(2 * time.Hour)
	for _, at := range instants(all, begins, min(low, high), now, end) {
		next := !got.Next.IsZero() && got.Next.Equal(at)
		nextMin, nextMax := bounds(all, begins, low, high, at)
		if changes := nextMin != wantMin || nextMax != wantMax; changes != next {
			if changes && got.Next.IsZero() && dense(cal) {
				return // farther than is looked
			}
			t.Fatalf("from %s: %+v, but at %s it is %d to %d; %+v", now, got, at, nextMin, nextMax, cal)
		} else if changes {
			return
		}
	}
	if !got.Next.IsZero() && !got.Next.After(end) {
		t.Fatalf("from %s: %+v, but nothing changes then; %+v", now, got, cal)
	}
}

// dense reports whether a window of c begins so often that its end may not be
// looked for.
func dense(c Calendar) bool {
	return slices.ContainsFunc(c, func(w Window) bool { return w.For < time.Hour })
}

// instants are the moments of a time at which anything may change.
func instants(all []timed, begins [][]time.Time, base int, from, to time.Time) (at []time.Time) {
	for i, w := range all {
		for _, b := range begins[i] {
			at = append(at, b, b.Add(w.For))
			if n := w.Min - base; n > 0 && w.Ramp > 0 {
				for missing := range n {
					at = append(at, b.Add(-w.Ramp/time.Duration(n)*time.Duration(missing)))
				}
			}
		}
	}
	at = slices.DeleteFunc(at, func(t time.Time) bool { return !t.After(from) || t.After(to) })
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// FuzzCron: no text, and no numbers, make it panic or swap the bounds.
func FuzzCron(f *testing.F) {
	for _, cron := range []string{"30 7 * * 1-5", "@daily", "*/0 9-3 31 feb *", "0,,1 * * * *", "🌍 * * * *", "0 0 29 2 */7"} {
		f.Add(cron, int64(time.Hour), int64(time.Minute), 4, 8, 1, 10, int64(1795600000))
	}
	f.Fuzz(func(t *testing.T, cron string, lasts, ramp int64, windowMin, windowMax, least, most int, at int64) {
		w := Window{Cron: cron, For: time.Duration(lasts), Ramp: time.Duration(ramp), Min: windowMin, Max: windowMax}
		valid := w.Validate() == nil
		now := time.Unix(at%(1<<40), 0).In(zone(t, "Europe/Berlin"))
		b := (Calendar{w, w}).Bounds(least, most, now)
		if b.Min > b.Max || !b.Next.IsZero() && !b.Next.After(now) {
			t.Errorf("%+v at %s: %+v", w, now, b)
		}
		if valid && b.Max != most && b.Max != windowMax {
			t.Errorf("%+v: %+v has a maximum that nobody asked for", w, b)
		}
	})
}

// BenchmarkBounds is what one step of a service costs; the allocations are those
// of the sentence.
func BenchmarkBounds(b *testing.B) {
	berlin := zone(b, "Europe/Berlin")
	usual := Calendar{
		{Cron: "30 7 * * 1-5", Zone: berlin, For: 3 * time.Hour, Ramp: 10 * time.Minute, Min: 4, Max: Unstated},
		{Cron: "0 22 * * *", Zone: berlin, For: 8 * time.Hour, Min: Unstated, Max: 2},
	}
	for name, c := range map[string]struct {
		cal Calendar
		at  string
	}{
		"closed": {usual, "2026-11-25T12:00:00+01:00"},
		"open":   {usual, "2026-11-25T08:00:00+01:00"},
		"rising": {usual, "2026-11-25T07:25:00+01:00"},
		"yearly": {Calendar{{Cron: "0 6 27 11 *", Zone: berlin, For: 24 * time.Hour, Min: 10, Max: Unstated}}, "2026-11-28T12:00:00+01:00"},
		"dense":  {Calendar{{Cron: "* * * * *", Zone: berlin, For: time.Minute, Min: 10, Max: Unstated}}, "2026-11-28T12:00:00+01:00"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			now := moment(b, c.at).In(berlin)
			for b.Loop() {
				c.cal.Bounds(1, 8, now)
			}
		})
	}
}
