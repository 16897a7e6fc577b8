package web

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every route is described in docs/api.md, and what that describes exists.
func TestRoutesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var described, served_ []string
	for _, m := range regexp.MustCompile("(?m)^## `([A-Z]+ /\\S*)`$").FindAllSubmatch(text, -1) {
		described = append(described, string(m[1]))
	}
	for _, route := range served(t, &known{}, nil).routes() {
		served_ = append(served_, route.method+" "+route.path)
	}
	slices.Sort(described)
	slices.Sort(served_)
	if !slices.Equal(described, served_) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served_, "\n"))
	}
}

// What is not there, or not to be had so, is answered in JSON.
func TestUnknown(t *testing.T) {
	s := served(t, many(1, time.Now()), nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/api/v1", 404, ""},
		{"GET", "/api/v2/services", 404, ""},
		{"GET", "/api/v1/services/", 404, ""},
		{"GET", "/api/v1/services/nobody", 404, ""},
		{"GET", "/api/v1/services/service-0000/nothing", 404, ""},
		{"POST", "/api/v1/services", 405, "GET, HEAD"},
		{"GET", "/api/v1/services/service-0000/pause", 405, "POST, DELETE"},
		{"OPTIONS", "/api/v1/services/service-0000/pause", 405, "POST, DELETE"},
		{"PUT", "/", 405, "GET, HEAD"},
		{"DELETE", "/metrics", 405, "GET, HEAD"},
	} {
		w := ask(s.Handler(), c.method, c.path, "", bearer)
		var v struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Error == "" || w.Code != c.status || w.Header().Get("Allow") != c.allow || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, w.Code, w.Header(), w.Body)
		}
	}
	if w := ask(s.Handler(), "GET", "/", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "autoscale 1.2.3") || !strings.Contains(w.Body.String(), "/api/v1/services") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// metrics-listen has the metrics and the health, whatever its name, and no more.
func TestMetricsListen(t *testing.T) {
	h := served(t, many(1, time.Now()), nil).MetricsHandler()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/metrics", 200}, {"GET", "/healthz", 200}, {"HEAD", "/metrics", 200},
		{"GET", "/", 404}, {"GET", "/readyz", 404}, {"GET", "/api/v1/services", 404}, {"POST", "/api/v1/services/service-0000/pause", 404},
		{"POST", "/metrics", 405},
	} {
		if w := ask(h, c.method, c.path, `{"for": "1h"}`, bearer, "Host: anything.example"); w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}
