package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// teller makes runs of one service that only tell.
type teller struct {
	t     *testing.T
	flags *flags
	key   store.Key
}

func newTeller(t *testing.T) *teller {
	t.Helper()
	dir := t.TempDir()
	c := &flags{Provider: composed, Service: "app", StateFile: filepath.Join(dir, "state.json"), people: "app"}
	w := &teller{t, c, store.Key{Provider: "compose", Engine: "e", Project: "p", Service: "app", Dir: dir}}
	t.Cleanup(func() {
		if err := store.Open(c.StateFile).Aside(w.key).Forget(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// known has the workload be one that was seen before.
func (w *teller) known() {
	w.t.Helper()
	now, err := readClocks()
	if err == nil {
		_, err = store.Open(w.flags.StateFile).Save(w.key, autoscale.State{At: now, Count: 2})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// run is a run in a process of its own, and want what it tells.
func (w *teller) run(ctx context.Context, r result, found bool, want string) {
	w.t.Helper()
	if r.key = w.key; !found {
		r.key = w.flags.keyIn(w.key.Dir)
	} else {
		m := &memory{file: store.Open(w.flags.StateFile), key: w.key, people: w.flags.people}
		m.tell(ctx, &r, 5)
	}
	w.flags.lost(ctx, &r, 5)
	if said := strings.Join(r.news, "\n"); want == "" && said != "" || !strings.Contains(said, want) || len(r.report.Warnings) > 0 {
		w.t.Errorf("told %q, want %q; warned %q", said, want, r.report.Warnings)
	}
}

var errEngine = errors.New("the engine does not answer")

func went(from, to int) result {
	return result{decided: true, report: control.Report{
		Decision: autoscale.Decision{At: time.Now(), From: from, To: to, Want: to, Load: 100, Verdict: autoscale.OK, Reason: autoscale.LoadAboveTarget},
		Outcome:  &autoscale.Outcome{Count: to},
	}}
}

// What is told is remembered from one process to the next, whether or not the
// workload is found.
func TestToldOnce(t *testing.T) {
	w := newTeller(t)
	w.known()
	w.run(t.Context(), went(2, 3), true, "app: 2 -> 3 replicas")
	w.run(t.Context(), went(3, 3), true, "")
	w.run(t.Context(), result{err: errEngine}, false, "app: failed: the engine")
	w.run(t.Context(), result{err: errEngine}, false, "")
	w.run(t.Context(), result{err: errEngine}, true, "")
	w.run(t.Context(), went(3, 3), true, "app: recovered")
	w.run(t.Context(), went(3, 3), true, "")
}

// So it is before anything is remembered of the workload: there is no entry then, and
// none is made.
func TestToldBeforeTheFirstRun(t *testing.T) {
	w := newTeller(t)
	w.run(t.Context(), result{err: errEngine}, false, "app: failed: the engine")
	w.run(t.Context(), result{err: errEngine}, false, "")
	w.run(t.Context(), result{err: errEngine}, true, "")
	if exists(w.flags.StateFile) {
		t.Error("a state was made")
	}
	w.known()
	w.run(t.Context(), went(2, 2), true, "app: recovered")
	state, _, err := store.Open(w.flags.StateFile).Load(w.key)
	var noted *autoscale.Told
	if err = errors.Join(err, store.Open(w.flags.StateFile).Aside(w.key).Load(&noted)); err != nil || noted != nil || len(state.Told.Others) != 2 {
		t.Errorf("%+v, aside %+v (%v)", state.Told, noted, err)
	}
}

// And while the state cannot be written.
func TestToldOnAFullDisk(t *testing.T) {
	w := newTeller(t)
	w.known()
	link := w.flags.StateFile + "-2" // a file with two names is not replaced
	if err := os.Link(w.flags.StateFile, link); err != nil {
		t.Fatal(err)
	}
	full := errors.New("state not saved: no space left on device")
	w.run(t.Context(), result{err: full}, true, "app: failed: state not saved")
	w.run(t.Context(), result{err: full}, true, "")
	w.run(t.Context(), went(2, 4), true, "app: 2 -> 4")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	w.run(t.Context(), went(4, 4), true, "")
	w.run(t.Context(), result{err: full}, true, "app: failed")
}

// A run that somebody ended tells what it did, and that it ended is no failure; nor
// is one that another run kept from its work.
func TestToldOfAnEnd(t *testing.T) {
	w := newTeller(t)
	w.known()
	ended, stop := context.WithCancel(t.Context())
	stop()
	w.run(ended, result{err: context.Canceled}, false, "")
	moved := went(2, 3)
	moved.err = context.Canceled
	w.run(ended, moved, true, "app: 2 -> 3")
	w.run(t.Context(), result{err: fmt.Errorf("another run: %w", store.ErrLocked)}, false, "")
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	w.run(late, result{err: errors.New("the step did not end within 20m0s")}, true, "app: failed: the step did not end")
}

// hooked is a webhook that keeps what it is told, while it is up.
type hooked struct {
	*httptest.Server
	mu   sync.Mutex
	down bool
	said []string
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	h := &hooked{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		var message struct{ Title, Message string }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Error(err)
		}
		if h.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h.said = append(h.said, message.Title+" | "+message.Message)
	}))
	t.Cleanup(h.Close)
	return h
}

// told is what was told since the last call.
func (h *hooked) told(down bool) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := strings.Join(h.said, "\n")
	h.said, h.down = nil, down
	return all
}

// One decision tells what it did, once; what did not arrive comes with the next, and
// changes the outcome of none.
func TestOneShotTells(t *testing.T) {
	var load atomic.Int64
	load.Store(100)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "http_requests_per_second %d\n", load.Load())
	}))
	defer page.Close()
	h := newHooked(t)
	dir := filepath.Join(t.TempDir(), "bot")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0", "--apply=never", "--metrics-scope=service", "--project-dir=" + dir, "--metrics-url=" + page.URL, "--notify=generic+" + h.URL + "/topsecret"}
	step := func(want string, down bool, more ...string) (errs string) {
		t.Helper()
		status, out, errs := runs(t, append(args, more...)...)
		if said := h.told(down); status != statusDone || want == "" && said != "" || !strings.Contains(said, want) || strings.Contains(out+errs, "topsecret") {
			t.Errorf("status %d, told %q, want %q\n%s%s", status, said, want, out, errs)
		}
		return errs
	}
	step("", false, "--dry-run")
	step("app: would go from 1 to 3 replicas (only observed)", false, "--mode=observe")
	step(": bot | app: 1 -> 3 replicas: 100 rps", true)
	load.Store(190)
	if errs := step("", false); !strings.Contains(errs, "app warning: not told: generic: it answers 503 Service Unavailable") {
		t.Error(errs)
	}
	step(") app: 3 -> 5 replicas", false)
	step("", true)
	load.Store(10)
	step("", false, "--output=json")
}

