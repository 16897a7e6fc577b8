//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// three is basic with three replicas of the app.
func three(t *testing.T) *project {
	t.Helper()
	p := newProject(t, "compose.yaml", basic, overrideFile, "services:\n  app:\n    deploy:\n      replicas: 3 # ours\n")
	p.up()
	p.wantRunning("app-1 app-2 app-3")
	return p
}

// fault is one way in which a page that says 1 request/s, so that two of three
// replicas would go, is not to be trusted.
type fault struct {
	name, verdict string
	says          string // in the sample's detail
	serve         func(http.ResponseWriter)
	args          []string // beside the page's URL
}

// text is a page as it stands.
func text(page string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { io.WriteString(w, page) }
}

const (
	lowHead = "# TYPE http_requests_per_second gauge\n"
	low     = lowHead + "http_requests_per_second 1\n"
)

// faults are all that a page for the whole service can show, but for those that
// need a page or a project of their own.
func faults() []fault {
	open := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0")
	}
	var asked atomic.Int64
	return []fault{
		{name: "absent", verdict: "absent", says: "requests_per_second", serve: text("# TYPE up gauge\nup 1\n")},
		{name: "empty page", verdict: "absent", serve: text("")},
		{name: "nothing selected", verdict: "absent", says: "fits the selector", serve: text(low), args: []string{`--rps-metric=http_requests_per_second{zone="b"}`}},
		{name: "status 404", verdict: "unreachable", says: "404", serve: func(w http.ResponseWriter) { w.WriteHeader(404); text(low)(w) }},
		{name: "status 500", verdict: "unreachable", says: "500", serve: func(w http.ResponseWriter) { w.WriteHeader(500); text(low)(w) }},
		{name: "status 204", verdict: "unreachable", says: "204", serve: func(w http.ResponseWriter) { w.WriteHeader(204) }},
		{name: "no answer", verdict: "unreachable", serve: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{name: "too large", verdict: "too-large", says: "67108864 bytes", serve: func(w http.ResponseWriter) {
			io.WriteString(w, low)
			line := []byte("# " + strings.Repeat("x", 1<<16) + "\n")
			for range 1100 {
				w.Write(line)
			}
		}},
		{name: "cut short", verdict: "malformed", says: "cut short", serve: func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			text(low)(w)
		}},
		{name: "no last line feed", verdict: "malformed", serve: text(strings.TrimSuffix(low, "\n"))},
		{name: "OpenMetrics without EOF", verdict: "malformed", says: "# EOF", serve: func(w http.ResponseWriter) { open(w); text(low)(w) }},
		{name: "bad number", verdict: "malformed", says: "line 2", serve: text(lowHead + "http_requests_per_second 1,0\n")},
		{name: "series twice", verdict: "malformed", says: "twice", serve: text(low + "http_requests_per_second 1\n")},
		{name: "HTML", verdict: "malformed", serve: text("<html><body>\nhttp_requests_per_second is elsewhere\n</body></html>\n")},
		{name: "NaN", verdict: "not-finite", serve: text(lowHead + "http_requests_per_second NaN\n")},
		{name: "infinite", verdict: "not-finite", serve: text(lowHead + "http_requests_per_second{a=\"1\"} +Inf\nhttp_requests_per_second{a=\"2\"} 1\n")},
		{name: "negative", verdict: "negative", serve: text(lowHead + "http_requests_per_second -1\n")},
		{name: "stale", verdict: "stale", says: "old, more than 5m0s", serve: func(w http.ResponseWriter) {
			fmt.Fprintf(w, "%shttp_requests_per_second 1 %d\n", lowHead, time.Now().Add(-6*time.Minute).UnixMilli())
		}},
		{name: "one of several", verdict: "one-of-several", says: "process_start_time_seconds are not the same", serve: func(w http.ResponseWriter) {
			fmt.Fprintf(w, "%sprocess_start_time_seconds %d\n", low, 1700000000+asked.Add(1)%2)
		}},
		{name: "one of several lacks it", verdict: "one-of-several", says: "only one of them has the metric", serve: func(w http.ResponseWriter) {
			if asked.Add(1)%2 == 0 {
				io.WriteString(w, low)
			}
		}},
	}
}

