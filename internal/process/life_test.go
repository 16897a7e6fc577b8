package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
)

// The life of replicas and of requests, in simulated time: the programs are no
// processes, and the requests go nowhere.

// bench is a workload of such programs.
type bench struct {
	*Workload
	t    *testing.T
	said told

	mu     sync.Mutex
	fakes  []*fake // every program that was started, in that order
	starts func(n int, f *fake)
}

// fake is a program.
type fake struct {
	replica *replica
	began   time.Time
	words   string
	// takes is how long it takes to be healthy, terminates how long to end after
	// SIGTERM; below 0 for ever.
	takes, terminates time.Duration
	sick              error
	serve             func(*http.Request) (*http.Response, error)

	mu      sync.Mutex
	program *program
	over    bool
}

func newBench(t *testing.T, starts func(n int, f *fake)) *bench {
	b := &bench{t: t, starts: starts}
	b.Workload = newWorkload(Config{
		Service: "app", Command: []string{"true"}, Wait: 20 * time.Second, Drain: 10 * time.Second, Grace: 5 * time.Second, Tell: b.said.say,
	})
	b.open = b.start
	return b
}

// start starts a program, as the test says for the n-th one.
func (b *bench) start(r *replica) (*backend, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &fake{replica: r, began: time.Now(), serve: func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	}}
	f.program = &program{ended: make(chan struct{}), gone: make(chan struct{}), tell: f.told}
	if b.starts != nil {
		b.starts(len(b.fakes), f)
	}
	b.fakes = append(b.fakes, f)
	return &backend{replica: r, program: f.program, address: fmt.Sprintf("127.0.0.1:%d", len(b.fakes)), started: f.began, trip: f, probe: f.probe}, nil
}

func (f *fake) probe(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.takes < 0 || time.Since(f.began) < f.takes {
		return errors.New("not yet")
	}
	return f.sick
}

func (f *fake) sicken(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sick = err
}

func (f *fake) told(word byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.words += string(word)
	switch {
	case word == wordKill:
		f.end("was ended by SIGKILL")
	case f.terminates == 0:
		f.end("exited with status 0")
	case f.terminates > 0:
		time.AfterFunc(f.terminates, func() { f.dies("exited with status 0") })
	}
}

func (f *fake) dies(how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(how)
}

func (f *fake) end(how string) {
	if !f.over {
		f.over, f.program.how = true, how
		close(f.program.ended)
		close(f.program.gone)
	}
}

// RoundTrip serves a request as the test says.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) { return f.serve(r) }

// set sets the count and wants it to be what there is.
func (b *bench) set(count int) autoscale.Outcome {
	b.t.Helper()
	o, err := b.Set(context.Background(), count)
	if err != nil || o.Count != count {
		b.t.Fatalf("set to %d: %+v, %v", count, o, err)
	}
	return o
}

// ask sends a request to the proxy.
func (b *bench) ask(ctx context.Context) *httptest.ResponseRecorder {
	rw := httptest.NewRecorder()
	b.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	return rw
}

// all are the programs that were started, once nothing happens any more.
func (b *bench) all() []*fake {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.fakes)
}

// names are the replicas that there are, with what is to be said of them.
func (b *bench) names() string {
	seen, err := b.Observe(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, r := range seen.Running {
		name := strings.TrimPrefix(r.Name, "app-")
		if r.Health != autoscale.Healthy {
			name += " " + string(r.Health)
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

func (b *bench) want(names string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.names(); got != names {
		b.t.Fatalf("replicas %q, want %q; it said:\n%s", got, names, &b.said)
	}
}

func (b *bench) end() {
	b.t.Helper()
	if err := b.Close(context.Background()); err != nil {
		b.t.Error(err)
	}
}

// bubble runs a test in simulated time.
func bubble(t *testing.T, starts func(n int, f *fake), test func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, starts)
		test(t, b)
		b.end()
	})
}

// A replica that ends is started again after 1, 2, 4 … 60 s, and after 1 s once
// it has run for long.
func TestBackOff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(1)
		began := time.Now()
		for i, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			b.all()[i].dies("exited with status 3")
			b.want("1 unhealthy")
			time.Sleep(wait*time.Second - time.Millisecond)
			if len(b.all()) != i+1 {
				t.Fatalf("start %d came early, after %s", i+2, time.Since(began))
			}
			time.Sleep(time.Millisecond)
			b.want("1")
			if len(b.all()) != i+2 {
				t.Fatalf("%d starts after %d ends", len(b.all()), i+1)
			}
		}
		time.Sleep(steadyTime)
		b.all()[8].dies("exited with status 3")
		time.Sleep(time.Second)
		b.want("1")
		if said := b.said.String(); !strings.Contains(said, "app-1 exited with status 3; it is started again in 1m0s") {
			t.Errorf("it said:\n%s", said)
		}
	})
}