// Nothing that a place is told by is printed with what is in force.
func TestCheckShowsNoPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "autoscale.yaml")
	text := "defaults: {notify: \"telegram://123456:topsecret_topsecret@telegram?chats=@hidden\"}\nservices:\n  app: {provider: compose, min: 1, max: 5, rps-target: 40}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runs(t, "run", "--check", "--config="+path)
	if status != statusDone || !strings.Contains(out, "telegram://***") || strings.Contains(out+errs, "topsecret") || strings.Contains(out+errs, "hidden") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// Each place is tried, and it is said of each whether it was reached.
func TestNotifyTest(t *testing.T) {
	h := newHooked(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "autoscale.yaml")
	good, bad := "generic+"+h.URL+"/topsecret", "generic+http://127.0.0.1:1/topsecret"
	text := fmt.Sprintf("defaults: {provider: compose, min: 1, max: 5, rps-target: 40, notify: %q}\nservices:\n  app: {}\n  mail: {}\n  shop: {notify: [%q, %q]}\n", good, good, bad)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runs(t, "notify", "test", "--config="+path, "--notify="+good)
	want := "generic (--notify number 1, services.app, services.mail, services.shop): told\ngeneric (services.shop): not told: dial tcp 127.0.0.1:1: connect: connection refused\n"
	if status != statusDoubt || out != want || !strings.Contains(errs, "1 of 2 places could not be told") || strings.Contains(out+errs, "topsecret") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if said := h.told(false); strings.Count(said, "test message") != 1 {
		t.Errorf("told %q", said)
	}
	if status, _, _ = runs(t, "notify", "test", "--notify="+good); status != statusDone {
		t.Errorf("status %d", status)
	}
	for _, wrong := range [][]string{nil, {"--notify=topsecret://topsecret"}, {"--config=" + dir + "/none.yaml"}} {
		if status, out, errs := runs(t, append([]string{"notify", "test"}, wrong...)...); status != statusUsage || strings.Contains(out, "told") {
			t.Errorf("%q: status %d\n%s%s", wrong, status, out, errs)
		}
	}
}