// doubted checks what every doubtful run must leave: status 1, the verdict in
// the output, the state and the journal, and nothing lowered or changed.
func (p *project) doubted(before snapshot, state, verdict, says string, args ...string) {
	p.t.Helper()
	args = append(args, "--state-file="+state, "--cooldown=1", "--output=json")
	r := p.autoscale(args...).want(1)
	before.same(p.t, p.snapshot("tools"))
	d := r.json()
	if d.Status != 1 || d.Decision == nil || d.Decision.Verdict != verdict || d.Decision.To != 3 || d.Decision.From != 3 {
		p.t.Fatalf("decided %+v, want %s and 3 replicas kept", d.Decision, verdict)
	}
	if !strings.Contains(r.out, says) {
		p.t.Errorf("does not say %q", says)
	}
	if s := p.remembered(state); s.Doubts != 1 || len(s.History) == 0 || s.History[len(s.History)-1].Verdict != verdict {
		p.t.Errorf("state: %+v", s)
	}
	if journal := p.read(strings.TrimSuffix(state, ".json") + ".journal.ndjson"); !strings.Contains(journal, `"verdict":"`+verdict+`"`) {
		p.t.Errorf("journal: %s", journal)
	}
}

// memory is what the tests read of a state file's only entry.
type memory struct {
	Doubts  int
	Applied bool
	History []struct {
		Time    time.Time `json:"t"`
		Verdict string    `json:"v"`
	}
}

func (p *project) remembered(file string) memory {
	p.t.Helper()
	var document struct {
		Entries map[string]struct{ State memory }
	}
	if err := json.Unmarshal([]byte(p.read(file)), &document); err != nil || len(document.Entries) != 1 {
		p.t.Fatalf("state file %s: %d entries, %v", file, len(document.Entries), err)
	}
	for _, entry := range document.Entries {
		return entry.State
	}
	panic("unreachable")
}

// wants checks what a trusted low reading leads to. With --mode=observe nothing
// is moved, so that the same three replicas serve all faults.
func (p *project) wants(state string, want int, args ...string) {
	p.t.Helper()
	d := p.autoscale(append(args, "--state-file="+state, "--cooldown=1", "--mode=observe", "--output=json")...).want(0).json()
	if d.Decision.Verdict != "ok" || d.Decision.Want != want {
		p.t.Fatalf("decided %+v, want %d replicas", d.Decision, want)
	}
}

// Every fault of a page that a lowering could rest on holds the count, and
// trusted readings lower only after a cooldown of them.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	p := three(t)
	load := newPage(t, 100)
	before := p.snapshot("tools")
	args := func(f fault) []string { return append(slices.Clone(f.args), load.url()) }
	state := func(f fault) string { return "tools/" + strings.ReplaceAll(f.name, " ", "-") + ".json" }
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			p := p.with(t)
			load.set(100)
			if f.args == nil { // the selector finds nothing at any time
				p.autoscale(append(args(f), "--state-file="+state(f))...).want(0)
			}
			load.serve(f.serve)
			p.doubted(before, state(f), f.verdict, f.says, args(f)...)
			load.serve(text(low))
			if f.args == nil {
				p.wants(state(f), 3, args(f)...)
			}
		})
	}
	time.Sleep(1100 * time.Millisecond)
	for _, f := range faults() {
		if f.args == nil {
			p.wants(state(f), 1, args(f)...)
		}
	}
	p.wantRunning("app-1 app-2 app-3")
	p.autoscale(load.url(), "--state-file="+state(faults()[0]), "--cooldown=1").want(0, "3 -> 1 replica")
	p.wantRunning("app-1")
	p.wantDeclared(1)
}

