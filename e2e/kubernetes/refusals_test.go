//go:build e2e

package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scaledObjects makes the cluster know KEDA's ScaledObjects, as KEDA does.
func (n *namespace) scaledObjects() {
	n.t.Helper()
	n.apply(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scaledobjects.keda.sh}
spec:
  group: keda.sh
  scope: Namespaced
  names: {kind: ScaledObject, plural: scaledobjects, singular: scaledobject}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`)
	n.t.Cleanup(func() { n.kubectl("delete", "crd", "scaledobjects.keda.sh") })
	n.kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh")
}

// hpaOf is an HPA with that name on that Deployment.
func hpaOf(name, deployment, metadata string) string {
	return fmt.Sprintf(`apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: %s%s}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`, name, metadata, deployment)
}

// untouched checks that a refused run left nothing behind.
func (n *namespace) untouched(generation int) {
	n.t.Helper()
	n.absent("k8s")
	if n.generation("app") != generation {
		n.t.Error("the Deployment was changed")
	}
}

// Two autoscalers on one Deployment fight, and an HPA of our name may be
// somebody else's: refused, each by its name, and nothing is touched.
func TestConflicts(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, before := newLoad(t, 500), n.generation("app")
	for name, c := range map[string]struct {
		make   func()
		remove []string
		says   string
	}{
		"another HPA":   {func() { n.apply(hpaOf("mine", "app", "")) }, []string{"hpa", "mine"}, "HorizontalPodAutoscaler mine scales Deployment \"app\" already"},
		"another's HPA": {func() { n.apply(hpaOf("app-hpa", "web", "")) }, []string{"hpa", "app-hpa"}, "it scales Deployment web, not Deployment app"},
		"Helm's": {func() {
			n.apply(hpaOf("app-hpa", "app", ", labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: shop}"))
		}, []string{"hpa", "app-hpa"}, "it is kept by Helm (release shop)"},
		"made by hand": {func() {
			n.write("hpa.yaml", hpaOf("app-hpa", "app", ""))
			n.kubectl("create", "-f", "hpa.yaml")
		}, []string{"hpa", "app-hpa"}, "it was not made by kubectl apply"},
		"server-side": {func() {
			n.write("hpa.yaml", hpaOf("app-hpa", "app", ""))
			n.kubectl("apply", "--server-side", "--field-manager=platform", "-f", "hpa.yaml")
		}, []string{"hpa", "app-hpa"}, "it is kept by platform (by server-side apply)"},
	} {
		t.Run(name, func(t *testing.T) {
			c.make()
			n.scale(page.url()).want(1, c.says, "nothing was changed")
			n.untouched(before)
			n.kubectl(append([]string{"delete"}, c.remove...)...)
		})
	}
	t.Run("KEDA", func(t *testing.T) {
		n.scaledObjects()
		n.apply("{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: queue}, spec: {scaleTargetRef: {name: web}}}")
		n.scale(page.url(), "--dry-run").want(0)
		n.apply("{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: requests}, spec: {scaleTargetRef: {name: app}}}")
		n.scale(page.url()).want(1, "KEDA's ScaledObject requests scales Deployment \"app\" already", "kubectl delete scaledobject/requests --namespace="+n.name)
		n.untouched(before)
	})
}

// Flags that no HPA can have: status 2, and nothing is asked.
func TestFlagsNoHPAHas(t *testing.T) {
	n := newNamespace(t).with("KUBECONFIG=/nowhere")
	for wrong, says := range map[string]string{
		"--cooldown=3601": "at most an hour", "--min=0": "set --min=1", "--cpu-target=-1": "--cpu-target=-1", "--rps-target=0.0001": "thousandths",
		`--rps-metric=http_requests_total{code!~"5.."}`: "labels that are equal", "--mode=raise-only": "selectPolicy: Disabled", "--hpa-file=": "--hpa-file is empty",
		"--service=App": "no name of a Deployment", "--namespace=a/b": "no name of a namespace", "--hpa-file=-": "is kept in a file",
	} {
		n.scale(wrong).want(2, says)
	}
	n.absent("k8s")
}

// A cluster that cannot be asked, or says no: status 1 with the remedy, and
// nothing left behind. Without kubectl the file is written.
func TestCluster(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, before := newLoad(t, 500), n.generation("app")

	n.scale(page.url(), "--context=nope").want(1, "--context=nope", "it knows autoscale-e2e", "--apply=never")
	n.scale(page.url(), "--kubeconfig="+filepath.Join(t.TempDir(), "none")).want(1, "does not know which cluster is meant", "--context")
	n.scale(page.url(), "--service=web").want(1, `there is no Deployment "web"`, "there are app; name the Deployment with --service")
	n.scale(page.url(), "--namespace=kube-public").want(1, "that namespace has none, or does not exist")

	dead := filepath.Join(t.TempDir(), "dead")
	if err := os.WriteFile(dead, []byte(strings.ReplaceAll(readFile(t, n.kubeconfig), "https://127.0.0.1:", "https://127.0.0.1:1")), 0o600); err != nil {
		t.Fatal(err)
	}
	n.kubectl("--kubeconfig="+dead, "config", "set-cluster", strings.TrimSpace(n.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].name}")), "--server=https://127.0.0.1:9")
	n.scale(page.url(), "--kubeconfig="+dead).want(1, "the cluster does not answer", "server https://127.0.0.1:9", "cluster-info", "--apply=never")
	n.kubectl("--kubeconfig="+dead, "config", "set-cluster", strings.TrimSpace(n.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].name}")), "--server="+cluster.server)
	n.kubectl("--kubeconfig="+dead, "config", "set-credentials", "stranger", "--token=nonsense")
	n.kubectl("--kubeconfig="+dead, "config", "set-context", "--current", "--user=stranger")
	n.scale(page.url(), "--kubeconfig="+dead).want(1, "does not know who you are", "log in")
	n.untouched(before)

	without := n.withKubectl("")
	without.scale(page.url(), "--apply=always").want(1, `"kubectl" is not on the PATH`, "--kubectl")
	n.untouched(before)
	without.scale(page.url(), "--dry-run").want(0, "would write k8s/hpa.yaml")
	n.absent("k8s")
	without.scale(page.url()).want(0, "wrote k8s/hpa.yaml", `"kubectl" is not on the PATH, so only k8s/hpa.yaml is written`)
	without.scale("--metrics-url=http://metrics.local/metrics").want(0, "says so already")
	n.scale(page.url(), "--apply=never", "--max=11").want(0, "changed k8s/hpa.yaml", "kubectl apply -f k8s/hpa.yaml applies it")
	n.scale(page.url(), "--apply=never", "--output=json").want(0, `"reason":"Declared"`)
	if n.generation("app") != before || n.hpa(".spec") != "" {
		t.Error("the cluster was changed")
	}
	n.kubectl("apply", "-f", manifestFile)
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each right that is missing is named, with what cannot be done for lack of it.
func TestRights(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, before := newLoad(t, 500), n.generation("app")
	rules := []string{
		"{apiGroups: [apps], resources: [deployments], verbs: [get]}", "{apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list]}",
		`{apiGroups: [""], resources: [pods], verbs: [list]}`, "{apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [create, patch]}",
		"{apiGroups: [apps], resources: [deployments/scale], verbs: [get, update, patch]}",
	}
	for i, says := range []string{`Deployment "app" may not be read or changed`, "the HorizontalPodAutoscalers may not be read or changed", "HPA app-hpa may not be read or changed", "HPA app-hpa may not be read or changed"} {
		n.withRights("["+strings.Join(rules[:i], ",")+"]").scale(page.url()).want(1, says, "forbidden", "docs/kubernetes.md")
		n.untouched(before)
	}
	n.withRights("["+strings.Join(rules[:4], ",")+"]").scale(page.url()).want(1, "could not be scaled to 10", "deployments/scale")
	if n.hpa(".spec.maxReplicas") != "10" {
		t.Error("the HPA was not applied")
	}
	n.wantReplicas(2)
	n.withRights("["+strings.Join(rules, ",")+"]").scale(page.url()).want(0, "2 -> 10 replicas")
	n.kubectl("scale", "deployment/app", "--replicas=2")
	// And the Role that the manual shows is enough for all of it.
	_, role, _ := strings.Cut(readFile(t, "../../docs/kubernetes.md"), "rules:\n  - {apiGroups: [apps]")
	role, _, _ = strings.Cut("  - {apiGroups: [apps]"+role, "```")
	var lines []string
	for line := range strings.Lines(role) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "- "))
	}
	limited := n.withRights("[" + strings.Join(lines, ",") + "]")
	limited.scale(page.url()).want(0, "2 -> 10 replicas")
	if found := limited.found(page.url()); slices.Contains(found, "rights-missing") {
		t.Errorf("doctor finds %v", found)
	}
	limited.rollback("--yes").want(0, "done: hpa")
}

