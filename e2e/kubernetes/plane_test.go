//go:build e2e

package kubernetes

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPlane checks what the other tests stand on: a real autoscaler that scales
// a Deployment by the metrics that a test serves, and leaves it alone without.
func TestPlane(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	n.write("hpa.yaml", `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
  minReplicas: 2
  maxReplicas: 6
  metrics:
  - type: Pods
    pods: {metric: {name: http_requests_per_second}, target: {type: AverageValue, averageValue: "10"}}
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
`)
	n.kubectl("apply", "-f", "hpa.yaml")
	before := n.generation("app")
	inactive := func() bool { return strings.HasPrefix(n.condition("app", "ScalingActive"), "False Failed") }
	n.eventually("inactive without metrics", inactive)
	if n.generation("app") != before || n.replicas("app") != 2 {
		t.Fatalf("changed without metrics: %d replicas", n.replicas("app"))
	}

	m := newMetrics(t)
	m.setAge(10 * time.Second) // as real ones are
	m.setRPS(n.name, "http_requests_per_second", "20")
	m.setCPU(n.name, "10m")
	n.eventually("twice the requests, twice the pods", func() bool { return n.replicas("app") >= 4 })
	m.setRPS(n.name, "http_requests_per_second", "1")
	m.setCPU(n.name, "50m")
	n.eventually("active", func() bool { return n.condition("app", "ScalingActive") == "True ValidMetricFound" })
	m.setCPU(n.name, "75m")
	n.eventually("pods for the CPU", func() bool { return n.replicas("app") == 6 })

	m.fail(http.StatusServiceUnavailable)
	n.eventually("inactive with metrics that fail", inactive)
	m.fail(0)
	n.eventually("active again", func() bool { return !inactive() })
	m.serve()
	n.eventually("inactive with metrics gone", inactive)
	if n.replicas("app") != 6 {
		t.Fatalf("%d replicas without metrics, want the last 6", n.replicas("app"))
	}
}

// TestPods checks that a test can answer for pods that do not run.
func TestPods(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 2, pods{port: port})
	n.newPages("app=app", port, 12.5)
	n.kubectl("scale", "deployment/app", "--replicas=3")
	client := http.Client{Timeout: 5 * time.Second}
	n.eventually("three pages", func() bool {
		addresses := strings.Fields(n.kubectl("get", "pods", "-l", "app=app", "-o", "jsonpath={.items[*].status.podIP}"))
		for _, address := range addresses {
			response, err := client.Get(fmt.Sprintf("http://%s:%d/metrics", address, port))
			if err != nil {
				return false
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || !strings.Contains(string(body), "http_requests_per_second 12.5\n") {
				t.Fatalf("%v: %s", err, body)
			}
		}
		return len(addresses) == 3
	})
}

// TestRemotePods checks that there are pods that only the API server reaches.
func TestRemotePods(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 2, pods{port: port, remote: true})
	n.newPages("app=app", port, 12.5)
	for name := range strings.FieldsSeq(n.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}")) {
		page := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", n.name, name, port)
		n.tryKubectl("get", "--raw", page).want(0, "http_requests_per_second 12.5\n")
	}
	address := n.kubectl("get", "pods", "-o", "jsonpath={.items[0].status.podIP}")
	if conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", address, port), time.Second); err == nil {
		conn.Close()
		t.Fatalf("%s can be reached", address)
	}
}

// TestUsers checks that autoscale can be run as users have it: by one who may do
// little, with a kubectl that fails, and without any.
func TestUsers(t *testing.T) {
	n := newNamespace(t)
	n.withRights("[]").tryKubectl("get", "pods").want(1, "forbidden")
	n.withRights(`[{apiGroups: [""], resources: [pods], verbs: [list]}]`).tryKubectl("get", "pods").want(0, "No resources found")
	n.run("version").want(0, "autoscale")
	n.withKubectl("").run("version").want(0, "autoscale")
	n.withKubectl("exit 3").run("version").want(0, "autoscale")
}
