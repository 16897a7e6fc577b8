//go:build e2e

// Package observe holds what is shipped for Prometheus and Grafana against a real
// Prometheus that scrapes the real handler.
package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/web"
)

const (
	rules     = "../../deploy/prometheus/alerts.yaml"
	ruleTests = "../../deploy/prometheus/alerts_test.yaml"
	dashboard = "../../deploy/grafana/autoscale.json"
	// within is how long Prometheus may take to show what there is.
	within = 90 * time.Second
	poll   = 200 * time.Millisecond
)

// tool is a program of Debian's package prometheus, as e2e/run sets it up.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	root := os.Getenv("AUTOSCALE_PROMETHEUS")
	if root == "" {
		t.Fatal("AUTOSCALE_PROMETHEUS is not set: run this through e2e/run")
	}
	c := exec.CommandContext(t.Context(), filepath.Join(root, "usr/bin", name), args...)
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(root, "usr/lib"))
	return c
}

// eventually waits until what is asked for is so.
func eventually(t *testing.T, what string, so func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := so()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(poll):
		}
	}
}

// stepper makes the steps of a service as step says, the n-th of them.
type stepper struct {
	n    int
	step func(n int) control.Step
}

func (s *stepper) Step(context.Context) control.Step {
	s.n++
	return s.step(s.n)
}
func (s *stepper) Pause(context.Context, *autoscale.Pause) error { return nil }
func (s *stepper) Close()                                        {}

var policy = autoscale.Policy{Min: 1, Max: 4, Target: 40, Tolerance: 0.1, Mode: autoscale.Auto}

// decided is a step that decided on a reading.
func decided(from, to int, verdict autoscale.Verdict, reason autoscale.Reason) control.Step {
	now := time.Now()
	s := control.Step{Policy: policy, Project: "shop"}
	s.Report.Decision = autoscale.Decision{At: now, From: from, To: to, Want: to, Load: 40 * float64(to), Verdict: verdict, Reason: reason}
	s.Report.Reading.Samples = []autoscale.Sample{{Name: "page", Time: now, Value: 40 * float64(to), Verdict: verdict}}
	s.Report.ReadTook = time.Millisecond
	if from != to {
		s.Report.Outcome = &autoscale.Outcome{Count: to}
		s.Report.MoveTook = 20 * time.Millisecond
	}
	return s
}

// kinds are services of every standing, by their names.
var kinds = map[string]func(n int) control.Step{
	"swings": func(n int) control.Step { // up and down
		from, to := 1+n%2, 2-n%2
		reason := autoscale.LoadAboveTarget
		if to < from {
			reason = autoscale.LoadBelowTarget
		}
		return decided(from, to, autoscale.OK, reason)
	},
	"doubtful": func(int) control.Step { return decided(2, 2, autoscale.Unreachable, autoscale.HeldOnDoubt) },
	"failing": func(n int) control.Step {
		if n == 1 {
			return decided(2, 2, autoscale.OK, autoscale.DesiredWithinRange)
		}
		return control.Step{Err: errors.New("docker ps: no answer"), Policy: policy}
	},
	"full": func(int) control.Step { return decided(4, 4, autoscale.OK, autoscale.TooManyReplicas) },
	"paused": func(int) control.Step {
		s := decided(2, 2, autoscale.OK, autoscale.Paused)
		s.Pause = &autoscale.Pause{Since: time.Now().Add(-5 * time.Hour), Until: time.Now().Add(time.Hour), By: "deploy"}
		return s
	},
}

// machine is a daemon with a service of each kind, and its web server.
func machine(t *testing.T, host string) *web.Server {
	d := &control.Daemon{}
	var services []control.Service
	for name, step := range kinds {
		services = append(services, control.Service{
			Name: name, Provider: "compose", Target: "app", Interval: time.Second,
			Open: func() control.Stepper { return &stepper{step: step} },
		})
	}
	d.Set(services)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return serve(t, host, d)
}

// frozen is a daemon whose steps have not ended for an hour.
type frozen struct{ since time.Time }

func (f frozen) Snapshots() []control.Snapshot {
	return []control.Snapshot{{
		Service: control.Service{Name: "stuck", Provider: "k8s", Target: "app", Interval: 15 * time.Second},
		Since:   f.since, Ran: f.since, Stepping: true, Steps: 1,
	}}
}
func (frozen) Pause(context.Context, string, *autoscale.Pause) error { return nil }

// serve serves a daemon at a port of its own.
func serve(t *testing.T, host string, d web.Daemon) *web.Server {
	t.Helper()
	s, err := web.New(web.Config{MetricsListen: "127.0.0.1:0", Host: host, Version: "test"}, d, nil)
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// prometheus is a running Prometheus.
type prometheus struct{ base string }

// free is a port that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts a Prometheus with our rules that scrapes targets every second.
func start(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	return startIn(t, t.TempDir(), targets...)
}

// startIn is start with what lies in the folder data of dir.
func startIn(t *testing.T, dir string, targets ...string) *prometheus {
	t.Helper()
	path, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: autoscale\n    static_configs: [{targets: [%s]}]\n",
		path, `"`+strings.Join(targets, `", "`)+`"`)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := free(t)
	var log bytes.Buffer
	c := tool(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	c.Stdout, c.Stderr = &log, &log
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt) // may have ended
		_ = c.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &log)
		}
	})
	p := &prometheus{base: "http://" + address}
	eventually(t, "Prometheus starts", func() error {
		r, err := http.Get(p.base + "/-/ready")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return errors.New(r.Status)
		}
		return nil
	})
	return p
}

// get asks the API of Prometheus, and reads its data into v.
func (p *prometheus) get(path string, form url.Values, v any) error {
	r, err := http.Get(p.base + "/api/v1/" + path + "?" + form.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: v}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s %s: %w", r.Status, answer.Error, errors.Join(err, fmt.Errorf("%.300s", text)))
	}
	return nil
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any   // of an instant query
	Values [][2]any // of a range query
}

// query asks as Grafana does: at an instant, or over the last minute.
func (p *prometheus) query(expr string, instant bool) ([]sample, error) {
	var data struct{ Result []sample }
	form := url.Values{"query": {expr}}
	if instant {
		err := p.get("query", form, &data)
		return data.Result, err
	}
	now := time.Now()
	form.Set("start", fmt.Sprint(now.Add(-time.Minute).Unix()))
	form.Set("end", fmt.Sprint(now.Unix()))
	form.Set("step", "1")
	err := p.get("query_range", form, &data)
	return data.Result, err
}

// value is what an instant query of one series comes to; NaN without one.
func (p *prometheus) value(t *testing.T, expr string) float64 {
	t.Helper()
	result, err := p.query(expr, true)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	if len(result) != 1 {
		return math.NaN()
	}
	var v float64
	if _, err := fmt.Sscan(fmt.Sprint(result[0].Value[1]), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
