// Package web shows what the daemon does, and lets those who have its token
// pause services: metrics, a JSON API (docs/api.md), health.
//
// It reads snapshots and never waits for a step, but for a pause, which has to.
package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// Daemon is what the server shows and changes; *control.Daemon is one.
type Daemon interface {
	// Snapshots are where the services stand, in the order of their names.
	Snapshots() []control.Snapshot
	// Pause leaves a service's count alone, or holds it; nil ends that. It may wait
	// for the step that is under way, until ctx ends.
	Pause(ctx context.Context, name string, p *autoscale.Pause) error
}

// History is where what happened is looked up.
type History interface {
	// Points sum up a service's steps from one moment up to another, one each step
	// of time in which there were any, oldest first.
	Points(service string, from, to time.Time, step time.Duration) ([]Point, error)
	// Records yields at most limit records of a service, newest first; with changes
	// only those that tell something. An error ends them.
	Records(service string, from, to time.Time, limit int, changes bool) iter.Seq2[store.Record, error]
	// Events are at most limit of a service, or of all where it is empty, that are
	// not before since, newest first.
	Events(service string, since time.Time, limit int) ([]Event, error)
}

// Point sums up the steps of a stretch of time.
type Point struct {
	// Time is when the stretch begins.
	Time time.Time `json:"time"`
	// RPS is the highest load in requests/s.
	RPS float64 `json:"rps"`
	// MinReplicas and MaxReplicas are the fewest and the most there were.
	MinReplicas int `json:"min_replicas"`
	MaxReplicas int `json:"max_replicas"`
	// Want is the most that was wanted.
	Want int `json:"want"`
	// Verdict is the worst of the readings.
	Verdict autoscale.Verdict `json:"verdict"`
	// Min and Max are the bounds in force, the highest of each; both are 0 where they
	// are not known.
	Min int `json:"min"`
	Max int `json:"max"`
}

// Event is something that happened beside the steps: a pause, a reload, an engine
// that was gone.
type Event struct {
	// ID grows from event to event.
	ID int64 `json:"id"`
	// Time is when it happened.
	Time time.Time `json:"time"`
	// Service is whom it befell; empty for the daemon as a whole.
	Service string `json:"service,omitempty"`
	// Kind is a stable name, Text says it in words.
	Kind string `json:"kind"`
	Text string `json:"text"`
	// By is whose doing it was; empty for nobody's.
	By string `json:"by,omitempty"`
}

// Config says where a Server listens and what it says of itself.
type Config struct {
	// Listen is the address of the API and the metrics, "127.0.0.1:9292"; empty for
	// none. Any other than a loopback address needs a Token.
	Listen string
	// MetricsListen is the address of /metrics and /healthz alone; empty for none.
	MetricsListen string
	// Token is what whoever changes something must show; without one nothing can be
	// changed.
	Token string
	// Version is this program's, Host this machine's name.
	Version, Host string
	// Log is told of changes and of what goes wrong; nil for nobody.
	Log *slog.Logger
}

const (
	// endWithin is how long requests under way may take once the server shall end.
	endWithin = 4 * time.Second
	// headWithin, readWithin and answerWithin bound a request; a stream's answer has
	// bounds of its own.
	headWithin   = 5 * time.Second
	readWithin   = 10 * time.Second
	answerWithin = time.Minute
	idleAfter    = time.Minute
	// maxHead and maxBody bound a request in bytes.
	maxHead = 16 << 10
	maxBody = 64 << 10
)

// Server serves the API and the metrics.
type Server struct {
	config  Config
	daemon  Daemon
	history History
	log     *slog.Logger
	guard   *guard
	stream  stream
	reload  reload
	doors   []*door
}

// door is an address and what is served there.
type door struct {
	key, address string // the key of the configuration, for errors
	handler      http.Handler
	listener     net.Listener // nil before Listen
}

