//go:build e2e

package kubernetes

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The APIs that autoscalers read, by the names of their APIService objects.
const (
	resourceMetrics = "v1beta1.metrics.k8s.io"
	customMetrics   = "v1beta2.custom.metrics.k8s.io"
	customMetrics1  = "v1beta1.custom.metrics.k8s.io" // what older adapters serve
)

// metricsLabel marks the APIService objects of the tests.
const metricsLabel = "app=autoscale-e2e-metrics"

// metrics is a metrics-server and a metrics adapter in one, served by the test:
// every pod of a namespace has the values that the test sets. A cluster has
// such APIs only once, so tests that use them must not run in parallel.
type metrics struct {
	*namespace
	service string // how its Service is called, where it is not "metrics"
	ca      string // the certificate, which signs itself
	server  *httptest.Server

	mu     sync.Mutex
	failed int                          // the status that answers everything, if not 0
	age    time.Duration                // of all values
	cpu    map[string]string            // by namespace
	custom map[string]map[string]string // by namespace and name
}

// newMetrics starts serving the APIs that are named, or all three. When the
// test ends they are taken away before the namespaces, which the API server
// cannot delete while an API that it knows does not answer.
func newMetrics(t *testing.T, apis ...string) *metrics {
	t.Helper()
	m := &metrics{namespace: newNamespace(t), cpu: map[string]string{}, custom: map[string]map[string]string{}}
	m.server = httptest.NewUnstartedServer(m)
	m.server.TLS = &tls.Config{Certificates: []tls.Certificate{m.certificate()}}
	m.server.StartTLS()
	// The API server calls a Service; this one is another name for this machine.
	m.apply(fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: metrics}
spec: {type: ExternalName, externalName: localhost, ports: [{port: %d}]}
`, m.port()))
	t.Cleanup(m.server.Close)
	t.Cleanup(func() { m.serve() })
	if len(apis) == 0 {
		apis = []string{resourceMetrics, customMetrics, customMetrics1}
	}
	m.serve(apis...)
	return m
}

func (m *metrics) port() int { return m.server.Listener.Addr().(*net.TCPAddr).Port }

// certificate makes the one that the API server expects of the Service.
func (m *metrics) certificate() tls.Certificate {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{cmp.Or(m.service, "metrics") + "." + m.name + ".svc"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.ca = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve makes the cluster know exactly these APIs, none of them if none is
// named, and waits until it does.
func (m *metrics) serve(apis ...string) {
	m.t.Helper()
	for _, api := range []string{resourceMetrics, customMetrics, customMetrics1} {
		version, group, _ := strings.Cut(api, ".")
		if !slices.Contains(apis, api) {
			m.kubectl("delete", "apiservice", api, "--ignore-not-found")
			continue
		}
		label, value, _ := strings.Cut(metricsLabel, "=")
		m.apply(fmt.Sprintf(`apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: %s, labels: {%s: %s}}
spec:
  group: %s
  version: %s
  groupPriorityMinimum: 100
  versionPriority: %s
  caBundle: %s
  service: {namespace: %s, name: metrics, port: %d}