// A raise whose replicas do not get healthy gives those up, and only those.
func TestRaiseFails(t *testing.T) {
	starts := func(n int, f *fake) {
		switch n {
		case 2:
			f.takes = -1
		case 3:
			f.takes = 2 * time.Second
		case 4:
			time.AfterFunc(time.Second, func() { f.dies("exited with status 1") })
			f.takes = -1
		}
	}
	bubble(t, starts, func(t *testing.T, b *bench) {
		b.set(2)
		var names []string
		began := time.Now()
		o, err := b.Set(t.Context(), 5)
		if err == nil || !o.Failed || o.Count != 3 {
			t.Fatalf("%+v, %v", o, err)
		}
		for _, f := range b.all()[2:] {
			names = append(names, f.replica.name)
		}
		for _, says := range []string{
			names[0] + " was not healthy within 20s (not yet) and was given up", names[2] + " exited with status 1 and was given up",
		} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("it does not say %q: %v", says, err)
			}
		}
		if took := time.Since(began); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("it took %s", took)
		}
		if b.all()[2].words != "T" {
			t.Errorf("the one that hangs was told %q", b.all()[2].words)
		}
		b.want("1, 2, " + strings.TrimPrefix(names[1], "app-"))
	})
}

// A replica that says that its port is in use has another try, and no third one
// too many.
func TestPortTaken(t *testing.T) {
	taken := 2
	starts := func(n int, f *fake) {
		if n < taken {
			f.replica.heard("listen tcp 127.0.0.1:20001: bind: address already in use")
			f.takes = -1
			f.dies("exited with status 1")
		}
	}
	bubble(t, starts, func(t *testing.T, b *bench) {
		b.set(1)
		b.set(0)
		b.want("") // else it would be taken back
		taken = 1000
		if _, err := b.Set(t.Context(), 1); err == nil || len(b.all()) != 3+portTries || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%d starts, %v", len(b.all()), err)
		}
	})
}

// Where nothing runs the back-off is of seconds, and no failure is remembered that
// would keep the next raise from being made for minutes.
func TestRaiseFromNothingFails(t *testing.T) {
	failing := true
	starts := func(_ int, f *fake) {
		if failing {
			time.AfterFunc(time.Millisecond, func() { f.dies("exited with status 1") })
			f.takes = -1
		}
	}
	bubble(t, starts, func(t *testing.T, b *bench) {
		for i, wait := range []time.Duration{1, 2, 4} {
			if o, err := b.Set(t.Context(), 1); err == nil || o.Failed || o.Count != 0 {
				t.Fatalf("%+v, %v", o, err)
			}
			time.Sleep(wait*time.Second - time.Millisecond)
			if _, err := b.Set(t.Context(), 1); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("after %d starts that failed", i+1)) {
				t.Fatal(err)
			}
			if len(b.all()) != i+1 {
				t.Fatalf("%d starts", len(b.all()))
			}
			time.Sleep(time.Millisecond)
		}
		failing = false
		b.set(1)
	})
}

