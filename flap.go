package autoscale

import (
	"fmt"
	"slices"
	"time"
)

const (
	// flapTime is the time in which changes of direction are counted.
	flapTime = time.Hour
	// longestCooldown bounds what flapping makes of a shorter cooldown, and
	// shortestCooldown is what it begins with.
	longestCooldown  = time.Hour
	shortestCooldown = 15 * time.Second
)

// calm lengthens the cooldown of a count that changes its direction too often: it
// is doubled for each change beyond those allowed. A raise is never delayed.
func (r *run) calm() {
	turns := 0
	for _, t := range r.next.Turns {
		if t.After(r.now.Add(-flapTime)) {
			turns++
		}
	}
	if r.p.MaxReversals <= 0 || turns <= r.p.MaxReversals {
		return
	}
	asked := r.p.Cooldown
	longer := max(asked, shortestCooldown) << min(turns-r.p.MaxReversals, 16)
	r.p.Cooldown = max(asked, min(longer, longestCooldown))
	r.Warnings = append(r.Warnings, fmt.Sprintf("the count changed its direction %d times in the last hour, and --max-reversals=%d; until that is over the cooldown is %s instead of %s. A longer --cooldown or a larger --tolerance would calm it",
		turns, r.p.MaxReversals, short(r.p.Cooldown), short(asked)))
}

// turned remembers the direction of a move.
func (s *State) turned(from, to int, now time.Time) {
	direction := 1
	switch {
	case to == from:
		return
	case to < from:
		direction = -1
	}
	if s.Direction == -direction {
		s.Turns = append(s.Turns, now)
	}
	s.Direction = direction
	s.Turns = slices.DeleteFunc(s.Turns, func(t time.Time) bool { return !t.After(now.Add(-flapTime)) || t.After(now) })
}
