//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSaturated: replicas at the end of their CPU are no measure of the load, however
// low the page says it is; they become more, and the target is told to be too high.
func TestSaturated(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(basic, "    stop_grace_period", "    cpus: 0.2\n    stop_grace_period", 1))
	p.up()
	load := newPage(t, 30)
	p.autoscale(load.url()).want(0, "1 replica kept: 30 rps")
	p.lever("app-1", "busy=0.5")
	// The first of these looks back on a time in which it was idle still, and a busy
	// machine may give it less than it may use.
	var r run
	p.eventually("it is saturated", func() bool {
		time.Sleep(2 * time.Second)
		r = p.autoscale(load.url()).want(0)
		return strings.Contains(r.out, "1 -> 2 replicas")
	})
	r.want(0, "at least 30 rps (the replicas use ", "of the CPU that they may use", "--rps-target=40", "set it to 24 or less")
	p.wantRunning("app-1 app-2")
	// The new one is not busy: half of what they may use is used.
	time.Sleep(2 * time.Second)
	p.autoscale(load.url(), "--cooldown=1h").want(0, "2 replicas kept")
	p.lever("app-2", "busy=0.5")
	p.eventually("both are saturated", func() bool {
		time.Sleep(2 * time.Second)
		d := p.autoscale(load.url(), "--max=2", "--cooldown=1h", "--output=json").want(0).json()
		if d.Decision == nil || d.Decision.To != 2 {
			t.Fatalf("%+v", d.Decision)
		}
		return d.Decision.Verdict == "saturated" && d.Reason == "ReadingSaturated"
	})
	// What was read then lowers nothing before a cooldown of what is to be trusted.
	p.lever("app-1", "busy=0")
	p.lever("app-2", "busy=0")
	load.set(2)
	time.Sleep(2 * time.Second)
	p.autoscale(load.url(), "--cooldown=1h").want(0, "2 replicas kept", "was saturated")
}

// TestErrors: what a busy service answers with errors is a sign of saturation, by
// the page's own labels.
func TestErrors(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 0)
	say := func(good, bad int) {
		load.serve(text(fmt.Sprintf("# TYPE http_requests_per_second gauge\nhttp_requests_per_second{code=\"200\"} %d\nhttp_requests_per_second{code=\"503\"} %d\nflying %d\n", good, bad, bad)))
	}
	say(35, 1)
	p.autoscale(load.url()).want(0, "1 replica kept: 36 rps")
	say(35, 5)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "12 % of the requests fail")
	say(3, 3) // errors without load are no sign of it
	p.autoscale(load.url(), "--cooldown=0").want(0, "2 -> 1 replica")
	say(10, 0)
	flight := []string{load.url(), "--inflight-metric=flying", "--inflight-target=4"}
	p.autoscale(flight...).want(0, "1 replica kept")
	say(10, 5)
	p.autoscale(flight...).want(0, "1 -> 2 replicas", "5 requests are in flight")
}

// TestMemory: a replica that does not fit into the free memory is not started; one
// that was killed for want of it is told.
func TestMemory(t *testing.T) {
	if os.Getenv("AUTOSCALE_E2E") != "all" {
		t.Skip("takes nearly half of the machine's memory; AUTOSCALE_E2E=all runs it")
	}
	p := newProject(t)
	p.up()
	want := free(t) * 2 / 5
	for part := 1; part <= 40; part++ { // each within the lever's patience
		p.lever("app-1", "hold="+strconv.Itoa(want*part/40))
	}
	load := newPage(t, 180)
	// What is left has room for one more, but for the reserve.
	p.autoscale(load.url()).want(0, "1 -> 2 replicas (5 wanted)", "of memory to spare", "room for 1 more", "set --max=2")
	p.wantRunning("app-1 app-2")
	p.lever("app-1", "hold=0")
	p.autoscale(load.url()).want(0, "2 -> 5 replicas")
}

// free is what the machine has of memory for new processes, in MB.
func free(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes >> 10
}

// TestOutOfMemory: a replica that was killed for want of memory is told, also once it
// runs again.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(basic, "    stop_grace_period", "    mem_limit: 32m\n    restart: always\n    stop_grace_period", 1))
	p.up()
	load := newPage(t, 30)
	if r := p.autoscale(load.url()).want(0, "1 replica kept"); strings.Contains(r.errors, "memory") {
		t.Errorf("%s", r.errors)
	}
	if out, err := p.tryDocker("exec", p.name+"-app-1", "/app", "-lever", "hold=200"); err == nil {
		t.Fatalf("200 MB fit into 32: %s", out)
	}
	p.eventually("it runs again", func() bool { return p.running("app") == "app-1" })
	p.autoscale(load.url()).want(0, p.name+"-app-1 was killed at ", "for want of memory", "33 MB")
}
