//go:build e2e

package kubernetes

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// helm is Helm of a module of its own, with the chart and its own folders.
type helm struct {
	*namespace
	program, chart string
	env            []string
}

func (n *namespace) newHelm() helm {
	n.t.Helper()
	dir := n.t.TempDir()
	chart, err := filepath.Abs("../../deploy/helm/autoscale-adapter")
	if err != nil {
		n.t.Fatal(err)
	}
	h := helm{namespace: n, program: filepath.Join(dir, "helm"), chart: chart, env: []string{"HELM_CACHE_HOME=" + dir, "HELM_CONFIG_HOME=" + dir, "HELM_DATA_HOME=" + dir}}
	cmd := exec.Command("go", "build", "-trimpath", "-o", h.program, "helm.sh/helm/v3/cmd/helm")
	cmd.Dir, cmd.Env = "../tools/helm", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	return h
}

func (h helm) do(args ...string) result {
	h.t.Helper()
	return h.command("", h.program, h.env, append(args, "--namespace="+system)...)
}

// objects are those of a manifest as the API has them, by kind and name.
func (n *namespace) objects(manifest string) map[string]map[string]any {
	n.t.Helper()
	out := n.command(manifest, os.Getenv("AUTOSCALE_KUBECTL"), nil, "create", "--dry-run=client", "--output=json", "--filename=-").want(0).stdout
	all := map[string]map[string]any{}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			n.t.Fatal(err)
		}
		name, _ := o["metadata"].(map[string]any)["name"].(string)
		all[o["kind"].(string)+"/"+name] = o
	}
}

// The chart renders what kustomize does, takes nothing of another's, and goes
// without a trace but its namespace.
func TestAdapterChart(t *testing.T) {
	long(t)
	n := newNamespace(t)
	n.installable()
	h := n.newHelm()
	rendered := n.objects(h.do("template", "autoscale-adapter", h.chart).want(0).stdout)
	wanted := n.objects(n.kubectl("kustomize", manifests(t)))
	delete(wanted, "Namespace/"+system) // Helm makes it by itself
	for name := range wanted {
		if !reflect.DeepEqual(rendered[name], wanted[name]) {
			t.Errorf("%s: the chart has\n%v\nkustomize has\n%v", name, rendered[name], wanted[name])
		}
	}
	if len(rendered) != len(wanted) {
		t.Errorf("the chart has %d objects, kustomize %d", len(rendered), len(wanted))
	}

	m := newMetrics(t, customMetrics1)
	h.do("install", "autoscale-adapter", h.chart, "--create-namespace").want(1, "APIService "+customMetrics1+" is served by Service "+m.name+"/metrics", "nothing was changed")
	if n.tryKubectl("get", "deployment", "autoscale-adapter", "--namespace="+system).status == 0 || n.tryKubectl("get", "clusterrole", "autoscale-adapter").status == 0 {
		t.Error("it was installed all the same")
	}
	if !m.served(customMetrics1) {
		t.Error("the other's API is gone")
	}
	m.serve() // it is removed

	n.withKEDA()
	for _, verb := range []string{"install", "upgrade"} {
		h.do(verb, "autoscale-adapter", h.chart, "--create-namespace", "--set=image=registry.example/autoscale-adapter:1").want(0, "STATUS: deployed")
	}
	n.eventually("its pods are there", func() bool {
		return n.kubectl("get", "deployment", "autoscale-adapter", "--namespace="+system, "-o", "jsonpath={.status.readyReplicas}/{.spec.template.spec.containers[0].image}") == "2/registry.example/autoscale-adapter:1"
	})
	if warned := n.tryKubectl("label", "--dry-run=server", "--overwrite", "namespace", system, "pod-security.kubernetes.io/enforce=restricted"); strings.Contains(warned.stderr, "Warning") {
		t.Errorf("not restricted: %s", warned.stderr)
	}
	n.run("adapter", "install").want(1, `kept by the Helm release "autoscale-adapter"`, "nothing was changed")
	h.do("uninstall", "autoscale-adapter").want(0)
	for _, left := range []string{"clusterrole", "clusterrolebinding", "apiservice"} {
		if names := n.kubectl("get", left, "-o", "name"); strings.Contains(names, "autoscale-adapter") || strings.Contains(names, "custom.metrics") {
			t.Errorf("left behind: %s", names)
		}
	}
	if !n.available(externalMetrics) {
		t.Error("KEDA's API went with it")
	}
}
