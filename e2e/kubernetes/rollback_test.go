//go:build e2e

package kubernetes

import (
	"strings"
	"testing"
)

func (n *namespace) rollback(args ...string) result {
	n.t.Helper()
	return n.run(append([]string{"rollback", "--provider=k8s"}, args...)...)
}

// Everything is undone, twice in a row; the Deployment keeps its count.
func TestRollback(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	n.deployment("web", 2, pods{cpu: "100m"})
	page := newLoad(t, 240)
	n.rollback("--yes").want(0, "nothing is left to undo")
	n.scale(page.url(), "--service=web", "--hpa-file=k8s/web.yaml").want(0)
	n.scale(page.url()).want(0, "2 -> 5 replicas")
	n.rollback().want(2, "--yes")
	n.rollback("--dry-run").want(0, "kubectl delete -f k8s/hpa.yaml --ignore-not-found (context autoscale-e2e", "remove ")
	if n.hpa(".spec") == "" {
		t.Fatal("a dry run deleted the HPA")
	}
	n.rollback("--replicas=3", "--yes").want(2, "kubectl scale deployment/app --replicas=3")
	n.rollback("--yes").want(0, "done: hpa", "done: file", "done: journal", "done: state")
	if n.hpa(".spec") != "" {
		t.Error("the HPA is still there")
	}
	n.absent(manifestFile)
	n.wantReplicas(5)
	n.rollback("--yes").want(0, "nothing is left to undo")
	// The other one's HPA, manifest and state are as they were.
	n.run("status").want(0, "web")
	if n.kubectl("get", "hpa", "web-hpa", "-o", "name") == "" || !strings.Contains(n.read("k8s/web.yaml"), "web-hpa") {
		t.Error("the other service lost something")
	}
	n.rollback("--service=web", "--hpa-file=k8s/web.yaml", "--yes").want(0)
	n.absent("k8s")
	n.absent("tools")
}

// A manifest and an HPA that were there before the first run are put back.
func TestRollbackRestore(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	const own = `# mine
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: app-hpa
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}
`
	n.write(manifestFile, own)
	n.kubectl("apply", "-f", manifestFile)
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	n.rollback("--restore", "--yes").want(0, "put ", "apply it")
	if n.read(manifestFile) != own || n.hpa(".spec.maxReplicas} {.spec.metrics[*].type") != "3 Resource" {
		t.Errorf("restored as\n%s%s", n.read(manifestFile), n.hpa(".spec"))
	}
	n.rollback("--restore", "--yes").want(1, "nothing is remembered")
	n.scale(page.url()).want(0)
	n.rollback("--yes").want(0, "the HPA was there before the first run")
	if n.read(manifestFile) != own || n.hpa(".spec") != "" {
		t.Errorf("left\n%s%s", n.read(manifestFile), n.hpa(".spec"))
	}
	// Another's change is not lost.
	n.scale(page.url()).want(0)
	changed := strings.Replace(n.read(manifestFile), "# mine", "# mine, changed", 1)
	n.write(manifestFile, changed)
	n.rollback("--yes").want(0, "stays")
	if n.read(manifestFile) != changed {
		t.Errorf("left\n%s", n.read(manifestFile))
	}
}

// What is left is said: an HPA of somebody else's, and a cluster that is not
// reached any more.
func TestRollbackLeft(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	n.withKubectl("").rollback("--yes").want(1, "nothing was changed", "--kubectl")
	n.withKubectl(`case "$*" in delete*) echo "error: no" >&2; exit 1 ;; esac`+"\nexec \"$AUTOSCALE_KUBECTL\" \"$@\"").rollback("--yes").want(1, "was not deleted", "run this again for the rest")
	if n.hpa(".spec") == "" || !strings.Contains(n.read(manifestFile), "app-hpa") {
		t.Error("something was undone")
	}
	n.kubectl("delete", "deployment", "app") // the rest is undone all the same
	n.rollback("--yes").want(0, "done: hpa", "done: file")
	n.apply(hpaOf("app-hpa", "web", ""))
	n.rollback("--yes").want(0, "it scales Deployment web")
	if n.hpa(".spec") == "" {
		t.Error("another's HPA is gone")
	}
}
