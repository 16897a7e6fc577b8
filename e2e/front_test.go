//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/five-keys/autoscale/internal/upstream"
)

// told is a project with a list and a command that notes, at each call, what the
// list says, what it was given, and how many replicas run.
type told struct {
	*project
	page *page
}

const tellScript = `#!/bin/sh
echo "$AUTOSCALE_SERVICE: $AUTOSCALE_REPLICAS; $(grep -c '"address"' list/app.json) listed, $(docker ps -q --filter label=com.docker.compose.project=$PROJECT --filter label=com.docker.compose.service=app | wc -l) run" >> calls
[ ! -e slow ] || exec sleep 20
[ ! -e refuse ] || { echo "no such luck" >&2; exit 3; }
`

func newTold(t *testing.T) told {
	t.Helper()
	p := told{newProject(t, "compose.yaml", sound, "tell.sh", tellScript), newPage(t, 30)}
	if err := os.Chmod(filepath.Join(p.dir, "tell.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"PROJECT=" + p.name}
	p.up()
	return p
}

func (p told) flags(more ...string) []string {
	return append([]string{p.page.url(), "--metrics-scope=service", "--upstream-file=list/app.json", "--upstream-format=json", "--upstream-port=8000",
		"--on-change=./tell.sh", "--drain=1s"}, more...)
}

// step makes a run at a load.
func (p told) step(rps float64, more ...string) run {
	p.t.Helper()
	p.page.set(rps)
	return p.autoscale(p.flags(more...)...)
}

// calls are what the command noted since it was last asked.
func (p told) calls() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	os.Remove(filepath.Join(p.dir, "calls"))
	return strings.TrimSpace(strings.ReplaceAll(string(text), p.name+"-", ""))
}

func (p told) wantCalls(want ...string) {
	p.t.Helper()
	if got := p.calls(); got != strings.Join(want, "\n") {
		p.t.Errorf("told %q, want %q", got, want)
	}
}

// wantListed checks that the list has the replicas that run, at their addresses,
// and that the proxy was told.
func (p told) wantListed(want string) {
	p.t.Helper()
	names, addresses := p.list()
	if strings.Join(names, " ") != want || p.running("app") != want || !slices.Equal(addresses, p.addresses("app")) {
		p.t.Errorf("listed %q at %q, want %q; running %q at %q", names, addresses, want, p.running("app"), p.addresses("app"))
	}
	p.wantUntold(false)
}

// list is what the list has.
func (p told) list() (names, addresses []string) {
	p.t.Helper()
	var list struct {
		Servers []struct{ Name, Address string }
	}
	if err := json.Unmarshal([]byte(p.read("list/app.json")), &list); err != nil {
		p.t.Fatal(err)
	}
	for _, s := range list.Servers {
		names, addresses = append(names, strings.TrimPrefix(s.Name, p.name+"-")), append(addresses, s.Address)
	}
	return names, addresses
}

// listed are the addresses that the list has.
func (p told) listed() []string {
	p.t.Helper()
	_, addresses := p.list()
	return addresses
}

func (p told) wantUntold(want bool) {
	p.t.Helper()
	if found, err := filepath.Glob(filepath.Join(p.dir, "tools/.autoscale_state.untold-*")); err != nil || len(found) > 0 != want {
		p.t.Errorf("remembered as not told: %q, %v; want %t", found, err, want)
	}
}

func (p told) touch(name string) {
	p.t.Helper()
	p.write(name, "")
}

func (p told) remove(name string) {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

// TestFront: the list and the command in their order, and only where something
// changed.
func TestFront(t *testing.T) {
	t.Parallel()
	p := newTold(t)
	p.step(110, "--mode=observe").want(0)
	p.step(110, "--dry-run").want(0)
	if _, err := os.Stat(filepath.Join(p.dir, "list")); err == nil {
		t.Error("a run that changes nothing wrote the list")
	}
	p.wantCalls("")

	p.step(110).want(0, "lists in", "app-2, "+p.name+"-app-3")
	p.wantCalls("app: app-1 app-2 app-3; 3 listed, 3 run")
	p.wantListed("app-1 app-2 app-3")
	before := p.tree()
	p.step(100).want(0)
	p.wantCalls("")
	if after := p.tree(); after["list/app.json"] != before["list/app.json"] {
		t.Error("an unchanged list was written again")
	}

	// Before they stop: told while all of them run.
	p.step(30).want(0, "waiting 1s for requests under way to")
	p.wantCalls("app: app-1; 1 listed, 3 run")
	p.wantListed("app-1")

	// Replaced by hand: the next run says so to the proxy, also where the load cannot be read.
	p.docker("compose", "up", "-d", "--force-recreate", "app")
	p.settle()
	p.step(30).want(0)
	p.wantListed("app-1")
	p.docker("compose", "up", "-d", "--force-recreate", "app")
	p.settle()
	p.calls()
	p.autoscale(append(p.flags(), "--metrics-url=http://127.0.0.1:1/metrics")...).want(1)
	p.wantListed("app-1")

	// An unhealthy one takes no traffic while others do.
	p.step(110).want(0)
	p.calls()
	p.lever("app-2", "healthy=0")
	p.eventually("app-2 is unhealthy", func() bool {
		return strings.Contains(p.docker("ps", "--filter", "name="+p.name+"-app-2", "--format", "{{.Status}}"), "unhealthy")
	})
	p.step(110).want(0)
	p.wantCalls("app: app-1 app-3; 2 listed, 3 run")

	p.sub("rollback", p.flags("--yes")...).want(0, "app.json stays, since the proxy in front reads it")
	if count := strings.Count(p.read("list/app.json"), `"address"`); count != 1 {
		t.Errorf("%d are listed after the rollback", count)
	}
}

// TestFrontRefuses: what the command does not take is not done, or done again.
func TestFrontRefuses(t *testing.T) {
	t.Parallel()
	p := newTold(t)
	p.touch("refuse")
	// After a raise: the new ones stay, and the next run tells of them again.
	p.step(110).want(1, "--on-change: ./tell.sh: ", "no such luck")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	p.wantUntold(true)
	p.remove("refuse")
	p.calls()
	p.step(110).want(0)
	p.wantCalls("app: app-1 app-2 app-3; 3 listed, 3 run")
	p.wantListed("app-1 app-2 app-3")

	// Before a lowering: nothing is lowered.
	p.touch("refuse")
	p.step(30).want(1, "nothing was lowered", "no such luck")
	p.wantCalls("app: app-1; 1 listed, 3 run", "app: app-1 app-2 app-3; 3 listed, 3 run")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	p.wantUntold(true)
	p.step(30, "--on-change=./gone.sh").want(1, "nothing was lowered", "gone.sh")
	p.wantRunning("app-1 app-2 app-3")
	p.remove("refuse")
	p.step(30).want(0)
	p.wantListed("app-1")

	// Somebody else's file stays as it is.
	p.write("list/app.json", "{}\n")
	p.step(110).want(1, "app.json was left alone")
	p.wantRunning("app-1 app-2 app-3")
	p.step(30).want(1, "app.json was left alone", "nothing was lowered")
	p.wantRunning("app-1 app-2 app-3")
	if text := p.read("list/app.json"); text != "{}\n" {
		t.Errorf("it was changed to %s", text)
	}
	p.doctor(p.flags()...).wantCodes(t, "upstream-unusable", "no-schedule")
	p.remove("list/app.json")
	p.doctor(p.flags("--upstream-port=0", "--on-change=./gone.sh")...).wantCodes(t, "upstream-unusable", "on-change-missing", "no-schedule")
	p.doctor(p.flags("--upstream-network=nowhere")...).wantCodes(t, "upstream-unusable", "no-schedule")
	p.doctor(p.flags("--upstream-network=host")...).wantCodes(t, "upstream-unusable", "no-schedule")
	p.doctor(p.flags("--upstream-network=default")...).wantCodes(t, "no-schedule")
}

// TestFrontInterrupted: a run that ends while the proxy finishes, or is killed, leaves
// all replicas with their traffic, at the latest with the next run.
func TestFrontInterrupted(t *testing.T) {
	t.Parallel()
	p := newTold(t)
	p.step(110).want(0)
	p.calls()
	p.page.set(30)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := p.start(ctx, p.flags("--drain=1m")...)
	p.eventually("the proxy is told", func() bool { return strings.Count(p.read("list/app.json"), `"address"`) == 1 })
	p.eventually("the command ended", p.drained)
	cancel()
	ended().want(1, "interrupted while the proxy finished", "nothing was lowered")
	p.wantListed("app-1 app-2 app-3")
	p.wantDeclared(3)

	// Killed, in the drain and in the middle of the command.
	for _, slow := range []bool{false, true} {
		p.page.set(30)
		if slow {
			p.touch("slow")
		}
		cmd := exec.Command(built.autoscale, append([]string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0"}, p.flags("--drain=1m")...)...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p.eventually("the proxy is told", func() bool { return strings.Count(p.read("list/app.json"), `"address"`) == 1 })
		if !slow {
			p.eventually("the command ended", p.drained)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		p.wantUntold(slow)
		if slow {
			p.remove("slow")
		}
		p.step(100).want(0)
		p.wantListed("app-1 app-2 app-3")
		p.wantDeclared(3)
	}
	p.step(30).want(0)
	p.wantListed("app-1")
}

// drained reports whether the command has ended well.
func (p told) drained() bool {
	found, err := filepath.Glob(filepath.Join(p.dir, "tools/.autoscale_state.untold-*"))
	return err == nil && len(found) == 0
}

// TestOnChangeAlone: without a list the command itself sees what there is.
func TestOnChangeAlone(t *testing.T) {
	t.Parallel()
	p := newTold(t)
	p.write("list/app.json", "")
	alone := []string{p.page.url(), "--metrics-scope=service", "--on-change=./tell.sh", "--drain=0"}
	p.page.set(70)
	p.autoscale(alone...).want(0)
	p.wantCalls("app: app-1 app-2; 0 listed, 2 run")
	p.autoscale(alone...).want(0)
	p.wantCalls("")
	p.page.set(30)
	p.autoscale(alone...).want(0)
	p.wantCalls("app: app-1; 0 listed, 2 run", "app: app-1; 0 listed, 1 run")
}

// TestListsAreRead: each proxy's own check takes what is written for it.
func TestListsAreRead(t *testing.T) {
	t.Parallel()
	for format, c := range map[upstream.Format]struct{ image, main, mainText, command string }{
		upstream.Nginx:   {nginxImage(t), "nginx.conf", "user root;\nevents {}\nhttp { upstream app { include /conf/list; } server { location / { proxy_pass http://app; } } }\n", "nginx -t -c /conf/nginx.conf"},
		upstream.HAProxy: {haproxyImage(t), "haproxy.cfg", "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend in\n bind :80\n default_backend app\n", "haproxy -c -f /conf/haproxy.cfg -f /conf/list"},
	} {
		for _, name := range []string{"two", "none"} {
			text, err := os.ReadFile(filepath.Join("../internal/upstream/testdata", name+"."+string(format)))
			if err != nil {
				t.Fatal(err)
			}
			p := newProject(t, "conf/"+c.main, c.mainText, "conf/list", string(text))
			words := append([]string{"run", "--rm", "--network=none", "-v", p.dir + "/conf:/conf:ro", c.image}, strings.Fields(c.command)...)
			if out, err := exec.Command("docker", words...).CombinedOutput(); err != nil {
				t.Errorf("%s rejects %s: %v\n%s", format, name, err, out)
			} else {
				t.Logf("%s takes %s: %s", format, name, out)
			}
		}
	}
}

// TestProxyUnseen: a replica that nothing reaches, and the proxy that looks names up
// once, are named in every run, with what mends them.
func TestProxyUnseen(t *testing.T) {
	t.Parallel()
	conf := "events {}\nhttp {\n  access_log off;\n  upstream backend { server app:8000; }\n  server { listen 8000; location / { proxy_pass http://backend; } }\n}\n"
	p := newProject(t, "compose.yaml", sound+"  front:\n    image: "+nginxImage(t)+"\n    volumes: [\"./nginx.conf:/etc/nginx/nginx.conf:ro\"]\n    ports: [\"127.0.0.1::8000\"]\n    depends_on: [app]\n", "nginx.conf", conf)
	p.up()
	url := "http://" + strings.TrimSpace(p.docker("compose", "port", "front", "8000")) + "/"
	p.answers(url)
	flags := []string{"--metrics-url=http://{replica}:8000/metrics", "--min=2", "--mode=raise-only"}
	const once = `looks up "app" once, when it starts (/etc/nginx/nginx.conf:4: server app:8000)`
	const remedy = "--upstream-file=…/app.conf --upstream-format=nginx --on-change='docker compose exec -T front nginx -s reload'"
	p.autoscale(flags...).want(0, once, remedy)
	calls := callersAt(t, url, http.MethodGet, 20)
	time.Sleep(31 * time.Second) // younger ones are not missed
	for range 2 {
		p.autoscale(flags...).want(0, once, remedy, fmt.Sprintf("replica %s-app-2 gets 0 of", p.name), "the proxy in front does not see it; "+p.name+"-front-1 is nginx: have it look again")
	}
	calls.end()
}

// TestFrontDaemon: the daemon tells the proxy by the keys of its file, and keeps the
// list in step with what others do to the replicas.
func TestFrontDaemon(t *testing.T) {
	t.Parallel()
	p := newTold(t)
	l := newLooker(t, p.entry("shop", p.page, `, metrics-scope: service, upstream-file: list/app.json, upstream-format: json, upstream-port: 8000, on-change: ./tell.sh, drain: 1s`), p.env...)
	p.page.set(110)
	l.until("three replicas are listed", func() bool { return strings.Contains(p.calls(), "app: app-1 app-2 app-3; 3 listed, 3 run") })
	p.docker("compose", "up", "-d", "--no-deps", "--force-recreate", "app")
	l.until("they are listed anew", func() bool { return slices.Equal(p.listed(), p.addresses("app")) })
	p.page.set(30)
	l.until("one runs", func() bool { return p.count() == 1 })
	p.wantListed("app-1")
	if got := p.calls(); !strings.Contains(got, "app: app-1; 1 listed, 3 run") {
		t.Errorf("not told before they stopped: %s", got)
	}
	l.kill(syscall.SIGTERM)
	if left, err := filepath.Glob(filepath.Join(l.dir, "state", "*untold*")); err != nil || len(left) > 0 {
		t.Errorf("remembered as not told: %v, %v", left, err)
	}
}
