//go:build e2e && linux

// Package process tests services whose replicas are processes: the real program,
// real processes, real connections, and neither Docker nor a metrics page.
package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built are the programs under test; TestMain builds them once.
var built struct{ autoscale, server string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "autoscale-process-")
	status := 1
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/process: set-up failed:", err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

func build(dir string) error {
	built.autoscale, built.server = filepath.Join(dir, "autoscale"), filepath.Join(dir, "server")
	for path, from := range map[string]string{built.autoscale: "../../cmd/autoscale", built.server: "./server"} {
		cmd := exec.Command("go", "build", "-o", path, from)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %s", err, out)
		}
	}
	return nil
}

const token = "let me in"

// daemon is a running autoscale with a service "app".
type daemon struct {
	t     *testing.T
	dir   string
	mark  string // in the environment of everything that descends from it
	proxy string // its address
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start starts a daemon of a configuration with more keys for its service.
func start(t *testing.T, keys string) *daemon {
	t.Helper()
	d := prepare(t)
	d.configure(keys)
	d.run("run", "--config", "autoscale.yaml")
	d.eventually("a replica answers", func() bool { return d.replicas() > 0 })
	return d
}

// prepare is a daemon that does not run yet.
func prepare(t *testing.T) *daemon {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: t.TempDir(), mark: fmt.Sprintf("AUTOSCALE_E2E=%d", rand.Uint64()), proxy: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd != nil {
			_ = d.cmd.Process.Kill() // it may have ended
			<-d.ended
		}
		if t.Failed() {
			t.Logf("it said:\n%s", d.said())
		}
	})
	return d
}

// service is a service of the server, with more keys.
func (d *daemon) service(name, proxy, keys string) string {
	return fmt.Sprintf("  %s:\n    provider: process\n    command: [%s]\n    proxy: %s\n    health-path: /healthz\n    min: 1\n    max: 5\n    rps-target: 40\n%s",
		name, built.server, proxy, keys)
}

func (d *daemon) configure(keys string) {
	d.t.Helper()
	d.write(d.service("app", d.proxy, keys))
}

func (d *daemon) write(services string) {
	d.t.Helper()
	text := "interval: 1s\nlisten: 127.0.0.1:0\nstate: state\ntoken: " + token + "\ndefaults: {cooldown: 0}\nservices:\n" + services
	if err := os.WriteFile(filepath.Join(d.dir, "autoscale.yaml"), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// run starts the program.
func (d *daemon) run(args ...string) {
	d.t.Helper()
	d.cmd = exec.Command(built.autoscale, args...)
	d.cmd.Dir, d.cmd.Env = d.dir, append(os.Environ(), d.mark)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd, ended := d.cmd, make(chan struct{})
	d.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its status is looked at by those who end it
	}()
}

// end ends the program by a signal, and returns how long it took.
func (d *daemon) end(by syscall.Signal) time.Duration {
	d.t.Helper()
	began := time.Now()
	if err := d.cmd.Process.Signal(by); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-time.After(30 * time.Second):
		d.t.Fatalf("it did not end within 30 s of %s", by)
	}
	return time.Since(began)
}

// Write keeps the log.
func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *daemon) eventually(what string, holds func() bool) {
	d.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("after a minute still not: %s", what)
		}
	}
}

var listening = regexp.MustCompile(`listen=(\S+)`)

// ask asks the API; empty where it does not answer yet.
func (d *daemon) ask(method, path, body string) (status int, answer string) {
	d.t.Helper()
	all := listening.FindAllStringSubmatch(d.said(), -1)
	if len(all) == 0 {
		return 0, ""
	}
	req, err := http.NewRequest(method, "http://"+all[len(all)-1][1]+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// replicas is the count of the service by the API; -1 where it is not known.
func (d *daemon) replicas() int {
	d.t.Helper()
	_, text := d.ask(http.MethodGet, "/api/v1/services/app", "")
	var service struct{ Replicas *int }
	if json.Unmarshal([]byte(text), &service) != nil || service.Replicas == nil {
		return -1
	}
	return *service.Replicas
}

// hold holds the service at a count, and returns once it is there.
func (d *daemon) hold(count int) {
	d.t.Helper()
	if status, text := d.ask(http.MethodPost, "/api/v1/services/app/pause", fmt.Sprintf(`{"for": "1h", "replicas": %d}`, count)); status != http.StatusOK {
		d.t.Fatalf("hold: %d %s", status, text)
	}
	d.eventually(fmt.Sprintf("%d replicas", count), func() bool { return d.replicas() == count })
}

// resume ends a hold.
func (d *daemon) resume() {
	d.t.Helper()
	if status, text := d.ask(http.MethodDelete, "/api/v1/services/app/pause", ""); status != http.StatusOK {
		d.t.Fatalf("resume: %d %s", status, text)
	}
}

// url is an address of the service.
func (d *daemon) url(path string) string { return "http://" + d.proxy + path }

// left are the processes that descend from the daemon, itself included, by their
// command lines.
func (d *daemon) left() map[int]string {
	d.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		d.t.Fatal(err)
	}
	all := map[int]string{}
	for _, path := range paths {
		env, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), d.mark) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		pid, notANumber := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && notANumber == nil && len(line) > 0 { // else it ended
			all[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return all
}

// servers are the process IDs of the replicas' programs.
func (d *daemon) servers() (pids []int) {
	d.t.Helper()
	for pid, line := range d.left() {
		if strings.HasPrefix(line, built.server) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// wantNone waits until nothing is left.
func (d *daemon) wantNone() {
	d.t.Helper()
	began := time.Now()
	d.eventually("nothing is left of it", func() bool { return len(d.left()) == 0 })
	d.t.Logf("nothing was left after %s", time.Since(began).Round(time.Millisecond))
}
