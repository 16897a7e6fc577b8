//go:build e2e

package kubernetes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watch looks at the replicas of app throughout, and fails the test where they are
// ever fewer than least.
func (n *namespace) watch(least int) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			var d deploymentState
			if err := cluster.get("/apis/apps/v1/namespaces/"+n.name+"/deployments/app", &d); err == nil && d.Spec.Replicas < least {
				n.t.Errorf("lowered to %d", d.Spec.Replicas)
				return
			}
		}
	}()
	n.t.Cleanup(func() { close(done); <-ended })
}

const quickHPA = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app-hpa}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
  minReplicas: 1
  maxReplicas: 10
  metrics:
  - type: Pods
    pods: {metric: {name: http_requests_per_second}, target: {type: AverageValue, averageValue: "10"}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 1}}
`

// acts waits until the HPA has all metrics that it wants.
func (n *namespace) acts() {
	n.t.Helper()
	n.eventually("the HPA acts", func() bool { return n.condition("app-hpa", "ScalingActive") == "True ValidMetricFound" })
}

// gauge is an answer with that many requests/s.
func gauge(w io.Writer, rps float64) {
	fmt.Fprintf(w, "# TYPE http_requests_per_second gauge\nhttp_requests_per_second %v\n", rps)
}

// long skips one of the long fault tables where they were not asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("AUTOSCALE_E2E") != "all" {
		t.Skip("a long fault table; make test-all runs it")
	}
}

// A pod that lies or does not answer, at a load that asks for the four replicas
// that run: nothing is lowered, and it counts again once it is well.
func TestAdapterPodFaults(t *testing.T) {
	long(t)
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 4, pods{port: port})
	pages := n.newPages("app=app", port, 10)
	a := n.newAdapters()
	c := a.start()
	a.served()
	n.apply(quickHPA)
	n.acts()
	n.watch(4)
	before := resident(t, c)
	var bad string
	n.valued(4)
	for name := range n.have("http_requests_per_second") {
		bad = name
	}
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request){
		"NaN":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "http_requests_per_second NaN") },
		"negative": func(w http.ResponseWriter, _ *http.Request) { gauge(w, -5) },
		"a 500":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"cut":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "http_requests_per_second 0") },
		"hangs":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a page of a gigabyte": func(w http.ResponseWriter, _ *http.Request) {
			line := bytes.Repeat([]byte("other_metric 1\n"), 1<<12)
			for sent := 0; sent < 1<<30; sent += len(line) {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
			gauge(w, 0)
		},
		"slow-loris": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, "#")
				w.(http.Flusher).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		},
	} {
		pages.answer(func(pod string, w http.ResponseWriter, r *http.Request) {
			if pod == bad {
				fault(w, r)
				return
			}
			gauge(w, 10)
		})
		n.eventually(name+": the pod is left out", func() bool {
			values, err := n.values("v1beta2", "http_requests_per_second")
			_, has := values[bad]
			return err == nil && len(values) == 3 && !has
		})
		time.Sleep(5 * time.Second) // two looks of the HPA
		pages.set(10)
		began := time.Now()
		n.valued(4)
		t.Logf("%s: counts again after %v", name, time.Since(began).Round(100*time.Millisecond))
	}
	after := resident(t, c)
	t.Logf("figure: the adapter takes %d MB, and took %d before", after, before)
	if after > before+64 {
		t.Errorf("the adapter took %d MB before, and takes %d MB", before, after)
	}
	if n.replicas("app") != 4 {
		t.Errorf("%d replicas, want 4", n.replicas("app"))
	}
}

// have are the values of a metric; none where the API does not answer, which on a
// busy machine it may not for a moment.
func (n *namespace) have(metric string) map[string]string {
	values, err := n.values("v1beta2", metric)
	if err != nil {
		return nil
	}
	return values
}

// valued waits until that many pods have a value.
func (n *namespace) valued(count int) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("%d pods have a value", count), func() bool { return len(n.have("http_requests_per_second")) == count })
}

// resident is the memory of a copy in MB.
func resident(t *testing.T, c *copyOf) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// Counters that start anew, in pods that appear and go.
func TestAdapterCounterResets(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 4, pods{port: port})
	load := n.newSpread(port, 40)
	a := n.newAdapters()
	a.start()
	a.served()
	n.apply(quickHPA)
	n.acts()
	n.watch(4)
	load.mu.Lock()
	for pod := range load.count {
		load.count[pod] = 0
	}
	load.mu.Unlock()
	time.Sleep(6 * time.Second)
	n.kubectl("delete", "pod", "--wait=false", strings.Fields(n.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))[0])
	time.Sleep(6 * time.Second)
	n.acts()
	n.valued(4)
}

// The adapter itself: killed, replaced, two of it; certificates made anew; the API
// taken over by another; the API server restarted.
func TestAdapterOwnFaults(t *testing.T) {
	long(t)
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 4, pods{port: port})
	n.newPages("app=app", port, 10)
	a := n.newAdapters()
	first := a.start()
	a.served()
	n.apply(quickHPA)
	n.acts()
	n.watch(4)

	a.kill(first)
	n.eventually("without metrics", func() bool { return n.condition("app-hpa", "ScalingActive") == "False FailedGetPodsMetric" })
	first = a.start()
	n.acts()

	a.ready(a.start())
	a.end(first, syscall.SIGTERM)
	n.valued(4) // the second copy knows all pods
	n.acts()

	before := n.kubectl("get", "apiservice", customMetrics, "-o", "jsonpath={.spec.caBundle}")
	n.kubectl("delete", "secret", "autoscale-adapter-tls", "--namespace="+system)
	n.eventually("another certificate is known", func() bool {
		return n.kubectl("get", "apiservice", customMetrics, "-o", "jsonpath={.spec.caBundle}") != before
	})
	time.Sleep(5 * time.Second)
	n.acts()

	restartAPIServer(n)
	n.valued(4)
	n.acts()
	if n.replicas("app") != 4 {
		t.Errorf("%d replicas, want 4", n.replicas("app"))
	}

	// Another takes the API over: it is that one's now.
	n.kubectl("patch", "apiservice", customMetrics, "--type=merge", "--patch", `{"spec": {"service": {"name": "another"}, "caBundle": null, "insecureSkipTLSVerify": true}}`)
	n.eventually("the adapter sees it", func() bool { return strings.Contains(a.log(), "served by another") })
	if got := n.kubectl("get", "apiservice", customMetrics, "-o", "jsonpath={.spec.service.name}{.spec.caBundle}"); got != "another" {
		t.Errorf("the adapter changed what is another's: %s", got)
	}
}

var restarts sync.Mutex

// restartAPIServer kills the API server, and starts it by the same command.
func restartAPIServer(n *namespace) {
	n.t.Helper()
	restarts.Lock()
	defer restarts.Unlock()
	file := filepath.Join(os.Getenv("AUTOSCALE_CLUSTER_DIR"), "kube-apiserver")
	text, err := os.ReadFile(file + ".log")
	if err != nil {
		n.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(strings.TrimPrefix(line, "+ "))
	number, err := os.ReadFile(file + ".pid")
	if err != nil {
		n.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(number)))
	if err != nil {
		n.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
	log, err := os.OpenFile(file+".log", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setsid: true}
	time.Sleep(5 * time.Second) // for so long there is none
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go cmd.Wait()
	if err := os.WriteFile(file+".pid", []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644); err != nil {
		n.t.Fatal(err)
	}
	n.eventually("the API server is back", func() bool { return cluster.get("/api/v1/namespaces/"+n.name, new(struct{})) == nil })
}