// Pages that cannot be had at all, that stall, that are one of two, and that
// count.
func TestVerdictsOfConnections(t *testing.T) {
	t.Parallel()
	p := three(t)
	before := p.snapshot("tools")
	t.Run("connection refused", func(t *testing.T) {
		p := p.with(t)
		// An address of its own, where no other test may listen meanwhile.
		server := listen(t, "127.0.0.83:0", 100)
		address := server.Listener.Addr().String()
		url, state := "--metrics-url="+server.URL+"/metrics", "tools/refused.json"
		p.autoscale(url, "--state-file="+state).want(0)
		server.Close()
		p.doubted(before, state, "unreachable", "connection refused", url)
		listen(t, address, 1)
		p.wants(state, 3, url)
		time.Sleep(1100 * time.Millisecond)
		p.wants(state, 1, url)
	})
	t.Run("unknown host", func(t *testing.T) {
		p.with(t).doubted(before, "tools/dns.json", "unreachable", "nowhere.invalid", "--metrics-url=http://nowhere.invalid/metrics")
	})
	t.Run("late", func(t *testing.T) {
		p := p.with(t)
		load, release := newPage(t, 100), make(chan struct{})
		defer close(release)
		p.autoscale(load.url(), "--state-file=tools/late.json").want(0)
		load.serve(func(w http.ResponseWriter) {
			io.WriteString(w, low)
			w.(http.Flusher).Flush()
			<-release
		})
		start := time.Now()
		p.doubted(before, "tools/late.json", "late", "not complete within 5s", load.url())
		if took := time.Since(start); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("took %v, and the whole exchange may take 5 s", took)
		}
	})
	t.Run("partial", func(t *testing.T) {
		p := p.with(t)
		one, two, state := newPage(t, 60), newPage(t, 60), "tools/partial.json"
		p.autoscale(one.url(), two.url(), "--state-file="+state).want(0, "120 rps")
		one.set(1)
		two.serve(func(w http.ResponseWriter) { w.WriteHeader(503) })
		p.doubted(before, state, "partial", "503", one.url(), two.url())
		two.set(1)
		p.wants(state, 3, one.url(), two.url())
	})
	t.Run("counter", func(t *testing.T) { p.with(t).countsUp() })
}

// listen serves a page that says rps at an address.
func listen(t *testing.T, address string, rps float64) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%shttp_requests_per_second %v\n", lowHead, rps)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// countsUp checks a counter that speaks for the whole service: its first rate,
// and the one after it began anew, may raise and not lower.
func (p *project) countsUp() {
	var since, rate atomic.Int64 // ns, requests/s
	since.Store(time.Now().Add(-time.Hour).UnixNano())
	rate.Store(1)
	load := newPage(p.t, 0)
	load.serve(func(w http.ResponseWriter) {
		counted := float64(rate.Load()) * float64(time.Now().UnixNano()-since.Load()) / 1e9
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total %g\n", counted)
	})
	const state = "tools/counter.json"
	before := p.snapshot("tools")
	run := func(status int, more ...string) document {
		p.t.Helper()
		args := []string{load.url(), "--rps-metric=http_requests_total", "--state-file=" + state, "--cooldown=0", "--output=json"}
		return p.autoscale(append(args, more...)...).want(status).json()
	}
	wants := func(d document, verdict string, want int) {
		p.t.Helper()
		if d.Decision.Verdict != verdict || d.Decision.Want != want {
			p.t.Fatalf("decided %+v, want %s and %d replicas", d.Decision, verdict, want)
		}
	}
	wants(run(0), "warming", 3)
	if s := p.remembered(state); s.Doubts != 0 || s.History[0].Verdict != "warming" {
		p.t.Errorf("state: %+v", s)
	}
	wants(run(0, "--mode=observe"), "ok", 1)
	since.Store(time.Now().UnixNano()) // the process began anew
	wants(run(0), "warming", 3)
	wants(run(0, "--mode=observe"), "ok", 1)
	since.Add(-int64(time.Hour)) // a jump of 3600 requests at once
	rate.Store(500)
	wants(run(0, "--mode=observe"), "ok", 5)
	if s := p.remembered(state); s.Doubts != 0 {
		p.t.Errorf("state: %+v", s)
	}
	before.same(p.t, p.snapshot("tools"))
}

