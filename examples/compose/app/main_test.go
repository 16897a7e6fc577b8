package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale/internal/app"
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

func TestLevers(t *testing.T) {
	a, _, err := newExample(env(map[string]string{"LEVERS": "rps=120&healthy=false"}))
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
		if _, err := l.shape(t.Context(), app.New(app.Config{Capacity: 50}), start); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("took %v, error %v, want 3s and none", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if page, err := l.shape(ctx, app.New(app.Config{Capacity: 50}), start); err == nil {
			t.Errorf("got a page though its caller had gone: %q", page)
		}
	})
}

func TestLeversAreOffUnlessAskedFor(t *testing.T) {
	a, _, err := newExample(env(nil))
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
		if _, _, err := newExample(env(wrong)); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}
