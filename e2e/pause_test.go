//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// A pause leaves the count alone, up and down, and ends by itself or by a
// resume; it needs no run before it.
func TestPause(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 190)
	p.call(nil, "pause").want(2, "--for 30m")
	p.call(nil, "pause", "--for=1h", "--until=14:00").want(2, "leave one of them away")
	p.call(nil, "pause", "--for=60d").want(2)
	p.call(nil, "pause", "--for=1h", "--dry-run").want(0, "would be paused by ")
	p.call(nil, "pause", "--for=1h", "--reason=migration").want(0, "paused by ", "(migration)")
	p.autoscale(load.url()).want(0, "1 replica kept (5 wanted)", "paused by ", "(migration)")
	p.wantRunning("app-1")
	p.call(nil, "status").want(0, "paused by ")
	p.call(nil, "explain").want(0, "Paused")
	p.call(nil, "resume").want(0, "not paused")
	p.call(nil, "resume").want(0, "not paused")
	p.autoscale(load.url()).want(0, "1 -> 5 replicas")
	p.call(nil, "pause", "--for=2s").want(0)
	load.set(1)
	p.autoscale(load.url()).want(0, "5 replicas kept")
	p.eventually("the pause is over", func() bool { return p.autoscale(load.url()).status == 0 && len(strings.Fields(p.running("app"))) == 1 })
	p.call(nil, "rollback", "--restore", "--yes").want(0)
}

// A hold is gone to and kept, whatever the load.
func TestHold(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.call(nil, "hold", "--replicas=2", "--for=1h").want(0, "held at 2 replicas by ")
	p.autoscale(load.url()).want(0, "3 -> 2 replicas (3 wanted)")
	load.set(1000)
	p.autoscale(load.url()).want(0, "2 replicas kept (5 wanted)")
	p.wantRunning("app-1 app-2")
	p.agrees()
	p.call(nil, "resume").want(0)
	p.autoscale(load.url()).want(0, "2 -> 5 replicas")
	p.call(nil, "hold", "--for=1h").want(2, "--replicas")
	p.call(nil, "hold", "--replicas=0", "--for=1h").want(2, "at least 1")
}

// Around a command it holds for as long as that runs, and passes its status.
func TestPauseAround(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 190)
	inside := built.autoscale + " --provider=compose --min=1 --max=5 --rps-target=40 --cooldown=0 " + load.url()
	p.call(nil, "pause", "--for=2s", "--", "sh", "-c", "sleep 3; "+inside+"; exit 7").want(7, "1 replica kept (5 wanted)", "paused by ")
	p.autoscale(load.url()).want(0, "1 -> 5 replicas")
	p.call(nil, "pause", "--", "no-such-command").want(1, "no-such-command")
	load.set(1)
	p.autoscale(load.url()).want(0, "5 -> 1 replica")
	// Somebody's own pause meanwhile stays.
	p.call(nil, "pause", "--", "sh", "-c", built.autoscale+" pause --for=1h").want(0)
	load.set(190)
	p.autoscale(load.url()).want(0, "1 replica kept (5 wanted)")
}
