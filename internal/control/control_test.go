package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// bench is a Controller between parts that can be made to fail, which the real
// ones cannot at every place; what they did is in calls.
type bench struct {
	control.Controller
	now     time.Time
	kind    autoscale.Kind
	values  []float64 // one a read; the last one repeats
	verdict autoscale.Verdict
	count   int
	stopped error
	metric  string
	down    bool // somebody takes all down during the next move

	observeErr, setErr, saveErr, recordErr error
	state                                  autoscale.State
	calls                                  []string
	reports                                []control.Report
}

func newBench() *bench {
	b := &bench{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), kind: autoscale.Gauge, values: []float64{10}, verdict: autoscale.OK, count: 1}
	b.Controller = control.Controller{
		Policy: autoscale.Policy{Min: 1, Max: 5, Target: 40, Tolerance: 0.1, Mode: autoscale.Auto},
		Source: b, Workload: b, Memory: b, Signal: "page",
	}
	return b
}

func (b *bench) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	b.calls = append(b.calls, "read")
	value := b.values[0]
	if len(b.values) > 1 {
		b.values = b.values[1:]
	}
	return autoscale.Reading{Metric: b.metric, Kind: b.kind, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{
		{Process: "page", Name: "page", Time: time.Now(), Value: value, Verdict: b.verdict, Detail: "as the test says"},
	}}
}

func (b *bench) Observe(context.Context) (autoscale.Replicas, error) {
	r := autoscale.Replicas{Current: b.count, Running: []autoscale.Replica{}, Stopped: b.stopped}
	for range b.count {
		r.Running = append(r.Running, autoscale.Replica{ID: "old", Started: b.now.Add(-time.Hour)})
	}
	return r, b.observeErr
}

func (b *bench) Set(_ context.Context, count int) (autoscale.Outcome, error) {
	b.calls = append(b.calls, "set "+string(rune('0'+count)))
	if b.setErr == nil {
		b.count = count
	}
	if b.down {
		b.count = 0
	}
	return autoscale.Outcome{Count: b.count, Failed: b.setErr != nil}, b.setErr
}

func (b *bench) Load() (autoscale.State, []string, error) { return b.state, nil, nil }

func (b *bench) Save(s autoscale.State) error {
	b.calls = append(b.calls, "save")
	if b.saveErr == nil {
		b.state = s
	}
	return b.saveErr
}

func (b *bench) Record(r control.Report) error {
	b.reports = append(b.reports, r)
	return b.recordErr
}

// step makes a step a minute after the last one.
func (b *bench) step() (control.Report, error) {
	b.calls = nil
	b.now = b.now.Add(time.Minute)
	return b.Step(context.Background(), autoscale.Instant{Time: b.now, Boot: "1"})
}

func (b *bench) want(t *testing.T, calls ...string) {
	t.Helper()
	if !slices.Equal(b.calls, calls) {
		t.Errorf("calls %q, want %q", b.calls, calls)
	}
}

func TestStepRaisesAndLowers(t *testing.T) {
	b := newBench()
	b.values = []float64{100}
	if _, err := b.step(); err != nil || b.count != 3 {
		t.Fatal(b.count, err)
	}
	// The state is saved before the move, so that a killed run is known for what
	// it is, and after it.
	b.want(t, "read", "save", "set 3", "save")
	b.values = []float64{10}
	report, err := b.step()
	if err != nil || b.count != 1 || report.Outcome == nil || len(b.reports) != 2 {
		t.Fatal(b.count, err, report)
	}
	if b.state.Moving != nil || b.state.Count != 1 || len(b.state.Lowered) != 1 {
		t.Errorf("remembered: %+v", b.state)
	}
	// A step that changes nothing leaves the files saying so all the same.
	if _, err := b.step(); err != nil {
		t.Fatal(err)
	}
	b.want(t, "read", "save", "set 1")
}

func TestStepWithoutStateRaisesOnly(t *testing.T) {
	b := newBench()
	b.step() // the first run
	b.saveErr = errors.New("disk full")
	b.values = []float64{100}
	if _, err := b.step(); !errors.Is(err, b.saveErr) || b.count != 3 {
		t.Errorf("raise: %d replicas, %v", b.count, err)
	}
	b.saveErr = nil
	b.step()
	b.saveErr = errors.New("disk full")
	b.values = []float64{10}
	_, err := b.step()
	if !errors.Is(err, b.saveErr) || !strings.Contains(err.Error(), "nothing was lowered") || b.count != 3 {
		t.Errorf("lowering: %d replicas, %v", b.count, err)
	}
	b.want(t, "read", "save")
}

func TestStepOnDoubtTouchesNothing(t *testing.T) {
	b := newBench()
	b.count = 3
	b.step()
	b.verdict = autoscale.Late
	report, err := b.step()
	if err != nil || !report.Doubtful() || b.count != 3 {
		t.Errorf("%d replicas, %v, %+v", b.count, err, report.Decision)
	}
	b.want(t, "read", "save")
}

func TestStepObserveTouchesNothing(t *testing.T) {
	b := newBench()
	b.Policy.Mode = autoscale.Observe
	b.values = []float64{100}
	report, err := b.step()
	if err != nil || report.Decision.Want != 3 || b.count != 1 {
		t.Errorf("%d replicas, %v, %+v", b.count, err, report.Decision)
	}
	b.want(t, "read", "save")
}

