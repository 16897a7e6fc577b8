//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer leads each request to the next of the service's running replicas.
type balancer struct {
	*httptest.Server
	p    *project
	mu   sync.Mutex
	all  []*httputil.ReverseProxy
	next atomic.Int64
}

func newBalancer(p *project) *balancer {
	b := &balancer{p: p}
	b.look()
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		all := b.all
		b.mu.Unlock()
		all[b.next.Add(1)%int64(len(all))].ServeHTTP(w, r)
	}))
	p.t.Cleanup(b.Close)
	return b
}

// look finds the replicas there are now. Where one goes in that moment, the next
// look tells.
func (b *balancer) look() {
	ids, err := exec.Command("docker", "ps", "-q", "--filter", "health=healthy", "--filter", "label=com.docker.compose.project="+b.p.name).Output()
	if err != nil || len(ids) == 0 {
		return
	}
	hosts, err := exec.Command("docker", append([]string{"inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"}, strings.Fields(string(ids))...)...).Output()
	if err != nil {
		return
	}
	var all []*httputil.ReverseProxy
	for host := range strings.FieldsSeq(string(hosts)) {
		all = append(all, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host + ":8000"}))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = all
}

// TestStress: the seed's command on a real service; and what it carries, with one
// replica and with two, after which everything is as it was.
func TestStress(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(sound, `LEVERS: "1"`, `LEVERS: "1", CAPACITY: "50"`, 1))
	p.up()
	b := newBalancer(p)
	files, before := p.tree(), p.running("app")
	out := p.call(nil, "stress", "--url", b.URL+"/", "--workers", "8", "--duration", "3").want(0, "requests", "p99.9").out
	t.Log(out)

	done, watching := make(chan struct{}), sync.WaitGroup{}
	stop := sync.OnceFunc(func() {
		close(done)
		watching.Wait()
	})
	defer stop()
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
			}
			b.look()
		}
	})
	flags := strings.Join(append([]string{"--provider=compose", "--min=1", "--max=2", "--rps-target=40", "--cooldown=0"}, "--metrics-url=http://{replica}:8000/metrics"), " ")
	p.call(nil, "stress", "--url", b.URL+"/", "--find-capacity", "--scale-with", flags).want(2, "--yes")
	r := p.call(nil, "stress", "--url", b.URL+"/", "--find-capacity", "--step=1", "--p99=0.5", "--json", "--yes", "--scale-with", flags).want(0)
	// Ctrl-C in its middle: what was found is told, and everything goes back.
	cmd := exec.Command(built.autoscale, "stress", "--url", b.URL+"/", "--find-capacity", "--step=2", "--p99=5", "--yes", "--scale-with", flags)
	cmd.Dir = p.dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
			t.Logf("the interrupted one said:\n%s", said.String())
		}
	}()
	p.until("it has come to two replicas", 2*time.Minute, func() bool { return strings.Count(p.running("app"), "app-") == 2 })
	time.Sleep(3 * time.Second)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status is looked at
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "proposed: --rps-target=") {
		t.Errorf("status %d\n%s", cmd.ProcessState.ExitCode(), said.String())
	}
	if now := p.running("app"); now != before {
		t.Errorf("after Ctrl-C %s run, before %s", now, before)
	}
	p.wantTree(files)
	stop()
	var found struct {
		Capacities []struct {
			Replicas int
			Rate     float64
		}
		RPSTarget float64 `json:"rps_target"`
	}
	if err := json.Unmarshal([]byte(r.out), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Capacities) != 2 || found.Capacities[0].Replicas != 1 || found.Capacities[1].Replicas != 2 || found.RPSTarget <= 0 {
		t.Fatalf("%+v", found)
	}
	one, two := found.Capacities[0].Rate, found.Capacities[1].Rate
	if one <= 0 || two <= one {
		t.Errorf("one replica of 50/s carried %g/s, two %g/s", one, two)
	}
	if now := p.running("app"); now != before {
		t.Errorf("running %s, before %s", now, before)
	}
	p.wantTree(files)
}
