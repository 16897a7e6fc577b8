package process

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/five-keys/autoscale"
)

const (
	// probeStarting and probeReady are the times between two health checks of a
	// replica: before it takes requests, and while it does.
	probeStarting = 50 * time.Millisecond
	probeReady    = 2 * time.Second
	// probeFailures is how many health checks in a row make a replica unhealthy.
	probeFailures = 3
	// steadyTime is how long a replica must have run for its next end not to count
	// as one more in a row.
	steadyTime = time.Minute
	// longestBackOff is the longest time before a replica is started again.
	longestBackOff = time.Minute
	// portTries is how often a new replica is started that says that its port is in
	// use: between its choice and its use anybody may take it.
	portTries = 3
)

// replica is one place for a process of the service. A goroutine of its own runs
// it: it starts the process, follows it, and starts it again.
type replica struct {
	w      *Workload
	number int
	name   string
	id     string
	wake   chan struct{} // something in the fields below was changed
	first  chan error    // what came of the first start: nil once it takes requests
	done   chan struct{} // closed once nothing is left of it
	lines  lines

	// Guarded by w.mu.
	began    time.Time
	backend  *backend // nil between two processes
	sick     bool     // it was healthy, and is not any more
	leaving  bool     // it gets no new requests
	stopping bool     // it was told to end, and cannot be taken back
	kill     bool     // it has no more time
	settled  bool     // what came of its first start was told
	counts   counts   // of requests that were given to it as they came
}

// heard takes a line that the replica wrote.
func (r *replica) heard(line string) {
	r.lines.add(line)
	r.w.config().Output(r.name, line)
}

// shown is the replica as the decision sees it. The caller holds w.mu.
func (r *replica) shown() autoscale.Replica {
	s := autoscale.Replica{ID: r.id, Name: r.name, Started: r.began, Health: autoscale.HealthStarting}
	switch {
	case r.sick:
		s.Health = autoscale.Unhealthy
	case r.backend != nil && r.backend.ready:
		s.Health = autoscale.Healthy
	}
	if r.backend == nil {
		return s
	}
	s.Started = r.backend.started
	if address, err := netip.ParseAddrPort(r.backend.address); err == nil {
		// {replica} in a URL stands for address and port: the port that a URL has
		// where none is written is the replica's.
		s.Ports = []autoscale.Port{{Container: 80, Host: address}}
	}
	return s
}

// takes reports whether requests are given to it. The caller holds w.mu.
func (r *replica) takes() bool {
	return r.backend != nil && r.backend.ready && !r.leaving && !r.backend.program.hasEnded()
}

// stir wakes the replica's goroutine up. The caller may hold w.mu.
func (r *replica) stir() {
	select {
	case r.wake <- struct{}{}:
	default: // it will wake up
	}
}

// run runs the replica until it leaves, or its first start fails.
func (r *replica) run() {
	defer r.w.forget(r)
	steady, ready, why := r.begin()
	if why != nil && !ready {
		r.w.config().Tell(fmt.Sprintf("%s %v; it is given up", r.name, why))
		r.first <- why
		return
	}
	for ends := 0; why != nil; steady, _, why = r.live() {
		if ends++; steady {
			ends = 1
		}
		wait := backOff(ends)
		r.w.config().Tell(fmt.Sprintf("%s %v; it is started again in %s%s", r.name, why, wait, r.lines.said(3)))
		if !r.pause(wait) {
			return
		}
	}
}

// begin is live for the first time. Where the program says that its port is in
// use, it has another try with another port.
func (r *replica) begin() (steady, ready bool, why error) {
	for range portTries {
		steady, ready, why = r.live()
		if why == nil || ready || !r.lines.tell("in use") {
			break
		}
	}
	return steady, ready, why
}

// backOff is the time before the n-th start in a row: 1, 2, 4 … 60 s.
func backOff(n int) time.Duration {
	if n > 6 {
		return longestBackOff
	}
	return time.Second << (n - 1)
}

// pause waits, and reports whether the replica goes on.
func (r *replica) pause(wait time.Duration) bool {
	over := time.After(wait)
	for {
		if r.is(func() bool { return r.leaving }) {
			return false
		}
		select {
		case <-r.wake:
		case <-over:
			return !r.is(func() bool {
				r.stopping = r.leaving // between this and a start nothing can take it back
				return r.leaving
			})
		}
	}
}

// is asks something of the fields that w.mu guards.
func (r *replica) is(so func() bool) bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return so()
}

// live starts the replica's process and follows it until all of it is gone. The
// error says why it has to be started again; nil where it left. Steady tells that
// it ran for long, ready that it took requests.
func (r *replica) live() (steady, ready bool, why error) {
	b, err := r.w.open(r)
	if err != nil {
		return false, false, fmt.Errorf("could not be started: %w", err)
	}
	r.w.mu.Lock()
	r.backend = b
	r.w.mu.Unlock()
	life := life{r: r, b: b}
	why = life.follow()
	r.w.mu.Lock()
	ready, steady = life.ready, time.Since(b.started) >= steadyTime
	b.ready, r.backend = false, nil
	r.sick = why != nil
	r.w.mu.Unlock()
	b.close()
	return steady, ready, why
}

