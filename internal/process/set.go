package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
)

// errClosed is the error of a workload that was closed.
var errClosed = errors.New("process: the service was ended; nothing is started any more")

// Set brings the service to count replicas. A raise takes back replicas that have
// not left yet, starts others, and waits until they take requests; those that do
// not are ended, and those that do stay. A lowering returns at once: who leaves
// finishes its requests meanwhile, and counts no more.
func (w *Workload) Set(ctx context.Context, count int) (autoscale.Outcome, error) {
	now := w.count()
	m := &move{w: w, out: autoscale.Outcome{Count: now}}
	var err error
	switch {
	case w.isClosed():
		err = errClosed
	case count > now:
		err = m.raise(ctx, now, count)
	case count < now:
		m.lower(count)
	}
	m.out.Count = w.count()
	return m.out, err
}

// move is one change of the count on its way.
type move struct {
	w   *Workload
	out autoscale.Outcome
}

func (m *move) note(format string, args ...any) {
	m.out.Notes = append(m.out.Notes, fmt.Sprintf(format, args...))
}

// count is how many replicas there are, less those that leave.
func (w *Workload) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.staying())
}

func (w *Workload) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// staying are the replicas that do not leave, oldest first. The caller holds w.mu.
func (w *Workload) staying() []*replica {
	return slices.DeleteFunc(slices.Clone(w.replicas), func(r *replica) bool { return r.leaving })
}

// raise adds replicas and waits until they take requests.
func (m *move) raise(ctx context.Context, now, count int) error {
	w := m.w
	if err := w.mayStart(now); err != nil {
		return err
	}
	began := time.Now()
	fresh := w.fresh() // of a raise that was interrupted
	for now += m.takeBack(count - now); now < count; now++ {
		if r := w.add(); r != nil {
			fresh = append(fresh, r)
		}
	}
	failed := m.await(ctx, fresh)
	err := errors.Join(failed...)
	running := w.count()
	m.out.Failed = len(failed) > 0 && running > 0 // else the back-off is mayStart's
	w.remember(failed, running)
	switch {
	case ctx.Err() != nil:
		return errors.Join(err, fmt.Errorf("process: interrupted (%w) while raising service %q to %d; those that start go on", context.Cause(ctx), w.config().Service, count))
	case err == nil && running == count:
		m.note("%s; the new ones took %s to start", plural(running), time.Since(began).Round(10*time.Millisecond))
	}
	return err
}

// mayStart reports whether a start may be tried where nothing runs. There the
// back-off is this one's, of seconds: the one of failed raises is of minutes, and
// without any replica that would be an outage.
func (w *Workload) mayStart(now int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now == 0 && time.Now().Before(w.again) {
		return fmt.Errorf("process: no replica of service %q runs, after %d starts that failed; it is tried again within %s", w.config().Service, w.attempts, longestBackOff)
	}
	return nil
}

// remember keeps how often a start from nothing has failed.
func (w *Workload) remember(failed []error, running int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if running > 0 || len(failed) == 0 {
		w.attempts = 0
		return
	}
	w.attempts++
	w.again = time.Now().Add(backOff(w.attempts))
}

// takeBack has up to so many replicas stay that were to leave, those first that
// were the last to be told, and reports how many.
func (m *move) takeBack(most int) (back int) {
	w := m.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range slices.Backward(w.replicas) {
		if back == most {
			break
		}
		if !r.leaving || r.stopping || r.kill || r.sick || r.backend == nil || !r.backend.ready || r.backend.program.hasEnded() {
			continue
		}
		r.leaving = false
		r.stir()
		back++
		m.note("%s stays: it had not left yet", r.name)
	}
	if back > 0 {
		w.announce()
	}
	return back
}

// add begins one more replica, with the lowest number that is free; nil once the
// workload is closed.
func (w *Workload) add() *replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	number := 1
	for slices.ContainsFunc(w.replicas, func(r *replica) bool { return r.number == number }) {
		number++
	}
	w.serial++
	r := &replica{
		w: w, number: number, name: w.config().Service + "-" + strconv.Itoa(number), began: time.Now(),
		id:   fmt.Sprintf("%d-%d", w.opened.UnixNano(), w.serial),
		wake: make(chan struct{}, 1), first: make(chan error, 1), done: make(chan struct{}),
	}
	w.replicas = append(w.replicas, r)
	w.wg.Go(r.run)
	return r
}

