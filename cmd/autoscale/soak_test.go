package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
)

// pages are metrics pages whose load follows a day, and which fail now and then.
type pages struct {
	*httptest.Server
	said []atomic.Pointer[string]
}

func newPages(services int) *pages {
	p := &pages{said: make([]atomic.Pointer[string], services)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &i); err != nil {
			http.NotFound(w, r)
			return
		}
		text := p.said[i].Load()
		if text == nil || *text == "" {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, *text)
	}))
	return p
}

// at has every page say what it says at a time of the day; in every tenth minute
// one of them fails or lies.
func (p *pages) at(since time.Duration) {
	for i := range p.said {
		load := 100 + 90*math.Sin(2*math.Pi*since.Hours()/24+float64(i))
		text := fmt.Sprintf("# TYPE http_requests_per_second gauge\nhttp_requests_per_second %.1f\n", load)
		if minute := int(since.Minutes()); minute%10 == 9 && i == minute/10%len(p.said) {
			text = []string{"", "http_requests_per_second NaN\n", "http_requests_per_second 0", "other 1\n"}[minute/10%4]
		}
		p.said[i].Store(&text)
	}
}

// soaked is a daemon in a bubble, with what is looked at from time to time.
type soaked struct {
	t     *testing.T
	run   *daemonRun
	pages *pages
	file  string
	text  string
	used  []holding // a sample each simulated hour, or a tenth of the time
}

// holding is what a process holds.
type holding struct {
	goroutines, descriptors int
	heap                    uint64 // bytes
}

func held(t *testing.T) holding {
	t.Helper()
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return holding{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// ask asks the API.
func (s *soaked) ask(ctx context.Context, path string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer soak")
	s.run.server.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.t.Errorf("%s: %d %s", path, w.Code, w.Body)
	}
}

// minute is what people do in a minute of the daemon's life.
func (s *soaked) minute(n int) {
	ctx := context.Background()
	s.ask(ctx, "/metrics")
	s.ask(ctx, "/api/v1/services")
	name := fmt.Sprintf("s%d", n%len(s.pages.said))
	s.ask(ctx, "/api/v1/services/"+name+"/history?from="+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	switch n % 30 {
	case 7: // a configuration that is wrong, and the right one, changed
		s.write(s.text + "  more: {mim: 1}\n")
		s.run.reload()
		s.write(s.text + fmt.Sprintf("  more: {project-dir: more, min: 1, max: %d, metrics-url: %q}\n", 2+n%7, s.pages.URL+"/0"))
		s.run.reload()
	case 17:
		p := &autoscale.Pause{Until: time.Now().Add(5 * time.Minute), By: "soak"}
		if err := s.run.daemon.Pause(ctx, name, p); err != nil {
			s.t.Error(err)
		}
	case 27:
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		s.ask(ctx, "/api/v1/stream")
		cancel()
	}
}

func (s *soaked) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// A day of the daemon's life, or a small part of it where AUTOSCALE_SOAK does not
// say 24h: services that come and go, pages that fail, pauses, people who look. It
// holds no more at the end than it did at the beginning, and lowered nothing on
// doubt.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("AUTOSCALE_SOAK"))
	if err != nil {
		length = 40 * time.Minute
	}
	s := &soaked{t: t, pages: newPages(5)}
	defer s.pages.Close()
	dir := t.TempDir()
	s.file = filepath.Join(dir, "autoscale.yaml")
	s.text = "interval: 15s\nlisten: \"off\"\ntoken: soak\nstate: state\nhistory: {file: history.db, keep: 2h}\ndefaults: {provider: compose, min: 1, max: 9, rps-target: 20, cooldown: 2m, apply: never, metrics-scope: service}\nservices:\n"
	for i := range s.pages.said {
		s.text += fmt.Sprintf("  s%d: {project-dir: p%[1]d, metrics-url: %q}\n", i, fmt.Sprintf("%s/%d", s.pages.URL, i))
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint("p", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(s.text)
	synctest.Test(t, func(t *testing.T) { s.live(t, length) })
	first, last := s.used[len(s.used)/4], s.used[len(s.used)-1]
	t.Logf("%s: goroutines %d -> %d, descriptors %d -> %d, heap %.1f -> %.1f MB", length,
		first.goroutines, last.goroutines, first.descriptors, last.descriptors, float64(first.heap)/1e6, float64(last.heap)/1e6)
	if last.goroutines > first.goroutines+2 || last.descriptors > first.descriptors+10 || float64(last.heap) > 1.2*float64(first.heap)+1e6 {
		t.Errorf("it grows: %+v", s.used)
	}
}

// live is the daemon's life.
func (s *soaked) live(t *testing.T, length time.Duration) {
	began := time.Now()
	s.pages.at(0)
	c := &runCommand{Log: "text", clocks: func() (autoscale.Instant, error) {
		return autoscale.Instant{Time: time.Now(), Uptime: time.Hour + time.Since(began), Boot: "b"}, nil
	}}
	f, err := readConfig(s.file)
	if err != nil {
		t.Fatal(err)
	}
	if s.run, err = c.open(f, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer s.run.close()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.run.daemon.Run(ctx); close(ended) }()
	every := min(time.Hour, length/10)
	for n, next := 0, every; time.Since(began) < length; n++ {
		time.Sleep(time.Minute)
		s.pages.at(time.Since(began))
		s.minute(n)
		if time.Since(began) >= next {
			s.used = append(s.used, held(t))
			next += every
		}
	}
	stop()
	<-ended
	s.lowered(t, began)
}

// lowered checks what was lowered, as far as it is remembered.
func (s *soaked) lowered(t *testing.T, began time.Time) {
	moves := 0
	for i := range s.pages.said {
		for record, err := range s.run.past.Records(fmt.Sprint("s", i), began, time.Now(), 1e6, true) {
			if err != nil {
				t.Fatal(err)
			}
			if record.Outcome.Count == record.Decision.From {
				continue
			}
			if moves++; record.Outcome.Count < record.Decision.From && record.Decision.Verdict != autoscale.OK {
				text, _ := json.Marshal(record)
				t.Errorf("lowered on doubt: %s", text)
			}
		}
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(s.file), fmt.Sprint("p", i), "deploy", "compose.override.yml")); err != nil || !strings.Contains(string(text), "replicas: ") {
			t.Errorf("s%d: %v\n%s", i, err, text)
		}
	}
	if moves == 0 {
		t.Error("nothing was moved: this tested nothing")
	}
}
