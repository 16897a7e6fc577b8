package control

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
)

// Stepper makes the steps of one service, one at a time. It keeps what is costly
// to make anew, a connection to an engine for one.
type Stepper interface {
	// Step makes one step. What went wrong is in the Step.
	Step(ctx context.Context) Step
	// Pause leaves the count alone, or holds it, from now on; nil ends that.
	Pause(ctx context.Context, p *autoscale.Pause) error
	// Close ends it; no Step is under way.
	Close()
}

// Step is what one step of a service came to.
type Step struct {
	Report Report
	// Err is what failed; nil where nothing did.
	Err error
	// Declared tells that nothing was to be decided: what is declared is as it
	// should be, and another program scales.
	Declared bool
	// Policy is the one that was decided by, schedules applied.
	Policy autoscale.Policy
	// Project is the Compose project or the namespace; empty where it is not known.
	Project string
	// Pause is what a person asked for, if it is in force.
	Pause *autoscale.Pause
}

// decided reports whether a decision was made.
func (s Step) decided() bool { return !s.Report.Decision.At.IsZero() }

// good reports whether nothing failed, and what was decided, if anything was to
// be, rests on a trusted reading.
func (s Step) good() bool {
	if !s.decided() {
		return s.Err == nil && s.Declared
	}
	return s.Err == nil && !s.Report.Doubtful()
}

// Service is one service that a Daemon looks after.
type Service struct {
	// Name is unique among those of a Daemon.
	Name string
	// Provider and Target name what is scaled, for people: "compose", "app".
	Provider, Target string
	// Interval is the time from one step to the next.
	Interval time.Duration
	// Identity tells whether a service of that name is still the same after a
	// reload: one that is goes on, any other is opened anew.
	Identity string
	// Open makes what steps are made with. It is called before the first step, not
	// before: another service must not wait for it.
	Open func() Stepper
}

// Snapshot is where one service stands. It is immutable.
type Snapshot struct {
	Service
	// Since is when the Daemon began to look after it.
	Since time.Time
	// Last is the last step; its zero value before there is one.
	Last Step
	// Ran is when that ended, and Took how long it took.
	Ran  time.Time
	Took time.Duration
	// Succeeded is when a step last rested on a trusted reading, or declared all
	// there was to do, and did not fail; zero for never.
	Succeeded time.Time
	// Replicas is how many there were after the last step that knew it.
	Replicas int
	// Stepping tells that a step is under way.
	Stepping bool
	// Steps, Failed, Doubtful, Raised and Lowered count steps since Since: all,
	// those that failed, those with a doubtful reading, and those that moved the
	// count.
	Steps, Failed, Doubtful, Raised, Lowered uint64
	// Reasons counts decisions by their reason. It is not to be changed.
	Reasons map[autoscale.Reason]uint64
	// Read is when the newest sample that could be used was had; zero for never.
	Read time.Time
	// Stepped, Reading and Moving are what steps took since Since: as a whole, to
	// read the load, and to move the workload.
	Stepped, Reading, Moving Spent
}

// Spent is how often something was done, and how long that took together.
type Spent struct {
	Count uint64
	Took  time.Duration
}

// and is s and once more, where that took any time.
func (s Spent) and(took time.Duration) Spent {
	if took <= 0 {
		return s
	}
	return Spent{Count: s.Count + 1, Took: s.Took + took}
}

// Daemon makes the steps of many services, each by itself: a slow or broken one
// delays no other.
type Daemon struct {
	// Stepped, where set, is told each step; it must not take long.
	Stepped func(before, after Snapshot)

	mu       sync.Mutex
	services map[string]*looked
	ctx      context.Context // nil before Run
	wg       sync.WaitGroup
}

// looked is one service that is looked after.
type looked struct {
	service Service
	stop    context.CancelCauseFunc
	done    chan struct{}
	wake    chan struct{}

	// turn is taken for a step, and for a pause.
	turn chan struct{}
	// before is closed once the service of the same name that this one follows has
	// ended; nil for none.
	before <-chan struct{}

	mu      sync.Mutex
	shot    Snapshot
	stepper Stepper
}

// Set says which services there are from now on. Those that stay the same go on
// undisturbed, those that are gone end after the step that is under way.
func (d *Daemon) Set(services []Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.services == nil {
		d.services = map[string]*looked{}
	}
	wanted := map[string]Service{}
	for _, s := range services {
		wanted[s.Name] = s
	}
	gone := map[string]<-chan struct{}{}
	for name, l := range d.services {
		if s, stays := wanted[name]; stays && s.Identity == l.service.Identity {
			continue
		}
		delete(d.services, name)
		gone[name] = l.done
		l.stop(errGone)
	}
	for name, s := range wanted {
		if d.services[name] == nil {
			d.services[name] = d.look(s, gone[name])
		}
	}
}

// errGone is why a service that is no longer wanted is not looked after.
var errGone = fmt.Errorf("the service is gone from the configuration, or was changed in it")

// look begins to look after a service, where Run runs already.
func (d *Daemon) look(s Service, before <-chan struct{}) *looked {
	l := &looked{
		service: s, done: make(chan struct{}), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), before: before,
		shot: Snapshot{Service: s, Since: time.Now()},
	}
	l.stop = func(error) { close(l.done) }
	if d.ctx != nil {
		d.begin(l)
	}
	return l
}

