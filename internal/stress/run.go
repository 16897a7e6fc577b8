// Package stress sends load to an HTTP server and measures what comes of it: at
// the server's pace (a closed loop), or at a pace of its own (an open loop), in
// which a response time counts from the instant that the request was due.
package stress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// Config is what a run is to do.
type Config struct {
	Target Target
	// Workers is how many connections there are: all at once in a closed loop, as
	// many as are needed up to this number in an open one.
	Workers int
	// Duration is for how long requests are sent; 0 for as long as the load has
	// some, or Requests lasts.
	Duration time.Duration
	// Requests is how many are sent at most; 0 for no bound.
	Requests int64
	// Think is how long a worker of a closed loop waits between a response and
	// its next request.
	Think time.Duration
	// Load is an open loop's; nil for a closed loop.
	Load trace.Arrivals
	// Due is how many requests of Load are due up to a time since the beginning;
	// nil where only Load knows.
	Due func(time.Duration) float64
	// Queue is how many requests of an open loop may wait for a free connection.
	Queue int
	// Resolve is how often the target's name is looked up; 0 for once.
	Resolve time.Duration
	// Reconnect is how old a connection may grow; 0 for as old as it likes.
	Reconnect time.Duration
	// Replicas tells how many replicas there are; nil where nobody watches.
	Replicas func(context.Context) (float64, error)
	// Progress is told what went on, once a second.
	Progress func(Second)
}

// backOff is how long a worker of a closed loop waits after a connection that
// could not be opened: nobody would ask ten thousand times a second.
const backOff = 100 * time.Millisecond

// run is one run.
type run struct {
	Config
	begin     time.Time
	addresses *addresses
	tally     *tally
	queue     *queue // nil in a closed loop
	waiter    waiter
	workers   sync.WaitGroup
	made      int // workers; owned by whoever holds the queue's turn
	quota     quota
	failed    error // of making a client
	failing   sync.Once
	newClient func(number int) (client, error)
}

// Run sends the load and returns the report; also where ctx ends it early. An
// error says that it could not begin, or that the load ended with one.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := newWaiter(ctx)
	if err != nil {
		return nil, err
	}
	return newRun(c, newAddresses(c.Target), w).run(ctx)
}

// newRun makes a run that connects to those addresses and waits with w.
func newRun(c Config, a *addresses, w waiter) *run {
	r := &run{Config: c, addresses: a, tally: newTally(), waiter: w}
	r.newClient = func(number int) (client, error) { return newHTTP1(c.Target, a, number) }
	if c.Target.HTTP2 || c.Target.Follow > 0 {
		r.newClient = func(number int) (client, error) { return newNetHTTP(c.Target, a, number), nil }
	}
	return r
}

// Validate looks for what no run can do. Its errors name flags.
func (c Config) Validate() error {
	switch {
	case c.Workers < 1:
		return fmt.Errorf("--workers=%d: at least 1", c.Workers)
	case c.Duration < 0 || c.Think < 0 || c.Requests < 0 || c.Queue < 0:
		return errors.New("times and counts cannot be below 0")
	case c.Load == nil && c.Duration == 0 && c.Requests == 0:
		return errors.New("--duration=0: this would never end; give a time, or --requests")
	}
	return c.Target.Validate()
}

// run is Run once everything is made.
func (r *run) run(ctx context.Context) (*Report, error) {
	began := usage()
	sending, done := context.WithCancel(ctx)
	defer done()
	r.addresses.look(ctx)
	var others sync.WaitGroup
	if r.Resolve > 0 && !r.addresses.fixed() {
		others.Go(func() { r.addresses.again(sending, r.Resolve) })
	}
	r.begin = time.Now()
	r.quota.bounded = r.Requests > 0 && r.Load == nil
	r.quota.left.Store(r.Requests)
	if r.Load != nil {
		r.queue = newQueue(r.Config, func() int { return r.Workers - r.made }, r.waiter)
		r.begin = r.queue.begin
		r.spawn(ctx)
	} else {
		for range r.Workers {
			r.spawn(ctx)
		}
	}
	line := &timeline{}
	watched := make(chan struct{})
	others.Go(func() {
		defer close(watched)
		r.watch(sending, line)
	})
	r.workers.Wait()
	sentFor := time.Since(r.begin)
	if length, ok := r.length(); ok && ctx.Err() == nil {
		sentFor = length
	}
	done()
	<-watched
	others.Wait()
	err := errors.Join(r.failed, r.waiter.close())
	report := r.report(sentFor, line, began, ctx.Err() != nil)
	if r.queue != nil {
		err = errors.Join(err, r.queue.err)
	}
	return report, err
}