// refuse has a webhook in the cluster refuse HPAs of the namespace, with these
// words.
func (n *namespace) refuse(words string) {
	n.t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct{ UID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(object{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": object{
			"uid": review.Request.UID, "allowed": false, "status": object{"message": words, "code": 403},
		}})
	}))
	n.t.Cleanup(server.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	n.apply(fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: policy.example.com
  clientConfig: {url: %[2]q, caBundle: %[3]s}
  rules: [{apiGroups: [autoscaling], apiVersions: [v2], operations: [CREATE, UPDATE], resources: [horizontalpodautoscalers]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  sideEffects: None
  admissionReviewVersions: [v1]
`, n.name, server.URL, ca))
	n.t.Cleanup(func() { n.kubectl("delete", "validatingwebhookconfiguration", n.name) })
	n.write("try.yaml", hpaOf("try", "try", ""))
	n.eventually("the webhook refuses", func() bool {
		return n.tryKubectl("apply", "--dry-run=server", "-f", "try.yaml").status != 0
	})
	if err := os.Remove(filepath.Join(n.dir, "try.yaml")); err != nil {
		n.t.Fatal(err)
	}
}

// What the cluster refuses is neither written nor applied.
func TestRefused(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, before := newLoad(t, 500), n.generation("app")
	n.scale(page.url(), `--rps-metric={"a/b"}`, "--rps-target=1").want(1, "the cluster would not take the HPA", "nothing was written or applied")
	n.untouched(before)
	n.refuse("at most 5 replicas in this namespace")
	n.scale(page.url(), "--dry-run").want(1, "at most 5 replicas in this namespace")
	n.untouched(before)
	// What the load asks for is raised to all the same.
	n.scale(page.url()).want(1, "the cluster would not take the HPA", "at most 5 replicas in this namespace", "nothing was written or applied", "2 -> 10 replicas")
	n.absent("k8s")
	n.wantReplicas(10)
}

// A run that fails in its middle says what it did not do, and leaves the
// manifest as it was found.
func TestHalfDone(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 500)
	const real = "\nexec \"$AUTOSCALE_KUBECTL\" \"$@\""
	broken := n.withKubectl(`case "$*" in "apply -f k8s/"*) echo "error: the connection broke: EOF" >&2; exit 1 ;; esac` + real)
	broken.scale(page.url()).want(1, "the cluster does not answer", "EOF")
	n.absent(manifestFile)
	n.wantReplicas(2)
	n.scale(page.url(), "--apply=never").want(0)
	written := n.read(manifestFile)
	broken.scale(page.url(), "--max=20").want(1, "EOF")
	if n.read(manifestFile) != written {
		t.Errorf("left behind:\n%s", n.read(manifestFile))
	}
	unscaled := n.withKubectl(`case "$*" in scale*) echo "error: no" >&2; exit 1 ;; esac` + real)
	unscaled.scale(page.url()).want(1, "could not be scaled to 10", "error: no")
	if n.hpa(".spec.maxReplicas") != "10" {
		t.Error("the HPA was not applied")
	}
	// Somebody else was there first: what they set is not overruled.
	raced := n.withKubectl(`case "$*" in scale*) "$AUTOSCALE_KUBECTL" scale deployment/app --replicas=5 >&2 ;; esac` + real)
	raced.scale(page.url()).want(1, "could not be scaled to 10", "5")
	n.wantReplicas(5)
	// A file that may not be replaced: nothing is applied.
	if err := os.Chmod(filepath.Join(n.dir, manifestFile), 0o444); err != nil {
		t.Fatal(err)
	}
	n.scale(page.url(), "--max=30").want(1, "the manifest could not be written, so nothing was applied")
	if n.hpa(".spec.maxReplicas") != "10" {
		t.Error("the HPA was changed")
	}
}

// Manifests that are another's, or cannot be edited: left alone, with the line.
func TestManifestRefused(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page, before := newLoad(t, 500), n.generation("app")
	good := strings.ReplaceAll(hpaOf("app-hpa", "app", ""), "spec:\n", "spec:\n")
	for text, says := range map[string]string{
		"kind: [":                           "line 1: not valid YAML",
		"apiVersion: v1\nkind: ConfigMap\n": "it holds v1 ConfigMap",
		"":                                  "it holds nothing",
		hpaOf("app-hpa", "web", ""):         "it scales Deployment web",
		hpaOf("web", "app", ""):             `its name is "web"`,
		good + "---\n" + good:               "a second YAML document starts here",
		good:                                "spec.metrics is not written as a list of lines",
		strings.Replace(good, "maxReplicas: 3", "maxReplicas: &n 3\n  x: *n", 1): "is used on line",
	} {
		n.write(manifestFile, text)
		n.scale(page.url()).want(1, says, "left alone")
		if n.read(manifestFile) != text || n.generation("app") != before || n.hpa(".spec") != "" {
			t.Errorf("something was changed:\n%s", n.read(manifestFile))
		}
	}
}
