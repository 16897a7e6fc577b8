// Package app is a service to be scaled, for the example and the demonstration:
// one endpoint that does a stated number of requests per second and no more, and
// that ends in order.
package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Config is what one replica is like.
type Config struct {
	// Host and Port are listened on; an empty Host is every address.
	Host, Port string
	// Capacity is the requests/s that it manages.
	Capacity float64
	// Queue is the longest time that a request waits for its turn before it gets
	// 503.
	Queue time.Duration
	// Startup is the time between its start and the first accepted connection.
	Startup time.Duration
}

// FromEnv reads a Config from an environment:
//
//	PORT      port to listen on (8000)
//	CAPACITY  requests/s (50)
//	QUEUE     longest wait (1s)
//	STARTUP   time it takes to start (0s)
func FromEnv(getenv func(string) string) (Config, error) {
	c := Config{Port: cmp.Or(getenv("PORT"), "8000")}
	var err error
	c.Capacity, err = strconv.ParseFloat(cmp.Or(getenv("CAPACITY"), "50"), 64)
	if err != nil || !(c.Capacity > 0 && c.Capacity <= 1e6) {
		return c, fmt.Errorf("CAPACITY=%s: want requests per second, above 0 and at most a million", getenv("CAPACITY"))
	}
	if c.Queue, err = duration(getenv, "QUEUE", "1s"); err != nil {
		return c, err
	}
	c.Startup, err = duration(getenv, "STARTUP", "0s")
	return c, err
}

func duration(getenv func(string) string, name, otherwise string) (time.Duration, error) {
	d, err := time.ParseDuration(cmp.Or(getenv(name), otherwise))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s=%s: want a time such as 500ms or 3s", name, getenv(name))
	}
	return d, nil
}

// App is the work of one replica.
type App struct {
	queue queue
	meter *meter
	name  string // of the machine
}

// New makes an App as c says, which begins to count now.
func New(c Config) *App {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &App{
		queue: queue{each: time.Duration(float64(time.Second) / c.Capacity), longest: c.Queue},
		meter: newMeter(time.Now()),
		name:  host,
	}
}

// Work answers after its turn in the queue, or at once with 503 when the queue is
// too long: a service should refuse what it cannot do in time.
func (a *App) Work(w http.ResponseWriter, r *http.Request) {
	a.meter.begin()
	status := http.StatusOK
	turn, ok := a.queue.enter(time.Now())
	if ok {
		select {
		case <-time.After(time.Until(turn)):
		case <-r.Context().Done(): // the caller has gone; its turn is spent all the same
			status = 499
		}
	} else {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	a.meter.end(time.Now(), status)
	switch status {
	case http.StatusOK:
		fmt.Fprintf(w, "done by %s\n", a.name)
	case http.StatusServiceUnavailable:
		http.Error(w, "too many requests are waiting", status)
	}
}

// Page is the metrics page at now, in the Prometheus text format 0.0.4. A fixed
// gauge, in requests/s, stands in for the measured one where it is not nil.
func (a *App) Page(now time.Time, fixed *float64) string { return a.meter.page(now, fixed) }

// finishWithin is how long requests under way may take at the end.
const finishWithin = 10 * time.Second

// Serve starts as a replica of c does, and serves until ctx ends; requests under
// way are then finished. tell is told what it does.
func Serve(ctx context.Context, c Config, h http.Handler, tell func(format string, args ...any)) error {
	tell("starting, %g requests/s", c.Capacity)
	select {
	case <-time.After(c.Startup):
	case <-ctx.Done():
		return nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(c.Host, c.Port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	tell("serving on port %s", c.Port)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// From here on connections are refused, so the proxy takes another replica;
	// what was accepted before is still answered.
	tell("stopping, finishing requests under way")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	return server.Shutdown(ctx)
}
