//go:build e2e

package kubernetes

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// system is the namespace that the adapter is installed in.
const system = "autoscale-system"

// buildAdapter builds the adapter once, for all tests: it is large.
var buildAdapter = sync.OnceValues(func() (string, error) {
	program := filepath.Join(filepath.Dir(built), "autoscale-adapter")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir, cmd.Env = "../../cmd/autoscale-adapter", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %s", err, out)
	}
	return program, nil
})

// adapters are the adapter as it is installed, with its own manifests and rights.
// Its copies run on this machine: the Service is another name for it, and leads to
// the first copy that answers.
type adapters struct {
	*namespace
	program  string
	listener net.Listener
	flags    []string

	mu   sync.Mutex
	up   []*copyOf // in the order in which they are tried
	logs bytes.Buffer
}

// copyOf is one process of the adapter.
type copyOf struct {
	*exec.Cmd
	port  int
	ended chan struct{}
}

// newAdapters installs the adapter, and runs no copy of it.
func (n *namespace) newAdapters(flags ...string) *adapters {
	n.t.Helper()
	program, err := buildAdapter()
	if err != nil {
		n.t.Fatal(err)
	}
	a := &adapters{namespace: n, program: program, flags: flags}
	if a.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		n.t.Fatal(err)
	}
	go a.lead()
	n.eventually("the last test's installation is gone", func() bool {
		return cluster.get("/api/v1/namespaces/"+system, new(struct{})) != nil
	})
	n.t.Cleanup(func() {
		n.uninstalled()
		for _, c := range a.copies() {
			a.kill(c)
		}
		a.listener.Close()
		if n.t.Failed() {
			n.t.Log(a.log())
		}
	})
	n.tryKubectl("apply", "-k", manifests(n.t)).want(0, "deployment.apps/autoscale-adapter created")
	port := a.listener.Addr().(*net.TCPAddr).Port
	n.kubectl("delete", "service", "autoscale-adapter", "--namespace="+system)
	n.apply(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: autoscale-adapter, namespace: %s},
 spec: {type: ExternalName, externalName: localhost, ports: [{port: %d}]}}`, system, port))
	for _, api := range []string{customMetrics, customMetrics1} {
		n.kubectl("patch", "apiservice", api, "--type=merge", "--patch", fmt.Sprintf(`{"spec": {"service": {"port": %d}}}`, port))
	}
	return a
}

// manifests is the folder of the manifests that users apply.
func manifests(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../deploy/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// lead is the Service: it passes connections on.
func (a *adapters) lead() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return // closed by the cleanup
		}
		go func() {
			defer conn.Close()
			for _, c := range a.copies() {
				to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
				if err != nil {
					continue
				}
				defer to.Close()
				ended := make(chan struct{}, 2)
				go func() { io.Copy(to, conn); ended <- struct{}{} }()
				go func() { io.Copy(conn, to); ended <- struct{}{} }()
				<-ended
				return
			}
		}()
	}
}

func (a *adapters) copies() []*copyOf {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*copyOf(nil), a.up...)
}

// Write takes the logs of all copies.
func (a *adapters) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logs.Write(b)
}

func (a *adapters) log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logs.String()
}

// start runs a copy with the rights of its service account and no others.
func (a *adapters) start() *copyOf {
	a.t.Helper()
	account := *a.namespace
	account.kubeconfig = filepath.Join(a.t.TempDir(), "kubeconfig")
	text, err := os.ReadFile(a.kubeconfig)
	if err == nil {
		err = os.WriteFile(account.kubeconfig, text, 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	account.kubectl("config", "set-credentials", "adapter", "--token="+strings.TrimSpace(a.kubectl("create", "token", "autoscale-adapter", "--namespace="+system)))
	account.kubectl("config", "set-context", "--current", "--user=adapter")
	port := freePort(a.t)
	c := &copyOf{port: port, ended: make(chan struct{}), Cmd: exec.Command(a.program, append([]string{
		"--lister-kubeconfig=" + account.kubeconfig, "--authentication-kubeconfig=" + account.kubeconfig, "--authorization-kubeconfig=" + account.kubeconfig,
		"--secure-port=" + strconv.Itoa(port), "--bind-address=127.0.0.1", "--interval=2s", "--timeout=1s", "--drain=1s",
	}, a.flags...)...)}
	c.Env = append(os.Environ(), "POD_NAMESPACE="+system)
	c.Stdout, c.Stderr = a, a
	if err := c.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func() {
		c.Wait()
		close(c.ended)
	}()
	a.mu.Lock()
	a.up = append(a.up, c)
	a.mu.Unlock()
	return c
}

// served waits until the API server gets an answer.
func (a *adapters) served() {
	a.t.Helper()
	for _, api := range []string{customMetrics, customMetrics1} {
		a.eventually(api+" is available", func() bool {
			return a.kubectl("get", "apiservice", api, "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`) == "True"
		})
	}
}

