//go:build e2e && linux

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestReplicaKilled: a replica that is killed costs its own requests, which it had
// begun to answer, and no other.
func TestReplicaKilled(t *testing.T) {
	d := start(t, "")
	d.hold(3)
	steady := newLoad(t, d.url("/?for=5ms"), 50, mixed)
	type answer struct {
		from string
		err  error
	}
	answers := make(chan answer, 12)
	began := make(chan string, cap(answers))
	for range cap(answers) {
		go func() {
			resp, err := http.Post(d.url("/begin?for=2s"), "text/plain", nil)
			if err != nil {
				began <- ""
				answers <- answer{"", err}
				return
			}
			defer resp.Body.Close()
			pid := resp.Header.Get("Process")
			began <- pid
			_, err = io.ReadAll(resp.Body)
			answers <- answer{pid, err}
		}()
	}
	share := map[string]int{}
	for range cap(answers) {
		share[<-began]++
	}
	victim := d.servers()[0]
	if share[strconv.Itoa(victim)] == 0 || len(share) != 3 {
		t.Fatalf("requests are shared out as %v", share)
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for range cap(answers) {
		a := <-answers
		if a.from == strconv.Itoa(victim) {
			lost++
			if a.err == nil {
				t.Error("a request of the killed one was answered in full")
			}
		} else if a.err != nil {
			t.Errorf("a request of %s, which was not killed: %v", a.from, a.err)
		}
	}
	d.eventually("it was started again", func() bool { return len(d.servers()) == 3 && !slices.Contains(d.servers(), victim) })
	steady.end()
	// Of the short ones, one or the other may have been at the victim just then.
	if len(steady.failed) > 3 {
		t.Errorf("%d of %d other requests failed: %q", len(steady.failed), len(steady.took), steady.failed)
	}
	t.Logf("%d of %d long requests were the victim's; of %d short ones %d failed", lost, cap(answers), len(steady.took)+len(steady.failed), len(steady.failed))
	if !strings.Contains(d.said(), "was ended by SIGKILL; it is started again in 1s") {
		t.Error("it does not say so")
	}
}

// TestKilled: kill -9 leaves no process, those of replicas in sessions of their own
// included.
func TestKilled(t *testing.T) {
	d := prepare(t)
	d.write(strings.Replace(d.service("app", d.proxy, ""), built.server, built.server+", -children", 1))
	d.run("run")
	d.eventually("a replica answers", func() bool { return d.replicas() == 1 })
	d.hold(3)
	if n := len(d.left()); n < 1+3*8 {
		t.Errorf("only %d processes: %v", n, d.left())
	}
	d.end(syscall.SIGKILL)
	d.wantNone()
}

// TestEnds: SIGTERM ends the daemon and everything of it within 10 s; what was
// begun is answered.
func TestEnds(t *testing.T) {
	d := prepare(t)
	d.write(strings.Replace(d.service("app", d.proxy, ""), built.server, built.server+", -children", 1))
	d.run("run")
	d.eventually("a replica answers", func() bool { return d.replicas() == 1 })
	d.hold(3)
	var wg sync.WaitGroup
	for range 6 {
		resp, err := http.Get(d.url("/begin?for=1s"))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer resp.Body.Close()
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Errorf("a request that was under way: %v", err)
			}
		})
	}
	took := d.end(syscall.SIGTERM)
	wg.Wait()
	if left := d.left(); len(left) > 0 || took > 10*time.Second || d.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("after %s, status %d, left %v", took, d.cmd.ProcessState.ExitCode(), left)
	}
	t.Logf("it ended within %s", took.Round(10*time.Millisecond))
}

