//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const proxyName = "autoscale-e2e-proxy"

// fronted is a project whose service has a proxy in front: the example's Caddy,
// which asks Docker's DNS for the replicas.
const fronted = `services:
  app:
    image: autoscale-e2e-app:1
    environment: {LEVERS: "1", CAPACITY: "200", QUEUE: 60s}
    healthcheck: {test: ["CMD", "/app", "-healthcheck"], interval: 1s, timeout: 20s, retries: 3}
    stop_grace_period: 15s
  proxy:
    image: ` + proxyName + `
    ports: ["127.0.0.1::8000"]
    depends_on: [app]
`

// proxyImage builds the proxy's image.
var proxyImage = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "autoscale-e2e-proxy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, from := range map[string]string{"caddy": os.Getenv("AUTOSCALE_CADDY"), "Caddyfile": "../examples/compose/proxy/Caddyfile", "Dockerfile": "../examples/compose/proxy/Dockerfile"} {
		if out, err := exec.Command("cp", from, filepath.Join(dir, name)).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		return err
	}
	if out, err := exec.Command("docker", "build", "-q", "-t", proxyName, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})

// newFronted is a project of fronted that runs.
func newFronted(t *testing.T) *project {
	t.Helper()
	if err := proxyImage(); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, "compose.yaml", fronted)
	p.up()
	return p
}

// callers send requests to a project's proxy, so many a second, each at its time.
type callers struct {
	t      *testing.T
	url    string
	method string
	rate   atomic.Int64
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	sent    int
	failed  []string
	slowest time.Duration
	seen    map[string]time.Time // when each replica answered first
}

func newCallers(p *project, rate int64) *callers {
	return callersAt(p.t, "http://"+strings.TrimSpace(p.docker("compose", "port", "proxy", "8000"))+"/", http.MethodGet, rate)
}

// callersAt send them to a URL.
func callersAt(t *testing.T, url, method string, rate int64) *callers {
	c := &callers{t: t, url: url, method: method, seen: map[string]time.Time{}}
	c.rate.Store(rate)
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	t.Cleanup(func() { stop(); c.wg.Wait() })
	// A POST is never repeated, neither by clients nor by proxies. Over a connection
	// that it was kept for the server may close it at the same instant, whoever that
	// is, so that each has its own.
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableKeepAlives: method == http.MethodPost}}
	c.wg.Go(func() {
		next := time.Now()
		for ctx.Err() == nil {
			next = next.Add(time.Second / time.Duration(c.rate.Load()))
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(next)):
				c.wg.Go(func() { c.call(ctx, client) })
			}
		}
	})
	return c
}

// call sends one request and keeps what became of it.
func (c *callers) call(ctx context.Context, client *http.Client) {
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, nil)
	if err != nil {
		c.t.Error(err)
		return
	}
	resp, err := client.Do(req)
	var text []byte
	status := "no answer"
	if err == nil {
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		status = resp.Status
	}
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	c.slowest = max(c.slowest, time.Since(began))
	by, answered := strings.CutPrefix(string(text), "done by ")
	if err != nil || !answered {
		c.failed = append(c.failed, fmt.Sprintf("%s %s: %v %.100s", began.Format(time.TimeOnly), status, err, text))
		return
	}
	if c.seen[by].IsZero() {
		c.seen[by] = time.Now()
	}
}

// end ends the calls, and returns how many there were. One that failed is an error.
func (c *callers) end() int {
	c.t.Helper()
	c.stop()
	c.wg.Wait()
	if len(c.failed) > 0 {
		c.t.Errorf("%d of %d requests failed: %q", len(c.failed), c.sent, c.failed[:min(len(c.failed), 5)])
	}
	return c.sent
}

// known are the replicas that answered so far.
func (c *callers) known() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// newest is when the last new replica answered first.
func (c *callers) newest() (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, first := range c.seen {
		if first.After(at) {
			at = first
		}
	}
	return at
}

// TestReaction: from a step in the load to the new replica's answer through the
// proxy, at an interval of a second, on the service's own counters.
func TestReaction(t *testing.T) {
	t.Parallel()
	steps := 2
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		steps = 20
	}
	p := newFronted(t)
	l := newLooker(t, fmt.Sprintf("  shop: {service: app, project-dir: %q, metrics-url: \"http://{replica}:8000/metrics\", rps-metric: http_requests_total, max: 2, max-reversals: 0}\n", p.dir))
	load := newCallers(p, 20)
	var took []time.Duration
	for range steps {
		l.until("one replica", func() bool { return p.count() == 1 })
		time.Sleep(time.Duration(500+len(took)*317%1000) * time.Millisecond) // at any time of the interval
		before, began := load.known(), time.Now()
		load.rate.Store(80)
		l.until("a new replica answers", func() bool { return load.known() > before })
		took = append(took, load.newest().Sub(began))
		load.rate.Store(20)
	}
	slices.Sort(took)
	sent := load.end()
	t.Logf("%d steps; to the new replica's first answer: median %s, %v; %d requests, slowest %s",
		steps, took[len(took)/2].Round(time.Millisecond), took, sent, load.slowest)
}
