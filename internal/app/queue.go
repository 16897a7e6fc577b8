package app

import (
	"sync"
	"time"
)

// queue serves one request after another, each for the same time: first come,
// first served. It needs no worker: it knows when the last one's turn ends.
type queue struct {
	each    time.Duration // one request's turn
	longest time.Duration // longest wait before the turn begins

	mu   sync.Mutex
	free time.Time // when the last request let in will be done
}

// enter takes a place in the queue at now. It returns the instant at which the
// request is done, or false where it would wait too long.
func (q *queue) enter(now time.Time) (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	begin := now
	if q.free.After(begin) {
		begin = q.free
	}
	if begin.Sub(now) > q.longest {
		return time.Time{}, false
	}
	q.free = begin.Add(q.each)
	return q.free, true
}
