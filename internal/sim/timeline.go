package sim

import (
	"slices"
	"time"
)

// Bucket is what happened in a stretch of time.
type Bucket struct {
	// Requests, and how many of them were violated.
	Requests, Violated float64
	// Paid is how long replicas ran, in replica-seconds.
	Paid float64
	// Most is the most replicas there were.
	Most int
}

// Timeline is what happened over time, in stretches of equal length. It takes the
// same memory however long that is: they become longer.
type Timeline struct {
	Width   time.Duration
	Buckets []Bucket

	tick  time.Duration
	last  tally
	ticks int64 // of the last bucket
	step  int   // the place of Width in widths
}

// maxBuckets bounds a Timeline.
const maxBuckets = 2048

// widths are the lengths that stretches have, each a multiple of the one before.
// They divide a day, until they are longer.
var widths = [...]time.Duration{
	time.Second, 2 * time.Second, 4 * time.Second, 12 * time.Second,
	time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, 96 * time.Minute, 288 * time.Minute,
	24 * time.Hour, 48 * time.Hour, 96 * time.Hour, 192 * time.Hour,
}

func newTimeline(tick time.Duration) Timeline {
	return Timeline{Width: widths[0], tick: tick, Buckets: make([]Bucket, 1, maxBuckets)}
}

// pass counts what happened in a tick, by the totals at its end.
func (t *Timeline) pass(now *tally, replicas int) {
	t.ticks++
	last := &t.Buckets[len(t.Buckets)-1]
	last.Most = max(last.Most, replicas)
	if t.ticks*int64(t.tick) < int64(t.Width) {
		return
	}
	t.fill(now)
	if len(t.Buckets) == maxBuckets && t.step < len(widths)-1 {
		t.widen()
		if t.ticks*int64(t.tick) < int64(t.Width) {
			return // it goes on
		}
	}
	t.Buckets = append(t.Buckets, Bucket{})
	t.ticks = 0
}

// end closes the last bucket.
func (t *Timeline) end(now *tally) {
	if t.ticks == 0 && len(t.Buckets) > 1 {
		t.Buckets = t.Buckets[:len(t.Buckets)-1]
		return
	}
	t.fill(now)
}

// fill puts what has happened since it began into the last bucket.
func (t *Timeline) fill(now *tally) {
	last := &t.Buckets[len(t.Buckets)-1]
	last.Requests += now.requests - t.last.requests
	last.Violated += now.violated - t.last.violated
	last.Paid += (now.paid - t.last.paid) * t.tick.Seconds()
	t.last = *now
}

// widen makes one stretch of several.
func (t *Timeline) widen() {
	ratio := int(widths[t.step+1] / widths[t.step])
	t.step++
	t.Width = widths[t.step]
	left := (len(t.Buckets) - 1) % ratio // of the last one
	t.ticks += int64(left) * int64(widths[t.step-1]/t.tick)
	merged := t.Buckets[:0]
	for some := range slices.Chunk(t.Buckets, ratio) {
		one := some[0]
		for _, b := range some[1:] {
			one.Requests += b.Requests
			one.Violated += b.Violated
			one.Paid += b.Paid
			one.Most = max(one.Most, b.Most)
		}
		merged = append(merged, one)
	}
	t.Buckets = merged
}

// Minute is one in which requests were violated.
type Minute struct {
	// At is when it began, since the beginning of the load.
	At time.Duration
	// Requests, and how many of them were violated.
	Requests, Violated float64
	// Most is the most replicas there were.
	Most int
}

// worst are the minutes with the most violated requests, the worst first.
type worst struct {
	minutes []Minute
	current Minute
	last    tally
	perTick time.Duration
}

// worstMinutes is how many are kept.
const worstMinutes = 5

// pass counts what happened up to a tick.
func (w *worst) pass(at time.Duration, now *tally, replicas int) {
	w.current.Most = max(w.current.Most, replicas)
	if (at+w.perTick)%time.Minute != 0 {
		return
	}
	w.close(at+w.perTick, now)
}

// close ends a minute, or what there is of it.
func (w *worst) close(end time.Duration, now *tally) {
	w.current.Requests, w.current.Violated = now.requests-w.last.requests, now.violated-w.last.violated
	w.last = *now
	if w.current.Violated > 0 {
		at, _ := slices.BinarySearchFunc(w.minutes, w.current.Violated, func(m Minute, v float64) int {
			if m.Violated >= v {
				return -1
			}
			return 1
		})
		w.minutes = slices.Insert(w.minutes, at, w.current)
		w.minutes = w.minutes[:min(len(w.minutes), worstMinutes)]
	}
	w.current = Minute{At: end}
}
