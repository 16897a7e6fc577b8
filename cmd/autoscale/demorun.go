package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/demo"
	"github.com/five-keys/autoscale/internal/stress"
)

// firstWithin is how long the first replica of a demonstration may take.
const firstWithin = 30 * time.Second

// telling is a demonstration under way: the daemon, the load, and what is said of
// them.
type telling struct {
	story  demo.Story
	seed   uint64
	course *demo.Course
	say    func(message any) // one at a time

	mu      sync.Mutex
	began   time.Time     // when the load did; zero before
	length  time.Duration // of the load; 0 while it goes on
	app     net.Addr      // of the proxy
	phase   string
	last    error // of a step, before the first replica was there
	serving chan struct{}
}

func newTelling(s demo.Story, seed uint64) *telling {
	return &telling{story: s, seed: seed, course: demo.NewCourse(s), serving: make(chan struct{})}
}

// since is how much of the story is over.
func (t *telling) since() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at()
}

func (t *telling) at() time.Duration {
	switch {
	case t.began.IsZero():
		return 0
	case t.length > 0:
		return t.length
	}
	return time.Since(t.began)
}

// tell runs a daemon whose files are in dir, and sends it the load of the story.
func (t *telling) tell(ctx context.Context, dir string) (demo.Sent, error) {
	c := &runCommand{through: t.through, follow: t.followed, told: t.remarked}
	path := filepath.Join(dir, "autoscale.yaml")
	text, err := t.config()
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		return demo.Sent{}, err
	}
	f, err := readConfig(path)
	if err != nil {
		return demo.Sent{}, err
	}
	d, err := c.open(f, slog.New(slog.DiscardHandler))
	if err != nil {
		return demo.Sent{}, err
	}
	running, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- d.run(running) }()
	page := "http://" + shownAddr(d.server) + "/"
	sent, err := t.send(ctx, page)
	t.finish()
	end()
	return sent, errors.Join(err, <-ended)
}

// config is the daemon's autoscale.yaml.
func (t *telling) config() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("this program does not find itself: %w", err)
	}
	return fmt.Sprintf(`interval: 1s
listen: 127.0.0.1:0
state: state
services:
  app:
    provider: process
    command: [%s, demo-app, --capacity=%d, --startup=%s]
    proxy: 127.0.0.1:0
    health-path: /healthz
    drain: 3s
    grace: 2s
    min: %d
    max: %d
    rps-target: %d
    tolerance: %g
    cooldown: %s
    max-reversals: 0
`, strconv.Quote(self), demo.Capacity, t.story.Startup, demo.Min, demo.Max, demo.Target, demo.Tolerance, t.story.Cooldown), nil
}

// through keeps the metrics away when the story says so, and learns where the
// proxy listens.
func (t *telling) through(source control.Source) control.Source {
	if w, ok := source.(interface{ Addr() net.Addr }); ok {
		t.mu.Lock()
		t.app = w.Addr()
		t.mu.Unlock()
	}
	return demo.Source{Source: source, Unread: func() bool {
		at := t.since()
		return at > 0 && t.story.Phase(at).Unread
	}}
}

// followed takes a step of the daemon.
func (t *telling) followed(after control.Snapshot, events []event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.length > 0 {
		return // the story is over
	}
	step := demo.Step{At: t.at(), Decision: after.Last.Report.Decision, Replicas: after.Replicas, Err: after.Last.Err}
	if t.began.IsZero() {
		t.last = step.Err
		select {
		case <-t.serving:
		default:
			if after.Replicas > 0 && t.app != nil {
				close(t.serving)
			}
		}
	}
	t.course.Add(step)
	t.say(step)
	for _, e := range events {
		t.say(shown(e, after.Replicas > step.Decision.From))
	}
}

// shown is an event as it is told; raised says which way a scaling went.
func shown(e event, raised bool) demo.Event {
	out := demo.Event{Time: time.Now(), Kind: e.kind, Text: e.text}
	switch {
	case e.kind == "scaled" && raised:
		out.Kind = demo.Raised
	case e.kind == "scaled":
		out.Kind = demo.Lowered
	case e.kind == "held-on-doubt":
		out.Text = "held in doubt: " + e.text
	case e.kind == "trusted-again":
		out.Text = "trusted again: " + e.text
	}
	return out
}

// remarked takes what the workload has to tell.
func (t *telling) remarked(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.length == 0 {
		t.say(demo.Event{Time: time.Now(), Kind: "note", Text: text})
	}
}

// send waits for the first replica, and sends the load.
func (t *telling) send(ctx context.Context, page string) (demo.Sent, error) {
	select {
	case <-t.serving:
	case <-ctx.Done():
		return demo.Sent{}, nil
	case <-time.After(firstWithin):
		t.mu.Lock()
		defer t.mu.Unlock()
		return demo.Sent{}, errors.Join(fmt.Errorf("no replica of the service was there within %s", firstWithin), t.last)
	}
	t.mu.Lock()
	target := &url.URL{Scheme: "http", Host: t.app.String(), Path: "/"}
	t.say(demo.Place{Page: page, App: target.String()})
	t.began = time.Now()
	t.mu.Unlock()
	t.progress(stress.Second{})
	c := stress.Config{
		Target: stress.Target{URL: target, Timeout: 10 * time.Second}, Workers: 512, Queue: 10000,
		Load: t.story.Arrivals(t.seed), Due: t.story.Due, Progress: t.progress,
	}
	if !t.story.Again {
		c.Duration = t.story.Length
	}
	report, err := stress.Run(ctx, c)
	if report == nil {
		return demo.Sent{}, err
	}
	sent := demo.Sent{
		Requests: report.Requests, Failed: report.Failed(),
		P99: milliseconds(report.Latency.P99), Late: milliseconds(report.Late.P99),
	}
	for kind, n := range report.Errors {
		if kind != "status 503" {
			sent.Lost += n
		}
	}
	return sent, err
}

// progress tells a second of the load, and the phase that begins with it.
func (t *telling) progress(s stress.Second) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Duration(s.At * float64(time.Second))
	if s.Length > 0 {
		t.say(demo.Load{At: at, Sent: s.Sent, Failed: s.Failed, P99: milliseconds(s.P99)})
	}
	if p := t.story.Phase(at); p.Text != t.phase && (t.story.Again || at < t.story.Length) {
		t.phase = p.Text
		t.say(demo.Event{Time: time.Now(), Kind: demo.PhaseBegan, Text: p.Text})
	}
}

// finish ends the story: what ends with it is not of it any more.
func (t *telling) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.length = max(t.at(), 1)
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