// New makes a Server; h may be nil where no history is kept. It refuses an address
// that others can reach without a token, and does not listen yet.
func New(c Config, d Daemon, h History) (*Server, error) {
	s := &Server{config: c, daemon: d, history: h, log: c.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.stream.readers = map[*reader]bool{}
	s.guard = newGuard(c)
	if c.Listen != "" {
		if err := c.listenable(); err != nil {
			return nil, err
		}
		s.doors = append(s.doors, &door{key: "listen", address: c.Listen, handler: s.Handler()})
	}
	if c.MetricsListen != "" {
		if err := address("metrics-listen", c.MetricsListen); err != nil {
			return nil, err
		}
		s.doors = append(s.doors, &door{key: "metrics-listen", address: c.MetricsListen, handler: s.MetricsHandler()})
	}
	return s, nil
}

// listenable reports why the API must not be served where c says.
func (c Config) listenable() error {
	if err := address("listen", c.Listen); err != nil {
		return err
	}
	if c.Token == "" && !loopback(c.Listen) {
		return fmt.Errorf("listen: %s can be reached from other machines, and there is no token: set token (token: ${AUTOSCALE_TOKEN}, or token: {file: …}), or listen on 127.0.0.1; for Prometheus alone, metrics-listen needs none", c.Listen)
	}
	return nil
}

// address reports what is wrong with an address to listen on.
func address(key, text string) error {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return fmt.Errorf("%s: %q is no address (%v): give host:port, such as 127.0.0.1:9292, or :9292 for every address of this machine", key, text, err)
	}
	return nil
}

// loopback reports whether only this machine can reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// Listen takes the addresses, so that one that is not to be had is known before
// anything is said to be ready. Serve does it where it was not done.
func (s *Server) Listen() error {
	for _, d := range s.doors {
		if d.listener != nil {
			continue
		}
		listener, err := net.Listen("tcp", d.address)
		if err != nil {
			s.close()
			return fmt.Errorf("%s: cannot listen on %s: %w; is another daemon running there? give another address, or none", d.key, d.address, err)
		}
		d.listener = listener
	}
	return nil
}

func (s *Server) close() {
	for _, d := range s.doors {
		if d.listener != nil {
			_ = d.listener.Close() // nothing was accepted
			d.listener = nil
		}
	}
}

// Addr and MetricsAddr are the addresses that are listened on, once they are; nil
// for none.
func (s *Server) Addr() net.Addr { return s.addr("listen") }

// MetricsAddr is as Addr says.
func (s *Server) MetricsAddr() net.Addr { return s.addr("metrics-listen") }

func (s *Server) addr(key string) net.Addr {
	for _, d := range s.doors {
		if d.key == key && d.listener != nil {
			return d.listener.Addr()
		}
	}
	return nil
}

// Serve serves until ctx ends, and then lets requests under way end, for at most
// five seconds. Serving nowhere is no error.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(s.doors))
	var servers []*http.Server
	var serving sync.WaitGroup
	for _, d := range s.doors {
		server := s.server(ctx, d.handler)
		servers = append(servers, server)
		serving.Go(func() {
			if err := server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: serving on %s ended: %w", d.key, d.address, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop() // streams, and whoever waits for a step, end
	end(servers)
	serving.Wait()
	return err
}

// server is one with bounds, whose requests end with ctx.
func (s *Server) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headWithin, ReadTimeout: readWithin, WriteTimeout: answerWithin, IdleTimeout: idleAfter,
		MaxHeaderBytes: maxHead, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// end ends servers, all at the same time.
func end(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	var ending sync.WaitGroup
	for _, server := range servers {
		ending.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close() // whoever is still there was given time
			}
		})
	}
	ending.Wait()
}

// reload is the outcome of the last time the configuration was read.
type reload struct {
	mu   sync.Mutex
	err  error
	good time.Time // when one was last taken over; zero for never
}

// Reloaded tells the outcome of reading the configuration: nil where it was taken
// over, else why the one before stays.
func (s *Server) Reloaded(err error) {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	s.reload.err = err
	if err == nil {
		s.reload.good = time.Now()
	}
}

// get is when a configuration was last taken over, and why the last one was not.
func (r *reload) get() (good time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.good, r.err
}
