package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func get(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	return w
}

// 200 requests at once on a replica that does 50/s and lets none wait longer
// than 1 s: 51 are answered, one every 20 ms, and the others refused at once.
func TestOverloadShowsAsLatencyThenAsRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, err := newApp(env(nil))
		if err != nil {
			t.Fatal(err)
		}
		routes, start := a.routes(), time.Now()
		var mu sync.Mutex
		var last time.Duration
		codes := map[int]int{}
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				w := get(t, routes, http.MethodGet, "/")
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
				last = max(last, time.Since(start))
			})
		}
		group.Wait()
		if codes[200] != 51 || codes[503] != 149 {
			t.Errorf("answers by status: %v, want 51 × 200 and 149 × 503", codes)
		}
		if want := 51 * 20 * time.Millisecond; last != want {
			t.Errorf("the last answer came after %v, want %v", last, want)
		}
	})
}

func TestGaugeIsTheMeanOfFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, err := newApp(env(map[string]string{"CAPACITY": "1000"}))
		if err != nil {
			t.Fatal(err)
		}
		routes := a.routes()
		gauge := func() string {
			page := get(t, routes, http.MethodGet, "/metrics").Body.String()
			for line := range strings.Lines(page) {
				if value, ok := strings.CutPrefix(line, "http_requests_per_second "); ok {
					return strings.TrimSpace(value)
				}
			}
			t.Fatalf("no gauge on the page:\n%s", page)
			return ""
		}
		if got := gauge(); got != "0" {
			t.Errorf("at the start the gauge says %s, want 0", got)
		}
		for range 400 { // 10 s of 40 requests/s, less the millisecond of each
			get(t, routes, http.MethodGet, "/")
			time.Sleep(24 * time.Millisecond)
		}
		if got := gauge(); got != "40" {
			t.Errorf("under load the gauge says %s, want 40", got)
		}
		time.Sleep(6 * time.Second)
		if got := gauge(); got != "0" {
			t.Errorf("after the load the gauge says %s, want 0", got)
		}
	})
}

func TestMetricsPageIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(time.Now())
		m.begin()
		m.end(time.Now(), 503)
		const want = `# HELP http_requests_per_second Requests answered per second, over the last 5 s.
# TYPE http_requests_per_second gauge
http_requests_per_second 12.5
# HELP http_requests_total Requests answered, by status.
# TYPE http_requests_total counter
http_requests_total{code="200"} 0
http_requests_total{code="503"} 1
# HELP http_requests_in_flight Requests waiting or being answered.
# TYPE http_requests_in_flight gauge
http_requests_in_flight 0
# HELP process_start_time_seconds Start of the process, in seconds since 1970.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 946684800.000
`
		fixed := 12.5
		if got := m.page(time.Now(), &fixed); got != want {
			t.Errorf("the page:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestLevers(t *testing.T) {
	a, _, err := newApp(env(map[string]string{"LEVERS": "rps=120&healthy=false"}))
	if err != nil {
		t.Fatal(err)
	}
	routes := a.routes()
	for _, step := range []struct {
		lever, ask string
		code       int
		want       string // part of the answer
		end        string // its end
	}{
		{"", "/metrics", 200, "http_requests_per_second 120\n", "\n"},
		{"", "/healthz", 503, "unhealthy", "\n"},
		{"healthy=true", "/healthz", 200, "ok", "\n"},
		{"page=bare&rps=real", "/metrics", 200, "# HELP process_start_time_seconds", "\n"},
		{"page=whole&rps=NaN", "/metrics", 200, "http_requests_per_second NaN\n", "\n"},
		{"page=cut", "/metrics", 200, "http_requests_per_second NaN\n", "req"},
	} {
		if step.lever != "" {
			if w := get(t, routes, http.MethodPost, "/lever?"+step.lever); w.Code != 200 {
				t.Fatalf("lever %s: %d %s", step.lever, w.Code, w.Body)
			}
		}
		w := get(t, routes, http.MethodGet, step.ask)
		body := w.Body.String()
		if w.Code != step.code || !strings.Contains(body, step.want) {
			t.Errorf("after lever %q, %s answers %d %q, want %d with %q", step.lever, step.ask, w.Code, body, step.code, step.want)
		}
		if cut := !strings.HasSuffix(body, "\n"); cut != (step.end != "\n") {
			t.Errorf("after lever %q, %s ends with %q", step.lever, step.ask, body[max(0, len(body)-20):])
		}
	}
	if w := get(t, routes, http.MethodPost, "/lever?rps=5&page=upside-down"); w.Code != 400 {
		t.Errorf("a wrong lever answers %d, want 400", w.Code)
	}
	if *a.levers.rps == 5 {
		t.Error("a wrong lever beside a right one moved the right one")
	}
}

func TestSlowPageEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levers{}
		if err := l.pull(url.Values{"slow": {"3s"}}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := l.shape(t.Context(), newMeter(start), start); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("took %v, error %v, want 3s and none", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if page, err := l.shape(ctx, newMeter(start), start); err == nil {
			t.Errorf("got a page though its caller had gone: %q", page)
		}
	})
}

func TestLeversAreOffUnlessAskedFor(t *testing.T) {
	a, _, err := newApp(env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, a.routes(), http.MethodPost, "/lever?rps=120"); w.Code != http.StatusNotFound {
		t.Errorf("the lever answers %d, want 404", w.Code)
	}
	if page := get(t, a.routes(), http.MethodGet, "/metrics").Body.String(); strings.Contains(page, "per_second 120") {
		t.Errorf("the lever worked:\n%s", page)
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	for _, wrong := range []map[string]string{
		{"CAPACITY": "0"}, {"CAPACITY": "NaN"}, {"CAPACITY": "much"}, {"QUEUE": "-1s"},
		{"STARTUP": "3"}, {"LEVERS": "yes"}, {"LEVERS": "rps=lots"},
	} {
		if _, _, err := newApp(env(wrong)); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}
