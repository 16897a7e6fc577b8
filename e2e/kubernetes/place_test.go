//go:build e2e

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const really = "\nexec \"$AUTOSCALE_KUBECTL\" \"$@\""

// twin is another namespace with a Deployment of the same name, and a context
// whose namespace it is in the kubeconfig of the first one.
func (n *namespace) twin(replicas int) *namespace {
	n.t.Helper()
	other := newNamespace(n.t)
	other.deployment("app", replicas, pods{cpu: "100m"})
	view := func(field string) string {
		return strings.TrimSpace(n.kubectl("config", "view", "--minify", "-o", "jsonpath={."+field+"}"))
	}
	n.kubectl("config", "set-context", "twin", "--cluster="+view("contexts[0].context.cluster"), "--user="+view("contexts[0].context.user"), "--namespace="+other.name)
	return other
}

// A run and a rollback keep to the cluster and the namespace that they began
// with, whoever switches to another context meanwhile.
func TestContextSwitched(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	other := n.twin(5)
	before, home := other.generation("app"), strings.TrimSpace(n.kubectl("config", "current-context"))
	page := newLoad(t, 200)
	switching := n.withKubectl(`case "$*" in *--dry-run=server*|"delete "*) "$AUTOSCALE_KUBECTL" config use-context twin >&2 ;; esac` + really)
	switching.scale(page.url(), "--max=4").want(0, "2 -> 4 replicas", "kubectl scale deployment/app --replicas=4 --namespace="+n.name+" --current-replicas=2 --context="+home)
	if other.generation("app") != before || other.hpa(".spec") != "" {
		t.Error("the other namespace was changed")
	}
	n.kubectl("config", "use-context", home)
	other.apply(hpaOf("app-hpa", "app", ""))
	switching.rollback("--yes").want(0, "done: hpa")
	n.kubectl("config", "use-context", home)
	if n.hpa(".spec") != "" || other.kubectl("get", "hpa", "app-hpa", "-n", other.name, "-o", "name") == "" {
		t.Error("the rollback deleted the other one's HPA")
	}
}

// A manifest that names another namespace is not applied from this one, nor is
// anything undone by it.
func TestManifestOfAnotherNamespace(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	other := n.twin(3)
	page := newLoad(t, 80)
	n.scale(page.url(), "--namespace="+other.name).want(0, "created")
	manifest, before := n.read(manifestFile), other.generation("app")
	says := "it is for namespace " + other.name + ", not " + n.name
	page.set(500)
	n.scale(page.url(), "--max=2").want(1, says, "left alone")
	n.wantReplicas(2)
	if found := n.found(page.url()); !strings.Contains(strings.Join(found, " "), "manifest-unusable") {
		t.Errorf("doctor finds %v", found)
	}
	n.rollback("--yes").want(1, "k8s/hpa.yaml stays: "+says)
	n.rollback("--dry-run").want(1, says)
	if n.read(manifestFile) != manifest || other.generation("app") != before || n.kubectl("get", "hpa", "app-hpa", "-n", other.name, "-o", "jsonpath={.spec.maxReplicas}") != "10" {
		t.Error("the other namespace's was changed")
	}
	n.rollback("--yes", "--namespace="+other.name).want(0, "done: hpa", "done: file")
}

// A scheduled line names the cluster and the namespace that are meant when it is
// made.
func TestScheduledLine(t *testing.T) {
	n := newNamespace(t)
	line := []string{"schedule", "print", "--cron", "--", "--provider=k8s", "--min=2", "--max=10", "--rps-target=50"}
	home := strings.TrimSpace(n.kubectl("config", "current-context"))
	both := "--context=" + home + " --namespace=" + n.name
	r := n.run(line...).want(0, "added "+both)
	if !strings.Contains(r.stdout, both) {
		t.Errorf("the line is\n%s", r.stdout)
	}
	r = n.run(append(line, "--context="+home, "--namespace=prod")...).want(0)
	if strings.Contains(r.stdout, "--namespace="+n.name) || strings.Contains(r.stderr, "added") {
		t.Errorf("the line is\n%s%s", r.stdout, r.stderr)
	}
	n.run(append(line, "--apply=never")...).want(0)
	empty := filepath.Join(n.dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.run(append(line, "--kubeconfig="+empty)...).want(2, "add --context and --namespace")
}