// With {replica} each replica's page is judged, and one that is not to be
// trusted makes the sum a lower bound.
func TestVerdictsOfReplicas(t *testing.T) {
	t.Parallel()
	p := three(t)
	const url, state = "--metrics-url=http://{replica}:8000/metrics", "tools/.autoscale_state.json"
	for _, name := range []string{"app-1", "app-2", "app-3"} {
		p.lever(name, "rps=1")
	}
	before := p.snapshot("tools")
	for _, c := range []struct{ lever, mend, verdict, sample string }{
		{"page=cut", "page=whole", "partial", "malformed"},
		{"rps=NaN", "rps=1", "partial", "not-finite"},
		{"rps=-1", "rps=1", "partial", "negative"},
		{"slow=6s", "slow=0s", "partial", "late"},
	} {
		t.Run(c.lever, func(t *testing.T) {
			p := p.with(t)
			p.lever("app-2", c.lever)
			d := p.autoscale(url, "--output=json").want(1).json()
			if c.sample != "late" {
				// Doubt is no reason to wait with a raise that the others ask for.
				high := p.autoscale(url, "--rps-target=0.4", "--mode=observe", "--output=json").want(1).json()
				if high.Decision.Want != 5 || high.Decision.Verdict != c.verdict {
					t.Errorf("decided %+v, want 5 replicas", high.Decision)
				}
			}
			p.lever("app-2", c.mend)
			if d.Decision.Verdict != c.verdict || d.Decision.To != 3 || len(d.Reading.Samples) != 3 {
				t.Fatalf("decided %+v", d.Decision)
			}
			for _, sample := range d.Reading.Samples {
				if is2 := strings.HasSuffix(sample.Name, "app-2"); is2 && sample.Verdict != c.sample || !is2 && sample.Verdict != "ok" {
					t.Errorf("%s is %s", sample.Name, sample.Verdict)
				}
			}
		})
	}
	t.Run("page=bare", func(t *testing.T) {
		p := p.with(t)
		p.lever("app-2", "page=bare")
		// Younger than the cooldown it warms up; older, it has no traffic.
		if d := p.autoscale(url, "--cooldown=1h", "--output=json").want(0).json(); d.Decision.Verdict != "warming" || d.Decision.To != 3 {
			t.Errorf("decided %+v", d.Decision)
		}
		p.autoscale(url, "--cooldown=1", "--mode=observe").want(0, "app-2 is without traffic")
		for _, name := range []string{"app-1", "app-3"} {
			p.lever(name, "page=bare")
		}
		if d := p.autoscale(url, "--output=json").want(1).json(); d.Decision.Verdict != "absent" || d.Decision.To != 3 {
			t.Errorf("decided %+v", d.Decision)
		}
	})
	before.same(t, p.snapshot("tools"))
	if s := p.remembered(state); s.Doubts == 0 {
		t.Errorf("state: %+v", s)
	}
}

// A doubtful reading raises where its trusted part asks for it, and after three
// of them --on-doubt does; neither lowers.
func TestDoubtRaises(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	good, bad := newPage(t, 50), newPage(t, 0)
	bad.serve(func(w http.ResponseWriter) { w.WriteHeader(500) })
	p.autoscale(good.url(), bad.url()).want(1, "1 -> 2 replicas", "partial", "at least 50 rps")
	p.wantRunning("app-1 app-2")
	p.wantDeclared(2)

	state := "--state-file=tools/doubt.json"
	for range 2 {
		p.autoscale(bad.url(), state, "--on-doubt=3").want(1, "2 replicas kept")
		p.wantRunning("app-1 app-2")
	}
	p.autoscale(bad.url(), state, "--on-doubt=3").want(1, "2 -> 3 replicas", "3 doubtful runs in a row")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	p.autoscale(bad.url(), state, "--on-doubt=2").want(1, "3 replicas kept")
	p.autoscale(bad.url(), state, "--on-doubt=9", "--max=3").want(1, "3 replicas kept")
	bad.set(130) // trusted: the doubtful runs are counted anew
	p.autoscale(bad.url(), state, "--on-doubt=5").want(0, "3 replicas kept")
	bad.serve(text(""))
	p.autoscale(bad.url(), state, "--on-doubt=5").want(1, "3 replicas kept", "absent")
	p.wantRunning("app-1 app-2 app-3")
}

