//go:build e2e

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// external is an HPA that somebody applied, by a metric of theirs.
const external = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app-hpa}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
  minReplicas: 6
  maxReplicas: 50
  metrics:
  - type: External
    external: {metric: {name: queue}, target: {type: AverageValue, averageValue: 30}}
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
`

// An HPA of our name that was applied from elsewhere is not taken over by a first
// run, unless its manifest is there.
func TestAdoption(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 6, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.apply(external)
	before := n.hpa(".spec")
	refused := func(says ...string) {
		t.Helper()
		n.scale(page.url(), "--max=20").want(1, append(says, "HPA app-hpa was applied from another file", "nothing was changed; put that file at k8s/hpa.yaml", "kubectl delete hpa/app-hpa --namespace="+n.name)...)
		n.scale(page.url(), "--max=20", "--dry-run").want(1, says...)
		if n.hpa(".spec") != before {
			t.Errorf("it became %s", n.hpa(".spec"))
		}
	}
	refused("spec.metrics: External queue", "spec.maxReplicas: 50", "spec.minReplicas: 6")
	n.absent(manifestFile)
	if found := strings.Join(n.found(page.url()), " "); !strings.Contains(found, "hpa-not-ours") {
		t.Errorf("doctor finds %s", found)
	}
	// A manifest that lacks what was applied is no better.
	n.write(manifestFile, strings.Replace(external, "  - type: External\n    external: {metric: {name: queue}, target: {type: AverageValue, averageValue: 30}}\n", "", 1))
	refused("spec.metrics: External queue")
	// Its own is the user's, who wants it so.
	n.write(manifestFile, external)
	n.scale(page.url(), "--max=20").want(0, "changed k8s/hpa.yaml")
	if got := n.hpa(".spec.maxReplicas} {.spec.metrics[*].type"); got != "20 External Resource Pods" {
		t.Errorf("the HPA says %s", got)
	}
	// From elsewhere what a run of ours applied is as good, where it is the same.
	n.kubectl("delete", "hpa", "app-hpa")
	n.write(manifestFile, "")
	if err := os.Remove(filepath.Join(n.dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	n.scale(page.url()).want(0)
	elsewhere := *n
	elsewhere.dir = t.TempDir()
	elsewhere.scale(page.url()).want(0, "wrote k8s/hpa.yaml")
	elsewhere.dir = t.TempDir()
	elsewhere.scale(page.url(), "--max=20").want(1, "spec.maxReplicas: 10")
}

// A run that is refused before it reads anything is remembered as one without a
// reading, and does not wait for itself.
func TestRefusedIsRemembered(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	doubts := func(want string) {
		t.Helper()
		n.run("status", "--output=json").want(0, `"doubts":`+want)
	}
	doubts("0")
	n.apply(hpaOf("mine", "app", ""))
	began := time.Now()
	r := n.scale(page.url()).want(1, "HorizontalPodAutoscaler mine scales Deployment \"app\" already")
	if took := time.Since(began); took > 8*time.Second || strings.Contains(r.stderr, "locked") {
		t.Errorf("it took %s: %s", took, r.stderr)
	}
	doubts("1")
	n.kubectl("delete", "hpa", "mine")
	manifest := n.read(manifestFile)
	n.write(manifestFile, "kind: [")
	n.scale(page.url()).want(1, "not valid YAML")
	doubts("2")
	n.write(manifestFile, manifest)
	n.scale(page.url()).want(0)
	doubts("0")
}
