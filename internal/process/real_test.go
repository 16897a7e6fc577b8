package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// told keeps what a workload says.
type told struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *told) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, text)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a workload of this binary's own app.
func open(t *testing.T, change func(*Config), words ...string) (*Workload, *told) {
	t.Helper()
	log := &told{}
	cfg := Config{
		Service: "app", Command: append([]string{os.Args[0], "app"}, words...), Dir: t.TempDir(), Listen: "127.0.0.1:0", HealthPath: "/healthz",
		Wait: 20 * time.Second, Drain: 10 * time.Second, Grace: 10 * time.Second,
		Output: func(replica, line string) { log.say(replica + " | " + line) }, Tell: log.say,
	}
	if change != nil {
		change(&cfg)
	}
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil && err != errClosed {
			t.Error(err)
		}
		t.Logf("it said:\n%s", log)
	})
	return w, log
}

func set(t *testing.T, w *Workload, count int) autoscale.Outcome {
	t.Helper()
	o, err := w.Set(t.Context(), count)
	if err != nil || o.Count != count {
		t.Fatalf("set to %d: %+v, %v", count, o, err)
	}
	return o
}

// get asks the proxy.
func get(t *testing.T, w *Workload, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + w.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestUpAndDown(t *testing.T) {
	w, _ := open(t, nil)
	set(t, w, 3)
	seen, err := w.Observe(t.Context())
	if err != nil || seen.Current != 3 || len(seen.Running) != 3 || seen.Settings == "" {
		t.Fatalf("%+v, %v", seen, err)
	}
	pids := map[string]bool{}
	for range 6 {
		_, text := get(t, w, "/")
		pids[text] = true
	}
	if len(pids) != 3 {
		t.Errorf("answered by %v, want 3", pids)
	}
	set(t, w, 1)
	set(t, w, 1)
}
