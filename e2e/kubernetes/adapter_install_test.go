//go:build e2e

package kubernetes

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const externalMetrics = "v1beta1.external.metrics.k8s.io"

// withKEDA is a cluster with KEDA's API, as far as others see it: served by a
// Service of another namespace.
func (n *namespace) withKEDA() {
	n.t.Helper()
	m := &metrics{namespace: n}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": []}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{m.certificate()}}
	server.StartTLS()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	n.t.Cleanup(server.Close)
	n.t.Cleanup(func() { n.kubectl("delete", "apiservice", externalMetrics) })
	n.apply(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: metrics}, spec: {type: ExternalName, externalName: localhost, ports: [{port: %[1]d}]}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: %[2]s}
spec: {group: external.metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, caBundle: %[3]s, service: {namespace: %[4]s, name: metrics, port: %[1]d}}
`, port, externalMetrics, m.ca, n.name))
	n.eventually("KEDA's API is available", func() bool { return n.available(externalMetrics) })
}

func (n *namespace) available(api string) bool {
	n.t.Helper()
	return n.kubectl("get", "apiservice", api, "--ignore-not-found", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`) == "True"
}

// installable waits until the last test's installation is, and takes this one's along.
func (n *namespace) installable() {
	n.t.Helper()
	n.eventually("the last test's installation is gone", func() bool {
		return cluster.get("/api/v1/namespaces/"+system, new(struct{})) != nil
	})
	n.t.Cleanup(n.uninstalled)
}

// uninstalled takes along what any installation of the adapter left: its APIs first,
// without which no namespace could go.
func (n *namespace) uninstalled() {
	n.t.Helper()
	n.kubectl("delete", "apiservice", customMetrics, customMetrics1, "--ignore-not-found")
	n.kubectl("delete", "--ignore-not-found", "clusterrole/autoscale-adapter", "clusterrolebinding/autoscale-adapter", "clusterrolebinding/autoscale-adapter:auth-delegator")
	n.kubectl("delete", "rolebinding", "autoscale-adapter:auth-reader", "--namespace=kube-system", "--ignore-not-found")
	n.kubectl("delete", "namespace", system, "--ignore-not-found", "--wait=false")
}

// Where another serves metrics of pods, nothing is installed, and that one goes on.
func TestAdapterRefusesForeign(t *testing.T) {
	n := newNamespace(t)
	n.installable()
	m := newMetrics(t, customMetrics1) // prometheus-adapter of old serves the old version only
	n.run("adapter", "install").want(1, "APIService "+customMetrics1+" is served by Service "+m.name+"/metrics", "nothing was changed")
	if err := cluster.get("/api/v1/namespaces/"+system, new(struct{})); err == nil {
		t.Error("the namespace was made all the same")
	}
	n.run("adapter", "uninstall", "--yes").want(0, customMetrics1+" stays")
	if !m.served(customMetrics1) {
		t.Error("the other's API is gone")
	}
	n.withRights("[]").run("adapter", "install").want(1, "forbidden", "nothing was changed")
}

// It installs beside KEDA, which keeps its own API, can be installed twice, and
// goes without a trace but its namespace.
func TestAdapterInstalls(t *testing.T) {
	n := newNamespace(t)
	n.installable()
	n.withKEDA()
	for range 2 {
		n.run("adapter", "install", "--wait=0", "--image=registry.example/autoscale-adapter:1").want(0, customMetrics)
	}
	n.eventually("its pods are admitted as restricted", func() bool {
		return n.kubectl("get", "deployment", "autoscale-adapter", "--namespace="+system, "-o", "jsonpath={.status.readyReplicas}/{.spec.template.spec.containers[0].image}") == "2/registry.example/autoscale-adapter:1"
	})
	if !n.available(externalMetrics) {
		t.Error("KEDA's API is not available any more")
	}
	if may := n.tryKubectl("auth", "can-i", "update", "apiservices/"+externalMetrics, "--as=system:serviceaccount:"+system+":autoscale-adapter").stdout; strings.TrimSpace(may) != "no" {
		t.Errorf("it may change KEDA's API: %s", may)
	}
	if warned := n.tryKubectl("label", "--dry-run=server", "--overwrite", "namespace", system, "pod-security.kubernetes.io/enforce=restricted"); strings.Contains(warned.stderr, "Warning") {
		t.Errorf("not restricted: %s", warned.stderr)
	}
	n.run("adapter", "uninstall").want(2, "--yes")
	n.run("adapter", "uninstall", "--yes").want(0, "namespace "+system+" stays")
	for _, left := range []string{"clusterrole", "clusterrolebinding", "apiservice"} {
		if names := n.kubectl("get", left, "-o", "name"); strings.Contains(names, "autoscale-adapter") || strings.Contains(names, "custom.metrics") {
			t.Errorf("left behind: %s", names)
		}
	}
	if !n.available(externalMetrics) {
		t.Error("KEDA's API went with it")
	}
	n.run("adapter", "uninstall", "--yes").want(0)
}

// What kustomize renders is what install applies.
func TestAdapterManifests(t *testing.T) {
	n := newNamespace(t)
	kinds := func(text string) map[string]int {
		all := map[string]int{}
		for line := range strings.Lines(text) {
			if kind, ok := strings.CutPrefix(line, "kind: "); ok {
				all[strings.TrimSpace(kind)]++
			}
		}
		return all
	}
	printed, rendered := kinds(n.run("adapter", "manifests").want(0).stdout), kinds(n.kubectl("kustomize", manifests(t)))
	if fmt.Sprint(printed) != fmt.Sprint(rendered) || printed["APIService"] != 2 {
		t.Errorf("install applies %v, kustomize %v", printed, rendered)
	}
}
