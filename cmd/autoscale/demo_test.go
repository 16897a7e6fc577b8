package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/demo"
	"github.com/five-keys/autoscale/internal/stress"
)

// The daemon of the demonstration is configured as anybody's, and decides by what
// the story says.
func TestDemoConfig(t *testing.T) {
	for _, story := range []demo.Story{demo.Full(), demo.Fast()} {
		text, err := newTelling(story, 1).config()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "autoscale.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := readConfig(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := f.Services[0].Policy(); got != story.Policy() {
			t.Errorf("policy %+v, want %+v", got, story.Policy())
		}
		if s := f.Services[0]; s.Interval != time.Second || !strings.HasPrefix(f.Listen, "127.0.0.1:") || !strings.HasPrefix(s.Proxy, "127.0.0.1:") {
			t.Errorf("it steps each %s, and listens on %s and %s", s.Interval, f.Listen, s.Proxy)
		}
	}
}

func TestDemoLines(t *testing.T) {
	var out bytes.Buffer
	say := demoLines(&out)
	say(demo.Place{Page: "http://p/", App: "http://a/"})
	say(demo.Event{Kind: demo.PhaseBegan, Text: "a burst"})
	say(demo.Step{Replicas: 3})
	for range 5 { // each fifth second is told
		say(demo.Load{Sent: 99.6, Failed: 2, P99: 40 * time.Millisecond})
	}
	say(demo.Event{Kind: demo.Raised, Text: "1 -> 3 replicas"})
	got := regexp.MustCompile(`(?m)^\S+T\S+ `).ReplaceAllString(out.String(), "")
	const want = `demo: the service is at http://a/, the daemon's page at http://p/
demo: a burst
load: 100 requests/s, 2 failed, p99 40 ms; capacity 150/s
app: 1 -> 3 replicas
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// told is a demonstration of which so much was told, without any step.
func told(length time.Duration) *telling {
	t := newTelling(demo.Fast(), 1)
	t.began, t.length = time.Now().Add(-length), length
	return t
}

func TestDemoStatus(t *testing.T) {
	whole := demo.Fast().Length
	for _, c := range []struct {
		name     string
		terminal bool
		length   time.Duration
		told     bool
		want     string // empty for status 0
	}{
		{"told, and nothing followed", false, whole, true, "no more than 0 replicas came"},
		{"told on a screen", true, whole, true, "no more than 0 replicas came"},
		{"ended on the screen", true, time.Second, false, ""},
		{"interrupted", false, time.Second, false, "it was interrupted"},
	} {
		var out bytes.Buffer
		err := (&demoCommand{Fast: true}).sum(streams{out: &out, terminal: c.terminal}, told(c.length), demo.Sent{}, c.told)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if !strings.Contains(out.String(), "What to try next:") || strings.Contains(out.String(), "ended before") == c.told {
			t.Errorf("%s: the summary:\n%s", c.name, out.String())
		}
	}
}

// addressed is a source that says where its proxy listens, as processes are.
type addressed struct{}

func (addressed) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	return autoscale.Reading{Samples: []autoscale.Sample{{Verdict: autoscale.OK}}}
}

func (addressed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// What a telling hears of the daemon and the load becomes what is said.
func TestTellingHears(t *testing.T) {
	var said []any
	x := newTelling(demo.Fast(), 1)
	x.say = func(message any) { said = append(said, message) }
	source := x.through(addressed{})
	if x.app.String() != "127.0.0.1:8080" {
		t.Errorf("the proxy is at %v", x.app)
	}
	after := control.Snapshot{Replicas: 0, Last: control.Step{Err: errors.New("not yet")}}
	x.followed(after, nil)
	select {
	case <-x.serving:
		t.Fatal("without a replica the load would begin")
	default:
	}
	after.Replicas, after.Last = 2, control.Step{Report: control.Report{Decision: autoscale.Decision{From: 1, To: 2}}}
	x.followed(after, []event{{kind: "scaled", text: "1 -> 2"}, {kind: "trusted-again", text: "2 kept"}})
	<-x.serving
	from := time.Duration(-1)
	for _, p := range x.story.Phases {
		if p.Unread && from < 0 {
			from = p.From
		}
	}
	x.began = time.Now().Add(-from - 500*time.Millisecond)
	if r := source.Read(t.Context(), nil); !r.Samples[0].Verdict.Doubtful() {
		t.Error("in the outage the source is read")
	}
	x.progress(stress.Second{})
	x.progress(stress.Second{At: 5, Length: 1, Sent: 40})
	x.remarked("app-1 was killed")
	x.finish()
	for range 2 { // what comes afterwards is not of the story
		x.followed(after, []event{{kind: "failed", text: "interrupted"}})
		x.remarked("it ends")
	}
	var kinds []string
	for _, message := range said {
		switch m := message.(type) {
		case demo.Event:
			kinds = append(kinds, m.Kind+": "+m.Text)
		case demo.Load:
			kinds = append(kinds, "load")
		case demo.Step:
			kinds = append(kinds, "step")
		}
	}
	want := "step|step|raised: 1 -> 2|trusted-again: trusted again: 2 kept|phase: " + x.story.Phases[0].Text + "|load|phase: " + x.story.Phase(5*time.Second).Text + "|note: app-1 was killed"
	if got := strings.Join(kinds, "|"); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if shown := shown(event{kind: "scaled"}, false); shown.Kind != demo.Lowered {
		t.Errorf("a lowering is shown as %s", shown.Kind)
	}
}
