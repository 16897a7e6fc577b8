package calendar

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// raise is a window that raises the minimum to 4, in a zone.
func raise(t testing.TB, cron, in string, lasts time.Duration) Window {
	return Window{Cron: cron, Zone: zone(t, in), For: lasts, Min: 4, Max: Unstated}
}

// TestOpen: a window is open from the minute that its expression names, for as
// long as it says, across midnights, years and changes of the clocks.
func TestOpen(t *testing.T) {
	for name, c := range map[string]struct {
		cron, zone string
		lasts      time.Duration
		from, to   string // the first moment that it is open, and the first that it is not
	}{
		"weekday":            {"30 7 * * 1-5", "Europe/Berlin", 3 * time.Hour, "2026-11-25T07:30:00+01:00", "2026-11-25T10:30:00+01:00"},
		"over midnight":      {"0 22 * * *", "Europe/Berlin", 8 * time.Hour, "2026-11-25T22:00:00+01:00", "2026-11-26T06:00:00+01:00"},
		"over new year":      {"0 18 31 12 *", "UTC", 30 * time.Hour, "2026-12-31T18:00:00Z", "2027-01-02T00:00:00Z"},
		"leap day":           {"0 0 29 feb *", "UTC", 24 * time.Hour, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
		"a week":             {"0 12 * * MON", "UTC", 7*24*time.Hour - time.Hour, "2026-11-23T12:00:00Z", "2026-11-30T11:00:00Z"},
		"not whole minutes":  {"0 12 * * *", "UTC", 90 * time.Second, "2026-11-23T12:00:00Z", "2026-11-23T12:01:30Z"},
		"begins again":       {"0,20,40 8 * * *", "UTC", 30 * time.Minute, "2026-11-23T08:00:00Z", "2026-11-23T09:10:00Z"},
		"end and begin meet": {"0,30 8 * * *", "UTC", 30 * time.Minute, "2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z"},
		"before 1970":        {"0 8 * * *", "UTC", time.Hour, "1960-02-29T08:00:00Z", "1960-02-29T09:00:00Z"},
		"sunday is 7":        {"0 8 * * 5-7", "UTC", 3 * time.Hour, "2026-11-29T08:00:00Z", "2026-11-29T11:00:00Z"},
		"fri-sun":            {"0 8 * * fri-sun", "UTC", 3 * time.Hour, "2026-11-29T08:00:00Z", "2026-11-29T11:00:00Z"},
		"nickname":           {" @Weekly ", "UTC", 24 * time.Hour, "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"},
		// Either day is enough where both are restricted: the 26th is a Thursday.
		"either day": {"0 8 26 * mon", "UTC", time.Hour, "2026-11-26T08:00:00Z", "2026-11-26T09:00:00Z"},
		// A star, with a step too, must match with the other: an even Thursday.
		"both days": {"0 8 */2 * thu", "UTC", time.Hour, "2026-12-03T08:00:00Z", "2026-12-03T09:00:00Z"},

		"skipped":              {"30 2 * * *", "Europe/Berlin", time.Hour, "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		"skipped, west":        {"30 2 * * *", "America/New_York", time.Hour, "2026-03-08T03:00:00-04:00", "2026-03-08T04:00:00-04:00"},
		"skipped half an hour": {"10 2 * * *", "Australia/Lord_Howe", time.Hour, "2026-10-04T02:30:00+11:00", "2026-10-04T03:30:00+11:00"},
		"skipped twice":        {"0,45 2 * * *", "Europe/Berlin", time.Hour, "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		"skipped whole day":    {"0 9 30 12 *", "Pacific/Apia", time.Hour, "2011-12-31T00:00:00+14:00", "2011-12-31T01:00:00+14:00"},
		"twice":                {"30 2 * * *", "Europe/Berlin", 30 * time.Minute, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00"},
		"twice, west":          {"30 1 * * *", "America/New_York", 15 * time.Minute, "2026-11-01T01:30:00-04:00", "2026-11-01T01:45:00-04:00"},
		"twice half an hour":   {"40 1 * * *", "Australia/Lord_Howe", 30 * time.Minute, "2026-04-05T01:40:00+11:00", "2026-04-05T01:40:00+10:30"},
		"after the second":     {"0 3 * * *", "Europe/Berlin", time.Hour, "2026-10-25T03:00:00+01:00", "2026-10-25T04:00:00+01:00"},
		"over the short night": {"0 22 * * *", "Europe/Berlin", 8 * time.Hour, "2026-03-28T22:00:00+01:00", "2026-03-29T07:00:00+02:00"},
		"over the long night":  {"0 22 * * *", "Europe/Berlin", 8 * time.Hour, "2026-10-24T22:00:00+02:00", "2026-10-25T05:00:00+01:00"},
		"each hour, twice":     {"0 * * * *", "Europe/Berlin", 20 * time.Minute, "2026-10-25T02:00:00+02:00", "2026-10-25T02:20:00+02:00"},
	} {
		cal := Calendar{raise(t, c.cron, c.zone, c.lasts)}
		if err := cal[0].Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		from, to := moment(t, c.from), moment(t, c.to)
		for _, p := range []struct {
			at   time.Time
			want int
		}{{from.Add(-1), 1}, {from, 4}, {to.Add(-1), 4}, {to, 1}} {
			if got := cal.Bounds(1, 8, p.at); got.Min != p.want || got.Max != 8 || (got.Reason != "") != (p.want == 4) {
				t.Errorf("%s: at %s %+v, want a minimum of %d", name, p.at.In(cal[0].Zone), got, p.want)
			}
		}
		if got := cal.Bounds(1, 8, from).Next; !got.Equal(to) {
			t.Errorf("%s: it ends at %s, want %s", name, got, to)
		}
		if got := cal.Bounds(1, 8, from.Add(-1)).Next; !got.Equal(from) {
			t.Errorf("%s: it begins at %s, want %s", name, got, from)
		}
	}
}

// TestTogether: the highest minimum and the lowest maximum win, the maximum over
// the minimum; and it is said.
func TestTogether(t *testing.T) {
	noon := moment(t, "2026-11-25T12:00:00+01:00").In(zone(t, "Europe/Berlin"))
	hold := func(cron string, lasts time.Duration, min, max int) Window {
		return Window{Cron: cron, For: lasts, Min: min, Max: max}
	}
	const no = Unstated
	for name, c := range map[string]struct {
		cal      Calendar
		min, max int
		want     Bounds
		next     string
	}{
		"none":          {nil, 1, 8, Bounds{Min: 1, Max: 8}, ""},
		"closed":        {Calendar{hold("0 13 * * *", time.Hour, 4, no)}, 1, 8, Bounds{Min: 1, Max: 8}, "2026-11-25T13:00:00+01:00"},
		"min":           {Calendar{hold("0 11 * * *", 2*time.Hour, 4, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4 until 13:00"}, "2026-11-25T13:00:00+01:00"},
		"until a day":   {Calendar{hold("0 11 * * *", 30*time.Hour, 4, no), hold("0 8 26 * *", 48*time.Hour, 6, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4 until 08:00"}, "2026-11-26T08:00:00+01:00"},
		"for days":      {Calendar{hold("0 11 25 * *", 48*time.Hour, 4, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4 until 2026-11-27 11:00"}, "2026-11-27T11:00:00+01:00"},
		"always":        {Calendar{hold("0 11 * * *", 30*time.Hour, 4, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4"}, ""},
		"to the second": {Calendar{hold("0 12 * * *", 90*time.Second, 4, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4 until 12:01:30"}, "2026-11-25T12:01:30+01:00"},
		"max":           {Calendar{hold("0 11 * * *", 2*time.Hour, no, 2)}, 1, 8, Bounds{Min: 1, Max: 2, Reason: "schedule: at most 2 until 13:00"}, "2026-11-25T13:00:00+01:00"},
		"higher max":    {Calendar{hold("0 11 * * *", 2*time.Hour, 10, 20)}, 1, 8, Bounds{Min: 10, Max: 20, Reason: "schedule: at least 10, at most 20 until 13:00"}, "2026-11-25T13:00:00+01:00"},
		"highest min":   {Calendar{hold("0 11 * * *", 2*time.Hour, 4, no), hold("30 11 * * *", 3*time.Hour, 3, no)}, 1, 8, Bounds{Min: 4, Max: 8, Reason: "schedule: at least 4 until 13:00"}, "2026-11-25T13:00:00+01:00"},
		"lowest max":    {Calendar{hold("0 11 * * *", 2*time.Hour, no, 5), hold("30 11 * * *", 3*time.Hour, no, 4)}, 1, 8, Bounds{Min: 1, Max: 4, Reason: "schedule: at most 4 until 14:30"}, "2026-11-25T14:30:00+01:00"},
		"lower min":     {Calendar{hold("0 11 * * *", 2*time.Hour, 2, no)}, 3, 8, Bounds{Min: 3, Max: 8}, ""},
		"max below own": {Calendar{hold("0 11 * * *", 2*time.Hour, no, 2)}, 3, 8, Bounds{Min: 2, Max: 2, Reason: "schedule: at most 2 until 13:00"}, "2026-11-25T13:00:00+01:00"},
		"max over min": {Calendar{hold("0 11 * * *", 2*time.Hour, no, 2), hold("0 10 * * *", 4*time.Hour, 6, no)}, 1, 8,
			Bounds{Min: 2, Max: 2, Reason: "schedule: at least 2, at most 2 until 13:00 (at least 6 was asked for, but no more than 2 are allowed)"}, "2026-11-25T13:00:00+01:00"},
		"own max over min": {Calendar{hold("0 11 * * *", 2*time.Hour, 10, no)}, 1, 8,
			Bounds{Min: 8, Max: 8, Reason: "schedule: at least 8 until 13:00 (at least 10 was asked for, but no more than 8 are allowed)"}, "2026-11-25T13:00:00+01:00"},
		"faulty":  {Calendar{hold("0 25 * * *", 2*time.Hour, 10, no), hold("0 11 * * *", 0, 10, no), hold("0 11 * * *", time.Hour, -7, -7)}, 1, 8, Bounds{Min: 1, Max: 8}, ""},
		"swapped": {nil, 8, 1, Bounds{Min: 1, Max: 1}, ""},
	} {
		if c.next != "" {
			c.want.Next = moment(t, c.next)
		}
		got := c.cal.Bounds(c.min, c.max, noon)
		if got.Min != c.want.Min || got.Max != c.want.Max || got.Reason != c.want.Reason || !got.Next.Equal(c.want.Next) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
}

// TestRamp: the minimum rises from the service's own by one replica at equal
// distances, and is there when the window begins.
func TestRamp(t *testing.T) {
	w := raise(t, "30 7 * * *", "Europe/Berlin", time.Hour)
	w.Ramp = 9 * time.Minute
	for _, c := range []struct {
		at   string
		want int
		next string
		says string
	}{
		{"07:20:59", 1, "07:24:00", ""},
		{"07:23:59", 1, "07:24:00", ""},
		{"07:24:00", 2, "07:27:00", "schedule: at least 2, rising to 4 by 07:30"},
		{"07:26:59", 2, "07:27:00", "schedule: at least 2, rising to 4 by 07:30"},
		{"07:27:00", 3, "07:30:00", "schedule: at least 3, rising to 4 by 07:30"},
		{"07:30:00", 4, "08:30:00", "schedule: at least 4 until 08:30"},
		{"08:30:00", 1, "", ""},
	} {
		at := moment(t, "2026-11-25T"+c.at+"+01:00").In(w.Zone)
		got := Calendar{w}.Bounds(1, 8, at)
		if got.Min != c.want || got.Reason != c.says || c.next != "" && got.Next.Format(time.TimeOnly) != c.next {
			t.Errorf("%s: %+v, want %+v", c.at, got, c)
		}
	}
	// From a higher minimum there are fewer steps; one that is higher still has none.
	at := moment(t, "2026-11-25T07:25:00+01:00")
	if got := (Calendar{w}).Bounds(2, 8, at); got.Min != 2 || got.Next.Format(time.TimeOnly) != "07:25:30" {
		t.Errorf("from 2: %+v", got)
	}
	if got := (Calendar{w}).Bounds(5, 8, at); got.Min != 5 || !got.Next.IsZero() {
		t.Errorf("from 5: %+v", got)
	}
	// A ramp over the hour that is skipped is as long as any other.
	w.Cron, w.Ramp = "30 3 * * *", time.Hour
	if got := (Calendar{w}).Bounds(1, 8, moment(t, "2026-03-29T01:49:59+01:00")); got.Min != 1 || !got.Next.Equal(moment(t, "2026-03-29T01:50:00+01:00")) {
		t.Errorf("over a change of the clocks: %+v", got)
	}
	// More replicas than nanoseconds are no ramp.
	w.Min, w.Ramp = 1<<60, time.Minute
	if got := (Calendar{w}).Bounds(1, 8, moment(t, "2026-03-29T03:29:59+02:00")); got.Min != 1 {
		t.Errorf("steeper than time: %+v", got)
	}
}

// TestClockBack: what was asked before has no influence.
func TestClockBack(t *testing.T) {
	cal := Calendar{raise(t, "30 7 * * *", "Europe/Berlin", time.Hour)}
	at := moment(t, "2026-11-25T08:00:00+01:00")
	first := cal.Bounds(1, 8, at)
	cal.Bounds(1, 8, at.Add(5*time.Hour))
	if again := cal.Bounds(1, 8, at); again != first || first.Min != 4 {
		t.Errorf("%+v, before %+v", again, first)
	}
}

// TestNever: an expression that asks for much is answered without a search that
// goes on and on; what is open stays right.
func TestNever(t *testing.T) {
	at := moment(t, "2026-11-25T08:00:30Z")
	for cron, open := range map[string]bool{"* * * * *": true, "0 0 30 2 *": false, "0 0 29 2 */7": false} {
		got := Calendar{raise(t, cron, "UTC", time.Minute)}.Bounds(1, 8, at)
		if (got.Min == 4) != open || !got.Next.IsZero() {
			t.Errorf("%s: %+v", cron, got)
		}
	}
	// The end of ten hours, of which each minute is a beginning, is found once it is
	// near.
	dense := Calendar{raise(t, "* 8-17 * * *", "UTC", time.Minute)}
	if got := dense.Bounds(1, 8, moment(t, "2026-11-25T17:00:00Z")); got.Min != 4 || !got.Next.Equal(moment(t, "2026-11-25T18:00:00Z")) {
		t.Errorf("dense: %+v", got)
	}
	if got := dense.Bounds(1, 8, at); got.Min != 4 || got.Reason != "schedule: at least 4" {
		t.Errorf("dense, the end far off: %+v", got)
	}
}

// TestValidate: everything that is wrong is said, with what to write.
func TestValidate(t *testing.T) {
	good := Window{Cron: "30 7 * * 1-5", For: time.Hour, Min: 4, Max: Unstated}
	for want, change := range map[string]func(*Window){
		`cron: "": has 0 fields; give five`:                                                          func(w *Window) { w.Cron = "" },
		`cron: "0 0 * * * *": has 6 fields; give five`:                                               func(w *Window) { w.Cron = "0 0 * * * *" },
		`cron: "60 * * * *": minute: "60" is none; give a number from 0 to 59`:                       func(w *Window) { w.Cron = "60 * * * *" },
		`cron: "0 0 * * mo": day of the week: "mo" is none; give a number from 0 to 7, or sun … sat`: func(w *Window) { w.Cron = "0 0 * * mo" },
		`cron: "0 0 0 * *": day of the month: "0" is none; give a number from 1 to 31`:               func(w *Window) { w.Cron = "0 0 0 * *" },
		`cron: "0 22-2 * * *": hour: 22-2 goes backwards`:                                            func(w *Window) { w.Cron = "0 22-2 * * *" },
		`cron: "5/10 * * * *": minute: a step needs a range; write 5-59/10`:                          func(w *Window) { w.Cron = "5/10 * * * *" },
		`cron: "*/0 * * * *": minute: "0" is no step`:                                                func(w *Window) { w.Cron = "*/0 * * * *" },
		`cron: "*/-1 * * * *": minute: "-1" is no step`:                                              func(w *Window) { w.Cron = "*/-1 * * * *" },
		`cron: ", * * * *": minute: "" is none`:                                                      func(w *Window) { w.Cron = ", * * * *" },
		`cron: "+5 * * * *": minute: "+5" is none`:                                                   func(w *Window) { w.Cron = "+5 * * * *" },
		`cron: "1-2-3 * * * *": minute: "2-3" is none`:                                               func(w *Window) { w.Cron = "1-2-3 * * * *" },
		`cron: "@reboot": is no time to begin at; there are @hourly`:                                 func(w *Window) { w.Cron = "@reboot" },
		`cron: "0 0 31 4,6 *": there is no such day in any year`:                                     func(w *Window) { w.Cron = "0 0 31 4,6 *" },
		`for: 8s: a window lasts from 1m to 168h; bare numbers are seconds`:                          func(w *Window) { w.For = 8 * time.Second },
		`for: 169h0m0s: a window lasts`:                                                              func(w *Window) { w.For = 169 * time.Hour },
		`ramp: -1s: give a time from 0 to 168h`:                                                      func(w *Window) { w.Ramp = -time.Second },
		`ramp: 1m0s: there is no min to reach`:                                                       func(w *Window) { w.Ramp, w.Min, w.Max = time.Minute, Unstated, 3 },
		`min: -2: the least number of replicas cannot be below 0`:                                    func(w *Window) { w.Min = -2 },
		`max: 0: at least 1 replica must be allowed`:                                                 func(w *Window) { w.Max = 0 },
		`min: 4 is above max: 3; swap them, or raise max`:                                            func(w *Window) { w.Max = 3 },
		`neither min nor max: say what holds in the window`:                                          func(w *Window) { w.Min = Unstated },
	} {
		w := good
		change(&w)
		if err := w.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", w, err, want)
		}
	}
	all := Window{Cron: "x", For: -1, Ramp: -1, Min: -2, Max: 0}
	if err := all.Validate(); err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("all at once: %v", err)
	}
	for _, cron := range []string{"0 0 29 2 */7", "*/5 * * * *", "0-59/7,3 8-18/2 1,15 JAN-dec sun,Sat", "@hourly", "@daily", "@midnight", "@monthly", "@yearly", "@annually", "\t1  2 3 4 5 "} {
		w := good
		w.Cron = cron
		if err := w.Validate(); err != nil {
			t.Error(err)
		}
	}
}
