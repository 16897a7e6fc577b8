package autoscale

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// unreadLimit is how long a running replica may stay unread before a lowering
// no longer waits for it.
const unreadLimit = 15 * time.Minute

// load is what all samples of one run amount to.
type load struct {
	// rps is in requests/s, a lower bound unless verdict is OK; it may raise.
	rps float64
	// atMost is rps with what is assumed of unread replicas, in requests/s; it
	// is what a lowering counts.
	atMost  float64
	verdict Verdict
	// detail says in words what verdict rests on.
	detail string
	// strain is what shows that the replicas are saturated.
	strain strain
	// warnings are about single replicas and named in every run.
	warnings []string
}

// judge adds the samples of one run up and says how far the sum may be
// trusted. processes is what the runs before remember of them.
func judge(p Policy, o Observation, processes map[string]Process) load {
	all := rates(o.Reading.Kind, dated(o), processes)
	if len(all) == 0 {
		return load{verdict: Unreachable, detail: "nothing could be read"}
	}
	var l load
	if o.Reading.Scope == ScopeReplica {
		l.warnings = judgeUnseen(p, o, all)
		l.warnings = append(l.warnings, judgeSilent(p, o, all)...)
	}
	l.rps = sum(all)
	if o.Reading.Scope == ScopeReplica {
		l.warnings = append(l.warnings, judgeUnread(p, o, all, processes)...)
	}
	l.atMost = sum(all)
	l.verdict, l.detail = combine(all)
	return l
}

// dated are the samples, with the engine's word for when a process started where
// its page does not say.
func dated(o Observation) []Sample {
	samples := slices.Clone(o.Reading.Samples)
	for i, s := range samples {
		if began, known := started(o.Replicas, s.Process); known && s.Started.IsZero() {
			samples[i].Started = began
		}
	}
	return samples
}

// sum is the higher of the two sums: the rates since the last run, and those
// within this run, which see a burst earlier. Only their sums are compared,
// since the higher of each would add up the noise.
func sum(all []rate) float64 {
	var long, short float64
	for _, r := range all {
		long += r.long
		short += r.short
	}
	// Finite values may have a sum that is not, and JSON has no infinity.
	return min(max(long, short), math.MaxFloat64)
}

// judgeSilent settles replicas whose page lacks the series while another's has
// it: a young one is warming, an old one has no traffic.
func judgeSilent(p Policy, o Observation, all []rate) (warnings []string) {
	served := func(r rate) bool { return r.verdict == OK || r.verdict == Warming }
	if !slices.ContainsFunc(all, served) {
		return nil
	}
	for i := range all {
		began, known := started(o.Replicas, all[i].process)
		if all[i].verdict != Absent || !known {
			continue // a page for the whole service may not lack its series
		}
		if o.At.Time.Sub(began) < p.Cooldown {
			all[i].verdict, all[i].detail = Warming, "its page does not have the metric yet"
			continue
		}
		all[i].verdict, all[i].detail = OK, ""
		warnings = append(warnings, fmt.Sprintf("replica %s is without traffic: its page lacks the metric, while others have it%s", all[i].name, o.remedy()))
	}
	return warnings
}

// judgeUnread lets a replica that has been unread for 15 minutes stand with the
// larger of the target and the highest load read, while others are read: the
// HPA's way with missing pods, so that one broken page does not hold the count
// for ever.
func judgeUnread(p Policy, o Observation, all []rate, processes map[string]Process) (warnings []string) {
	highest, read := 0.0, false
	for _, r := range all {
		if r.verdict == OK {
			highest, read = max(highest, r.long, r.short), true
		}
	}
	if !read {
		return nil
	}
	for i, r := range all {
		since := processes[r.process].UnreadSince
		_, known := started(o.Replicas, r.process)
		if !known || !r.verdict.Doubtful() || r.verdict == Absent || since.IsZero() || o.At.Time.Sub(since) < unreadLimit {
			continue
		}
		stands := max(p.Target, highest)
		all[i].long, all[i].short, all[i].verdict = stands, stands, OK
		warnings = append(warnings, fmt.Sprintf("replica %s has not been read for %s (%s); taken to carry %s", r.name,
			short(o.At.Time.Sub(since).Round(time.Minute)), strings.TrimSuffix(string(r.verdict)+": "+r.detail, ": "), RPS(stands)))
	}
	return warnings
}

// combine is the verdict over all processes.
func combine(all []rate) (Verdict, string) {
	var doubtful, warming []rate
	for _, r := range all {
		switch {
		case r.verdict == Warming:
			warming = append(warming, r)
		case r.verdict.Doubtful():
			doubtful = append(doubtful, r)
		}
	}
	bad, verdict := doubtful, Partial
	switch {
	case len(doubtful) == 0 && len(warming) == 0:
		return OK, ""
	case len(doubtful) == 0:
		bad, verdict = warming, Warming
	case len(doubtful) == len(all) && sameVerdict(doubtful):
		verdict = doubtful[0].verdict
	}
	parts := make([]string, len(bad))
	for i, r := range bad {
		parts[i] = fmt.Sprintf("%s: %s", r.name, r.detail)
		if r.verdict != verdict {
			parts[i] = fmt.Sprintf("%s is %s: %s", r.name, r.verdict, r.detail)
		}
	}
	return verdict, strings.Join(parts, "; ")
}

func sameVerdict(all []rate) bool {
	return !slices.ContainsFunc(all, func(r rate) bool { return r.verdict != all[0].verdict })
}

// started is when the replica with that ID started, and whether there is one.
func started(replicas []Replica, id string) (time.Time, bool) {
	r, known := find(replicas, id)
	return r.Started, known
}
