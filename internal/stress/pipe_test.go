package stress

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// server is an HTTP server in memory, whose time can be simulated.
type server struct {
	*http.Server
	listener pipes
	mu       sync.Mutex
	times    []time.Time // of the requests that came
	begun    time.Time
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  *sync.Once
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// serve starts a server that answers with handle, until the test ends.
func serve(t *testing.T, handle http.HandlerFunc) *server {
	t.Helper()
	s := &server{listener: pipes{make(chan net.Conn), make(chan struct{}), &sync.Once{}}, begun: time.Now()}
	s.Server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.times = append(s.times, time.Now())
		s.mu.Unlock()
		handle(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(s.listener) // it ends with the test
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return s
}

// dial connects to the server.
func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case s.listener.conns <- theirs:
		return ours, nil
	case <-s.listener.done:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// perSecond are how many requests came in each second.
func (s *server) perSecond() (counts []float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.times {
		second := int(at.Sub(s.begun) / time.Second)
		for len(counts) <= second {
			counts = append(counts, 0)
		}
		counts[second]++
	}
	return counts
}

// send runs a load on the server, in the server's own time.
func (s *server) send(t *testing.T, c Config) *Report {
	t.Helper()
	if c.Target.URL == nil {
		c.Target.URL = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/"}
	}
	if c.Target.Timeout == 0 {
		c.Target.Timeout = 10 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 1 << 20
	}
	report, err := s.run(t)(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// run is Run on the server, in its own time.
func (s *server) run(t *testing.T) sender {
	return func(ctx context.Context, c Config) (*Report, error) {
		t.Helper()
		if err := c.Validate(); err != nil {
			return nil, err
		}
		a := newAddresses(c.Target)
		a.dial = s.dial
		return newRun(c, a, newSleeper()).run(ctx)
	}
}

// curve is a load profile as a run takes it.
func curve(t *testing.T, profile string) Config {
	t.Helper()
	c, err := trace.ParseProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	length, _ := c.Length()
	return Config{Workers: 64, Duration: length, Load: trace.At(c.Uniform()), Due: c.Count}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }

// exact is the quantile of times, by counting.
func exact(times []float64, q float64) float64 {
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}