// length is for how long an undisturbed run sends; not ok where that follows
// from what comes of it.
func (r *run) length() (time.Duration, bool) {
	if r.queue != nil && r.Duration == 0 {
		return r.queue.coming.At, r.queue.over && r.queue.coming.At > 0
	}
	return r.Duration, r.Duration > 0 && r.Requests == 0
}

// over reports whether the time for sending is over at that instant.
func (r *run) over(at time.Time) bool { return r.Duration > 0 && at.Sub(r.begin) > r.Duration }

// sending counts a request that is about to be sent. Those of an open loop that
// are still sent when the time is over came too late for its rate.
func (r *run) sending() {
	r.tally.sent.Add(1)
	if r.queue != nil && r.over(time.Now()) {
		r.tally.tooLate.Add(1)
	}
}

// spawn starts one more worker, unless there are enough.
func (r *run) spawn(ctx context.Context) {
	if r.made >= r.Workers {
		return
	}
	number := r.made
	r.made++
	born := time.Now()
	r.workers.Go(func() { r.worker(ctx, number, born) })
}

// worker sends one request after another.
func (r *run) worker(ctx context.Context, number int, free time.Time) {
	c, err := r.newClient(number)
	if err != nil {
		r.failing.Do(func() { r.failed = err })
		return
	}
	defer c.close()
	// A read or write under way ends with the context.
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	expires := r.expiry(number)
	sending := r.sending // made once
	for {
		j, ok := r.job(ctx, free)
		if !ok {
			return
		}
		if r.Reconnect > 0 && j.from.After(expires) {
			c.stale()
			expires = j.from.Add(r.Reconnect)
		}
		r.tally.inFlight.Add(1)
		got, sent, err := c.ask(ctx, j.Arrival, j.now, sending)
		r.tally.inFlight.Add(-1)
		free = time.Now()
		if err != nil && ctx.Err() != nil {
			return // interrupted: nobody knows what would have come of it
		}
		kind := outcome(got, err)
		r.tally.add(result{
			response: free.Sub(j.from), service: free.Sub(sent), late: j.late, bytes: got.bytes,
			kind: kind, err: err, timed: err == nil || kind == kindTimeout || kind == kindNoConnect, after: r.over(free),
		})
		if wait := r.pause(kind); wait > 0 {
			if !sleep(ctx, wait) {
				return
			}
			free = time.Now()
		}
	}
}

// expiry is when a worker's first connection is old enough: those of all workers
// are spread evenly, so that some are opened anew all the time.
func (r *run) expiry(number int) time.Time {
	return r.begin.Add(r.Reconnect * time.Duration(number+1) / time.Duration(r.Workers))
}

// job is a worker's next request. It is not ok when the run is over.
func (r *run) job(ctx context.Context, free time.Time) (j job, ok bool) {
	if r.queue != nil {
		j, ok = r.queue.take(ctx, free, func() { r.spawn(ctx) })
	} else {
		j, ok = job{from: free, now: free, late: -1}, ctx.Err() == nil && (r.Duration == 0 || free.Sub(r.begin) < r.Duration)
	}
	return j, ok && r.quota.take()
}

// pause is how long a worker waits between two requests.
func (r *run) pause(kind string) time.Duration {
	if r.queue != nil {
		return 0
	}
	switch kind {
	case kindDNS, kindRefused, kindConnect, kindTLS:
		return max(r.Think, backOff)
	}
	return r.Think
}

// sleep waits for d; false where ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// outcome is what kind of error came of a request; empty for none.
func outcome(got response, err error) string {
	if err != nil {
		return kindOf(err)
	}
	return kindOfStatus(got.status)
}