// TestStreams: WebSockets and server-sent events pass, and go on at a replica that
// leaves, until they end or its time is over.
func TestStreams(t *testing.T) {
	d := start(t, "    drain: 4s\n")
	d.hold(3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	talks := map[string][]*websocket.Conn{}
	for range 6 {
		c, _, err := websocket.Dial(ctx, "ws://"+d.proxy+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		talks[talk(t, ctx, c)] = append(talks[talk(t, ctx, c)], c)
	}
	streams := map[string]*bufio.Reader{}
	for len(streams) < 3 {
		resp, err := http.Get(d.url("/events"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		r := bufio.NewReader(resp.Body)
		streams[event(t, r)] = r
	}
	if len(talks) != 3 {
		t.Fatalf("the connections are shared out as %v", talks)
	}
	began := time.Now()
	d.hold(1)
	for time.Since(began) < 2*time.Second {
		for pid, all := range talks {
			for _, c := range all {
				if got := talk(t, ctx, c); got != pid {
					t.Fatalf("%s answers in place of %s", got, pid)
				}
			}
			if got := event(t, streams[pid]); got != pid {
				t.Fatalf("an event of %s in the stream of %s", got, pid)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := len(d.servers()); n != 3 {
		t.Errorf("%d programs run while streams are open", n)
	}
	d.eventually("those that leave are gone", func() bool { return len(d.servers()) == 1 })
	gone := time.Since(began)
	if gone < 4*time.Second {
		t.Errorf("they were gone after %s, with 4 s to drain", gone)
	}
	t.Logf("with 4 s to drain they were gone after %s", gone.Round(10*time.Millisecond))
	stays := strconv.Itoa(d.servers()[0])
	for pid, all := range talks {
		for _, c := range all {
			_, _, err := said(ctx, c)
			if pid == stays && err != nil {
				t.Errorf("at the one that stays: %v", err)
			}
			if pid != stays && err == nil {
				t.Error("a replica that is gone answers")
			}
		}
	}
}

// talk says something, and returns which process answers.
func talk(t *testing.T, ctx context.Context, c *websocket.Conn) string {
	t.Helper()
	pid, _, err := said(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func said(ctx context.Context, c *websocket.Conn) (pid, text string, err error) {
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return "", "", err
	}
	_, answer, err := c.Read(ctx)
	pid, text, _ = strings.Cut(string(answer), " ")
	if err == nil && text != "hello" {
		err = fmt.Errorf("it answers %q", answer)
	}
	return pid, text, err
}

// event reads the next event, and returns which process it is from.
func event(t *testing.T, r *bufio.Reader) (pid string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if _, scanned := fmt.Sscanf(line, "data: %s ", &pid); err != nil || scanned != nil {
		t.Fatalf("%q, %v, %v", line, err, scanned)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestReload: what a reload does not change of the processes themselves leaves them
// alone, whatever else it changes.
func TestReload(t *testing.T) {
	d := start(t, "")
	d.hold(2)
	load := newLoad(t, d.url("/"), 40, mixed)
	before := d.servers()
	reload := func(services string) {
		t.Helper()
		from := len(d.said())
		d.write(services)
		d.eventually("it was read", func() bool { return strings.Contains(d.said()[from:], "took over the configuration") })
	}
	other := prepare(t).proxy
	reload(d.service("app", d.proxy, "") + d.service("second", other, ""))
	d.eventually("another service beside it", func() bool { return len(d.servers()) == 3 })
	reload(d.service("app", d.proxy, "    mode: raise-only\n    drain: 5s\n    max-up: 1\n"))
	d.eventually("the other one is gone again", func() bool { return len(d.servers()) == 2 })
	if now := d.servers(); !slices.Equal(now, before) {
		t.Errorf("processes %v, which were %v", now, before)
	}
	d.eventually("the reload's first step has ended", func() bool { return d.replicas() == 2 })
	load.end()
	if len(load.failed) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(load.failed), len(load.took), load.failed)
	}
	reload(strings.Replace(d.service("app", d.proxy, ""), built.server, built.server+", -startup, 100ms", 1))
	d.eventually("another command runs", func() bool {
		now := d.servers()
		return len(now) == 2 && !slices.Contains(now, before[0]) && !slices.Contains(now, before[1])
	})
}

// TestRestart: a daemon that is started again starts as many as ran.
func TestRestart(t *testing.T) {
	d := start(t, "    cooldown: 1h\n")
	d.hold(4)
	d.end(syscall.SIGTERM)
	from := len(d.said())
	d.run("run")
	d.eventually("it decides", func() bool { return strings.Contains(d.said()[from:], "4 replicas") })
	if said := d.said()[from:]; strings.Contains(said, "somebody else") {
		t.Errorf("it says:\n%s", said)
	}
}

// TestFromZero: without a replica a request waits for the one that it brings.
func TestFromZero(t *testing.T) {
	d := prepare(t)
	d.write(strings.Replace(d.service("app", d.proxy, ""), "min: 1", "min: 0", 1))
	d.run("run")
	d.eventually("it decides", func() bool { return d.replicas() == 0 })
	began := time.Now()
	resp, err := http.Get(d.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s %v", resp.Status, text, err)
	}
	t.Logf("answered after %s", time.Since(began).Round(time.Millisecond))
	d.eventually("it goes back to none", func() bool { return d.replicas() == 0 && len(d.servers()) == 0 })
}

// TestMetricsPage: a page that is named takes the place of the proxy's count, and
// {replica} stands for each process.
func TestMetricsPage(t *testing.T) {
	d := prepare(t)
	keys := "    metrics-url: http://{replica}/metrics\n"
	d.write(strings.Replace(d.service("app", d.proxy, keys), built.server, built.server+", -rps=50", 1))
	d.run("run")
	// Nothing reaches the proxy, and each of the replicas says that it has 50 rps.
	d.eventually("as many as there may be", func() bool { return d.replicas() == 5 })
	_, text := d.ask(http.MethodGet, "/api/v1/services/app", "")
	for _, says := range []string{`"metric":"http_requests_per_second"`, `"name":"app-1"`} {
		if !strings.Contains(text, says) {
			t.Errorf("it does not say %s: %s", says, text)
		}
	}
}

// TestProxyTaken: a run by flags ends where something else has its address.
func TestProxyTaken(t *testing.T) {
	d := prepare(t)
	l, err := net.Listen("tcp", d.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.run("run", "--min=1", "--max=5", "--rps-target=40", "--listen=off", "--proxy="+d.proxy, "--", built.server)
	<-d.ended
	if status := d.cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(d.said(), "something else listens there") {
		t.Errorf("status %d", status)
	}
}

// TestFlags: one service needs no file, and what is said of single runs is true of
// it: where it is remembered, explained, paused.
func TestFlags(t *testing.T) {
	d := prepare(t)
	d.run("run", "--provider=process", "--min=1", "--max=5", "--rps-target=40", "--interval=1s", "--cooldown=1", "--listen=127.0.0.1:0", "--proxy="+d.proxy, "--health-path=/healthz", "--", built.server)
	d.eventually("a replica answers", func() bool { return d.replicas() == 1 })
	cli := func(status int, says string, args ...string) {
		t.Helper()
		cmd := exec.Command(built.autoscale, args...)
		cmd.Dir = d.dir
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(string(out), says) {
			t.Errorf("%v: status %d, want %d and %q\n%s", args, got, status, says, out)
		}
	}
	l := newLoad(t, d.url("/"), 100, gets)
	d.eventually("three replicas", func() bool { return d.replicas() == 3 })
	cli(0, "app      "+d.dir, "status")
	cli(0, "proxy_requests_per_second", "explain")
	cli(0, "held at 2", "hold", "--replicas=2", "--for=1h")
	d.eventually("two replicas", func() bool { return d.replicas() == 2 })
	cli(0, "not paused", "resume")
	d.eventually("three replicas", func() bool { return d.replicas() == 3 })
	l.end()
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed: %q", len(l.failed), l.failed)
	}
	d.eventually("one replica", func() bool { return d.replicas() == 1 })
	if _, text := d.ask(http.MethodGet, "/metrics", ""); !strings.Contains(text, `autoscale_replicas{service="app"} 1`) {
		t.Errorf("metrics:\n%s", text)
	}
	if said := d.said(); !strings.Contains(said, "app-1 | serves as process") {
		t.Errorf("it said:\n%s", said)
	}
	d.end(syscall.SIGHUP) // the terminal is gone
	if left := d.left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	cli(2, "autoscale run --provider=process", "--provider=process", "--min=1", "--max=2", "--rps-target=1")
	cli(2, "missing flags: --max=N", "run", "--provider=process", "--min=1", "--rps-target=1", "--", built.server)
	cli(2, "the command is missing", "run", "--provider=process", "--min=1", "--max=2", "--rps-target=1")
	cli(2, "cannot be run", "run", "--provider=process", "--min=1", "--max=2", "--rps-target=1", "--", "./nothing")
	cli(2, "--docker means nothing", "run", "--min=1", "--max=2", "--rps-target=1", "--docker=podman", "--", built.server)
	cli(0, "command:\n      - "+built.server, "run", "--check", "--min=1", "--max=2", "--rps-target=1", "--", built.server)
}

// TestCheckedFile: what --check prints of flags is a file that says the same.
func TestCheckedFile(t *testing.T) {
	d := prepare(t)
	args := []string{"run", "--check", "--provider=process", "--min=1", "--max=3", "--rps-target=7.5", "--wait=5", "--drain=0", "--", built.server, "-startup", "1ms"}
	cmd := exec.Command(built.autoscale, args...)
	cmd.Dir = d.dir
	first, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "autoscale.yaml"), first, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(built.autoscale, "run", "--check")
	cmd.Dir = d.dir
	second, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%v: %s", err, failed.Stderr)
	}
	if string(first) != string(second) {
		t.Errorf("of the flags\n%sof that file\n%s", first, second)
	}
}
