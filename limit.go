package autoscale

import "time"

// limitUp is to, or as far towards it as one raise from count may go.
func (p Policy) limitUp(count, to int) int {
	return min(to, count+p.MaxUp.of(count))
}

// limitDown is to, or as far towards it as the lowerings of the last cooldown
// leave room for. A share is taken of the count before those lowerings.
func (p Policy) limitDown(lowered []Lowering, count, to int, now time.Time) int {
	gone := 0
	for _, l := range lowered {
		if l.Time.After(now.Add(-p.Cooldown)) {
			gone += l.Replicas
		}
	}
	left := max(p.MaxDown.of(count+gone)-gone, 0)
	return max(to, count-left)
}
