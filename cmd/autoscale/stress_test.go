package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/five-keys/autoscale/internal/stress"
)

// site is a server that counts what it is asked.
type site struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{seen: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen[r.Method+" "+r.URL.RequestURI()]++
		s.mu.Unlock()
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/metrics":
			fmt.Fprint(w, "# TYPE autoscale_replicas gauge\nautoscale_replicas 3\n")
		default:
			fmt.Fprint(w, "hello\n")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// stressed runs a stress command.
func stressed(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), append([]string{"stress"}, args...), streams{out: &o, err: &e})
	return status, o.String(), e.String()
}

// TestStress: the seed's command, its report, and what a script reads.
func TestStress(t *testing.T) {
	s := newSite(t)
	status, out, errs := stressed(t, "--url", s.URL+"/", "--workers", "8", "--duration", "0.3")
	if status != 0 || errs != "" || !strings.Contains(out, "of which 0 failed") || !strings.Contains(out, "p99.9") || s.seen["GET /"] == 0 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	status, out, _ = stressed(t, "--url="+s.URL, "--requests=5", "--json", "--body=x", "--header=A: b")
	var r stress.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || r.Requests != 5 || r.RateAsked != nil || s.seen["POST /"] != 5 {
		t.Errorf("status %d: %v\n%s %v", status, err, out, s.seen)
	}
	page, lines := filepath.Join(t.TempDir(), "r.html"), filepath.Join(t.TempDir(), "r.ndjson")
	status, out, _ = stressed(t, "--url="+s.URL, "--profile=ramp:50..100/1.2s", "--watch="+s.URL+"/metrics", "--html="+page, "--ndjson="+lines, "--fail=rate>=0.9,errors<1%")
	if status != 0 || !strings.Contains(out, "asked 75/s") {
		t.Errorf("status %d\n%s", status, out)
	}
	for file, want := range map[string]string{page: `"name":"replicas"`, lines: `"replicas":3`} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s: %v", file, want, err)
		}
	}
	trace := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(trace, []byte("time,path\n0,/a\n0.1,/b\n0.2,nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, _ = stressed(t, "--url="+s.URL, "--replay="+trace, "--speed=10")
	if status != 0 || s.seen["GET /a"] != 1 || s.seen["GET /b"] != 1 || !strings.Contains(out, "it begins with /") {
		t.Errorf("status %d, %v\n%s", status, s.seen, out)
	}
}

// TestStressFails: what a script has to notice ends with 1, wrong flags with 2.
func TestStressFails(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--url=" + s.URL, "--requests=3", "--fail=p50<1ns"}, 1, "limit broken: p50<1ns: it is "},
		{[]string{"--url=" + s.URL + "/broken", "--requests=3"}, 1, "nothing succeeded"},
		{[]string{"--url=http://127.0.0.1:1/", "--requests=1"}, 1, "nothing succeeded"},
		{[]string{"--requests=3"}, 2, "--url"},
		{[]string{"--url=localhost:8000"}, 2, "http:// or https://"},
		{[]string{"--url=" + s.URL, "--rate=-1"}, 2, "--rate=-1"},
		{[]string{"--url=" + s.URL, "--rate=0"}, 2, "--rate=0"},
		{[]string{"--url=" + s.URL, "--find-capacity", "--rate=5"}, 2, "chooses the load itself"},
		{[]string{"--url=" + s.URL, "--rate=1", "--profile=const:1"}, 2, "can't be used together"},
		{[]string{"--url=" + s.URL, "--profile=ramp:1"}, 2, "two rates and a length"},
		{[]string{"--url=" + s.URL, "--replay=/nowhere"}, 2, "no such file"},
		{[]string{"--url=" + s.URL, "--fail=speed"}, 2, "as in p99<300ms"},
		{[]string{"--url=" + s.URL, "--header=x"}, 2, "Name: value"},
		{[]string{"--url=" + s.URL, "--ca=/nowhere"}, 2, "--ca"},
		{[]string{"--url=" + s.URL, "--duration=0"}, 2, "never end"},
		{[]string{"--url=" + s.URL, "--workers=-1"}, 2, "--workers=-1"},
		{[]string{"--url=" + s.URL, "--find-capacity", "--step=0"}, 2, "--step"},
		{[]string{"--url=" + s.URL, "--find-capacity", "--scale-with", "--provider=compose --min=1 --max=3 --rps-target=1 --project-dir=" + t.TempDir()}, 2, "nobody is at a terminal"},
		{[]string{"--url=" + s.URL, "--find-capacity", "--scale-with=--provider=compose"}, 2, "--scale-with"},
	} {
		status, out, errs := stressed(t, c.args...)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", c.args, status, c.status, c.says, out, errs)
		}
	}
}

// TestLive: the screen says what goes on, fits its terminal, and q ends it.
func TestLive(t *testing.T) {
	ended := false
	asked, replicas := 500.0, 3.0
	l := &live{url: "http://x/", duration: time.Minute, cancel: func() { ended = true }}
	if l.View().Content != "" {
		t.Error("before anything is known")
	}
	for i := range 100 {
		l.Update(stress.Second{At: float64(i + 1), Length: 1, Asked: &asked, Sent: float64(i), Done: float64(i), P50: 1, P90: 2, P99: 3, Failed: 1, InFlight: 7, Replicas: &replicas})
	}
	text := l.View().Content
	for _, want := range []string{"99/s of 500 asked", "p99       3 ms", "1/s, 100 in all", "replicas  3", "4950 requests", "▅▆", "█"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	l.Update(tea.WindowSizeMsg{Width: 40})
	for line := range strings.Lines(l.View().Content) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 40 {
			t.Errorf("%q does not fit", line)
		}
	}
	l.Update(tea.KeyPressMsg{Code: 'q', Text: "q"})
	if !ended || !strings.Contains(l.View().Content, "ending") {
		t.Error("q does not end it")
	}
	if _, quit := l.Update(over{}); quit == nil || l.View().Content != "" {
		t.Error("the end leaves something on the screen")
	}
}