// life is the life of one process of a replica.
type life struct {
	r      *replica
	b      *backend
	ready  bool      // it has taken requests
	failed int       // health checks in a row
	since  time.Time // when it became unhealthy; zero while it is not
	why    error     // of the last failed check
}

// follow follows the process until it is gone. The error says why it ended, or
// had to be ended; nil where the replica left.
func (l *life) follow() error {
	deadline := time.NewTimer(l.r.w.config().Wait)
	defer deadline.Stop()
	probe := time.NewTimer(0)
	defer probe.Stop()
	for {
		left := l.r.is(func() bool { return l.r.leaving })
		if left && l.leave() {
			return nil
		}
		select {
		case <-l.b.program.ended:
			<-l.b.program.gone
			return errors.New(l.b.program.how)
		case <-l.r.wake:
		case <-deadline.C:
			if !l.ready {
				l.end(l.r.w.config().Grace)
				return l.late()
			}
		case <-probe.C:
			l.check()
			if l.lost() {
				l.end(l.r.w.config().Grace)
				return fmt.Errorf("is unhealthy (%w)", l.why)
			}
			probe.Reset(l.next())
		}
	}
}

// late is why a replica was given up that never was healthy.
func (l *life) late() error {
	said := ""
	if l.why != nil {
		said = fmt.Sprintf(" (%v)", l.why)
	}
	return fmt.Errorf("was not healthy within %s%s", l.r.w.config().Wait, said)
}

// next is the time until the next health check.
func (l *life) next() time.Duration {
	if l.ready && l.failed == 0 {
		return probeReady
	}
	if l.ready {
		return probeReady / 2
	}
	return probeStarting
}

// check makes one health check and acts on it, unless something else happens
// meanwhile.
func (l *life) check() {
	ctx, cancel := context.WithTimeout(context.Background(), probeWithin)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.b.probe(ctx) }()
	select {
	case err := <-done:
		if !l.b.program.hasEnded() {
			l.judge(err)
		}
		return
	case <-l.b.program.ended:
	case <-l.r.wake:
		l.r.stir() // whoever called the check looks into it
	}
	cancel()
	<-done
}

// judge acts on what a health check came to.
func (l *life) judge(err error) {
	w, r := l.r.w, l.r
	if err != nil {
		l.why = err
		if !l.ready || busy(err) {
			return
		}
		if l.failed++; l.failed == probeFailures {
			l.since = time.Now()
			w.mu.Lock()
			l.b.ready, r.sick = false, true
			w.mu.Unlock()
			w.config().Tell(fmt.Sprintf("%s is unhealthy and gets no new requests: %v", r.name, err))
		}
		return
	}
	if !l.since.IsZero() {
		w.config().Tell(fmt.Sprintf("%s is healthy again", r.name))
	}
	l.failed, l.since = 0, time.Time{}
	w.mu.Lock()
	first := !l.ready
	if !l.b.ready {
		l.ready, l.b.ready, r.sick = true, true, false
		w.announce()
	}
	w.mu.Unlock()
	if first {
		select {
		case r.first <- nil:
		default: // it was told
		}
	}
}

// busy reports whether a check by connecting only found the replica's queue full:
// that is load, and ending the replica would make it worse.
func busy(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout() && strings.Contains(err.Error(), "dial ") && !errors.Is(err, syscall.ECONNREFUSED)
}

// lost reports whether an unhealthy replica is to be replaced: it has finished its
// requests, or has had time enough to.
func (l *life) lost() bool {
	if l.failed <= probeFailures { // one more chance
		return false
	}
	idle := l.r.is(func() bool { return l.b.inflight == 0 })
	return idle || time.Since(l.since) >= l.r.w.config().Drain
}

// leave ends the process once its requests are finished, or have had time enough.
// It reports false where the replica was taken back before that.
func (l *life) leave() bool {
	began := time.Now()
	for {
		now := time.Now()
		var left time.Duration
		r, w := l.r, l.r.w
		w.mu.Lock()
		left = w.earlier(began.Add(w.config().Drain), w.endGrace).Sub(now)
		back := !r.leaving
		over := !back && (l.b.inflight == 0 || left <= 0 || r.kill)
		open := l.b.inflight
		r.stopping = over
		w.mu.Unlock()
		switch {
		case back:
			return false
		case over:
			if open > 0 {
				w.config().Tell(fmt.Sprintf("%s ends with %d of its requests unfinished after %s", r.name, open, now.Sub(began).Round(time.Millisecond)))
			}
			l.end(w.config().Grace)
			return true
		}
		select {
		case <-l.b.program.ended:
			<-l.b.program.gone
			// Where it was taken back just now, it is started again.
			return r.is(func() bool { r.stopping = r.leaving; return r.leaving })
		case <-r.wake:
		case <-time.After(left):
		}
	}
}

// end ends the process: in order, within grace, or by force.
func (l *life) end(grace time.Duration) {
	w, p := l.r.w, l.b.program
	w.mu.Lock()
	l.b.ready = false
	w.mu.Unlock()
	p.terminate()
	began := time.Now()
	for {
		w.mu.Lock()
		left := time.Until(w.earlier(began.Add(grace), 0))
		if l.r.kill {
			left = 0
		}
		w.mu.Unlock()
		if left <= 0 {
			break
		}
		select {
		case <-p.gone:
			return
		case <-l.r.wake:
		case <-time.After(left):
		}
	}
	p.kill()
	<-p.gone
}
