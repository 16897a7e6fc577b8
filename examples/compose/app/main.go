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
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/five-keys/autoscale/internal/app"
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
		err = serve(ctx)
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
func serve(ctx context.Context) error {
	a, c, err := newExample(os.Getenv)
	if err != nil {
		return err
	}
	return app.Serve(ctx, c, a.routes(), func(format string, args ...any) { log.Printf("app: "+format, args...) })
}

// example is one replica.
type example struct {
	*app.App
	levers *levers
}

func newExample(getenv func(string) string) (*example, app.Config, error) {
	c, err := app.FromEnv(getenv)
	if err != nil {
		return nil, c, err
	}
	a := &example{App: app.New(c)}
	if setting := getenv("LEVERS"); setting != "" {
		a.levers = &levers{}
		pulled, err := url.ParseQuery(setting)
		if setting != "1" && err == nil {
			err = a.levers.pull(pulled)
		}
		if err != nil {
			return nil, c, fmt.Errorf("LEVERS=%s: %w", setting, err)
		}
	}
	return a, c, nil
}

func (a *example) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("/{$}", a.Work)
	if a.levers != nil {
		mux.HandleFunc("POST /lever", a.levers.handle)
	}
	return mux
}

func (a *example) health(w http.ResponseWriter, _ *http.Request) {
	if a.levers.unhealthy() {
		http.Error(w, "unhealthy, as the lever says", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *example) metrics(w http.ResponseWriter, r *http.Request) {
	page, err := a.levers.shape(r.Context(), a.App, time.Now())
	if err != nil {
		return // the request was given up: nobody is left to answer
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := io.WriteString(w, page); err != nil {
		log.Printf("app: writing the metrics page: %v", err)
	}
}
