package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/process"
	"github.com/five-keys/autoscale/internal/store"
)

// processesEnd is how long the replicas of a daemon that ends have, so that it
// ends within endWithin.
const processesEnd = 7500 * time.Millisecond

// errDryProcesses is the error of a dry run of processes.
var errDryProcesses = errors.New("--dry-run starts nothing, and of --provider=process nothing runs but what is started here; to watch decisions while the count is left alone use --mode=observe")

// processConfig is the part of a service that its processes are made of.
func processConfig(s config.Service) process.Config {
	c := process.Config{
		Service: s.Name, Command: s.Command, Dir: s.ProjectDir, Listen: s.Proxy, HealthPath: s.HealthPath, Drain: s.Drain, Grace: s.Grace,
	}
	if s.Wait != nil {
		c.Wait = *s.Wait
	}
	return c
}

// processRun makes the steps of one service whose replicas are processes.
type processRun struct {
	source control.Source
	signal string
	more   []control.Input
	w      *process.Workload
	memory *memory
	clocks clocks
	// owed is how many replicas are to be started before the first step: as many as
	// ran when an earlier daemon ended. It is 0 once any runs.
	owed int
}

// step makes one step.
func (x *processRun) step(ctx context.Context, policy autoscale.Policy) (r result) {
	r.key = x.memory.key
	lock, err := store.LockWorkload(ctx, r.key, lockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer lock.Unlock()
	defer func() { x.memory.tell(ctx, &r, policy.Max) }()
	started := x.begin(ctx)
	now, err := x.clocks.read()
	if err != nil {
		r.err = errors.Join(started, err)
		return r
	}
	controller := control.Controller{Policy: policy, Source: x.source, More: x.more, Workload: x.w, Memory: x.memory, Signal: x.signal}
	r.report, r.err = controller.Step(ctx, now)
	r.err = errors.Join(started, r.err)
	r.decided = !r.report.Decision.At.IsZero()
	r.report.Warnings = append(r.report.Warnings, x.memory.told()...)
	return r
}

// begin starts what is owed: to start a service is not to scale it, so neither a
// mode nor a pause stands in its way.
func (x *processRun) begin(ctx context.Context) error {
	if x.owed == 0 {
		return nil
	}
	outcome, err := x.w.Set(ctx, x.owed)
	if outcome.Count > 0 {
		x.owed = 0
	}
	return err
}

// onProcesses makes one step of a service whose replicas are processes.
func (x *stepper) onProcesses(ctx context.Context, policy autoscale.Policy) result {
	if x.processes == nil {
		if err := x.openProcesses(policy); err != nil {
			return result{key: x.processKey(), err: errors.Join(err, x.missed(ctx, x.ProjectDir))}
		}
	}
	r := x.processes.step(ctx, policy)
	x.paused = x.processes.memory.paused()
	return r
}

// processKey names the workload.
func (x *stepper) processKey() store.Key {
	return store.Key{Provider: string(processes), Project: x.ProjectDir, Service: x.Service, Dir: x.ProjectDir}
}

// openProcesses takes over what runs already, or makes everything ready to run.
func (x *stepper) openProcesses(policy autoscale.Policy) error {
	if x.dry {
		return errDryProcesses
	}
	memory := &memory{file: store.Open(x.StateFile), key: x.processKey(), caches: true, record: x.record, people: x.people}
	state, _, err := memory.Load()
	if err != nil {
		state = autoscale.State{} // the step says so; that the service runs does not depend on it
	}
	w, fresh, err := x.owner.take(x.service)
	if err != nil {
		return err
	}
	run := &processRun{w: w, memory: memory, clocks: x.clocks}
	if fresh {
		run.owed = min(max(policy.Min, state.Count), policy.Max)
	}
	for i, s := range x.sources {
		source, signal, err := x.processSource(s, w)
		if err != nil {
			x.owner.leave(x.service, w)
			return err
		}
		if i == 0 {
			run.source, run.signal = source, signal
			if x.through != nil {
				run.source = x.through(source)
			}
			continue
		}
		run.more = append(run.more, control.Input{Name: s.Name, Source: source, Signal: signal, Target: s.RPSTarget})
	}
	x.processes = run
	return nil
}

// processSource is where a source reads: a page, or else what the proxy counts.
func (x *stepper) processSource(s config.Source, w *process.Workload) (control.Source, string, error) {
	c := *x.flags
	c.setSource(s)
	if c.proxyCounts() {
		return w, w.Identity(), nil
	}
	source, err := c.reader(x.ProjectDir, nil)
	if err != nil {
		return nil, "", err
	}
	return source, source.Identity(), nil
}

// owner owns the processes of a daemon. They outlive the steppers: a reload that
// changes no more than how a service is scaled must leave alone what runs.
type owner struct {
	output func(replica, line string)
	tell   func(service, text string)
	// last ends when nothing has any time left.
	last context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	wanted map[string]string            // what each service is made of
	parked map[string]*process.Workload // of services between two steppers
	ending bool
}

func newOwner(output func(replica, line string), tell func(service, text string)) *owner {
	o := &owner{output: output, tell: tell, parked: map[string]*process.Workload{}}
	o.last, o.stop = context.WithCancel(context.Background())
	return o
}

// madeOf is the same for services whose processes are the same.
func madeOf(s config.Service) string {
	return fmt.Sprintf("%q %q %q", s.Command, s.ProjectDir, s.Proxy)
}

// want says which services there are from now on, before their steppers know.
func (o *owner) want(services []config.Service) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = map[string]string{}
	for _, s := range services {
		if s.Provider == string(processes) {
			o.wanted[s.Name] = madeOf(s)
		}
	}
	for name, w := range o.parked {
		if o.wanted[name] == "" {
			delete(o.parked, name)
			o.wg.Go(func() { o.close(name, w) })
		}
	}
}

// take gives the workload of a service: the one that runs already, else a fresh
// one of which nothing does.
func (o *owner) take(s config.Service) (w *process.Workload, fresh bool, err error) {
	c := processConfig(s)
	c.Output, c.Tell = o.output, func(text string) { o.tell(s.Name, text) }
	o.mu.Lock()
	defer o.mu.Unlock()
	if w = o.parked[s.Name]; w != nil {
		delete(o.parked, s.Name)
		w.Adjust(c)
		return w, false, nil
	}
	w, err = process.Open(c)
	return w, true, err
}

// leave takes a workload back from a stepper: where its service goes on it does as
// well, else it is ended.
func (o *owner) leave(s config.Service, w *process.Workload) {
	o.mu.Lock()
	goes := !o.ending && o.wanted[s.Name] == madeOf(s)
	if goes {
		o.parked[s.Name] = w
	}
	o.mu.Unlock()
	if !goes {
		o.close(s.Name, w)
	}
}

// end has everything end soon.
func (o *owner) end() {
	time.AfterFunc(processesEnd, o.stop)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	for name, w := range o.parked {
		delete(o.parked, name)
		o.wg.Go(func() { o.close(name, w) })
	}
}

// close ends a workload: in its own time, or soon where all ends.
func (o *owner) close(name string, w *process.Workload) {
	ctx := o.last
	o.mu.Lock()
	ending := o.ending
	o.mu.Unlock()
	if ending {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, processesEnd)
		defer cancel()
	}
	if err := w.Close(ctx); err != nil {
		o.tell(name, err.Error())
	}
}