// A step whose workload cannot be observed counts as doubt: after it a full
// cooldown of trusted readings is wanted again.
func TestStepUnobserved(t *testing.T) {
	b := newBench()
	b.Policy.Cooldown = 2 * time.Minute
	b.count = 3
	b.step()
	b.step()
	b.observeErr = errors.New("no engine")
	if _, err := b.step(); !errors.Is(err, b.observeErr) {
		t.Fatal(err)
	}
	b.want(t, "save")
	b.observeErr = nil
	for range 2 {
		if b.step(); b.count != 3 {
			t.Fatal("lowered within a cooldown of an engine that did not answer")
		}
	}
	if b.step(); b.count != 1 {
		t.Errorf("%d replicas after the cooldown", b.count)
	}
}

func TestStepStartsNothing(t *testing.T) {
	b := newBench()
	b.count, b.stopped = 0, errors.New("no replica runs")
	if _, err := b.step(); !errors.Is(err, b.stopped) {
		t.Fatal(err)
	}
	b.want(t)
	// What this program brought to zero, it may bring back.
	b.Policy.Min, b.count, b.stopped = 0, 1, nil
	b.values = []float64{0}
	b.step()
	b.step()
	if b.count != 0 {
		t.Fatalf("%d replicas", b.count)
	}
	b.stopped, b.values = errors.New("no replica runs"), []float64{5}
	if _, err := b.step(); err != nil || b.count != 1 {
		t.Errorf("%d replicas, %v", b.count, err)
	}
}

func TestStepFailedMoveBacksOff(t *testing.T) {
	b := newBench()
	b.values, b.setErr = []float64{100}, errors.New("crashed")
	report, err := b.step()
	if !errors.Is(err, b.setErr) || report.Error == "" || b.state.Failure == nil {
		t.Errorf("%v, %+v", err, b.state)
	}
	b.setErr = nil
	if report, err = b.step(); err != nil || report.Decision.Reason != autoscale.FailedScaleUp || b.count != 1 {
		t.Errorf("%v, %+v", err, report.Decision)
	}
}

func TestStepReadsCountersTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.kind, b.values, b.Again = autoscale.Counter, []float64{1000, 1200}, 2*time.Second
		report, err := b.step()
		if err != nil || len(report.Reading.Samples) != 2 || report.Decision.Load != 100 || b.count != 3 {
			t.Errorf("%v, %d replicas, %+v", err, b.count, report.Decision)
		}
		if report.ReadTook != 2*time.Second {
			t.Errorf("reading took %s", report.ReadTook)
		}
		b.want(t, "read", "read", "save", "set 3", "save")
	})
}

func TestStepInterruptedWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.kind, b.Again = autoscale.Counter, time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Step(ctx, autoscale.Instant{Time: b.now}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		b.want(t, "read")
	})
}

func TestStepJournalLost(t *testing.T) {
	b := newBench()
	b.recordErr = errors.New("disk full")
	report, err := b.step()
	if err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "missing in the journal: disk full") {
		t.Errorf("%v, %q", err, report.Warnings)
	}
}

// The metric that was found is part of what was read: another fallback name
// starts a new history, a page without any does not.
func TestStepSignal(t *testing.T) {
	b := newBench()
	b.Policy.Cooldown = time.Minute
	b.metric = "rps"
	b.step()
	b.metric = ""
	b.verdict = autoscale.Absent
	b.step()
	b.metric, b.verdict = "rps", autoscale.OK
	if report, _ := b.step(); report.Decision.Reason == autoscale.SignalChanged {
		t.Error("an absent metric started a new history")
	}
	b.metric, b.count = "requests_per_second", 3
	if report, _ := b.step(); report.Decision.Reason != autoscale.SignalChanged {
		t.Errorf("another metric did not: %s", report.Decision.Reason)
	}
}

// A "down" in the middle of a raise leaves no replica, and that is not this
// program's doing.
func TestStepDownInTheMiddle(t *testing.T) {
	b := newBench()
	b.values = []float64{100}
	b.down = true
	b.step()
	b.stopped = errors.New("no replica runs")
	if _, err := b.step(); !errors.Is(err, b.stopped) {
		t.Errorf("started what somebody else took down: %v", err)
	}
}

// followed is a Source that counts, and goes on where it was.
type followed struct {
	bench *bench
	count int
}

func (f *followed) Resume(processes map[string]autoscale.Process) {
	f.count = 0
	if mark := processes["log"].Mark; len(mark) > 0 {
		f.count = int(mark[0] - '0')
	}
}

func (f *followed) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	f.count++
	return autoscale.Reading{Kind: autoscale.Counter, Samples: []autoscale.Sample{{
		Process: "log", Time: time.Now(), Value: float64(f.count), Mark: []byte{byte('0' + f.count)}, Verdict: f.bench.verdict,
	}}}
}

// A source that follows something is told where the last step that was saved left it,
// each of several by what is its own.
func TestStepResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		first, second := &followed{bench: b}, &followed{bench: b}
		b.Source, b.More, b.Again = first, []control.Input{{Name: "second", Source: second}}, 2*time.Second
		at := func(want int) {
			t.Helper()
			if _, err := b.step(); err != nil {
				t.Fatal(err)
			}
			if first.count != want || second.count != want {
				t.Errorf("%d and %d, want %d", first.count, second.count, want)
			}
		}
		at(2)
		at(4)
		b.saveErr = errors.New("the disk is full")
		if _, err := b.step(); !errors.Is(err, b.saveErr) {
			t.Fatal(err)
		}
		b.saveErr = nil
		at(6)
		b.verdict = autoscale.Stale // what is not used as a value is followed all the same
		at(8)
		b.verdict = autoscale.OK
		if err := b.observe(errors.New("no engine")); err == nil {
			t.Fatal("no error")
		}
		*first, *second = followed{bench: b}, followed{bench: b} // another process
		at(8 + 2)
	})
}

// observe makes a step in which the replicas cannot be seen.
func (b *bench) observe(err error) error {
	b.observeErr = err
	_, err = b.step()
	b.observeErr = nil
	return err
}
