//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// steady sends requests to one published address until the returned function
// is called, which tells how many there were and how many failed.
func steady(t *testing.T, address string) func() (sent, failed int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var sent, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		client := &http.Client{Timeout: time.Minute}
		for ctx.Err() == nil {
			response, err := client.Get("http://" + address + "/")
			sent.Add(1)
			if err != nil || response.StatusCode != http.StatusOK {
				failed.Add(1)
			}
			if err == nil {
				response.Body.Close()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	t.Cleanup(cancel)
	return func() (int64, int64) {
		cancel()
		<-done
		return sent.Load(), failed.Load()
	}
}

// ranged is a project whose replicas publish a range of ports, with more
// settings for the service.
func ranged(t *testing.T, ports, more string) *project {
	t.Helper()
	text := strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", QUEUE: "60s"`, 1) // refuse nothing on a busy machine
	p := newProject(t, "compose.yaml", strings.Replace(text, "    stop_grace_period",
		"    ports: [\"127.0.0.1:"+ports+":8000\"]\n"+more+"    stop_grace_period", 1))
	p.up()
	return p
}

// TestCrashLoop: an image whose new replicas crash is rolled back while the old
// replica serves on, and the next attempts back off.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	p := ranged(t, "18320-18330", "    restart: always\n")
	stop := steady(t, p.published("app-1"))
	load := newPage(t, 100)
	old := p.containers("app")
	p.write("compose.yaml", strings.Replace(p.read("compose.yaml"), `LEVERS: "1"`, `LEVERS: "exit=3&after=300ms"`, 1))

	p.autoscale(load.url()).want(1, "restarts again and again", "was removed", "exit 3, as the lever says")
	if got := p.containers("app"); len(got) != 1 || got[0] != old[0] {
		t.Errorf("after the rollback: %+v, was %+v", got, old)
	}
	p.wantDeclared(1)
	p.autoscale(load.url()).want(0, "1 replica kept", "1 raise failed; the next attempt comes after")
	p.wantRunning("app-1")

	// Mended settings may be tried at once.
	p.write("compose.yaml", strings.Replace(p.read("compose.yaml"), `LEVERS: "exit=3&after=300ms"`, `LEVERS: "1"`, 1))
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	if sent, failed := stop(); failed > 0 || sent < 20 {
		t.Errorf("%d of %d requests failed meanwhile", failed, sent)
	}
}

// TestFailedStarts: a replica that exits, that cannot be created, or that is
// unhealthy is removed; those that came up stay.
func TestFailedStarts(t *testing.T) {
	load := newPage(t, 100)
	for name, c := range map[string]struct {
		settings [2]string // what the new replicas differ in
		says     string
	}{
		"exits":        {[2]string{`LEVERS: "1"`, `LEVERS: "exit=3"`}, "exited with status 3"},
		"not created":  {[2]string{"    stop_grace_period", "    entrypoint: [\"/nowhere\"]\n    stop_grace_period"}, "could not be started"},
		"unhealthy":    {[2]string{`LEVERS: "1"`, `LEVERS: "healthy=false"`}, "is unhealthy"},
		"late failure": {[2]string{`LEVERS: "1"`, `LEVERS: "exit=4&after=2s", STARTUP: "1s"`}, "exited with status 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.up()
			p.write("compose.yaml", strings.Replace(basic, c.settings[0], c.settings[1], 1))
			r := p.autoscale(load.url())
			if name == "late failure" && r.status == 0 {
				// It was healthy for a moment, which is all a run can know.
				return
			}
			r.want(1, c.says)
			if name == "late failure" {
				p.agrees() // one of the two may have been healthy for a moment
				return
			}
			p.wantRunning("app-1")
			p.wantDeclared(1)
			if all := p.containers("app"); len(all) != 1 {
				t.Errorf("left behind: %+v", all)
			}
		})
	}
}

// TestPartlyStarted: the replicas that came up stay, and the file says so.
func TestPartlyStarted(t *testing.T) {
	t.Parallel()
	p := ranged(t, "18340-18342", "")
	// Something else sits on one of the three ports, so one of two cannot start.
	blocker := p.docker("run", "-d", "--rm", "--network", p.name+"_default", "-p", "127.0.0.1:18341:8000", built.image+":1")
	defer p.docker("rm", "-f", strings.TrimSpace(blocker))
	load := newPage(t, 100)
	p.autoscale(load.url()).want(1, "was removed")
	if n := len(strings.Fields(p.running("app"))); n < 1 || n > 2 {
		t.Errorf("%d replicas run", n)
	} else {
		p.wantDeclared(n)
	}
	if all, run := p.containers("app"), strings.Fields(p.running("app")); len(all) != len(run) {
		t.Errorf("left behind: %+v", all)
	}
}

