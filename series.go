package autoscale

import (
	"cmp"
	"slices"
	"time"
)

const (
	// shortestRate and longestRate bound the time between the two readings of a
	// counter that make a rate which may lower.
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
	short, shortReset, hasShort := increase(Process{Time: first.Time, Value: first.Value}, last)
	long, longReset, hasLong := increase(before, last)
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
// bound. There is no rate over less than a second or more than 15 minutes.
func increase(from Process, to Sample) (perSecond float64, reset, ok bool) {
	apart := to.Time.Sub(from.Time)
	if from.Time.IsZero() || apart < shortestRate || apart > longestRate {
		return 0, false, false
	}
	// A process start is often known to the second only.
	restarted := !to.Started.IsZero() && to.Started.After(from.Time.Add(time.Second))
	if to.Value < from.Value || restarted {
		return to.Value / apart.Seconds(), true, true
	}
	return (to.Value - from.Value) / apart.Seconds(), false, true
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
			p = Process{Time: s.Time, Value: s.Value}
		case s.Verdict == OK || s.Verdict == Absent:
			p = Process{Time: p.Time, Value: p.Value}
		case p.UnreadSince.IsZero():
			p.UnreadSince = now
		}
		next[s.Process] = p
	}
	return next
}
