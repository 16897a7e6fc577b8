//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// looker is a running daemon.
type looker struct {
	t    *testing.T
	dir  string
	env  []string
	cmd  *exec.Cmd
	ends chan error

	mu  sync.Mutex
	log bytes.Buffer
}

const token = "let me in"

// newLooker writes a configuration of these services, and starts the daemon.
func newLooker(t *testing.T, services string, env ...string) *looker {
	t.Helper()
	l := &looker{t: t, dir: t.TempDir(), env: env}
	l.configure(services)
	l.begin()
	return l
}

// begin starts the daemon, and ends it with the test.
func (l *looker) begin() {
	l.t.Helper()
	l.start()
	l.t.Cleanup(func() {
		l.kill(syscall.SIGKILL)
		if l.t.Failed() {
			l.t.Log(l.said())
		}
	})
}

func (l *looker) configure(services string) {
	l.t.Helper()
	text := fmt.Sprintf("interval: 1s\nlisten: 127.0.0.1:0\nstate: state\ntoken: ${E2E_TOKEN}\ndefaults: {provider: compose, min: 1, max: 5, rps-target: 40, cooldown: 3s}\nservices:\n%s", services)
	if err := os.WriteFile(filepath.Join(l.dir, "autoscale.yaml"), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// Write keeps the log.
func (l *looker) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

func (l *looker) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

func (l *looker) start() {
	l.t.Helper()
	l.cmd = exec.Command(built.autoscale, "run", "--config", filepath.Join(l.dir, "autoscale.yaml"))
	l.cmd.Env = append(append(os.Environ(), "E2E_TOKEN="+token), l.env...)
	l.cmd.Stdout, l.cmd.Stderr = l, l
	from := len(l.said())
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.ends = make(chan error, 1)
	go func() { l.ends <- l.cmd.Wait() }()
	l.until("it looks after the services", func() bool { return strings.Contains(l.said()[from:], "looks after the services") })
}

// kill ends the daemon by a signal, and returns how long that took.
func (l *looker) kill(by os.Signal) time.Duration {
	l.t.Helper()
	began := time.Now()
	_ = l.cmd.Process.Signal(by) // it may have ended
	select {
	case <-l.ends:
	case <-time.After(20 * time.Second):
		_ = l.cmd.Process.Kill()
		l.t.Errorf("it did not end within 20 s of %s", by)
	}
	l.ends <- nil // for the next one who asks
	return time.Since(began)
}

func (l *looker) until(what string, holds func() bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("after a minute still not: %s", what)
		}
	}
}

var listening = regexp.MustCompile(`listen=(\S+)`)