// An interrupted raise leaves what starts to start, and says so.
func TestRaiseInterrupted(t *testing.T) {
	bubble(t, func(n int, f *fake) { f.takes = time.Duration(n) * 5 * time.Second }, func(t *testing.T, b *bench) {
		b.set(1)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		o, err := b.Set(ctx, 3)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || o.Count != 3 || o.Failed {
			t.Fatalf("%+v, %v", o, err)
		}
		time.Sleep(10 * time.Second)
		b.want("1, 2, 3")
		b.set(3)
	})
}

// An unhealthy replica gets no new requests, finishes what it has, and is
// replaced; one that gets healthy before that goes on.
func TestUnhealthy(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(1)
		b.set(2)
		answer := make(chan struct{})
		for _, f := range b.all() {
			f.serve = func(r *http.Request) (*http.Response, error) {
				<-answer
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
			}
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { b.ask(t.Context()) })
		}
		sick, other := b.all()[0], b.all()[1]
		sick.sicken(errors.New("broken"))
		time.Sleep(2*probeReady + time.Millisecond)
		b.want("1 unhealthy, 2")
		for range 3 {
			if one, _, _ := b.takeNow(nil, false); one == nil || one.program != other.program {
				t.Error("the unhealthy one got a new request")
			} else {
				defer b.give(one)
			}
		}
		sick.sicken(nil)
		time.Sleep(probeReady)
		b.want("1, 2")
		sick.sicken(errors.New("broken again"))
		time.Sleep(4 * probeReady)
		b.want("1 unhealthy, 2")
		if sick.words != "" {
			t.Errorf("it was told %q with a request under way", sick.words)
		}
		close(answer)
		wg.Wait()
		time.Sleep(3 * time.Second)
		b.want("1, 2")
		if len(b.all()) != 3 || sick.words != "T" || b.all()[2].replica != sick.replica {
			t.Errorf("told %q, %d starts", sick.words, len(b.all()))
		}
		for _, says := range []string{"gets no new requests: broken", "is healthy again", "is unhealthy (broken again); it is started again in 1s"} {
			if !strings.Contains(b.said.String(), says) {
				t.Errorf("it does not say %q:\n%s", says, &b.said)
			}
		}
	})
}

// An unhealthy replica whose requests never end is replaced after drain.
func TestUnhealthyHangs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(1)
		hung := b.all()[0]
		hung.serve = func(r *http.Request) (*http.Response, error) {
			<-hung.program.ended
			return nil, io.ErrUnexpectedEOF
		}
		var code int
		var wg sync.WaitGroup
		wg.Go(func() { code = b.ask(t.Context()).Code })
		hung.sicken(errors.New("broken"))
		time.Sleep(time.Minute)
		wg.Wait()
		b.want("1")
		if code != http.StatusBadGateway || len(b.all()) != 2 {
			t.Errorf("status %d, %d starts", code, len(b.all()))
		}
	})
}

// That a replica's queue is full is load, and no reason to end it.
func TestBusy(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(1)
		b.all()[0].sicken(&net.OpError{Op: "dial", Net: "tcp", Err: timeoutError{}})
		time.Sleep(time.Minute)
		b.want("1")
		b.all()[0].sicken(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
		time.Sleep(5 * time.Second)
		b.want("1 unhealthy")
	})
}

type timeoutError struct{}

func (timeoutError) Error() string { return "i/o timeout" }
func (timeoutError) Timeout() bool { return true }

