package stress

import (
	"context"
	"math"
	"time"
)

// maxSeconds bounds a timeline. A longer run is kept more coarsely: half as many
// points, each twice as long.
const maxSeconds = 7200

// timeline is what went on, second by second.
type timeline struct {
	points []Second
	stride int // looks that make up a point
	held   []Second
}

// add keeps one look.
func (l *timeline) add(s Second) {
	l.stride = max(l.stride, 1)
	l.held = append(l.held, s)
	if len(l.held) < l.stride {
		return
	}
	l.points = append(l.points, merged(l.held))
	l.held = l.held[:0]
	if len(l.points) < maxSeconds {
		return
	}
	for i := range len(l.points) / 2 {
		l.points[i] = merged(l.points[2*i : 2*i+2])
	}
	l.points = l.points[:len(l.points)/2]
	l.stride *= 2
}

// merged makes one point of several. Of percentiles the highest stays: a bad
// second must not go under in good ones.
func merged(all []Second) Second {
	out := Second{At: all[len(all)-1].At, InFlight: all[len(all)-1].InFlight, Replicas: all[len(all)-1].Replicas}
	var asked float64
	for _, s := range all {
		out.Length += s.Length
		out.Sent += s.Sent * s.Length
		out.Done += s.Done * s.Length
		out.Failed += s.Failed * s.Length
		if s.Asked != nil {
			asked += *s.Asked * s.Length
		}
		out.P50, out.P90, out.P99, out.Max = max(out.P50, s.P50), max(out.P90, s.P90), max(out.P99, s.P99), max(out.Max, s.Max)
	}
	if out.Length > 0 {
		out.Sent, out.Done, out.Failed, asked = out.Sent/out.Length, out.Done/out.Length, out.Failed/out.Length, asked/out.Length
	}
	if all[0].Asked != nil {
		out.Asked = &asked
	}
	return out
}

// watch looks once a second until ctx ends, and once more then.
func (r *run) watch(ctx context.Context, line *timeline) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var last counted
	for {
		select {
		case <-ctx.Done():
			if s, _ := r.look(ctx, last); s.Length > 0.1 { // a rest of nothing has no rates
				line.add(s)
			}
			if len(line.held) > 0 {
				line.points = append(line.points, merged(line.held))
			}
			return
		case <-ticker.C:
		}
		var s Second
		s, last = r.look(ctx, last)
		line.add(s)
		if r.Progress != nil {
			r.Progress(s)
		}
	}
}

// look is what went on since the last look.
func (r *run) look(ctx context.Context, last counted) (Second, counted) {
	s, next := r.tally.look(time.Since(r.begin), last)
	if r.Due != nil && s.Length > 0 {
		until := func(at time.Duration) float64 {
			if r.Duration > 0 {
				at = min(at, r.Duration) // what is sent afterwards was due before
			}
			return r.Due(at)
		}
		asked := (until(next.at) - until(last.at)) / s.Length
		s.Asked = &asked
	}
	if r.Replicas != nil {
		if n, err := r.Replicas(ctx); err == nil { // else nobody knows
			s.Replicas = &n
		}
	}
	return s, next
}

// missing is a figure that may not be known, as a gap in a line.
func missing(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}
