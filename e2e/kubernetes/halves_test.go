//go:build e2e

package kubernetes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// never checks that something is not said.
func (r result) never(says ...string) result {
	r.t.Helper()
	for _, text := range says {
		if strings.Contains(r.stdout+r.stderr, text) {
			r.t.Errorf("says %q:\n%s%s", text, r.stdout, r.stderr)
		}
	}
	return r
}

// A run that ends in its middle says what stands, and not that nothing does.
func TestWhatStands(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 450)
	unscaled := n.withKubectl(`case "$*" in scale*) echo "Error from server (InternalError): etcdserver: no leader" >&2; exit 1 ;; esac` + really)
	unscaled.scale(page.url()).want(1, "could not be scaled to 9", "no leader", "mend that").never("nothing was changed", "may not be read")
	n.kubectl("delete", "hpa", "app-hpa")
	n.rollback("--yes").want(0)

	// The answer is lost, and the HPA is there.
	lost := n.withKubectl(`case "$*" in "apply -f k8s/"*) "$AUTOSCALE_KUBECTL" "$@" >&2; echo "Unable to connect to the server: EOF" >&2; exit 1 ;; esac` + really)
	lost.scale(page.url()).want(1, "HPA app-hpa is as k8s/hpa.yaml says, but kubectl apply failed", "wrote k8s/hpa.yaml").never("nothing was changed")
	if !strings.Contains(n.read(manifestFile), "app-hpa") {
		t.Error("the manifest is gone")
	}
	n.rollback("--yes").want(0, "done: hpa", "done: file")

	// It is lost, and so is what could be asked.
	deaf := n.withKubectl(`case "$*" in "apply -f k8s/"*) touch deaf; exit 1 ;; "get --raw"*horizontalpodautoscalers/app-hpa*) ! [ -e deaf ] || { echo "Unable to connect to the server: EOF" >&2; exit 1; } ;; esac` + really)
	deaf.scale(page.url()).want(1, "whether k8s/hpa.yaml was applied is not known (look with: kubectl get hpa/app-hpa").never("nothing was changed", "wrote")
	n.absent(manifestFile)

	// Ctrl-C, while it is applied.
	interrupted := n.withKubectl(`case "$*" in "apply -f k8s/"*) trap 'exit 130' INT; kill -INT $PPID; sleep 20 & wait; exit 130 ;; esac` + really)
	interrupted.scale(page.url()).want(1, "k8s/hpa.yaml was not applied: interrupted").never("wrote", "nothing was changed")
	n.absent(manifestFile)
	n.wantReplicas(9) // of the run that was deaf

	rules := "[{apiGroups: [apps], resources: [deployments], verbs: [get]}, {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, create, patch]}, {apiGroups: [\"\"], resources: [pods], verbs: [list]}]"
	n.kubectl("scale", "deployment/app", "--replicas=2")
	n.withRights(rules).scale(page.url()).want(1, "could not be scaled to 9 (context", "forbidden").never("may not be read", "nothing was changed")
}

// What stood before the first run is known also where that run was killed, or did
// nothing but start the Deployment.
func TestBeforeIsKept(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	own := strings.Replace(external, "  - type: External\n    external: {metric: {name: queue}, target: {type: AverageValue, averageValue: 30}}\n", "", 1)
	before := func() {
		t.Helper()
		n.write(manifestFile, own)
		n.kubectl("apply", "-f", manifestFile)
	}
	restored := func() {
		t.Helper()
		n.rollback("--restore", "--yes").want(0, "put ", "apply it", "done: state")
		if n.read(manifestFile) != own || n.hpa(".spec.maxReplicas} {.spec.metrics[*].resource.target.averageUtilization") != "50 60" {
			t.Errorf("restored as\n%s%s", n.read(manifestFile), n.hpa(".spec"))
		}
		n.absent("tools")
	}
	before()
	killed := n.withKubectl(`case "$*" in "apply -f k8s/"*) "$AUTOSCALE_KUBECTL" "$@" >&2; kill -9 $PPID; exit ;; esac` + really)
	killed.scale(page.url())
	if n.hpa(".spec.maxReplicas") != "10" {
		t.Fatal("the run was killed too early")
	}
	n.run("status").want(0, "app")
	n.scale(page.url()).want(0)
	restored()
	// Without another run as well.
	killed.scale(page.url())
	restored()
	n.kubectl("scale", "deployment/app", "--replicas=0")
	n.scale(page.url(), "--start").want(0, "started 2")
	n.scale(page.url()).want(0)
	restored()
}

// A person's own settings of kubectl do not change what is done.
func TestKuberc(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, home := newLoad(t, 80), t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".kube"), 0o755); err != nil {
		t.Fatal(err)
	}
	kuberc := `apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
defaults:
- command: delete
  options: [{name: interactive, default: "true"}]
- command: apply
  options: [{name: server-side, default: "true"}]
`
	if err := os.WriteFile(filepath.Join(home, ".kube", "kuberc"), []byte(kuberc), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := n.with("HOME=" + home)
	n.kubectl("create", "configmap", "mine")
	n.command("", os.Getenv("AUTOSCALE_KUBECTL"), []string{"HOME=" + home}, "delete", "configmap", "mine").want(0)
	n.kubectl("get", "configmap", "mine") // so those settings are in force
	mine.scale(page.url()).want(0)
	mine.scale(page.url(), "--max=11").want(0, "configured")
	mine.rollback("--yes").want(0, "done: hpa")
	if n.hpa(".spec") != "" {
		t.Error("the HPA is still there")
	}
	// A deletion that does nothing is none.
	n.scale(page.url()).want(0)
	n.withKubectl(`case "$*" in delete*) exit 0 ;; esac`+really).rollback("--yes").want(1, "HPA app-hpa is still there")
	if !strings.Contains(n.read(manifestFile), "app-hpa") {
		t.Error("the manifest is gone")
	}
}

