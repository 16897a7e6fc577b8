package autoscale

import (
	"fmt"
	"time"
)

// clockSlack is how far the wall clock may move against the clock that runs
// from boot before what was remembered is no longer believed.
const clockSlack = 5 * time.Second

// anew tells why nothing remembered of the load may be believed at this run;
// empty where it may. There the current count counts as wanted, and the run's
// own reading is in force from then on.
func anew(p Policy, s State, o Observation) (Reason, string) {
	switch gap := o.At.Time.Sub(s.At.Time); {
	case !s.Known():
		return FirstRun, "nothing is remembered of this workload"
	case s.Signal != o.Signal:
		return SignalChanged, "the load is read from another place than last time"
	case s.At.Boot != o.At.Boot:
		return Rebooted, "the machine was booted since the last run"
	case clockMoved(s.At, o.At):
		return ClockMoved, fmt.Sprintf("the clock was moved since the last run, which it dates %s", s.At.Time.Format(time.RFC3339))
	case allStartedSince(o.Replicas, s.At.Time):
		return AllReplicasNew, "every replica was started since the last run"
	case gap > max(3*p.Cooldown, 15*time.Minute) && gap > 3*s.Gap:
		return ReadingsMissing, fmt.Sprintf("there was no reading for %s", gap.Round(time.Second))
	}
	return "", ""
}

// clockMoved compares what both clocks of the machine say has passed.
func clockMoved(from, to Instant) bool {
	passed := to.Time.Sub(from.Time)
	if passed < 0 {
		return true
	}
	if from.Uptime == 0 || to.Uptime == 0 {
		return false
	}
	moved := passed - (to.Uptime - from.Uptime)
	return moved.Abs() > clockSlack
}

// allStartedSince reports whether no replica is left that ran at t, as after a
// restart of the engine or a deployment.
func allStartedSince(replicas []Replica, t time.Time) bool {
	for _, r := range replicas {
		if !r.Started.After(t) {
			return false
		}
	}
	return len(replicas) > 0
}

// hands tells what somebody else did to the count since the last run: delta is
// by how many replicas it is above (or below) everything this program left.
func hands(s State, count int) (delta int) {
	low, high := s.Count, s.Count
	if s.Moving != nil {
		// The last run was killed in the middle of a move, so any count on its
		// way is its own.
		low, high = min(low, *s.Moving), max(high, *s.Moving)
	}
	switch {
	case !s.Known():
		return 0
	case count > high:
		return count - high
	case count < low:
		return count - low
	}
	return 0
}