// ask asks the API; it returns the status.
func (l *looker) ask(method, path, body string, headers ...string) (status int, answer string) {
	l.t.Helper()
	all := listening.FindAllStringSubmatch(l.said(), -1)
	if len(all) == 0 {
		l.t.Fatal("it says no address")
	}
	req, err := http.NewRequest(method, "http://"+all[len(all)-1][1]+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// entry is a service of the configuration.
func (p *project) entry(name string, load *page, more string) string {
	return fmt.Sprintf("  %s: {service: app, project-dir: %q, metrics-url: %q%s}\n", name, p.dir, strings.TrimPrefix(load.url(), "--metrics-url="), more)
}

// count is how many replicas run.
func (p *project) count() int { p.t.Helper(); return len(strings.Fields(p.running("app"))) }

// Two projects under one daemon: each follows its own load; a page that dies, a
// configuration that is wrong and a daemon that is killed lower nothing.
func TestDaemon(t *testing.T) {
	t.Parallel()
	one, two := newProject(t), newProject(t)
	one.up()
	two.up()
	first, second := newPage(t, 100), newPage(t, 20)
	services := one.entry("one", first, "") + two.entry("two", second, "")
	l := newLooker(t, services)
	l.until("the first has 3", func() bool { return one.count() == 3 })
	second.set(190)
	l.until("the second has 5", func() bool { return two.count() == 5 })
	one.agrees()
	two.agrees()

	// A page that is gone holds, and the other service goes on.
	first.serve(func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	l.until("it says so", func() bool { return strings.Contains(l.said(), "unreachable") })
	second.set(30)
	l.until("the second has 1", func() bool { return two.count() == 1 })
	if n := one.count(); n != 3 {
		t.Errorf("%d replicas of the first, whose load is not known", n)
	}

	// A wrong configuration changes nothing; a right one is taken over.
	l.configure(services + "  three: {mim: 1}\n")
	l.until("it says what is wrong", func() bool {
		return strings.Contains(l.said(), "the one before stays in force") && strings.Contains(l.said(), "did you mean min?")
	})
	second.set(100)
	l.until("the second has 3", func() bool { return two.count() == 3 })
	l.configure(one.entry("one", first, "") + two.entry("two", second, ", min: 4"))
	l.until("the minimum is 4", func() bool { return two.count() == 4 })

	// Killed, it goes on where it was; the page is back, and nothing goes down before
	// a cooldown of readings.
	l.kill(syscall.SIGKILL)
	first.set(10)
	l.start()
	began := time.Now()
	l.until("the first has 1", func() bool { return one.count() == 1 })
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("lowered after %s", took)
	}
	if took := l.kill(syscall.SIGTERM); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	config := "--config=" + filepath.Join(l.dir, "autoscale.yaml")
	one.with(t, "E2E_TOKEN="+token).call(nil, "explain", config, "--service=one", "--changes", "--last=1000").want(0, "3 -> 1", "1 -> 3")
	one.with(t, "E2E_TOKEN="+token).call(nil, "explain", config, "--service=nothing").want(2, "one, two")
	one.with(t, "E2E_TOKEN="+token).call(nil, "status", config).want(0, "one", "two", "last move: 3 -> 1 replica")
	for _, name := range []string{"one", "two"} {
		if text, err := os.ReadFile(filepath.Join(l.dir, "state", name+".json")); err != nil || !json.Valid(text) {
			t.Errorf("state of %s: %v", name, err)
		}
	}
	one.agrees()
	two.agrees()
}

// What the daemon knows can be asked for; a pause needs the token.
func TestDaemonAPI(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 60)
	l := newLooker(t, p.entry("shop", load, ""))
	l.until("2 replicas", func() bool { return p.count() == 2 })
	if status, text := l.ask("GET", "/metrics", ""); status != 200 || !strings.Contains(text, `service="shop"`) {
		t.Errorf("%d %s", status, text)
	}
	l.until("it is ready", func() bool { status, _ := l.ask("GET", "/readyz", ""); return status == 200 })
	if status, text := l.ask("GET", "/api/v1/services/shop", ""); status != 200 || !strings.Contains(text, `"shop"`) {
		t.Errorf("%d %s", status, text)
	}
	const pause = `{"for": "1h", "reason": "migration"}`
	if status, text := l.ask("POST", "/api/v1/services/shop/pause", pause, "Content-Type", "application/json"); status != 401 {
		t.Errorf("without the token %d %s", status, text)
	}
	if status, text := l.ask("POST", "/api/v1/services/shop/pause", pause, "Content-Type", "application/json", "Authorization", "Bearer "+token); status >= 300 {
		t.Fatalf("%d %s", status, text)
	}
	load.set(190)
	l.until("it is paused", func() bool { return strings.Contains(l.said(), "migration") })
	time.Sleep(3 * time.Second) // three intervals in which nothing may happen
	if n := p.count(); n != 2 {
		t.Errorf("%d replicas though paused", n)
	}
	if status, text := l.ask("DELETE", "/api/v1/services/shop/pause", "", "Authorization", "Bearer "+token); status >= 300 {
		t.Fatalf("%d %s", status, text)
	}
	l.until("5 replicas", func() bool { return p.count() == 5 })
	status, text := l.ask("GET", "/api/v1/events", "")
	if status != 200 || !strings.Contains(text, "scaled") || !strings.Contains(text, "migration") {
		t.Errorf("%d %s", status, text)
	}
	// A pause on the command line is seen at the next step.
	config := "--config=" + filepath.Join(l.dir, "autoscale.yaml")
	p.with(t, "E2E_TOKEN="+token).call(nil, "pause", "--for=1h", "--reason=by hand", config, "--service=shop").want(0, "by hand")
	load.set(1)
	time.Sleep(6 * time.Second) // twice the cooldown
	if n := p.count(); n != 5 {
		t.Errorf("%d replicas though paused", n)
	}
	p.with(t, "E2E_TOKEN="+token).call(nil, "hold", "--replicas=2", "--for=1h", config).want(0, "held at 2 replicas")
	l.until("2 replicas", func() bool { return p.count() == 2 })
	p.with(t, "E2E_TOKEN="+token).call(nil, "resume", config).want(0, "not paused")
	l.until("1 replica", func() bool { return p.count() == 1 })
	p.with(t, "E2E_TOKEN="+token).call(nil, "pause", "--for=1h", config, "--service=mail").want(2, "has shop")
}

// While the disk with the state is full, a raise is made all the same, and nothing
// is lowered; once there is room again it goes on.
func TestDaemonFullDisk(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	l := &looker{t: t, dir: p.dir}
	p.tmpfs("state", 8<<20)
	l.configure(p.entry("shop", load, ""))
	l.begin()
	l.until("3 replicas", func() bool { return p.count() == 3 })
	free := p.fill("state")
	load.set(190)
	l.until("5 replicas", func() bool { return p.count() == 5 })
	l.until("it says so", func() bool { return strings.Contains(l.said(), "no space left on device") })
	load.set(10)
	time.Sleep(8 * time.Second) // longer than two cooldowns
	if n := p.count(); n != 5 {
		t.Errorf("%d replicas, though nothing can be remembered", n)
	}
	free()
	l.until("1 replica", func() bool { return p.count() == 1 })
	if took := l.kill(syscall.SIGTERM); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	p.agrees()
}
