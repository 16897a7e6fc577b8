// Command app is the example's service: one endpoint that does a stated number
// of requests per second and no more, with the metrics page, the health check
// and the orderly end that a scaled service needs.
//
// It reads its settings from the environment:
//
//	PORT      port to listen on (8000)
//	CAPACITY  requests/s that one replica manages (50)
//	QUEUE     longest time a request waits for its turn before it gets 503 (1s)
//	STARTUP   time between start and the first accepted connection (0s)
//	LEVERS    switches the levers of lever.go on, for tests and demonstrations
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	health := flag.Bool("healthcheck", false, "ask the running app whether it is healthy, and exit with 0 or 1")
	pull := flag.String("lever", "", "pull levers of the running app, such as rps=120")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	port := cmp.Or(os.Getenv("PORT"), "8000")
	var err error
	switch {
	case *health:
		err = ask(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/healthz")
	case *pull != "":
		err = ask(ctx, http.MethodPost, "http://127.0.0.1:"+port+"/lever?"+*pull)
	default:
		err = serve(ctx, port)
	}
	if err != nil {
		log.Fatal("app: ", err)
	}
}

// ask is the client side of the health check: an image without a shell can
// only be asked by its own program.
func ask(ctx context.Context, method, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the status alone says enough
		return fmt.Errorf("%s answered %s: %s", address, resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// serve runs the service until ctx ends, then lets the requests under way finish.
func serve(ctx context.Context, port string) error {
	a, startup, err := newApp(os.Getenv)
	if err != nil {
		return err
	}
	log.Printf("app: starting, %g requests/s", a.capacity)
	select {
	case <-time.After(startup):
	case <-ctx.Done():
		return nil
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Printf("app: serving on port %s", port)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// From here on connections are refused, so the proxy takes another replica;
	// what was accepted before is still answered.
	log.Print("app: stopping, finishing requests under way")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

// app is one replica.
type app struct {
	capacity float64 // requests/s
	queue    queue
	meter    *meter
	levers   *levers
}

func newApp(getenv func(string) string) (*app, time.Duration, error) {
	capacity, err := strconv.ParseFloat(cmp.Or(getenv("CAPACITY"), "50"), 64)
	if err != nil || !(capacity > 0 && capacity <= 1e6) {
		return nil, 0, fmt.Errorf("CAPACITY=%s: want requests per second, above 0 and at most a million", getenv("CAPACITY"))
	}
	longest, err := duration(getenv, "QUEUE", "1s")
	if err != nil {
		return nil, 0, err
	}
	startup, err := duration(getenv, "STARTUP", "0s")
	if err != nil {
		return nil, 0, err
	}
	a := &app{
		capacity: capacity,
		queue:    queue{each: time.Duration(float64(time.Second) / capacity), longest: longest},
		meter:    newMeter(time.Now()),
	}
	if setting := getenv("LEVERS"); setting != "" {
		a.levers = &levers{}
		pulled, err := url.ParseQuery(setting)
		if setting != "1" && err == nil {
			err = a.levers.pull(pulled)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("LEVERS=%s: %w", setting, err)
		}
	}
	return a, startup, nil
}

func duration(getenv func(string) string, name, otherwise string) (time.Duration, error) {
	d, err := time.ParseDuration(cmp.Or(getenv(name), otherwise))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s=%s: want a time such as 500ms or 3s", name, getenv(name))
	}
	return d, nil
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("/{$}", a.work)
	if a.levers != nil {
		mux.HandleFunc("POST /lever", a.levers.handle)
	}
	return mux
}

// work answers after its turn in the queue, or at once with 503 when the queue
// is too long: a service should refuse what it cannot do in time.
func (a *app) work(w http.ResponseWriter, r *http.Request) {
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
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		fmt.Fprintf(w, "done by %s\n", host)
	case http.StatusServiceUnavailable:
		http.Error(w, "too many requests are waiting", status)
	}
}

func (a *app) health(w http.ResponseWriter, _ *http.Request) {
	if a.levers.unhealthy() {
		http.Error(w, "unhealthy, as the lever says", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *app) metrics(w http.ResponseWriter, r *http.Request) {
	page, err := a.levers.shape(r.Context(), a.meter, time.Now())
	if err != nil {
		return // the request was given up: nobody is left to answer
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := io.WriteString(w, page); err != nil {
		log.Printf("app: writing the metrics page: %v", err)
	}
}
