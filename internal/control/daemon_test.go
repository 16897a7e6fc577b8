package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
)

// played is a Stepper that plays what a test says.
type played struct {
	mu     sync.Mutex
	times  []time.Time
	step   func(ctx context.Context) Step
	paused *autoscale.Pause
	closed bool
}

func (p *played) Step(ctx context.Context) Step {
	p.mu.Lock()
	p.times = append(p.times, time.Now())
	step := p.step
	p.mu.Unlock()
	if step == nil {
		return decidedStep(2, 2)
	}
	return step(ctx)
}

func (p *played) Pause(_ context.Context, pause *autoscale.Pause) error {
	p.paused = pause
	return nil
}

func (p *played) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *played) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// count is how many steps began.
func (p *played) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.times)
}

func decidedStep(from, to int) Step {
	return Step{Report: Report{
		Decision: autoscale.Decision{At: time.Now(), From: from, To: to, Verdict: autoscale.OK, Reason: autoscale.LoadAboveTarget},
		Outcome:  &autoscale.Outcome{Count: to},
	}}
}

func service(name string, p *played) Service {
	return Service{Name: name, Interval: 15 * time.Second, Identity: "1", Open: func() Stepper { return p }}
}

// A service that hangs delays no other, and each keeps its rhythm.
func TestDaemonRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &played{step: func(ctx context.Context) Step {
			select {
			case <-ctx.Done():
			case <-time.After(40 * time.Second):
			}
			return Step{Err: errors.New("slow")}
		}}
		quick := &played{}
		d := &Daemon{}
		d.Set([]Service{service("slow", slow), service("quick", quick)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		time.Sleep(10 * time.Minute)
		if n := quick.count(); n != 40 {
			t.Errorf("%d steps of the quick one in 10 minutes, want 40", n)
		}
		if n := slow.count(); n < 14 || n > 16 {
			t.Errorf("%d steps of the slow one, want 15", n)
		}
		for i := 1; i < quick.count(); i++ {
			if gap := quick.times[i].Sub(quick.times[i-1]); gap != 15*time.Second {
				t.Fatalf("step %d came after %s", i, gap)
			}
		}
		for i := 1; i < slow.count(); i++ { // others come to their turn between two steps
			if gap := slow.times[i].Sub(slow.times[i-1]); gap < 40*time.Second+100*time.Millisecond {
				t.Fatalf("step %d of the slow one came %s after the one before, which took 40s", i, gap)
			}
		}
		all := d.Snapshots()
		if len(all) != 2 || all[0].Name != "quick" || all[0].Steps != 40 || all[0].Failed != 0 || all[1].Failed < 14 || !all[1].Succeeded.IsZero() || all[0].Succeeded.IsZero() {
			t.Errorf("%+v", all)
		}
		stop()
		<-ended
		if !slow.ended() || !quick.ended() {
			t.Error("not closed")
		}
	})
}

// What is set anew goes on where it stays the same, ends where it is gone, and
// begins again, after the step under way, where it was changed.
func TestDaemonSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stays, goes, first, second := &played{}, &played{}, &played{}, &played{}
		busy := false
		first.step = func(context.Context) Step {
			busy = true
			time.Sleep(time.Minute) // an engine that does not mind our leaving
			busy = false
			return decidedStep(2, 2)
		}
		second.step = func(context.Context) Step {
			if busy {
				t.Error("two steps of one service at once")
			}
			return decidedStep(2, 3)
		}
		d := &Daemon{}
		d.Set([]Service{service("stays", stays), service("goes", goes), service("changes", first)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		time.Sleep(20 * time.Second)
		changed := service("changes", second)
		changed.Identity = "2"
		d.Set([]Service{service("stays", stays), changed})
		time.Sleep(5 * time.Minute)
		if n := stays.count(); n < 20 || n > 22 {
			t.Errorf("%d steps of the one that stays", n)
		}
		if goes.count() > 2 || !goes.ended() || !first.ended() {
			t.Errorf("%d steps of the one that went; closed %v, %v", goes.count(), goes.ended(), first.ended())
		}
		s := d.Snapshots()[0]
		if second.count() == 0 || s.Name != "changes" || s.Raised != s.Steps || s.Replicas != 3 || s.Reasons[autoscale.LoadAboveTarget] != s.Steps {
			t.Errorf("%+v", s)
		}
		stop()
		<-ended
	})
}

// A pause waits for the step under way, and the next step follows at once.
func TestDaemonPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &played{}
		d := &Daemon{}
		d.Set([]Service{service("app", p)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		time.Sleep(time.Minute + time.Second)
		before := p.count()
		if err := d.Pause(ctx, "app", &autoscale.Pause{Until: time.Now().Add(time.Hour)}); err != nil || p.paused == nil {
			t.Errorf("%v, %v", err, p.paused)
		}
		synctest.Wait()
		if p.count() != before+1 {
			t.Errorf("%d steps, want one more than %d", p.count(), before)
		}
		if err := d.Pause(ctx, "web", nil); err == nil {
			t.Error("an unknown service was paused")
		}
		p.mu.Lock()
		p.step = func(context.Context) Step { time.Sleep(time.Hour); return Step{} }
		p.mu.Unlock()
		time.Sleep(20 * time.Second)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := d.Pause(short, "app", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		stop()
		<-ended
	})
}

// Many services begin spread over the interval, and the same after a restart.
func TestOffset(t *testing.T) {
	var all []time.Duration
	for i := range 500 {
		o := offset(fmt.Sprint("app-", i), 15*time.Second)
		if o != offset(fmt.Sprint("app-", i), 15*time.Second) {
			t.Fatal("not the same twice")
		}
		all = append(all, o)
	}
	slices.Sort(all)
	if all[0] < 0 || all[499] >= 15*time.Second || all[250] < 5*time.Second || all[250] > 10*time.Second {
		t.Errorf("from %s over %s to %s", all[0], all[250], all[499])
	}
}

// What steps took adds up, and the last usable sample is remembered, also where
// the clock was set back.
func TestSnapshotAfter(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	step := decidedStep(2, 3)
	step.Report.ReadTook, step.Report.MoveTook = time.Second, 4*time.Second
	step.Report.Reading.Samples = []autoscale.Sample{{Time: at, Verdict: autoscale.OK}, {Time: at.Add(time.Hour), Verdict: autoscale.Late}}
	s := Snapshot{}.After(step, at, 5*time.Second)
	s = s.After(Step{Err: errors.New("no engine")}, at, 2*time.Second)
	if want := (Spent{2, 7 * time.Second}); s.Stepped != want || s.Steps != 2 {
		t.Errorf("steps took %+v, want %+v", s.Stepped, want)
	}
	if s.Reading != (Spent{1, time.Second}) || s.Moving != (Spent{1, 4 * time.Second}) || !s.Read.Equal(at) {
		t.Errorf("%+v", s)
	}
	step.Report.Reading.Samples[0].Time = at.Add(-time.Minute)
	if s = s.After(step, at, time.Second); !s.Read.Equal(at.Add(-time.Minute)) || s.Moving.Count != 2 {
		t.Errorf("%+v", s)
	}
}

// What was declared, where another program scales, counts as success, and what
// failed on the way does not.
func TestSnapshotDeclared(t *testing.T) {
	now := time.Now()
	if s := (Snapshot{}).After(Step{Declared: true}, now, time.Second); !s.Succeeded.Equal(now) || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	for _, step := range []Step{{}, {Declared: true, Err: errors.New("refused")}} {
		if s := (Snapshot{}).After(step, now, time.Second); !s.Succeeded.IsZero() {
			t.Errorf("%+v", s)
		}
	}
}