// ready waits until a copy says that it may be called.
func (a *adapters) ready(c *copyOf) {
	a.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	a.eventually("the copy is ready", func() bool {
		r, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/readyz", c.port))
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// kill ends a copy at once.
func (a *adapters) kill(c *copyOf) { a.end(c, syscall.SIGKILL) }

// end ends a copy by a signal, and waits for that.
func (a *adapters) end(c *copyOf, by os.Signal) {
	a.t.Helper()
	c.Process.Signal(by)
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		a.t.Fatalf("the adapter does not end after %v", by)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.up {
		if a.up[i] == c {
			a.up = append(a.up[:i], a.up[i+1:]...)
			break
		}
	}
}

// values are what the API has of a metric of the namespace's pods, by pod.
func (n *namespace) values(version, metric string) (map[string]string, error) {
	var list struct {
		Items []struct {
			DescribedObject struct{ Name string }
			Value           string
		}
	}
	err := cluster.get("/apis/custom.metrics.k8s.io/"+version+"/namespaces/"+n.name+"/pods/*/"+metric, &list)
	all := map[string]string{}
	for _, i := range list.Items {
		all[i.DescribedObject.Name] = i.Value
	}
	return all, err
}

// spread is a load that is shared over the pods of a Deployment, as a balancer does.
type spread struct {
	pages *pages
	rps   atomic.Int64
	mu    sync.Mutex
	count map[string]float64
	at    time.Time
}

// newSpread has the pods' pages count the requests of a load that all ready pods
// share, as http_requests_total.
func (n *namespace) newSpread(port int, rps int) *spread {
	s := &spread{count: map[string]float64{}, at: time.Now()}
	s.rps.Store(int64(rps))
	s.pages = n.newPages("app=app", port, 0)
	s.pages.answer(func(pod string, w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} %v\n", s.of(pod))
	})
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				s.advance()
			}
		}
	}()
	n.t.Cleanup(func() { close(done); <-ended })
	return s
}

// advance counts what came since it was called last.
func (s *spread) advance() {
	s.pages.mu.Lock()
	var ready []string
	for _, pod := range s.pages.pods {
		ready = append(ready, pod)
	}
	s.pages.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, pod := range ready {
		s.count[pod] += float64(s.rps.Load()) * now.Sub(s.at).Seconds() / float64(len(ready))
	}
	s.at = now
}

func (s *spread) of(pod string) float64 {
	s.advance()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[pod]
}

// With the adapter and nothing else, the flags that users know take a Deployment up
// and down with its load, by a counter on its pods' pages.
func TestAdapterScales(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 2, pods{port: port})
	load := n.newSpread(port, 30)
	a := n.newAdapters()
	a.start()
	a.served()
	n.scale("--rps-target=20", "--cpu-target=0", "--cooldown=6", "--rps-metric=http_requests_total", fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics", port)).want(0, "wrote k8s/hpa.yaml")
	n.eventually("the HPA acts", func() bool { return n.condition("app-hpa", "ScalingActive") == "True ValidMetricFound" })
	// Loads in the middle between two counts: a rate over a second or two is off by
	// some per cent where the machine is busy, and the HPA rounds up.
	load.rps.Store(150)
	n.eventually("four times the load, four times the pods", func() bool { return n.replicas("app") == 8 })
	load.rps.Store(90)
	n.eventually("down with the load", func() bool { return n.replicas("app") == 5 })
	load.rps.Store(20)
	n.eventually("down to the minimum", func() bool { return n.replicas("app") == 2 })
	if warnings := n.warnings("app-hpa"); len(warnings) > 0 {
		t.Errorf("kubectl describe hpa warns:\n%s", strings.Join(warnings, "\n"))
	}
	for _, version := range []string{"v1beta1", "v1beta2"} {
		n.eventually(version+" has both pods' values", func() bool {
			values, err := n.values(version, "http_requests_per_second")
			return err == nil && len(values) == 2
		})
	}
}

// warnings are what kubectl describe hpa warns of. That nobody answered in time is
// the machine's, where it is busy.
func (n *namespace) warnings(hpa string) (all []string) {
	n.t.Helper()
	for line := range strings.Lines(n.kubectl("describe", "hpa", hpa)) {
		if strings.Contains(line, "Warning") && !busy.MatchString(line) {
			all = append(all, line)
		}
	}
	return all
}

var busy = regexp.MustCompile(`unable to handle the request|timed out|deadline exceeded|Timeout|connection refused`)