func (d *Daemon) begin(l *looked) {
	ctx, stop := context.WithCancelCause(d.ctx)
	l.stop = stop
	d.wg.Go(func() {
		defer close(l.done)
		d.loop(ctx, l)
	})
}

// Run makes steps until ctx ends, and returns once the last one that was under
// way has ended.
func (d *Daemon) Run(ctx context.Context) {
	d.mu.Lock()
	d.ctx = ctx
	for _, l := range d.services {
		d.begin(l)
	}
	d.mu.Unlock()
	<-ctx.Done()
	d.wg.Wait()
}

// loop makes the steps of one service.
func (d *Daemon) loop(ctx context.Context, l *looked) {
	defer func() {
		l.turn <- struct{}{} // a pause may be under way
		defer func() { <-l.turn }()
		if l.stepper != nil {
			l.stepper.Close()
		}
	}()
	if l.before != nil {
		<-l.before
	}
	timer := time.NewTimer(offset(l.service.Name, l.service.Interval))
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.wake:
		}
		began := time.Now()
		d.stepOnce(ctx, l)
		// From the beginning of one step to that of the next, and soon after one that
		// took longer.
		timer.Reset(max(l.service.Interval-time.Since(began), Rest))
	}
}

// Rest is the least time between two steps of a service: a hand on the command line,
// or a one-shot, has to come to its turn.
const Rest = 200 * time.Millisecond

// offset is when a service's first step comes: spread over the interval, so that
// many do not all ask at once, and the same after each restart.
func offset(name string, interval time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return time.Duration(float64(interval) * float64(h.Sum32()) / (1 << 32))
}

// stepOnce makes one step and remembers what it came to.
func (d *Daemon) stepOnce(ctx context.Context, l *looked) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.mu.Lock()
	l.shot.Stepping = true
	stepper := l.stepper
	l.mu.Unlock()
	if stepper == nil {
		stepper = l.service.Open()
	}
	began := time.Now()
	step := stepper.Step(ctx)
	l.mu.Lock()
	before := l.shot
	l.stepper = stepper
	l.shot = l.shot.After(step, time.Now(), time.Since(began))
	after := l.shot
	l.mu.Unlock()
	if d.Stepped != nil {
		d.Stepped(before, after)
	}
}

// After is the snapshot that follows s by a step, which ended at now and took so long.
func (s Snapshot) After(step Step, now time.Time, took time.Duration) Snapshot {
	s.Last, s.Ran, s.Took, s.Stepping = step, now, took, false
	s.Steps++
	s.Stepped = Spent{Count: s.Steps, Took: s.Stepped.Took + took}
	s.Reading = s.Reading.and(step.Report.ReadTook)
	s.Moving = s.Moving.and(step.Report.MoveTook)
	if read := newest(step.Report.Reading.Samples); !read.IsZero() {
		s.Read = read
	}
	if step.good() {
		s.Succeeded = now
	}
	if step.Err != nil {
		s.Failed++
	}
	if !step.decided() {
		return s
	}
	decision := step.Report.Decision
	if step.Report.Doubtful() {
		s.Doubtful++
	}
	s.Replicas = decision.From
	if o := step.Report.Outcome; o != nil {
		s.Replicas = o.Count
	}
	switch {
	case s.Replicas > decision.From:
		s.Raised++
	case s.Replicas < decision.From:
		s.Lowered++
	}
	s.Reasons = maps.Clone(s.Reasons)
	if s.Reasons == nil {
		s.Reasons = map[autoscale.Reason]uint64{}
	}
	s.Reasons[decision.Reason]++
	return s
}

// newest is when the newest of samples that can be used was had; zero for none.
func newest(samples []autoscale.Sample) (t time.Time) {
	for _, s := range samples {
		if s.Verdict == autoscale.OK && s.Time.After(t) {
			t = s.Time
		}
	}
	return t
}

// Snapshots are where the services stand, in the order of their names.
func (d *Daemon) Snapshots() []Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Snapshot, 0, len(d.services))
	for _, name := range slices.Sorted(maps.Keys(d.services)) {
		all = append(all, d.services[name].snapshot())
	}
	return all
}

func (l *looked) snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shot
}

// Pause leaves a service's count alone, or holds it; nil ends that. It waits for
// the step that is under way, and has the next one made at once.
func (d *Daemon) Pause(ctx context.Context, name string, p *autoscale.Pause) error {
	d.mu.Lock()
	l := d.services[name]
	d.mu.Unlock()
	if l == nil {
		return fmt.Errorf("there is no service %q", name)
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("a step of service %q is under way, and has not ended: %w", name, context.Cause(ctx))
	}
	l.mu.Lock()
	if l.stepper == nil {
		l.stepper = l.service.Open()
	}
	stepper := l.stepper
	l.mu.Unlock()
	if err := stepper.Pause(ctx, p); err != nil {
		return err
	}
	select {
	case l.wake <- struct{}{}:
	default: // it will be woken
	}
	return nil
}
