package trace

import "math"

// flat is a rate that stays.
type flat float64

func (f flat) rate(float64) float64 { return float64(f) }

func (f flat) count(t float64) float64 {
	if f == 0 {
		return 0 // also for ever
	}
	return float64(f) * t
}

func (f flat) when(n float64) float64 { return n / float64(f) }

// ramp is a rate that changes evenly from one value to another.
type ramp struct{ from, to, length float64 }

func (r ramp) rate(t float64) float64 { return r.from + (r.to-r.from)*t/r.length }

func (r ramp) count(t float64) float64 { return r.from*t + (r.to-r.from)*t*t/(2*r.length) }

// when solves count(t) = n. It is written as 2n/(from + √…), which loses no
// digits where the slope is small.
func (r ramp) when(n float64) float64 {
	slope := (r.to - r.from) / r.length
	root := math.Sqrt(max(0, r.from*r.from+2*slope*n))
	if r.from+root == 0 {
		return 0 // the very beginning of a ramp from zero
	}
	return min(2*n/(r.from+root), r.length)
}

// sine swings around a mean.
type sine struct{ mean, amplitude, period float64 }

func (s sine) rate(t float64) float64 {
	return s.mean + s.amplitude*math.Sin(2*math.Pi*t/s.period)
}

func (s sine) count(t float64) float64 {
	if math.IsInf(t, 1) {
		return t
	}
	w := 2 * math.Pi / s.period
	return s.mean*t + s.amplitude/w*(1-math.Cos(w*t))
}

// when is Newton's method, kept within bounds that close in: the rate may
// touch 0, where Newton's steps are wild.
func (s sine) when(n float64) float64 {
	// The swing adds between 0 and amplitude·period/π requests to the mean's.
	low, high := (n-s.amplitude*s.period/math.Pi)/s.mean, n/s.mean
	low = max(low, 0)
	t := high
	for range 100 {
		miss := s.count(t) - n
		if math.Abs(miss) < 1e-9*max(1, n) {
			break
		}
		if miss > 0 {
			high = t
		} else {
			low = t
		}
		t -= miss / s.rate(t)
		if !(low <= t && t <= high) {
			t = (low + high) / 2
		}
	}
	return t
}

// scaled is another shape, faster and with more requests.
type scaled struct {
	shape
	speed, scale float64
}

func (s scaled) rate(t float64) float64  { return s.shape.rate(t*s.speed) * s.speed * s.scale }
func (s scaled) count(t float64) float64 { return s.shape.count(t*s.speed) * s.scale }
func (s scaled) when(n float64) float64  { return s.shape.when(n/s.scale) / s.speed }
