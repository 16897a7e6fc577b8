package autoscale

import (
	"cmp"
	"slices"
	"time"
)

const (
	// shortestRate and longestRate bound the time between the two readings of a
	// counter that make a rate which may lower. Half the shortest makes one that may
	// raise: an interval of one second comes a little early every other time.
	shortestRate = time.Second
	longestRate  = 15 * time.Minute
)

// rate is the load of one process in requests/s.
type rate struct {
	process, name string
	// long is the rate since the reading before this run, short the one within
	// this run; each stands in for the other where that is missing.
	long, short float64
	// verdict is OK where long may lower; else both are lower bounds.
	verdict Verdict
	detail  string
}

// rates turns samples into one rate per process, in the order of the processes'
// names. Counters are compared with what processes remembers of each.
func rates(kind Kind, samples []Sample, processes map[string]Process) []rate {
	var order []string
	by := map[string][]Sample{}
	for _, s := range samples {
		if by[s.Process] == nil {
			order = append(order, s.Process)
		}
		by[s.Process] = append(by[s.Process], s)
	}
	all := make([]rate, 0, len(order))
	for _, process := range order {
		r := gaugeRate(by[process])
		if kind == Counter {
			r = counterRate(by[process], processes[process])
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b rate) int { return cmp.Compare(a.name, b.name) })
	return all
}

// gaugeRate is the last of one process's samples; the first bad one spoils it.
func gaugeRate(samples []Sample) rate {
	last := samples[len(samples)-1]
	r := rate{process: last.Process, name: last.Name, verdict: OK}
	for _, s := range samples {
		if s.Verdict != OK {
			r.verdict, r.detail = s.Verdict, s.Detail
			return r
		}
	}
	r.long, r.short = last.Value, last.Value
	return r
}

// counterRate is the increase between two of one process's readings over the
// time between them (as metrics-server does, from two points only). The one
// that may lower runs from the reading before this run to the last one.
func counterRate(samples []Sample, before Process) rate {
	r := rate{process: samples[0].Process, name: samples[0].Name, verdict: OK}
	good := make([]Sample, 0, len(samples))
	for _, s := range samples {
		if s.Verdict == OK {
			good = append(good, s)
		} else if r.verdict == OK {
			r.verdict, r.detail = s.Verdict, s.Detail
		}
	}
	if len(good) == 0 {
		return r
	}
	first, last := good[0], good[len(good)-1]
	short, shortReset, hasShort := increase(Process{Time: first.Time, Value: first.Value}, last, shortestRate)
	long, longReset, hasLong := increase(before, last, shortestRate)
	if apart := last.Time.Sub(before.Time); !hasLong && apart >= 0 && apart < shortestRate {
		long, longReset, hasLong = increase(before.earlier(), last, shortestRate)
		if !hasShort {
			short, shortReset, hasShort = increase(before, last, shortestRate/2)
		}
	}
	switch {
	case hasLong && hasShort:
		r.long, r.short = long, short
	case hasLong:
		r.long, r.short = long, long
	case hasShort:
		r.long, r.short = short, short
	}
	if r.verdict != OK {
		return r
	}
	switch {
	case hasLong && longReset || hasShort && shortReset:
		r.verdict, r.detail = Warming, "its counter started anew"
	case !hasLong:
		r.verdict, r.detail = Warming, "its counter has no earlier reading to be compared with"
	}
	return r
}

// increase is the rate in requests/s from one reading to the next, and whether
// the counter started anew in between: then it counts from zero and is a lower
// bound. There is no rate over less than the shortest time or more than 15 minutes.
func increase(from Process, to Sample, shortest time.Duration) (perSecond float64, reset, ok bool) {
	apart := to.Time.Sub(from.Time)
	if from.Time.IsZero() || apart < shortest || apart > longestRate {
		return 0, false, false
	}
	if startedAnew(from, to) {
		return to.Value / apart.Seconds(), true, true
	}
	return (to.Value - from.Value) / apart.Seconds(), false, true
}

// startedAnew reports whether the counter started from zero between the two readings.
func startedAnew(from Process, to Sample) bool {
	// A process start is often known to the second only.
	return to.Value < from.Value || !to.Started.IsZero() && to.Started.After(from.Time.Add(time.Second))
}

// earlier is the reading before the last one, as if it were the last.
func (p Process) earlier() Process { return Process{Time: p.EarlierTime, Value: p.EarlierValue} }

// next is p after another good reading of its counter. The reading before it is
// kept for the one after it, which may come a little less than a second later: a
// daemon's with an interval of one second. It is left behind where that would have
// readings in quick succession compared with one of long ago.
func (p Process) next(s Sample) Process {
	n := Process{Time: s.Time, Value: s.Value, Failed: s.Failed, Answered: s.Answered}
	switch {
	case p.Time.IsZero() || startedAnew(p, s):
	case p.EarlierTime.IsZero() || s.Time.Sub(p.Time) >= shortestRate/2 || s.Time.Sub(p.EarlierTime) >= 2*shortestRate:
		n.EarlierTime, n.EarlierValue = p.Time, p.Value
	default:
		n.EarlierTime, n.EarlierValue = p.EarlierTime, p.EarlierValue
	}
	return n
}

// remember is what the next run must know of the processes: the last good
// reading of each counter, and since when a process has been unread.
func remember(kind Kind, samples []Sample, processes map[string]Process, now time.Time) map[string]Process {
	next := map[string]Process{}
	for _, s := range samples {
		p, seen := next[s.Process]
		if !seen {
			p = processes[s.Process]
		}
		switch {
		case s.Verdict == OK && kind == Counter:
			p = p.next(s)
		case s.Verdict == OK || s.Verdict == Absent:
			p.UnreadSince = time.Time{}
		case p.UnreadSince.IsZero():
			p.UnreadSince = now
		}
		if len(s.Mark) > 0 {
			p.Mark = s.Mark
		}
		next[s.Process] = p
	}
	return next
}