// Who leaves: the unhealthy, then the youngest; and nobody while one that stays is
// not healthy.
func TestLower(t *testing.T) {
	bubble(t, func(n int, f *fake) { f.takes = time.Duration(n) * time.Millisecond }, func(t *testing.T, b *bench) {
		for n := range 4 {
			b.set(n + 1) // one after the other, so that ages differ
		}
		b.all()[1].sicken(errors.New("broken"))
		b.all()[1].terminates = time.Second
		time.Sleep(4*time.Second + 100*time.Millisecond)
		b.want("1, 2 unhealthy, 3, 4")
		o := b.set(3)
		if !slices.ContainsFunc(o.Notes, func(n string) bool { return strings.HasPrefix(n, "app-2 goes first") }) {
			t.Errorf("notes %q", o.Notes)
		}
		b.want("1, 3, 4")
		b.set(2)
		b.want("1, 3")
		time.Sleep(time.Second)
		b.all()[0].sicken(errors.New("broken"))
		b.all()[2].sicken(errors.New("broken"))
		time.Sleep(4 * time.Second)
		b.want("1 unhealthy, 3 unhealthy")
		o, err := b.Set(t.Context(), 1)
		if err != nil || o.Count != 2 || len(o.Notes) != 1 || !strings.HasPrefix(o.Notes[0], "waiting: ") {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// A replica that leaves gets no new requests and finishes those it has; its time
// is bounded, and so is that until it ends.
func TestDrain(t *testing.T) {
	for name, test := range map[string]struct {
		answers, terminates, gone time.Duration
		words                     string
	}{
		"at once":              {0, 0, 0, "T"},
		"after its requests":   {4 * time.Second, time.Second, 5 * time.Second, "T"},
		"with requests":        {time.Hour, time.Second, 11 * time.Second, "T"},
		"by force":             {time.Second, -1, 6 * time.Second, "TK"},
		"with both, by force ": {time.Hour, -1, 15 * time.Second, "TK"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bench) {
				b.set(1)
				b.set(2)
				leaving := b.all()[1]
				leaving.terminates = test.terminates
				leaving.serve = func(r *http.Request) (*http.Response, error) {
					select {
					case <-time.After(test.answers):
						return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
					case <-leaving.program.ended:
						return nil, io.ErrUnexpectedEOF
					}
				}
				var wg sync.WaitGroup
				for range 3 { // at least one for each
					wg.Go(func() { b.ask(t.Context()) })
				}
				synctest.Wait()
				began := time.Now()
				b.set(1)
				for range 5 {
					b.ask(t.Context())
				}
				if time.Since(began) > 0 {
					t.Error("the one that leaves got a new request")
				}
				<-leaving.replica.done
				if took := time.Since(began); took != test.gone || leaving.words != test.words {
					t.Errorf("gone after %s, told %q; want %s, %q", took, leaving.words, test.gone, test.words)
				}
				wg.Wait()
				b.want("1")
			})
		})
	}
}

// A raise takes back who has not left yet, and starts others only for the rest.
func TestTakeBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(1)
		b.set(2)
		release := make(chan struct{})
		b.all()[1].serve = func(r *http.Request) (*http.Response, error) {
			<-release
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { b.ask(t.Context()) })
		}
		synctest.Wait()
		b.set(1)
		time.Sleep(time.Second)
		o := b.set(3)
		if len(o.Notes) == 0 || o.Notes[0] != "app-2 stays: it had not left yet" {
			t.Errorf("notes %q", o.Notes)
		}
		b.want("1, 2, 3")
		close(release)
		wg.Wait()
		time.Sleep(time.Minute)
		b.want("1, 2, 3")
		if len(b.all()) != 3 {
			t.Errorf("%d starts", len(b.all()))
		}
	})
}

// Everything ends by the deadline that is set, by force if need be.
func TestCloseInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.set(3)
		deaf, busy := b.all()[0], b.all()[1]
		deaf.terminates = -1
		for _, f := range []*fake{deaf, busy} {
			f.serve = func(*http.Request) (*http.Response, error) {
				<-f.program.ended
				return nil, io.ErrUnexpectedEOF
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { b.ask(t.Context()) })
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 8*time.Second || deaf.words != "TK" || busy.words != "T" {
			t.Errorf("it took %s; told %q and %q", took, deaf.words, busy.words)
		}
		wg.Wait()
		if _, err := b.Set(t.Context(), 1); !errors.Is(err, errClosed) {
			t.Error(err)
		}
		if err := b.Close(ctx); !errors.Is(err, errClosed) {
			t.Error(err)
		}
		if rw := b.ask(t.Context()); rw.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", rw.Code)
		}
	})
}