// User, password and headers reach the page, and appear nowhere else, whatever
// goes wrong and whatever the server sends back.
func TestCredentials(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	secrets := []string{"wildcat", "Tr0ub4dor", "QmVhcmVyVG9rZW4", "hunter2hunter2"}
	var authorized, header atomic.Value
	var mode atomic.Value
	load := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		authorized.Store(user + ":" + password)
		header.Store(r.Header.Get("X-Api-Key"))
		echo := fmt.Sprint(password, " ", r.Header.Get("X-Api-Key"), " ", r.URL) // not the user: too common a word to be hidden
		switch mode.Load() {
		case "ok":
			io.WriteString(w, low)
		case "refused":
			w.WriteHeader(401)
			io.WriteString(w, echo+"\n")
		case "echo":
			fmt.Fprintf(w, "http_requests_per_second{a=%q} %s\n", echo, password+r.Header.Get("X-Api-Key"))
		case "redirect":
			http.Redirect(w, r, "http://"+secrets[1]+"@nowhere.invalid/", http.StatusFound)
		case "abort":
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(load.Close)
	address := strings.Replace(load.URL, "http://", "http://"+secrets[0]+":"+secrets[1]+"@", 1)
	args := []string{"--metrics-url=" + address + "/metrics?token=" + secrets[2], "--metrics-header=X-Api-Key: " + secrets[3]}
	for _, word := range []string{"ok", "refused", "echo", "redirect", "abort"} {
		mode.Store(word)
		t.Run(word, func(t *testing.T) {
			p := p.with(t)
			for _, output := range []string{"--output=text", "--output=json"} {
				r := p.autoscale(append(args, output)...)
				if status := map[bool]int{true: 0, false: 1}[word == "ok"]; r.status != status {
					t.Errorf("status %d", r.status)
				}
				for _, secret := range secrets {
					if strings.Contains(r.out+r.errors, secret) {
						t.Errorf("%q is shown by %s:\n%s%s", secret, output, r.out, r.errors)
					}
				}
			}
		})
		if authorized.Load() != secrets[0]+":"+secrets[1] || header.Load() != secrets[3] {
			t.Errorf("the page was sent %v and %v", authorized.Load(), header.Load())
		}
	}
	t.Run("wrong flags", func(t *testing.T) {
		p := p.with(t)
		for _, wrong := range []string{
			"--metrics-url=ftp://" + secrets[0] + ":" + secrets[1] + "@host/?token=" + secrets[2],
			"--metrics-url=http://" + secrets[0] + ":" + secrets[1] + "@host:99999/",
			"--metrics-url=http://" + secrets[0] + ":" + secrets[1] + "%zz@host/",
			"--metrics-url=" + secrets[0] + ":" + secrets[1] + "@host",
			"--metrics-header=" + secrets[3],
			"--metrics-header=X Key: " + secrets[3],
		} {
			r := p.autoscale(wrong).want(2)
			for _, secret := range secrets {
				if strings.Contains(r.out+r.errors, secret) {
					t.Errorf("%q is shown:\n%s%s", secret, r.out, r.errors)
				}
			}
		}
	})
	p.nowhere(secrets)
}

// nowhere checks that no file of the project, the state and the journal among
// them, holds any of the words.
func (p *project) nowhere(words []string) {
	p.t.Helper()
	files := 0
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		for _, word := range words {
			if strings.Contains(string(text), word) {
				p.t.Errorf("%s holds %q", path, word)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		p.t.Errorf("%d files looked at (%v)", files, err)
	}
}