// TestSlowStarter: a replica that takes its time is given it, and one that
// takes longer than its waiting time is left to start.
func TestSlowStarter(t *testing.T) {
	t.Parallel()
	slow := strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", STARTUP: "6s"`, 1)
	slow = strings.Replace(slow, "retries: 3", "retries: 3, start_period: 30s", 1)
	p := newProject(t, "compose.yaml", slow)
	p.up()
	load := newPage(t, 60)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "to be healthy")
	if status := p.docker("ps", "--filter", "name="+p.name+"-app-2", "--format", "{{.Status}}"); !strings.Contains(status, "(healthy)") {
		t.Errorf("not waited for: %s", status)
	}
	load.set(100)
	p.autoscale("--wait=1s", load.url()).want(0, "2 -> 3 replicas", "is still starting after 1s")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	// While one still starts, nothing is lowered: it might be all that is left.
	load.set(1)
	p.autoscale(load.url())
	p.eventually("all are healthy and one is left", func() bool {
		p.autoscale(load.url())
		return p.running("app") == "app-1"
	})
}

// TestStoppedNewcomer: a new replica that somebody else stops, or removes, while it starts is no
// failed start: the next run raises at once.
func TestStoppedNewcomer(t *testing.T) {
	t.Parallel()
	slow := strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", STARTUP: "8s"`, 1)
	slow = strings.Replace(slow, "retries: 3", "retries: 3, start_period: 30s", 1)
	p := newProject(t, "compose.yaml", slow)
	p.up()
	load := newPage(t, 100)
	ended := p.start(context.Background(), load.url())
	p.eventually("the new ones have begun to start", func() bool { return p.running("app") == "app-1 app-2 app-3" })
	p.docker("stop", "-t", "1", p.name+"-app-3")
	p.docker("rm", "-f", p.name+"-app-2")
	ended().want(1, p.name+"-app-3 was stopped by somebody else while it started", p.name+"-app-2 was stopped by somebody else while it started")
	p.wantRunning("app-1")
	p.wantDeclared(1)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.wantRunning("app-1 app-2 app-3")
}

// TestWithoutHealthCheck: a replica without a check counts once it has run ten
// seconds.
func TestWithoutHealthCheck(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", "services:\n  app:\n    image: autoscale-e2e-app:1\n    stop_grace_period: 1s\n")
	p.up()
	load := newPage(t, 60)
	started := time.Now()
	p.autoscale(load.url()).want(0, "1 -> 2 replicas")
	if took := time.Since(started); took < 10*time.Second {
		t.Errorf("taken as started after %s", took)
	}
}

// TestLeftovers: ended containers of the service, which Compose would count,
// are removed by ID before a move, and gaps in the numbers are no harm.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 140)
	p.autoscale(load.url()).want(0, "1 -> 4 replicas")
	p.docker("kill", p.name+"-app-2", p.name+"-app-3")
	p.eventually("both have ended", func() bool { return p.running("app") == "app-1 app-4" })
	p.autoscale(load.url()).want(0, "2 -> 4 replicas", "lowered the count from 4 to 2", "removed "+p.name+"-app-2 (exited)")
	if n := len(strings.Fields(p.running("app"))); n != 4 {
		t.Errorf("running: %s", p.running("app"))
	}
	if !strings.Contains(p.running("app"), "app-1 app-") || !strings.Contains(p.running("app"), "app-4") {
		t.Errorf("a healthy replica was removed on the way up: %s", p.running("app"))
	}
}

// TestUnhealthyGoFirst: a lowering takes the unhealthy replica, not the one
// with the highest number, and waits while too few healthy ones are left.
func TestUnhealthyGoFirst(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.lever("app-1", "healthy=false")
	p.lever("app-2", "healthy=false")
	p.eventually("two are unhealthy", func() bool {
		return strings.Count(p.docker("ps", "--filter", "name="+p.name+"-app", "--format", "{{.Status}}"), "(unhealthy)") == 2
	})
	load.set(60)
	p.autoscale(load.url()).want(0, "waiting: ", "is unhealthy, and only healthy replicas may be left")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	load.set(10)
	p.autoscale(load.url()).want(0, "goes first: it is unhealthy")
	p.wantRunning("app-3")
	p.wantDeclared(1)
}

// TestInterrupted: Ctrl-C and SIGTERM in the middle end the child in order and
// leave file and engine agreeing.
func TestInterrupted(t *testing.T) {
	for _, after := range []time.Duration{50 * time.Millisecond, 600 * time.Millisecond, 1500 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "compose.yaml", strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", STARTUP: "1s"`, 1))
			p.up()
			load := newPage(t, 180)
			ctx, cancel := context.WithTimeout(context.Background(), after)
			defer cancel()
			r := p.start(ctx, load.url())()
			if r.status != 1 {
				t.Errorf("status %d", r.status)
			}
			p.agrees()
			p.settle()
			p.autoscale(load.url()).want(0)
			p.wantRunning("app-1 app-2 app-3 app-4 app-5")
		})
	}
}

// agrees checks that the override file says how many replicas run, and that
// nothing half-made is left.
func (p *project) agrees() {
	p.t.Helper()
	count := len(strings.Fields(p.running("app")))
	p.wantDeclared(count)
	if all := p.containers("app"); len(all) != count {
		p.t.Errorf("half-made containers are left: %+v", all)
	}
}

