package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/app"
	"github.com/five-keys/autoscale/internal/demo"
)

// demoCommand shows all of it at work, on this machine alone.
type demoCommand struct {
	Fast    bool   `help:"The same story in 42 seconds."`
	Forever bool   `help:"Again and again, until you end it."`
	Seed    uint64 `default:"1" placeholder:"1" help:"Of the load: the same seed gives the same one."`
}

// Help is what stands below the flags' summary.
func (c *demoCommand) Help() string {
	return `Starts a small server that manages 50 requests/s, as often as its load needs it,
behind a proxy that counts the requests; sends it a load that rises, bursts and falls; and
keeps the metrics away for a while, in which nothing is taken away. All of it is this
program. It listens on 127.0.0.1 alone, and leaves nothing behind.

On a terminal it is a live screen, which q and Ctrl-C end; else it prints dated lines.
Exit status: 0 the replicas followed the load, or you ended it on the screen; 1 they did
not, or it was interrupted.`
}

// story is the one that the flags ask for.
func (c *demoCommand) story() demo.Story {
	story := demo.Full()
	if c.Fast {
		story = demo.Fast()
	}
	story.Again = c.Forever
	return story
}

// Run tells the story.
func (c *demoCommand) Run(ctx context.Context, s streams) (err error) {
	dir, err := os.MkdirTemp("", "autoscale-demo-")
	if err != nil {
		return fmt.Errorf("no place for what the daemon must remember: %w; name another folder with TMPDIR", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := newTelling(c.story(), c.Seed)
	end := func() error { return nil }
	if s.terminal {
		program, ended := show(s, demo.NewScreen(t.story, stop))
		t.say, end = func(message any) { program.Send(message) }, func() error { return ended(demo.Over{}) }
	} else {
		t.say = demoLines(s.out)
	}
	sent, failed := t.tell(ctx, dir)
	told := failed == nil && ctx.Err() == nil
	if err := errors.Join(failed, end()); err != nil {
		return err
	}
	return c.sum(s, t, sent, told)
}

// sum says what came of it all, and gives the exit status.
func (c *demoCommand) sum(s streams, t *telling, sent demo.Sent, told bool) error {
	var b strings.Builder
	if !s.terminal {
		b.WriteString("\n")
	}
	b.WriteString(t.course.Summary(t.since(), sent, told || c.Forever))
	b.WriteString("\nWhat to try next:\n")
	for _, next := range demo.Next() {
		fmt.Fprintf(&b, "  %s\n      %s\n", next[0], next[1])
	}
	if _, err := io.WriteString(s.out, b.String()); err != nil {
		return fmt.Errorf("the summary cannot be printed: %w", err)
	}
	if t.since() >= t.story.Length {
		if missed := t.course.Missed(sent); len(missed) > 0 {
			return errors.New(strings.Join(missed, "\n"))
		}
		return nil
	}
	if !told && !s.terminal {
		return errors.New("it was interrupted, so that nobody knows whether the replicas would have followed")
	}
	return nil
}

// demoLines prints what happens as dated lines.
func demoLines(out io.Writer) func(any) {
	line := func(name, format string, args ...any) {
		// The story goes on, whether or not somebody reads it.
		_, _ = fmt.Fprintf(out, "%s %s: %s\n", time.Now().Format(time.RFC3339), name, fmt.Sprintf(format, args...))
	}
	replicas, loads := 0, 0
	return func(message any) {
		switch m := message.(type) {
		case demo.Place:
			line("demo", "the service is at %s, the daemon's page at %s", m.App, m.Page)
		case demo.Event:
			if m.Kind == demo.PhaseBegan {
				line("demo", "%s", m.Text)
			} else {
				line("app", "%s", m.Text)
			}
		case demo.Step:
			replicas = m.Replicas
		case demo.Load:
			if loads++; loads%5 == 0 {
				line("load", "%.0f requests/s, %.0f failed, p99 %d ms; capacity %d/s", m.Sent, m.Failed, m.P99.Milliseconds(), replicas*demo.Capacity)
			}
		}
	}
}

// demoAppCommand is one replica of the service that the demonstration scales.
type demoAppCommand struct {
	Capacity float64       `default:"50"`
	Queue    time.Duration `default:"1s"`
	Startup  time.Duration
}

// Run serves at PORT until ctx ends.
func (c *demoAppCommand) Run(ctx context.Context, s streams) error {
	cfg := app.Config{Host: "127.0.0.1", Port: os.Getenv("PORT"), Capacity: c.Capacity, Queue: c.Queue, Startup: c.Startup}
	if cfg.Port == "" || !(c.Capacity > 0) {
		return usage(errors.New("this is a part of autoscale demo, which says with PORT where it listens"))
	}
	a := app.New(cfg)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, a.Page(time.Now(), nil)) // who has gone misses nothing
	})
	mux.HandleFunc("/{$}", a.Work)
	return app.Serve(ctx, cfg, mux, func(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) })
}
