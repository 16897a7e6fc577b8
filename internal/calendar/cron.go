package calendar

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// pattern is a cron expression as sets of bits: bit n of minutes is minute n.
//
// The libraries' own search is of no use here: gronx and go-cron both leave out a
// beginning in the hour that daylight saving skips, and take the second of two;
// and gronx reads the expression anew for each minute that it looks at. See
// bench/calendar_test.go for the agreement, and for the price.
type pattern struct {
	minutes, hours, days, months, weekdays uint64
	// either tells that a day matches by its date or by its weekday: so it is in
	// cron where both fields are restricted. Otherwise it must match both.
	either bool
}

// field is one of a cron expression's five.
type field struct {
	name     string
	min, max int
	names    []string // of min and what follows
}

var fields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of the month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	// 0 and 7 are Sunday.
	{name: "day of the week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// nicknames are cron's words for whole expressions.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parse reads a cron expression.
func parse(text string) (pattern, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "@") {
		long, known := nicknames[strings.ToLower(strings.TrimSpace(text))]
		if !known {
			return pattern{}, fmt.Errorf("is no time to begin at; there are @hourly, @daily, @weekly, @monthly and @yearly")
		}
		text = long
	}
	var p pattern
	sets := [5]*uint64{&p.minutes, &p.hours, &p.days, &p.months, &p.weekdays}
	n, stars := 0, false
	for word := range strings.FieldsSeq(text) {
		if n < len(fields) {
			set, err := fields[n].parse(word)
			if err != nil {
				return pattern{}, err
			}
			*sets[n] = set
			stars = stars || (n == 2 || n == 4) && word[0] == '*'
		}
		n++
	}
	if n != len(fields) {
		return pattern{}, fmt.Errorf("has %d fields; give five: minute, hour, day of the month, month, day of the week", n)
	}
	p.weekdays = (p.weekdays | p.weekdays>>7) & 0x7f
	p.either = !stars
	return p, nil
}

// parse reads a list of values, ranges and steps: "1,5-7,*/2".
func (f field) parse(text string) (set uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		one, err := f.part(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

func (f field) part(text string) (set uint64, err error) {
	span, stepText, stepped := strings.Cut(text, "/")
	lowText, highText, ranged := strings.Cut(span, "-")
	low, high, step := f.min, f.max, 1
	if span != "*" {
		if low, err = f.value(lowText); err != nil {
			return 0, err
		}
		high = low
	}
	if ranged {
		if high, err = f.value(highText); err != nil {
			return 0, err
		}
		if f.max == 7 && high == 0 && low > 0 {
			high = 7 // fri-sun
		}
	}
	switch {
	case high < low:
		return 0, fmt.Errorf("%s: %s goes backwards; write it as two ranges, such as 22-23,0-2", f.name, span)
	case stepped && !ranged && span != "*":
		return 0, fmt.Errorf("%s: a step needs a range; write %s-%d/%s", f.name, span, f.max, stepText)
	}
	if stepped {
		if step, err = number(stepText); err != nil || step < 1 || step > f.max {
			return 0, fmt.Errorf("%s: %q is no step; give a number from 1 to %d", f.name, stepText, f.max)
		}
	}
	for n := low; n <= high; n += step {
		set |= 1 << n
	}
	return set, nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + i, nil
		}
	}
	n, err := number(text)
	if err != nil || n < f.min || n > f.max {
		names := ""
		if f.names != nil {
			names = fmt.Sprintf(", or %s … %s", f.names[0], f.names[len(f.names)-1])
		}
		return 0, fmt.Errorf("%s: %q is none; give a number from %d to %d%s", f.name, text, f.min, f.max, names)
	}
	return n, nil
}

// number reads digits alone, no sign.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err
}

// A clock reading is in minutes: what a calendar and a clock on the wall show, as
// if they were those of UTC, since 1970.
type reading int64

const dayMinutes = 24 * 60

// on reports whether a day, counted from 1970, is one of p, and gives its date.
func (p *pattern) on(day int64) (match bool, date time.Time) {
	date = time.Unix(day*dayMinutes*60, 0).UTC()
	if p.months>>date.Month()&1 == 0 {
		return false, date
	}
	byDate := p.days>>date.Day()&1 != 0
	byWeekday := p.weekdays>>date.Weekday()&1 != 0
	if p.either {
		return byDate || byWeekday, date
	}
	return byDate && byWeekday, date
}

// last is the latest reading of p that is at most r and at least from.
func (p *pattern) last(r, from reading) (reading, bool) {
	day, minute := int64(floor(r)), int(r-floor(r)*dayMinutes)
	for ; reading(day+1)*dayMinutes > from; day, minute = day-1, dayMinutes-1 {
		if match, _ := p.on(day); !match {
			continue
		}
		if m := p.lastMinute(minute); m >= 0 {
			found := reading(day)*dayMinutes + reading(m)
			return found, found >= from
		}
	}
	return 0, false
}

// lastMinute is the latest minute of a day of p that is at most m, or -1.
func (p *pattern) lastMinute(m int) int {
	hour := m / 60
	if p.hours>>hour&1 != 0 {
		if set := p.minutes & upTo(m%60); set != 0 {
			return hour*60 + bits.Len64(set) - 1
		}
	}
	if set := p.hours & (upTo(hour) >> 1); set != 0 {
		return (bits.Len64(set)-1)*60 + bits.Len64(p.minutes) - 1
	}
	return -1
}

// upTo has the bits from 0 up to n.
func upTo(n int) uint64 { return 1<<(n+1) - 1 }

// farthest is the longest that a day can let wait, in days: a 29 February that
// must be a Sunday comes after 40 years where a year such as 2100 lies between.
const farthest = 41 * 366

// first is the earliest reading of p after r, if it is within so many days.
func (p *pattern) first(r reading, within int64) (reading, bool) {
	r++
	day, minute := int64(floor(r)), int(r-floor(r)*dayMinutes)
	for end := day + within + 1; day < end; minute = 0 {
		match, date := p.on(day)
		if match {
			if m := p.firstMinute(minute); m >= 0 {
				return reading(day)*dayMinutes + reading(m), true
			}
		}
		if p.months>>date.Month()&1 == 0 {
			// The first of the next month.
			day = date.AddDate(0, 1, 1-date.Day()).Unix() / (dayMinutes * 60)
		} else {
			day++
		}
	}
	return 0, false
}

// firstMinute is the earliest minute of a day of p that is at least m, or -1.
func (p *pattern) firstMinute(m int) int {
	hour := m / 60
	if p.hours>>hour&1 != 0 {
		if set := p.minutes >> (m % 60); set != 0 {
			return m + bits.TrailingZeros64(set)
		}
	}
	if set := p.hours >> (hour + 1); set != 0 {
		return (hour+1+bits.TrailingZeros64(set))*60 + bits.TrailingZeros64(p.minutes)
	}
	return -1
}

// floor is the day of r.
func floor(r reading) reading {
	if r < 0 {
		return (r - dayMinutes + 1) / dayMinutes
	}
	return r / dayMinutes
}
