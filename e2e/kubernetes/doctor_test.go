//go:build e2e

package kubernetes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// found are the codes that doctor finds, but for the schedule's, in order.
func (n *namespace) found(args ...string) (codes []string) {
	n.t.Helper()
	r := n.run(append([]string{"doctor", "--provider=k8s", "--min=2", "--max=10", "--rps-target=50", "--output=json"}, args...)...)
	var report struct {
		Status   int
		Findings []struct{ Code, Level, Text, Remedy string }
		Error    string
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.Error != "" {
		n.t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	for _, f := range report.Findings {
		if f.Text == "" || f.Remedy == "" {
			n.t.Errorf("%s: text %q, remedy %q", f.Code, f.Text, f.Remedy)
		}
		if f.Code != "no-schedule" {
			codes = append(codes, f.Code)
		}
	}
	if report.Status != r.status || (r.status == 0) != (len(codes) == 0) {
		n.t.Errorf("status %d and %d with %v", r.status, report.Status, codes)
	}
	slices.Sort(codes)
	return codes
}

func (n *namespace) wantFound(args []string, want ...string) {
	n.t.Helper()
	slices.Sort(want)
	if got := n.found(args...); !slices.Equal(got, want) {
		n.t.Errorf("found %v, want %v", got, want)
	}
}

// Everything that doctor knows of a cluster, provoked; and a sound set-up.
func TestDoctor(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	url := []string{page.url()}
	n.wantFound(url, "rps-metric-unserved", "cpu-metric-unserved", "replicas-owned")
	n.kubectl("annotate", "deployment/app", "kubectl.kubernetes.io/last-applied-configuration-")
	m := newMetrics(t)
	n.wantFound(url, "rps-metric-unserved", "cpu-metric-unserved") // served, but not for these pods
	m.setRPS(n.name, "http_requests_per_second", "40")
	m.setCPU(n.name, "10m")
	n.wantFound(url)
	n.wantFound(append(url, "--max=1", "--min=1"), "above-max")
	m.setAge(10 * time.Minute)
	n.wantFound(url, "rps-metric-stale")
	m.setAge(0)
	n.wantFound(append(url, "--cpu-target=0", "--rps-metric=other_total"), "metric-absent", "rps-metric-unserved")

	n.apply(`{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: all}, spec: {minAvailable: 2, selector: {matchLabels: {app: app}}}}`)
	n.wantFound(url, "disruption-budget")
	n.wantFound(append(url, "--min=3"))
	n.kubectl("delete", "pdb", "all")

	n.scale(url...).want(0)
	n.eventually("the HPA acts", func() bool { return strings.HasPrefix(n.condition("app-hpa", "ScalingActive"), "True") })
	n.wantFound(url)
	n.write(manifestFile, "kind: ConfigMap\n")
	n.wantFound(url, "manifest-unusable")
	n.write(manifestFile, strings.Replace(hpaOf("app-hpa", "app", ""), "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]", "metrics:\n  - {type: Pods, pods: {metric: {name: other}, target: {type: AverageValue, averageValue: 1}}}", 1))
	n.kubectl("apply", "-f", manifestFile)
	n.eventually("the HPA cannot act", func() bool { return strings.HasPrefix(n.condition("app-hpa", "ScalingActive"), "False") })
	n.wantFound(url, "hpa-inactive")
	n.kubectl("delete", "hpa", "app-hpa")
	n.write("k8s/hpa.yaml", "")
	n.wantFound(append(url, "--hpa-file=other.yaml"))

	n.apply(hpaOf("mine", "app", ""))
	n.wantFound(url, "autoscaler-conflict")
	n.kubectl("delete", "hpa", "mine")
	n.apply(hpaOf("app-hpa", "web", ""))
	n.wantFound(url, "hpa-not-ours")
	n.kubectl("delete", "hpa", "app-hpa")

	other := append(url, "--hpa-file=other.yaml")
	limited := n.withRights(`[{apiGroups: [apps], resources: [deployments], verbs: [get]}, {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list]}, {apiGroups: [custom.metrics.k8s.io, metrics.k8s.io], resources: ["*"], verbs: ["*"]}]`)
	limited.wantFound(other, "rights-missing")
	n.withRights("[]").wantFound(other, "rights-missing")

	n.refuse("not in this namespace")
	n.wantFound(other, "manifest-rejected")
}

// What stands in the way before anything can be looked at.
func TestDoctorBefore(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{})
	page := newLoad(t, 80)
	n.wantFound([]string{page.url()}, "rps-metric-unserved", "cpu-metric-unserved", "cpu-request-missing", "replicas-owned")
	n.withKubectl("").wantFound([]string{page.url()}, "kubectl-missing")
	n.wantFound([]string{page.url(), "--context=nope"}, "cluster-unknown")
	n.wantFound([]string{page.url(), "--service=web"}, "deployment-unknown")
	n.withKubectl("echo no JSON").wantFound([]string{page.url()}, "kubectl-failed")
	n.write("copy", n.kubectl("config", "view", "--raw", "--flatten"))
	copied := filepath.Join(n.dir, "copy")
	name := strings.TrimSpace(n.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].name}"))
	n.kubectl("--kubeconfig="+copied, "config", "set-credentials", "stranger", "--token=nonsense")
	n.kubectl("--kubeconfig="+copied, "config", "set-context", "--current", "--user=stranger")
	n.wantFound([]string{page.url(), "--kubeconfig=" + copied}, "cluster-denied")
	n.kubectl("--kubeconfig="+copied, "config", "set-cluster", name, "--server=https://127.0.0.1:9")
	n.wantFound([]string{page.url(), "--kubeconfig=" + copied}, "cluster-unreachable")
	n.kubectl("scale", "deployment/app", "--replicas=0")
	n.eventually("no pods", func() bool { return n.status("app").Status.Replicas == 0 })
	if found := n.found(page.url(), "--cpu-target=0"); !slices.Contains(found, "deployment-stopped") {
		t.Errorf("found %v", found)
	}
	n.run("doctor", "--provider=k8s", "--min=2", "--max=10", "--rps-target=50", page.url()).want(1, "cluster: Kubernetes v1.36", fmt.Sprintf("namespace %s", n.name), "-> ")
}