// What a rollback is asked for must be a name, and of what there is.
func TestRollbackNames(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	n.scale(newLoad(t, 80).url()).want(0)
	n.rollback("--yes", "--service=App_x").want(2, "no name of a Deployment")
	n.rollback("--yes", "--namespace=a/b").want(2, "no name of a namespace")
	n.rollback("--yes", "--service=ap").want(1, "k8s/hpa.yaml stays: it scales Deployment app, not Deployment ap", `there is no Deployment "ap"`)
	if !strings.Contains(n.read(manifestFile), "app-hpa") || n.hpa(".spec") == "" {
		t.Error("something is gone")
	}
}

// What somebody added to a metric of ours is named, and stays.
func TestMarkedMetricKept(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	text := strings.Replace(n.read(manifestFile), "          name: http_requests_per_second\n", "          name: http_requests_per_second\n          selector: {matchLabels: {verb: GET}}\n", 1)
	n.write(manifestFile, text)
	n.scale(page.url()).want(1, "line 19: ", "did not write this line", "left alone")
	if n.read(manifestFile) != text {
		t.Errorf("it became\n%s", n.read(manifestFile))
	}
}

// Bounds that somebody set in the cluster are not set again without a word.
func TestDrift(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 4, pods{cpu: "100m"})
	page := newLoad(t, 150)
	n.scale(page.url()).want(0).never("somebody set")
	n.kubectl("patch", "hpa", "app-hpa", "-p", `{"spec":{"minReplicas":4,"maxReplicas":4}}`)
	n.scale(page.url()).want(0, "HPA app-hpa has 4 to 4 replicas, which somebody set since it was applied with 2 to 10; to apply it makes them 2 to 10")
	n.scale(page.url()).want(0).never("somebody set")
	n.run("pause", "--provider=k8s", "--for=1m").want(2, "kubectl patch hpa app-hpa", "take the schedule away")
}

// With --max-down, too, the surplus goes once the load allows all of it to go.
func TestAboveMaxByLimit(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 6, pods{cpu: "100m"})
	page := newLoad(t, 10)
	flags := []string{page.url(), "--max=3", "--cooldown=1", "--max-down=1"}
	n.scale(flags...).want(1, "nothing was applied")
	n.eventually("a cooldown of low load", func() bool { return n.scale(flags...).status == 0 })
	n.eventually("the HPA lowers", func() bool { return n.replicas("app") == 3 })
}

// A counter is no metric for an HPA, whatever its name.
func TestCounterByAnotherName(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	page.say("# TYPE http_requests counter\nhttp_requests 5\n")
	n.scale(page.url(), "--rps-metric=http_requests").want(1, "http_requests is a counter, which an HPA cannot use", "--rps-metric-type=counter")
	n.scale(page.url(), "--rps-metric=http_requests", "--rps-metric-type=counter").want(0)
	if got := n.hpa(".spec.metrics[*].pods.metric.name"); got != "http_requests_per_second" {
		t.Errorf("the HPA asks for %s", got)
	}
}

// Where kubectl finds no diff command a dry run still asks the cluster.
func TestNoDiff(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	alone := n.with("PATH="+filepath.Dir(os.Getenv("AUTOSCALE_KUBECTL")), "KUBECTL_EXTERNAL_DIFF=false")
	alone.scale(newLoad(t, 80).url(), "--dry-run").want(0, "cannot be shown without the diff command", "2 replicas kept")
}

// A webhook that does not answer is not a cluster that does not.
func TestWebhookDown(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	n.apply(fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: policy.example.com
  clientConfig: {url: %[2]q}
  rules: [{apiGroups: [autoscaling], apiVersions: [v2], operations: [CREATE, UPDATE], resources: [horizontalpodautoscalers]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  sideEffects: None
  admissionReviewVersions: [v1]
`, n.name, server.URL))
	t.Cleanup(func() { n.kubectl("delete", "validatingwebhookconfiguration", n.name) })
	page := newLoad(t, 80)
	n.eventually("the webhook is asked", func() bool { return n.scale(page.url(), "--dry-run").status == 1 })
	n.scale(page.url()).want(1, "the cluster would not take the HPA", "failed calling webhook").never("the cluster does not answer")
}

// What could not be looked at is said to be unknown, and not to be missing.
func TestUnknown(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	m := newMetrics(t)
	m.setRPS(n.name, "http_requests_per_second", "40")
	m.fail(http.StatusTooManyRequests)
	n.scale(page.url(), "--dry-run").want(0, "whether the cluster serves http_requests_per_second is not known").never("nothing in the cluster serves")
	rules := "[{apiGroups: [apps], resources: [deployments], verbs: [get]}, {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, create, patch]}]"
	n.withRights(rules).scale("--metrics-url=http://{replica}:8000/metrics", "--dry-run").want(1, "pods may not be listed", "so {replica} stands for none")
}
