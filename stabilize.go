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
func stabilize(p Policy, history []Point, kept time.Time, count int, now time.Time) hold {
	edge := now.Add(-p.Cooldown)
	h := hold{to: -1}
	// What is remembered may be of a run in another zone; a sentence has one.
	shown := func(t time.Time) string { return clock(t.In(now.Location())) }
	raise := func(to int, end time.Time, reason Reason, detail string) {
		// The last point is in force still: it has no end, and outlasts all.
		later := end.IsZero() || !h.until.IsZero() && end.Add(p.Cooldown).After(h.until)
		if to < h.to || to == h.to && !later {
			return
		}
		h = hold{to: to, reason: reason, detail: detail}
		if !end.IsZero() {
			h.until = end.Add(p.Cooldown).In(now.Location())
		}
	}
	if first := history[0].Time; first.After(edge) {
		raise(count, first, ScaleDownStabilized, fmt.Sprintf("readings have been trusted since %s only", shown(first)))
	}
	if kept.After(edge) {
		raise(count, kept, KeptByHand, fmt.Sprintf("somebody else raised the count at %s", shown(kept)))
	}
	for i, point := range history {
		var end time.Time
		if i+1 < len(history) {
			end = history[i+1].Time
			if !end.After(edge) {
				continue
			}
		}
		if point.Verdict != OK {
			reason := HeldOnDoubt
			if point.Verdict == Warming {
				reason = ScaleDownStabilized
			}
			raise(count, end, reason, fmt.Sprintf("the reading at %s was %s", shown(point.Time), point.Verdict))
			continue
		}
		want := min(p.replicasLow(point.Load), p.Max)
		raise(min(want, count), end, ScaleDownStabilized, fmt.Sprintf("%s at %s", RPS(point.Load), shown(point.Time)))
	}
	return h
}
