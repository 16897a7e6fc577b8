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
	n.rollback("--dry-run").want(0, "kubectl delete -f k8s/hpa.yaml --ignore-not-found --namespace="+n.name+" --context=autoscale-e2e", "remove ")
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

// What else stands in the manifest's file is somebody's own: nothing of it is
// deleted, and the file stays.
func TestRollbackOthersDocuments(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	text := n.read(manifestFile) + "---\n" + n.kubectl("get", "deployment", "app", "-o", "yaml") + "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}\n"
	n.write(manifestFile, text)
	n.kubectl("apply", "-f", manifestFile)
	r := n.rollback("--yes").want(1, "kubectl delete hpa/app-hpa", "done: hpa", "done: state", "k8s/hpa.yaml stays: line ", "a second YAML document starts here")
	if strings.Contains(r.stdout, "delete -f") || n.read(manifestFile) != text || n.hpa(".spec") != "" {
		t.Errorf("left\n%s", n.read(manifestFile))
	}
	n.wantReplicas(2)
	n.kubectl("get", "configmap", "mine")
	// It was our own when a person was asked, and is not any more.
	n.write(manifestFile, strings.SplitAfter(text, "---\n")[0][:strings.Index(text, "---\n")])
	n.scale(page.url()).want(0)
	n.write("whole.yaml", text)
	racing := n.withKubectl(`case "$*" in *"get --raw"*horizontalpodautoscalers/app-hpa*) cp whole.yaml k8s/hpa.yaml ;; esac` + really)
	racing.rollback("--yes").want(1, "k8s/hpa.yaml stays")
	n.wantReplicas(2)
	n.kubectl("get", "configmap", "mine")
	for _, foreign := range []string{"kind: [", "{apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}\n"} {
		n.write(manifestFile, foreign)
		n.rollback("--yes").want(1, "k8s/hpa.yaml stays: ")
		if n.read(manifestFile) != foreign {
			t.Errorf("left\n%s", n.read(manifestFile))
		}
	}
	n.kubectl("get", "configmap", "mine")
}

// To restore an HPA whose maximum is below the count takes replicas away at once:
// that is said, and must be confirmed.
func TestRollbackRestoreBelow(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	own := strings.Replace(hpaOf("app-hpa", "app", ""), "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]", "metrics:\n  - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}", 1)
	n.write(manifestFile, own)
	n.kubectl("apply", "-f", manifestFile)
	page := newLoad(t, 450)
	n.scale(page.url(), "--max=20").want(0, "2 -> 9 replicas")
	below := `9 replicas of Deployment "app" run, and the HPA as it was before the first run has a maximum of 3: it takes 6 of them away at once`
	n.rollback("--restore", "--dry-run").want(0, below)
	n.rollback("--restore").want(2, "--yes")
	n.wantReplicas(9)
	n.rollback("--restore", "--yes").want(0, below)
}