`, api, label, value, group, version, map[string]string{"v1beta1": "100", "v1beta2": "200"}[version], m.ca, m.name, m.port()))
	}
	for _, api := range []string{resourceMetrics, customMetrics, customMetrics1} {
		want := slices.Contains(apis, api)
		m.eventually(fmt.Sprintf("%s is served: %v", api, want), func() bool { return m.served(api) == want })
	}
}

// served tells whether an API is among those that the API server offers, and
// answers.
func (m *metrics) served(api string) bool {
	m.t.Helper()
	version, group, _ := strings.Cut(api, ".")
	var all struct {
		Groups []struct {
			Name     string
			Versions []struct{ Version string }
		}
	}
	if err := cluster.get("/apis", &all); err != nil {
		m.t.Fatal(err)
	}
	for _, g := range all.Groups {
		for _, v := range g.Versions {
			if g.Name == group && v.Version == version {
				return cluster.get("/apis/"+group+"/"+version, new(struct{})) == nil
			}
		}
	}
	return false
}

// fail makes all APIs answer with an HTTP status, such as 503, where values are
// asked for; 0 ends that.
func (m *metrics) fail(status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = status
}

// setAge makes all values as old as that.
func (m *metrics) setAge(age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age = age
}

// setCPU sets the CPU that each pod of a namespace uses, such as "50m"; with ""
// its pods have no values.
func (m *metrics) setCPU(namespace, perPod string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu[namespace] = perPod
}

// setRPS sets a custom metric of each pod of a namespace, such as "12500m"; with
// "" its pods have no values.
func (m *metrics) setRPS(namespace, metric, perPod string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.custom[namespace] == nil {
		m.custom[namespace] = map[string]string{}
	}
	m.custom[namespace][metric] = perPod
}

type object = map[string]any

func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // apis GROUP VERSION …
	// What the API server itself looks at goes on: else it would soon answer with a
	// 503 of its own.
	if m.failed != 0 && len(path) > 3 {
		http.Error(w, "the test lets this fail", m.failed)
		return
	}
	if len(path) < 3 || path[0] != "apis" {
		http.NotFound(w, r) // the API server asks for more, and does without
		return
	}
	var answer object
	var err error
	switch rest := path[3:]; path[1] {
	case "metrics.k8s.io":
		answer, err = m.resource(rest, r.URL.Query().Get("labelSelector"))
	case "custom.metrics.k8s.io":
		answer, err = m.ofPods(path[2], rest, r.URL.Query().Get("labelSelector"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if answer == nil {
		w.WriteHeader(http.StatusNotFound)
		answer = object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "no " + r.URL.Path}
	} else if answer["apiVersion"] == nil {
		answer["apiVersion"] = path[1] + "/" + path[2]
	}
	_ = json.NewEncoder(w).Encode(answer) // to a caller that may have left
}

// resource answers for metrics.k8s.io.
func (m *metrics) resource(path []string, selector string) (object, error) {
	usage := func(cpu string) object { return object{"cpu": cpu, "memory": "64Mi"} }
	switch {
	case len(path) == 0:
		return object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": []object{
			{"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": []string{"get", "list"}},
			{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}},
		}}, nil
	case path[0] == "nodes" && len(path) == 1:
		return object{"kind": "NodeMetricsList", "metadata": object{}, "items": []object{
			{"metadata": object{"name": "node-1"}, "timestamp": m.timestamp(), "window": "10s", "usage": usage("100m")},
		}}, nil
	case path[0] == "pods" && len(path) == 1:
		path = []string{"namespaces", "", "pods"} // those of all namespaces
	}
	if len(path) < 3 || path[0] != "namespaces" || path[2] != "pods" {
		return nil, nil
	}
	pods, err := list(path[1], selector)
	items := []object{}
	for _, p := range pods {
		cpu := m.cpu[p.Metadata.Namespace]
		if cpu == "" || len(path) == 4 && path[3] != p.Metadata.Name {
			continue
		}
		items = append(items, object{
			"kind": "PodMetrics", "metadata": object{"name": p.Metadata.Name, "namespace": p.Metadata.Namespace},
			"timestamp": m.timestamp(), "window": "10s", "containers": []object{{"name": "app", "usage": usage(cpu)}},
		})
	}
	if len(path) == 4 {
		if len(items) == 0 {
			return nil, err
		}
		return items[0], err
	}
	return object{"kind": "PodMetricsList", "metadata": object{}, "items": items}, err
}

// ofPods answers for custom.metrics.k8s.io, as prometheus-adapter does.
func (m *metrics) ofPods(version string, path []string, selector string) (object, error) {
	if len(path) == 0 {
		resources, seen := []object{}, map[string]bool{}
		for _, values := range m.custom {
			for name, value := range values {
				if value == "" || seen[name] {
					continue
				}
				seen[name] = true
				resources = append(resources, object{"name": "pods/" + name, "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": []string{"get"}})
			}
		}
		return object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "custom.metrics.k8s.io/" + version, "resources": resources}, nil
	}
	if len(path) != 5 || path[0] != "namespaces" || path[2] != "pods" {
		return nil, nil
	}
	value := m.custom[path[1]][path[4]]
	if value == "" {
		return nil, nil
	}
	pods, err := list(path[1], selector)
	items := []object{}
	for _, p := range pods {
		if path[3] != "*" && path[3] != p.Metadata.Name {
			continue
		}
		item := object{
			"describedObject": object{"kind": "Pod", "namespace": path[1], "name": p.Metadata.Name, "apiVersion": "/v1"},
			"timestamp":       m.timestamp(), "value": value,
		}
		if version == "v1beta1" {
			item["metricName"] = path[4]
		} else {
			item["metric"] = object{"name": path[4], "selector": nil}
		}
		items = append(items, item)
	}
	return object{"kind": "MetricValueList", "metadata": object{}, "items": items}, err
}

func (m *metrics) timestamp() string { return time.Now().Add(-m.age).UTC().Format(time.RFC3339) }

// list lists the running pods of a namespace, or of all, that have the labels.
func list(namespace, selector string) ([]pod, error) {
	path := "/api/v1/pods"
	if namespace != "" {
		path = "/api/v1/namespaces/" + namespace + "/pods"
	}
	var pods struct{ Items []pod }
	err := cluster.get(path+"?fieldSelector=status.phase%3DRunning&labelSelector="+url.QueryEscape(selector), &pods)
	return pods.Items, err
}