// fresh are the replicas of whose first start nothing was said yet.
func (w *Workload) fresh() []*replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(w.staying(), func(r *replica) bool { return r.settled })
}

// await waits for every new replica until it takes requests, or is given up.
func (m *move) await(ctx context.Context, fresh []*replica) (failed []error) {
	w := m.w
	for _, r := range fresh {
		var why error
		select {
		case why = <-r.first:
		case <-r.done:
			select {
			case why = <-r.first:
			default: // it was told to leave
			}
		case <-ctx.Done():
			return failed
		}
		w.mu.Lock()
		r.settled = true
		w.mu.Unlock()
		if why == nil {
			continue
		}
		<-r.done
		failed = append(failed, fmt.Errorf("process: new replica %s %w and was given up%s", r.name, why, r.lines.said(3)))
	}
	return failed
}

// lower has replicas leave: unhealthy ones first, then the youngest. All that stay
// must be healthy, or it waits.
func (m *move) lower(count int) {
	w := m.w
	w.mu.Lock()
	defer w.mu.Unlock()
	leave, stay := victims(w.staying(), count)
	for _, r := range stay {
		if !r.takes() {
			m.note("waiting: %s is %s, and only healthy replicas may be left", r.name, r.shown().Health)
			return
		}
	}
	for _, r := range leave {
		if !r.takes() {
			m.note("%s goes first: it is %s", r.name, r.shown().Health)
		}
		if r.backend != nil && r.backend.inflight > 0 {
			m.note("%s leaves once its requests are finished; %d are under way", r.name, r.backend.inflight)
		}
		r.leaving = true
		r.stir()
	}
}

// victims divides replicas, oldest first, into those that leave and the count
// that stay.
func victims(all []*replica, count int) (leave, stay []*replica) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *replica) int {
		switch {
		case a.takes() == b.takes():
			return 0
		case a.takes():
			return -1
		}
		return 1
	})
	return order[count:], order[:count]
}

// forget ends what is known of a replica of which nothing is left.
func (w *Workload) forget(r *replica) {
	w.mu.Lock()
	w.replicas = slices.DeleteFunc(w.replicas, func(one *replica) bool { return one == r })
	w.meter.others = w.meter.others.plus(r.counts)
	w.mu.Unlock()
	close(r.done)
}

// earlier is t, or so long before the end of everything, whichever comes first.
// The caller holds w.mu.
func (w *Workload) earlier(t time.Time, before time.Duration) time.Time {
	if end := w.ending.Add(-before); !w.ending.IsZero() && end.Before(t) {
		return end
	}
	return t
}

// endGrace is the most time between SIGTERM and SIGKILL where everything has to
// end soon.
const endGrace = 3 * time.Second

// close says that everything is to end by the deadline of ctx, or after drain and
// grace, and returns how long requests have. It is not ok the second time.
func (w *Workload) close(ctx context.Context) (drain time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, false
	}
	c := w.config()
	w.closed, w.endGrace, w.ending = true, c.Grace, time.Now().Add(c.Drain+c.Grace)
	if end, bounded := ctx.Deadline(); bounded && end.Before(w.ending) {
		w.endGrace, w.ending = min(c.Grace, endGrace), end
	}
	w.announce() // to those who wait in vain
	return time.Until(w.ending.Add(-w.endGrace)), true
}

// Close ends everything: the proxy accepts no more connections, requests under
// way are finished, replicas end. Where ctx has a deadline, all is over by then,
// by force if need be; else drain and grace hold as on a lowering. When ctx is
// cancelled what is left is killed.
func (w *Workload) Close(ctx context.Context) error {
	drain, ok := w.close(ctx)
	if !ok {
		return errClosed
	}
	err := w.quiesce(ctx, drain)
	w.each(func(r *replica) { r.leaving = true })
	gone := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		w.each(func(r *replica) { r.kill = true })
		select {
		case <-gone:
		case <-time.After(killWait):
			err = errors.Join(err, fmt.Errorf("process: replicas of service %q have not ended %s after SIGKILL; their processes hang in the kernel", w.config().Service, killWait))
		}
	}
	return errors.Join(err, w.cut())
}

// killWait is how long a killed process may take to be gone.
const killWait = time.Second

// each changes every replica.
func (w *Workload) each(change func(*replica)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.replicas {
		change(r)
		r.stir()
	}
}

// plural says how many replicas run.
func plural(count int) string {
	if count == 1 {
		return "1 replica runs"
	}
	return fmt.Sprintf("%d replicas run", count)
}
