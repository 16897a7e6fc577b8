package autoscale

import "math"

// closeEnough is how near to an integer a quotient counts as that integer, so
// that 5 × 40 × 1.1 in binary floating point still is 220.
const closeEnough = 1e-9

// snap is q, or the integer that q is within closeEnough of.
func snap(q float64) float64 {
	if whole := math.Round(q); math.Abs(q-whole) <= closeEnough {
		return whole
	}
	return q
}

// tidy is q without the noise of binary fractions, and finite, for people.
func tidy(q float64) float64 {
	if q > 1e6 {
		return min(q, math.MaxFloat64)
	}
	return math.Round(q*1e9) / 1e9
}

// ceil rounds q up to a whole number of replicas. It saturates at the largest
// int32, which is above every bound a user can mean.
func ceil(q float64) int {
	if up := math.Ceil(snap(q)); up < math.MaxInt32 {
		return int(up)
	}
	return math.MaxInt32
}

// ReplicasFor is the number of replicas that carry load (requests/s) at the
// target: ceil(r / T).
func (p Policy) ReplicasFor(load float64) int { return ceil(p.needs(load) / p.Target) }

// replicasLow is the number of replicas that carry load (requests/s) with the
// tolerance to spare: ceil(r / (T·(1−t))), and one even without load unless the
// minimum is 0. A lowering goes no further.
func (p Policy) replicasLow(load float64) int {
	return max(ceil(p.needs(load)/(p.Target*(1-p.Tolerance))), min(p.Min, 1))
}

// overloads reports whether load (requests/s) is more than count replicas may
// carry before some are added: r > c·T·(1+t).
func (p Policy) overloads(load float64, count int) bool {
	return snap(p.needs(load)/(p.Target*(1+p.Tolerance))) > float64(count)
}

// raiseAbove is the load (requests/s) above which count replicas become more.
func (p Policy) raiseAbove(count int) float64 {
	return max(float64(count)*p.Target*(1+p.Tolerance)-p.margin, 0)
}

// lowerAt is the load (requests/s) at or below which count replicas suffice
// with the tolerance to spare.
func (p Policy) lowerAt(count int) float64 {
	return max(float64(count)*p.Target*(1-p.Tolerance)-p.margin, 0)
}
