//go:build e2e

package kubernetes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a page that speaks for the whole service.
type load struct {
	server *httptest.Server
	page   atomic.Pointer[string]
}

func newLoad(t *testing.T, rps float64) *load {
	t.Helper()
	l := &load{}
	l.set(rps)
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, *l.page.Load()) }))
	t.Cleanup(l.server.Close)
	return l
}

func (l *load) set(rps float64) {
	l.say(fmt.Sprintf("# TYPE http_requests_per_second gauge\nhttp_requests_per_second %v\n", rps))
}

func (l *load) say(page string) { l.page.Store(&page) }

func (l *load) url() string { return "--metrics-url=" + l.server.URL + "/metrics" }

// scale runs autoscale with the flags that most tests have.
func (n *namespace) scale(args ...string) result {
	n.t.Helper()
	return n.run(append([]string{"--provider=k8s", "--min=2", "--max=10", "--rps-target=50"}, args...)...)
}

const manifestFile = "k8s/hpa.yaml"

func (n *namespace) read(name string) string {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

// absent checks that there is no such file.
func (n *namespace) absent(name string) {
	n.t.Helper()
	if _, err := os.Stat(filepath.Join(n.dir, name)); !os.IsNotExist(err) {
		n.t.Errorf("%s is there (%v)", name, err)
	}
}

// hpa reads a field of the HPA: "" where there is no such HPA.
func (n *namespace) hpa(field string) string {
	n.t.Helper()
	return n.kubectl("get", "hpa", "app-hpa", "--ignore-not-found", "-o", "jsonpath={"+field+"}")
}

// wantReplicas checks what the Deployment is told.
func (n *namespace) wantReplicas(want int) {
	n.t.Helper()
	if got := n.replicas("app"); got != want {
		n.t.Errorf("%d replicas, want %d", got, want)
	}
}

// seedCommand is the Kubernetes command of the first users' own description.
const seedCommand = `
  --provider=k8s \
  --min=2 \
  --max=10 \
  --rps-target=50 \
  --cpu-target=70 \
  --cooldown=180 \
  --metrics-url=http://metrics.local/metrics \
  --service=app \
  --namespace=prod
`

// The seed's command as it is typed there: first where its page cannot be read,
// so that the HPA alone is set up; then where it can, so that it is started at
// the right count.
func TestSeed(t *testing.T) {
	n := newNamespace(t)
	prod := *n
	prod.name = "prod"
	n.eventually("the last test's namespace is gone", func() bool { return n.tryKubectl("create", "namespace", "prod").status == 0 })
	t.Cleanup(func() { n.kubectl("delete", "namespace", "prod") })
	elsewhere := *n
	n.kubectl("config", "set-context", "--current", "--namespace=prod")
	prod.eventually("a service account", func() bool {
		return cluster.get("/api/v1/namespaces/prod/serviceaccounts/default", new(struct{})) == nil
	})
	prod.deployment("app", 2, pods{cpu: "100m"})
	n.kubectl("config", "set-context", "--current", "--namespace="+elsewhere.name) // --namespace has to do
	words := strings.Fields(strings.ReplaceAll(seedCommand, "\\\n", " "))
	prod.run(words...).want(1, "http://metrics.local/metrics", "horizontalpodautoscaler.autoscaling/app-hpa created", "namespace prod")
	prod.wantReplicas(2)
	page := newLoad(t, 180)
	for i, word := range words {
		if strings.HasPrefix(word, "--metrics-url") {
			words[i] = page.url()
		}
	}
	prod.run(words...).want(0, "2 -> 4 replicas: 180 rps", "kubectl scale deployment/app --replicas=4 --namespace=prod", "server https://127.0.0.1:")
	prod.wantReplicas(4)
	for _, line := range []string{"minReplicas: 2", "maxReplicas: 10", `averageValue: "50"`, "averageUtilization: 70", "stabilizationWindowSeconds: 180", "namespace: prod", "name: http_requests_per_second"} {
		if !strings.Contains(prod.read(manifestFile), line) {
			t.Errorf("no %q in\n%s", line, prod.read(manifestFile))
		}
	}
	accepted := n.kubectl("get", "hpa", "app-hpa", "-n", "prod", "-o", "jsonpath={.spec.minReplicas} {.spec.maxReplicas} {.spec.metrics[*].type} {.spec.behavior.scaleDown.stabilizationWindowSeconds}")
	if accepted != "2 10 Pods Resource 180" {
		t.Errorf("the HPA says %s", accepted)
	}
}

// Once it can, the HPA scales on requests and on CPU, and no run of ours writes
// anything.
func TestHPAScales(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	m := newMetrics(t)
	m.setRPS(n.name, "http_requests_per_second", "40")
	m.setCPU(n.name, "10m")
	page := newLoad(t, 80)
	n.scale(page.url(), "--cooldown=0").want(0, "2 replicas kept")
	n.eventually("the HPA acts", func() bool { return n.condition("app-hpa", "ScalingActive") == "True ValidMetricFound" })
	m.setRPS(n.name, "http_requests_per_second", "100")
	n.eventually("pods for the requests", func() bool { return n.replicas("app") >= 4 })
	m.setRPS(n.name, "http_requests_per_second", "48")
	m.setCPU(n.name, "140m")
	n.eventually("pods for the CPU", func() bool { return n.replicas("app") >= 8 })
	m.setRPS(n.name, "http_requests_per_second", "10")
	m.setCPU(n.name, "1m")
	n.eventually("back at the minimum", func() bool { return n.replicas("app") == 2 })

	m.setRPS(n.name, "http_requests_per_second", "50")
	before, manifest := n.generation("app"), n.read(manifestFile)
	spec := n.hpa(".spec")
	for range 10 {
		// Far more than the HPA sees: it decides all the same.
		page.set(400)
		r := n.scale(page.url(), "--cooldown=0")
		r.want(0, "2 replicas kept (8 wanted)", "HPA app-hpa decides")
		if strings.Contains(r.stderr, "kubectl scale") || strings.Contains(r.stderr+r.stdout, "somebody else") {
			t.Fatalf("%s", r.stderr)
		}
	}
	if after := n.generation("app"); after != before || n.read(manifestFile) != manifest || spec == "" || n.hpa(".spec") != spec {
		t.Errorf("generation %d -> %d; HPA %s -> %s", before, after, spec, n.hpa(".spec"))
	}
	page.set(10) // and it never lowers
	n.scale(page.url(), "--cooldown=0").want(0, "2 replicas kept")
	n.run("status").want(0, n.name, "app")
	n.run("explain").want(0, "2 replicas kept")
}

// The count that it starts at is made of the pods' own pages, read at their
// addresses, or by way of the API server where those cannot be reached.
func TestEachPod(t *testing.T) {
	for name, remote := range map[string]bool{"by address": false, "by the API server": true} {
		t.Run(name, func(t *testing.T) {
			n := newNamespace(t)
			port := freePort(t)
			n.deployment("app", 3, pods{cpu: "100m", port: port, remote: remote})
			pages := n.newPages("app=app", port, 100)
			n.eventually("the pages answer", func() bool {
				r := n.scale(fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics?x=1", port), "--dry-run")
				return r.status == 0 && strings.Contains(r.stdout, "3 -> 6 replicas: 300 rps")
			})
			n.absent(manifestFile)
			n.absent("tools")
			n.wantReplicas(3)
			n.scale(fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics", port)).want(0, "3 -> 6 replicas: 300 rps")
			n.wantReplicas(6)
			// A counter's rate is taken per pod.
			served := newCounting()
			pages.answer(func(pod string, w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total %d\n", served.of(pod))
			})
			n.eventually("six ready pods", func() bool { return n.status("app").Status.ReadyReplicas == 6 })
			n.eventually("the rate is seen", func() bool {
				r := n.scale(fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics", port), "--rps-metric=http_requests_total", "--max=20")
				return r.status == 0 && strings.Contains(r.stdout, "6 -> ")
			})
			if metric := n.hpa(".spec.metrics[*].pods.metric.name"); metric != "http_requests_per_second" {
				t.Errorf("the HPA asks for %q", metric)
			}
		})
	}
}

// Readings that cannot be trusted leave out the first scale and nothing else.
func TestDoubt(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 0)
	for _, wrong := range []string{"", "http_requests_per_second NaN\n", "http_requests_per_second 5"} {
		page.say(wrong)
		n.scale(page.url()).want(1, "2 replicas kept")
		n.wantReplicas(2)
	}
	if n.hpa(".spec.maxReplicas") != "10" {
		t.Error("there is no HPA")
	}
	// Not acting, it is helped: up, and never down.
	page.set(300)
	n.scale(page.url()).want(0, "2 -> 6 replicas")
	page.set(1)
	for range 3 {
		n.scale(page.url(), "--cooldown=0").want(0, "6 replicas kept", "only HPA app-hpa lowers")
	}
	n.wantReplicas(6)
	// Three doubtful runs raise to what is asked for then.
	page.say("")
	for range 3 {
		n.scale(page.url(), "--on-doubt=8")
	}
	n.wantReplicas(8)
}

// A Deployment that was scaled to nothing is not started, unless that is asked
// for.
func TestStopped(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	n.kubectl("scale", "deployment/app", "--replicas=0")
	page := newLoad(t, 300)
	n.scale(page.url()).want(1, `no replica runs of Deployment "app"`, "kubectl scale deployment/app --replicas=2", "--start")
	n.wantReplicas(0)
	n.scale(page.url(), "--start", "--dry-run")
	n.wantReplicas(0)
	n.scale(page.url(), "--start").want(0, "started 2")
	n.wantReplicas(2)
}

// More replicas than the maximum: the HPA would take them away at once, so it
// waits for a reading that allows it.
func TestAboveMax(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 6, pods{cpu: "100m"})
	page := newLoad(t, 10)
	n.scale(page.url(), "--max=4", "--cooldown=1").want(1, "6 replicas of Deployment \"app\" run, and an HPA with --max=4 takes 2 of them away at once", "nothing was applied")
	n.absent(manifestFile)
	page.say("")
	n.scale(page.url(), "--max=4", "--cooldown=1").want(1, "nothing was applied")
	page.set(10)
	n.eventually("a cooldown of low load", func() bool { return n.scale(page.url(), "--max=4", "--cooldown=1").status == 0 })
	n.eventually("the HPA lowers", func() bool { return n.replicas("app") == 4 })
	// The other way round nothing is waited for.
	n.scale(page.url(), "--max=8", "--cooldown=1").want(0, "changed k8s/hpa.yaml")
}

// What a person wrote into the manifest stays, in the file and in the cluster.
func TestManifestKept(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 60)
	n.scale(page.url()).want(0, "wrote k8s/hpa.yaml")
	text := strings.NewReplacer("  name: app-hpa\n", "  name: app-hpa\n  labels: {team: \"web\"} # ours\n",
		"  behavior:\n", "  behavior:\n    # slowly\n    scaleUp:\n      policies: [{type: Pods, value: 2, periodSeconds: 60}]\n",
		"    - type: Resource", "    - type: Resource\n      resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}\n    - type: Resource").Replace(n.read(manifestFile))
	n.write(manifestFile, text)
	n.scale(page.url()).want(0, "horizontalpodautoscaler.autoscaling/app-hpa configured")
	if n.read(manifestFile) != text {
		t.Errorf("changed without need:\n%s", n.read(manifestFile))
	}
	n.scale(page.url(), "--max=12", "--cpu-target=60", "--rps-metric=http_requests_total{code=\"200\"}", "--rps-target=7.5", "--cooldown=1h").want(1, "changed k8s/hpa.yaml") // the page has no such metric
	want := strings.NewReplacer("maxReplicas: 10", "maxReplicas: 12", "averageUtilization: 75", "averageUtilization: 60", "Seconds: 120", "Seconds: 3600",
		`    - type: Pods # autoscale: --rps-metric, --rps-target
      pods:
        metric:
          name: http_requests_per_second
        target:
          type: AverageValue
          averageValue: "50"
`, "", "  behavior:\n", `    - type: Pods # autoscale: --rps-metric, --rps-target
      pods:
        metric:
          name: http_requests_per_second
          selector: # autoscale: --rps-metric with code=200
            matchLabels:
              code: "200"
        target:
          type: AverageValue
          averageValue: "7500m"
  behavior:
`).Replace(text)
	if got := n.read(manifestFile); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := n.hpa(".metadata.labels.team} {.spec.behavior.scaleUp.policies[0].value} {.spec.metrics[*].type} {.spec.metrics[2].pods.metric.selector.matchLabels.code"); got != "web 2 Resource Resource Pods 200" {
		t.Errorf("the HPA says %s", got)
	}
	n.scale(page.url(), "--cpu-target=0").want(0)
	if got := n.hpa(".spec.metrics[*].resource.name"); got != "memory" {
		t.Errorf("with --cpu-target=0 it has %s", got)
	}
	// From another folder, as in a CI job, the file is made anew: never so that
	// what was added would go.
	elsewhere := *n
	elsewhere.dir = t.TempDir()
	elsewhere.scale(page.url(), "--cpu-target=0").want(1, "was applied from another file", "metadata.labels", "spec.behavior.scaleUp")
	elsewhere.absent(manifestFile)
}

// A dry run shows what the cluster would make of it, and changes nothing.
func TestDryRun(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 260)
	before := n.generation("app")
	n.scale(page.url(), "--dry-run").want(0, "would change HPA app-hpa (context", "+  maxReplicas: 10", "app would run: kubectl apply -f k8s/hpa.yaml", "app would run: kubectl scale deployment/app --replicas=6", "2 -> 6 replicas")
	n.absent("k8s")
	n.absent("tools")
	if n.hpa(".spec") != "" || n.generation("app") != before {
		t.Error("something was changed")
	}
	n.scale(page.url()).want(0)
	n.scale(page.url(), "--dry-run").want(0, "HPA app-hpa is as wanted")
	n.scale(page.url(), "--dry-run", "--max=11").want(0, "-  maxReplicas: 10\n    +  maxReplicas: 11")
	n.scale(page.url(), "--mode=observe", "--max=11").want(0)
	if !strings.Contains(n.read(manifestFile), "maxReplicas: 10 ") {
		t.Error("--mode=observe wrote")
	}
	r := n.scale(page.url(), "--output=json")
	r.want(0, `"provider":"k8s"`, `"project":"`+n.name+`"`, `"status":0`)
}

// counting counts the requests that each pod would have served: 100 a second
// since it was first asked.
type counting struct{ since sync.Map }

func newCounting() *counting { return &counting{} }

func (c *counting) of(pod string) int {
	since, _ := c.since.LoadOrStore(pod, time.Now())
	return int(100 * time.Since(since.(time.Time)).Seconds())
}

// TestPrometheusStarts: what a Prometheus server answers starts the Deployment, and the
// HPA reads the pods' metric as ever.
func TestPrometheusStarts(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"260"]}]}}`, time.Now().Unix())
	}))
	t.Cleanup(server.Close)
	flags := []string{"--prometheus-url=" + server.URL, "--prometheus-query=sum(rate(http_requests_total[1m]))", "--rps-metric=http_requests_total"}
	n.scale(flags...).want(0, "2 -> 6 replicas: 260 rps")
	if got := n.replicas("app"); got != 6 {
		t.Errorf("%d replicas", got)
	}
	if text := n.read(manifestFile); !strings.Contains(text, "name: http_requests_per_second") {
		t.Errorf("the HPA asks for something else:\n%s", text)
	}
	n.scale(append(flags, "--min=0")...).want(2, "--min=0")
	n.scale("--access-log=access.log").want(2, "no file of this machine")
}
