package autoscale

import (
	"fmt"
	"time"
)

// cliff is the share of the load that may be gone from one reading to the next
// before it is taken for a fault: people leave one after the other.
const cliff = 0.8

// cliffFrom is the load in requests/s below which a fall is chance: a request more
// or less.
const cliffFrom = 1

// Cliff is a fall of the load that looks like a fault in front of the service.
type Cliff struct {
	// Time is when the lower reading was taken.
	Time time.Time `json:"t"`
	// From and To are the loads in requests/s.
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// fall notices a load that fell too far at once, where that would take replicas
// away: the load before counts for one cooldown more.
func (r *run) fall(l load) {
	if len(r.next.History) == 0 || l.verdict != OK {
		return
	}
	before := r.next.History[len(r.next.History)-1]
	if before.Verdict != OK || before.Load < cliffFrom || l.atMost >= (1-cliff)*before.Load || r.p.replicasLow(l.atMost) >= min(r.p.replicasLow(before.Load), r.From) {
		return
	}
	r.next.Cliff = &Cliff{Time: r.now, From: before.Load, To: l.atMost}
	r.Warnings = append(r.Warnings, fmt.Sprintf("the load fell from %s to %s from one reading to the next: traffic did not leave, it broke; look at what is in front of the service. Held for one cooldown more", RPS(before.Load), RPS(l.atMost)))
}
