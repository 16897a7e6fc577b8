package autoscale

import (
	"fmt"
	"time"
)

// hold is what keeps the count from going down.
type hold struct {
	// to is the count that is kept, in replicas.
	to int
	// until is when the hold ends if no later reading renews it; zero where the
	// reading of this run itself holds.
	until  time.Time
	reason Reason
	detail string
}

// stabilize is the lowest count that was enough at every moment of the last
// cooldown, as the HPA's stabilization window has it, but never above count.
// history ends with the reading of this run.
//
// A reading is in force from its instant to the next one's. In the time of a
// doubtful reading, before the first one, and until somebody else raised the
// count, the current count counts as wanted.
func stabilize(p Policy, s State, count int, now time.Time) hold {
	history, kept := s.History, s.Kept
	edge := now.Add(-p.Cooldown)
	h, by := hold{to: -1}, 0
	raise := func(to int, end time.Time, reason Reason, from int) {
		// The last point is in force still: it has no end, and outlasts all.
		later := end.IsZero() || !h.until.IsZero() && end.Add(p.Cooldown).After(h.until)
		if to < h.to || to == h.to && !later {
			return
		}
		h, by = hold{to: to, reason: reason}, from
		if !end.IsZero() {
			h.until = end.Add(p.Cooldown)
		}
	}
	if first := history[0].Time; first.After(edge) {
		raise(count, first, ScaleDownStabilized, byFirst)
	}
	if kept.After(edge) {
		raise(count, kept, KeptByHand, byHand)
	}
	if s.Cliff != nil {
		if end := s.Cliff.Time.Add(p.Cooldown); end.After(edge) {
			raise(min(p.replicasLow(s.Cliff.From), p.Max, count), end, HeldAfterCliff, byCliff)
		}
	}
	for i := inForce(history, edge); i < len(history); i++ {
		var end time.Time
		if i+1 < len(history) {
			end = history[i+1].Time
		}
		switch point := history[i]; point.Verdict {
		case OK:
			raise(min(p.replicasLow(point.Load), p.Max, count), end, ScaleDownStabilized, i)
		case Warming, Saturated:
			raise(count, end, ScaleDownStabilized, i)
		default:
			raise(count, end, HeldOnDoubt, i)
		}
	}
	if !h.until.IsZero() {
		h.until = h.until.In(now.Location())
	}
	h.detail = held(s, by, now)
	return h
}

// inForce is the first point of history that was in force after edge.
func inForce(history []Point, edge time.Time) int {
	i := len(history) - 1
	for i > 0 && history[i].Time.After(edge) {
		i--
	}
	return i
}

// What a hold comes from, where that is no point of the history.
const (
	byFirst = -1
	byHand  = -2
	byCliff = -3
)

// held says in words what a hold comes from: the place of a point in the history,
// or one of the above.
func held(s State, by int, now time.Time) string {
	// What is remembered may be of a run in another zone; a sentence has one.
	shown := func(t time.Time) string { return clock(t.In(now.Location())) }
	switch {
	case by == byFirst:
		return fmt.Sprintf("readings have been trusted since %s only", shown(s.History[0].Time))
	case by == byHand:
		return fmt.Sprintf("somebody else raised the count at %s", shown(s.Kept))
	case by == byCliff:
		return fmt.Sprintf("the load fell from %s to %s at %s", RPS(s.Cliff.From), RPS(s.Cliff.To), shown(s.Cliff.Time))
	case s.History[by].Verdict != OK:
		return fmt.Sprintf("the reading at %s was %s", shown(s.History[by].Time), s.History[by].Verdict)
	}
	return fmt.Sprintf("%s at %s", RPS(s.History[by].Load), shown(s.History[by].Time))
}