// TestEngineStops: an engine that goes away in the middle of a run, and comes
// back: nothing is lowered on that account.
func TestEngineStops(t *testing.T) {
	t.Parallel()
	e := ownEngine(t)
	p := newProject(t, "compose.yaml", strings.Replace(basic, "    stop_grace_period", "    restart: always\n    stop_grace_period", 1))
	p.env = e.env
	e.image(built.image + ":1")
	p.up()
	load := newPage(t, 100)
	flags := []string{load.url(), "--cooldown=3s"}
	p.autoscale(flags...).want(0, "1 -> 3 replicas")
	load.set(1)
	file := p.read(overrideFile)
	e.kill()
	p.autoscale(flags...).want(1, "the Docker Engine does not answer", "check DOCKER_HOST")
	if p.read(overrideFile) != file {
		t.Error("the override file was touched")
	}
	e.restart(p)
	p.eventually("the replicas are back", func() bool { return len(strings.Fields(p.running("app"))) == 3 })
	p.settle()
	p.autoscale(flags...).want(0, "3 replicas kept")
	p.wantRunning("app-1 app-2 app-3")
	p.eventually("a cooldown of trusted readings passes", func() bool {
		return strings.Contains(p.autoscale(flags...).want(0).out, "3 -> 1 replica")
	})

	// In the middle of a raise: the run fails, and the next one mends it.
	load.set(180)
	wait := p.start(context.Background(), load.url())
	time.Sleep(700 * time.Millisecond)
	e.kill()
	if r := wait(); r.status != 1 {
		t.Errorf("status %d of a run whose engine went away", r.status)
	}
	e.restart(p)
	p.eventually("a raise succeeds", func() bool {
		p.settle()
		return p.autoscale(load.url()).status == 0 && len(strings.Fields(p.running("app"))) == 5
	})
	p.agrees()
}

// engine is a private engine of one test.
type engine struct {
	t   *testing.T
	dir string
	env []string
	cmd *exec.Cmd // what the engine was started with, once it was killed
}

func ownEngine(t *testing.T) *engine {
	t.Helper()
	dir := fmt.Sprintf("/tmp/autoscale-own-%d", time.Now().UnixNano())
	e := &engine{t: t, dir: dir}
	e.env = []string{"AUTOSCALE_ENGINE_DIR=" + dir, "DOCKER_HOST=unix://" + dir + "/docker.sock"}
	t.Cleanup(func() { e.script("stop") })
	e.script("start")
	return e
}

func (e *engine) script(verb string) {
	e.t.Helper()
	cmd := exec.Command("engine/engine", verb)
	cmd.Env = append(os.Environ(), e.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("engine %s: %v\n%s", verb, err, out)
	}
}

// kill ends the engine's process at once, as a crash would.
func (e *engine) kill() {
	e.t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			e.t.Fatal(err)
		}
		return string(text)
	}
	text := strings.TrimSpace(read(e.dir + "/docker.pid"))
	args := strings.Split(strings.TrimRight(read("/proc/"+text+"/cmdline"), "\x00"), "\x00")
	program, err := os.Readlink("/proc/" + text + "/exe")
	if err != nil {
		e.t.Fatal(err)
	}
	e.cmd = exec.Command(program, args[1:]...)
	e.cmd.Env = strings.Split(strings.TrimRight(read("/proc/"+text+"/environ"), "\x00"), "\x00")
	pid, err := strconv.Atoi(text)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		e.t.Fatal(err)
	}
	for syscall.Kill(pid, 0) == nil { // until it is gone; a zombie of ours is waited for
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		time.Sleep(10 * time.Millisecond)
	}
}

// restart starts the killed engine again on the same data, as its unit would.
func (e *engine) restart(p *project) {
	e.t.Helper()
	// The engine's containerd dies with it, but here nobody may have waited for
	// it yet, and the engine would take a zombie for one that runs.
	child, err := os.ReadFile(e.dir + "/exec/containerd/containerd.pid")
	if err != nil {
		e.t.Fatal(err)
	}
	p.eventually("the engine's containerd has ended", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	os.Remove(e.dir + "/exec/containerd/containerd.pid")
	os.Remove(e.dir + "/docker.pid")
	said, err := os.Create(e.dir + "/restart.log")
	if err != nil {
		e.t.Fatal(err)
	}
	defer said.Close()
	e.cmd.Stdout, e.cmd.Stderr = said, said
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	defer func() {
		if e.t.Failed() {
			text, _ := os.ReadFile(said.Name())
			e.t.Logf("the engine said:\n%s", text)
		}
	}()
	p.eventually("the engine answers again", func() bool {
		cmd := exec.Command("docker", "version")
		cmd.Env = append(os.Environ(), e.env...)
		return cmd.Run() == nil
	})
}

// image copies an image into this engine.
func (e *engine) image(name string) {
	e.t.Helper()
	cmd := exec.Command("sh", "-c", "docker save "+name+" | DOCKER_HOST=unix://"+e.dir+"/docker.sock docker load")
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("%v\n%s", err, out)
	}
}
