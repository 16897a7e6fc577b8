package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

// A decision leaves its metrics in the file, whatever it came to; what it does not
// know stays as it was.
func TestTextfile(t *testing.T) {
	var load atomic.Value
	load.Store("http_requests_per_second 100\n")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, load.Load()) }))
	defer page.Close()
	dir := filepath.Join(t.TempDir(), "bot")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "app.prom")
	args := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0", "--apply=never", "--metrics-scope=service", "--project-dir=" + dir, "--metrics-url=" + page.URL, "--textfile=app.prom"}
	of := `{service="app",project="` + dir + `"` // nobody says the project's name
	step := func(status int, more []string, want ...string) (text string) {
		t.Helper()
		got, out, errs := runs(t, append(args, more...)...)
		written, err := os.ReadFile(path)
		if got != status || err != nil {
			t.Fatalf("status %d (%v)\n%s%s", got, err, out, errs)
		}
		for _, line := range want {
			if !strings.Contains(string(written), line) {
				t.Errorf("no %s in\n%s", line, written)
			}
		}
		return string(written)
	}
	first := step(0, nil, `autoscale_service_info{service="app",provider="compose",project="`+dir+`",target="app"} 1`, "autoscale_replicas"+of+"} 3", "autoscale_replicas_wanted"+of+"} 3",
		"autoscale_replicas_max"+of+"} 5", "autoscale_load_requests_per_second"+of+"} 100", `autoscale_reading_verdict{service="app",verdict="ok",project="`+dir+`"} 1`,
		"autoscale_step_failing"+of+"} 0", "autoscale_paused"+of+"} 0", "autoscale_evaluation_timestamp_seconds"+of+"} 1.")
	good := first[strings.Index(first, "\nautoscale_evaluation_timestamp_seconds"):]
	good, _, _ = strings.Cut(good[1:], "\n")
	load.Store("")
	text := step(1, nil, "autoscale_replicas"+of+"} 3", `verdict="absent"`, "autoscale_reading_doubtful"+of+"} 1", "autoscale_step_failing"+of+"} 0", good)
	if strings.Contains(text, "autoscale_load_") {
		t.Errorf("a load that is not known:\n%s", text)
	}
	if err := os.WriteFile(filepath.Join(dir, "deploy", "compose.override.yml"), []byte("a: [\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text = step(1, nil, "autoscale_replicas"+of+"} 3", "autoscale_step_failing"+of+"} 1", good)
	if strings.Contains(text, "verdict") {
		t.Errorf("a verdict on nothing:\n%s", text)
	}
	if again := step(1, []string{"--dry-run"}); again != text {
		t.Error("a dry run wrote")
	}
}

// Nobody else's file is touched, and no folder is made.
func TestTextfileOfOthers(t *testing.T) {
	dir := t.TempDir()
	c := &flags{Provider: composed, Service: "app", StateFile: "state.json", Max: 5}
	c.Textfile = filepath.Join(dir, "x.prom")
	r := result{key: store.Key{Provider: "compose", Project: "bot", Service: "app", Dir: dir}, err: errors.New("no engine")}
	write := func(want string) {
		t.Helper()
		before, _ := os.ReadFile(c.textfile(dir))
		warnings := strings.Join(c.writeTextfile(t.Context(), dir, r, time.Unix(1000, 0)), "\n")
		if !strings.Contains(warnings, want) || want == "" && warnings != "" {
			t.Errorf("%q, want %q", warnings, want)
		}
		if after, _ := os.ReadFile(c.textfile(dir)); want != "" && string(after) != string(before) {
			t.Errorf("it was written: %s", after)
		}
	}
	for _, held := range []struct{ text, want string }{
		{"passwords\n", "holds something that autoscale did not write"},
		{"other_metric 1\n", "holds something"},
		{"autoscale_service_info{service=\"app\"} 1\nother 1\n", "holds something"}, {"# HELP autoscale_x y\n", "none that autoscale wrote"},
		{"autoscale_service_info{service=\"x\"} 1\n", `is of service "x"`},
		{"autoscale_service_info{service=\"app\",project=\"shop\"} 1\n", `is of service "app" in shop`},
		{"autoscale_service_info{service=\"app\",project=\"" + dir + "\"} 1\n", ""}, // a run without docker
		{"", ""},
	} {
		if err := os.WriteFile(c.Textfile, []byte(held.text), 0o644); err != nil {
			t.Fatal(err)
		}
		write(held.want)
	}
	r.key.Project = "" // not found: it is the one that the file is of
	write("")
	if text, _ := os.ReadFile(c.Textfile); !strings.Contains(string(text), `autoscale_step_failing{service="app",project="bot"} 1`) {
		t.Errorf("%s", text)
	}
	c.Textfile = filepath.Join(dir, "no", "app.prom")
	write("there is no folder")
	c.Textfile = dir
	write("none that autoscale wrote")

	// Nor is anything written by a run that somebody ended, or another kept from its work.
	c.Textfile = "later.prom"
	ended, stop := context.WithCancel(t.Context())
	stop()
	c.writeTextfile(ended, dir, r, time.Now())
	r.err = fmt.Errorf("another: %w", store.ErrLocked)
	c.writeTextfile(t.Context(), dir, r, time.Now())
	if exists(filepath.Join(dir, "later.prom")) {
		t.Error("it was written")
	}
}

// A pause is in the file: whoever is told of a count that does not move wants to know.
func TestTextfileOfAPause(t *testing.T) {
	dir := t.TempDir()
	c := &flags{Provider: composed, Service: "app", StateFile: "state.json", Textfile: "a.prom", Max: 5}
	key := store.Key{Provider: "compose", Engine: "e", Project: "bot", Service: "app", Dir: dir}
	now := time.Now()
	if _, err := store.Open(c.statePath(dir)).Save(key, autoscale.State{At: autoscale.Instant{Time: now}, Pause: &autoscale.Pause{Since: now, Until: now.Add(time.Hour), By: "me"}}); err != nil {
		t.Fatal(err)
	}
	if warnings := c.writeTextfile(t.Context(), dir, result{key: key, declared: true}, now); len(warnings) > 0 {
		t.Fatal(warnings)
	}
	text, err := os.ReadFile(filepath.Join(dir, "a.prom"))
	if err != nil || !strings.Contains(string(text), `autoscale_paused{service="app",project="bot"} 1`) || !strings.Contains(string(text), "autoscale_evaluation_timestamp_seconds") {
		t.Errorf("%s (%v)", text, err)
	}
}
