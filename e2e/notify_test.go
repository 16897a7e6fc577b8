//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hook is a webhook that keeps what it was told.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	said []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Message string }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.said = append(h.said, message.Message)
	}))
	t.Cleanup(h.Close)
	return h
}

// told is what was told since the last call.
func (h *hook) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := strings.Join(h.said, "\n")
	h.said = nil
	return all
}

// TestNotify: every event is told once, by one-shots that know of each other only
// what the state says; one that cannot be told changes nothing.
func TestNotify(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	h := newHook(t)
	load := newPage(t, 100)
	run := func(status int, want string, more ...string) {
		t.Helper()
		p.autoscale(append([]string{load.url(), "--notify=generic+" + h.URL + "/secret"}, more...)...).want(status)
		if said := h.told(); want == "" && said != "" || !strings.Contains(said, want) || strings.Count(said, "\n") > 0 {
			t.Errorf("told %q, want %q", said, want)
		}
	}
	run(0, "", "--dry-run")
	run(0, "app: 1 -> 3 replicas: 100 rps")
	run(0, "")
	load.set(400)
	p.autoscale(load.url(), "--notify=generic+"+h.URL+"/secret").want(0)
	if said := h.told(); !strings.Contains(said, "3 -> 5 replicas") || !strings.Contains(said, "at its maximum of 5") {
		t.Errorf("told %q", said)
	}
	run(0, "")
	load.serve(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	run(1, "") // not before five minutes of it
	load.set(190)
	run(0, "")
	load.set(100)
	r := p.autoscale(load.url(), "--notify=generic+http://127.0.0.1:1/secret").want(0, "5 -> 3 replicas", "not told: generic: ")
	if strings.Contains(r.out+r.errors, "secret") {
		t.Errorf("a secret is shown:\n%s%s", r.out, r.errors)
	}
	run(0, ") app: 5 -> 3 replicas") // late
	run(0, "")
}

// TestNotifyOfOverlappingRuns: however many runs there are at once, what one of them
// did is told once, and what they were kept from is not.
func TestNotifyOfOverlappingRuns(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	h := newHook(t)
	load := newPage(t, 100)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p.autoscale(load.url(), "--notify=generic+"+h.URL+"/secret", "--textfile=app.prom")
		})
	}
	wg.Wait()
	if said := h.told(); strings.Count(said, "app: ") != 1 || !strings.Contains(said, "app: 1 -> 3 replicas") {
		t.Errorf("told %q", said)
	}
	if text := p.read("app.prom"); !strings.Contains(text, fmt.Sprintf("autoscale_replicas{service=\"app\",project=%q} 3\n", p.name)) || !strings.Contains(text, "autoscale_step_failing{service=\"app\",project=\""+p.name+"\"} 0\n") {
		t.Errorf("%s", text)
	}
	r := p.autoscale(load.url(), "--notify=generic+"+h.URL+"/secret", "--textfile=app.prom")
	if said := h.told(); r.status != 0 || said != "" {
		t.Errorf("status %d, told %q", r.status, said)
	}
	load.set(10)
	p.sub("rollback", load.url(), "--textfile=app.prom", "--yes").want(0, "done: textfile")
	if _, err := os.Stat(filepath.Join(p.dir, "app.prom")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the metrics are left (%v)", err)
	}
}

// TestDaemonNotify: what two services have to tell comes in one message, once.
func TestDaemonNotify(t *testing.T) {
	t.Parallel()
	p, q := newProject(t), newProject(t)
	p.up()
	q.up()
	h := newHook(t)
	one, two := newPage(t, 60), newPage(t, 60)
	more := fmt.Sprintf(", notify: \"generic+%s/secret\"", h.URL)
	l := newLooker(t, p.entry("one", one, more)+q.entry("two", two, more))
	l.until("both have 2", func() bool { return p.count() == 2 && q.count() == 2 })
	var said string
	l.until("both were told of", func() bool {
		said += h.told()
		return strings.Contains(said, "one: 1 -> 2 replicas") && strings.Contains(said, "two: 1 -> 2 replicas")
	})
	time.Sleep(5 * time.Second) // some steps, and the time in which messages are gathered
	if more := h.told(); more != "" {
		t.Errorf("told again: %q", more)
	}
	if strings.Contains(l.said(), "secret") {
		t.Errorf("a secret is shown:\n%s", l.said())
	}
}
