package stress

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// job is one request to be sent.
type job struct {
	trace.Arrival
	// from is the instant that its response time counts from.
	from time.Time
	// now is when it was taken, to be sent.
	now time.Time
	// late is by how much the generator itself was late with it; below 0 where it
	// waited for a free connection, for which the generator is not to blame.
	late time.Duration
}

// queue hands out the jobs of an open loop when they are due: one client at a
// time waits for the next one, the others stand behind it. So there is one
// timer, and nothing is kept but what is due and not yet sent.
type queue struct {
	begin  time.Time
	length time.Duration // arrivals due later are not handed out; 0 for no end
	most   int           // that may wait; what comes on top is dropped
	limit  int64         // so many arrivals are handed out; 0 for no bound
	// spare tells how many clients could take one without waiting, besides the one
	// that asks. It is called by whoever holds turn.
	spare  func() int
	grace  time.Duration // for which the last ones may still be sent when all have been due
	next   func() (trace.Arrival, error, bool)
	stop   func()
	waiter waiter

	turn   chan struct{} // held by the one that waits
	behind atomic.Int64  // clients that are free

	// The rest belongs to whoever holds turn.
	due     []trace.Arrival // those waiting are due[head:], oldest first
	head    int
	coming  trace.Arrival // the one after them; the last one where none is coming
	over    bool          // none is coming
	err     error         // the load's own
	gap     time.Duration // between arrivals, lately
	taken   int64         // arrivals that were due
	dropped int64
}

// newQueue makes the queue of a run's arrivals that begins now.
func newQueue(c Config, spare func() int, w waiter) *queue {
	q := &queue{
		begin: time.Now(), length: c.Duration, most: c.Queue, limit: c.Requests, grace: c.Target.Timeout,
		spare: spare, waiter: w, turn: make(chan struct{}, 1),
	}
	q.next, q.stop = iter.Pull2(c.Load)
	q.pull()
	q.gap = time.Second // until it is known
	return q
}

// pull looks at the next arrival.
func (q *queue) pull() {
	if q.limit > 0 && q.taken >= q.limit {
		q.over = true
		return
	}
	a, err, ok := q.next()
	if !ok || err != nil || q.length > 0 && a.At >= q.length {
		q.over = true
		q.err = err
		return
	}
	q.gap += (a.At - q.coming.At - q.gap) / 32
	q.coming = a
}

// take waits for the next job of a client that is free since then. It is not ok
// when there is none any more, or ctx has ended. lonely is called where no other
// client stands behind this one.
func (q *queue) take(ctx context.Context, free time.Time, lonely func()) (job, bool) {
	q.behind.Add(1)
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		q.behind.Add(-1)
		return job{}, false
	}
	defer func() { <-q.turn }()
	if q.behind.Add(-1) == 0 {
		lonely()
	}
	for {
		now := time.Now()
		q.fill(now.Sub(q.begin))
		switch {
		case ctx.Err() != nil, q.over && now.Sub(q.begin) > q.coming.At+q.grace:
			return job{}, false
		case q.head < len(q.due):
			return q.pop(free, now), true
		case q.over:
			return job{}, false
		}
		q.waiter.wait(ctx, q.rest(now.Sub(q.begin)))
	}
}

const (
	// dense is the time between arrivals below which several are sent together.
	dense = 100 * time.Microsecond
	// together is for how many of them is waited, and longest for how long: setting
	// a timer, and waking for it and waking the server, costs more than a request.
	together = 20
	longest  = time.Millisecond
)

// rest is how long to wait for what comes next.
func (q *queue) rest(now time.Duration) time.Duration {
	wait := q.coming.At - now
	if q.gap < dense && q.gap > 0 {
		return max(wait, min(together*q.gap, longest))
	}
	return wait
}

// fill moves what is due by now into the queue, or drops it where that is full.
func (q *queue) fill(now time.Duration) {
	// What a free client takes at once does not wait.
	most := q.most + 1 + q.spare() + int(q.behind.Load())
	for !q.over && q.coming.At <= now {
		q.taken++
		if len(q.due)-q.head < most {
			q.due = append(q.due, q.coming)
		} else {
			q.dropped++
		}
		q.pull()
	}
}

// pop takes the oldest one.
func (q *queue) pop(free, now time.Time) job {
	a := q.due[q.head]
	q.due[q.head] = trace.Arrival{} // its body may be large
	q.head++
	if q.head == len(q.due) {
		q.due, q.head = q.due[:0], 0
	} else if q.head > q.most {
		q.due, q.head = slices.Delete(q.due, 0, q.head), 0
	}
	at := q.begin.Add(a.At)
	if free.After(at) {
		return job{a, at, now, -1}
	}
	return job{a, now, now, now.Sub(at)}
}

// end stops the load. What is still waiting counts as dropped, unless the run was
// interrupted. No client may be at work any more.
func (q *queue) end(interrupted bool) {
	waiting := int64(len(q.due) - q.head)
	if interrupted {
		q.taken -= waiting
	} else {
		q.dropped += waiting
	}
	q.stop()
}
