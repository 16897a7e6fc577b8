package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// serves logs so many requests.
func serves(t *testing.T, log *os.File, n int) {
	t.Helper()
	if _, err := log.WriteString(strings.Repeat("h - - [24/Nov/2026:10:05:07 +0000] \"GET / HTTP/1.1\" 200 1\n", n)); err != nil {
		t.Fatal(err)
	}
}

// A daemon's steps follow a log, and those of the next daemon go on where they ended;
// a second source of the same service has a place of its own.
func TestAccessLogSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"compose.yaml": "services: {app: {image: x}}\n",
			"autoscale.yaml": `services:
  app:
    provider: compose
    min: 0
    max: 9
    rps-target: 10
    cooldown: 0
    apply: never
    sources: [{access-log: a.log}, {access-log: b.log, rps-metric: 'requests{code="200"}', name: other}]
`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var logs []*os.File
		for _, name := range []string{"a.log", "b.log"} {
			log, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			logs = append(logs, log)
		}
		f, err := readConfig(filepath.Join(dir, "autoscale.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		daemon := func() *stepper {
			x := newStepper(f, f.Services[0], false, func(string) {}, func(store.Record) error { return nil })
			x.clocks = func() (autoscale.Instant, error) { return autoscale.Instant{Time: time.Now(), Boot: "1"}, nil }
			return x
		}
		step := func(x *stepper, to int, verdict autoscale.Verdict, load float64) control.Step {
			t.Helper()
			time.Sleep(10 * time.Second)
			s := x.Step(t.Context())
			if d := s.Report.Decision; s.Err != nil || d.To != to || d.Verdict != verdict || d.Load != load {
				t.Errorf("%+v (%v), want %d at %v, %s", d, s.Err, to, load, verdict)
			}
			return s
		}
		x := daemon()
		serves(t, logs[0], 7)
		step(x, 1, autoscale.Warming, 0) // the file says nothing, so there is one
		serves(t, logs[0], 350)
		serves(t, logs[1], 10)
		step(x, 4, autoscale.OK, 35)
		x.Close()
		x = daemon()
		serves(t, logs[1], 520)
		step(x, 6, autoscale.OK, 52)
		step(x, 0, autoscale.OK, 0)
		x.Close()
	})
}

// A dry run reads a log and leaves the place where it was.
func TestAccessLogDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {app: {image: x}}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		log, err := os.Create(filepath.Join(dir, "a.log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		flags := []string{"--provider=compose", "--min=0", "--max=9", "--rps-target=1000000", "--project-dir=" + dir, "--apply=never", "--access-log=a.log", "--output=json"}
		// The last sample of a run says how many requests were counted since the first one.
		counts := func(want int, more ...string) {
			t.Helper()
			status, out, errs := runs(t, append(flags, more...)...)
			if at := strings.LastIndex(out, `"value":`); status != statusDone || at < 0 || !strings.HasPrefix(out[at:], fmt.Sprintf(`"value":%d,`, want)) {
				t.Errorf("%q: %d, want %d requests\n%s%s", more, status, want, out, errs)
			}
		}
		counts(0)
		serves(t, log, 3)
		counts(3, "--dry-run")
		before, err := os.ReadFile(filepath.Join(dir, "tools/.autoscale_state.json"))
		if err != nil {
			t.Fatal(err)
		}
		serves(t, log, 4)
		counts(7, "--dry-run")
		if after, err := os.ReadFile(filepath.Join(dir, "tools/.autoscale_state.json")); err != nil || string(after) != string(before) {
			t.Errorf("a dry run wrote the state (%v):\n%s", err, after)
		}
		counts(7)
	})
}

// What a Prometheus server answers is decided on, with the headers that it wants, and
// none of what is secret is printed.
func TestPrometheusDecides(t *testing.T) {
	const secret = "s3cret-of-mine"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != secret || r.Header.Get("X-Scope") != secret {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"70"]},{"metric":{"a":"b"},"value":[%[1]d,"25"]}]}}`, time.Now().Unix()))
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {app: {image: x}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--provider=compose", "--min=0", "--max=9", "--rps-target=40", "--project-dir=" + dir, "--apply=never",
		"--prometheus-url=" + strings.Replace(server.URL, "://", "://me:"+secret+"@", 1), "--prometheus-query=sum by (a) (up)"}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, statusDoubt, "HTTP 401 Unauthorized; user:password@ in the URL or --metrics-header give access"},
		{[]string{"--metrics-header=X-Scope: " + secret}, statusDone, "1 -> 3 replicas: 95 rps"},
		{[]string{"--metrics-header=X-Scope: " + secret, "--output=json"}, statusDone, `"metric":"sum by (a) (up)"`},
	} {
		status, out, errs := runs(t, append(flags, c.args...)...)
		if status != c.status || !strings.Contains(out+errs, c.says) || strings.Contains(out+errs, secret) {
			t.Errorf("%q: status %d, want %q\n%s%s", c.args, status, c.says, out, errs)
		}
	}
	for _, name := range []string{"tools/.autoscale_state.json", "tools/.autoscale_state.journal.ndjson"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s shows the password (%v)", name, err)
		}
	}
}
