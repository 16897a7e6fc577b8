//go:build e2e

package kubernetes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// unready has pods of app say that they are not ready: as many as there should be.
func (n *namespace) unready(count int) {
	n.t.Helper()
	names := strings.Fields(n.kubectl("get", "pods", "-l", "app=app", "-o", "jsonpath={.items[*].metadata.name}"))
	for _, name := range names[:count] {
		n.kubectl("patch", "pod", name, "--subresource=status", "--type=strategic", "-p", `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)
	}
	n.eventually("pods that are not ready", func() bool { return n.status("app").Status.ReadyReplicas == len(names)-count })
}

// What pods carry that are not ready is not in the load: a reading without them
// takes nothing away.
func TestUnreadyPods(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 6, pods{cpu: "100m", port: port})
	n.newPages("app=app", port, 30)
	each := fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics", port)
	n.unready(4)
	for range 3 {
		n.scale(each, "--max=3", "--cooldown=0").want(1, "nothing was applied", "at least 60 rps, partial")
	}
	n.absent(manifestFile)
	// Nor does one that speaks for the whole service.
	page := newLoad(t, 10)
	for range 3 {
		n.scale(page.url(), "--max=3", "--cooldown=0").want(1, "4 of 6 replicas are not ready", "nothing was applied")
	}
	if n.hpa(".spec") != "" {
		t.Error("the HPA was applied")
	}
	n.wantReplicas(6)
}

// Pages that come by way of the API server have their limits too.
func TestRelayedPages(t *testing.T) {
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 1, pods{cpu: "100m", port: port, remote: true})
	pages := n.newPages("app=app", port, 10)
	each := fmt.Sprintf("--metrics-url=http://{replica}:%d/metrics", port)
	n.eventually("the page answers", func() bool { return n.scale(each, "--dry-run", "--min=1").status == 0 })
	line := []byte(strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 1000))
	pages.answer(func(_ string, w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	r := n.scale(each, "--dry-run", "--min=1", "--output=json").want(1)
	if !strings.Contains(r.stdout, `"verdict":"too-large"`) && !strings.Contains(r.stdout, `"verdict":"late"`) { // as fast as this machine is
		t.Errorf("%s", r.stdout)
	}
	pages.answer(func(_ string, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "# it goes on")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	})
	n.scale(each, "--dry-run", "--min=1", "--output=json").want(1, `"verdict":"late"`, "by another way the page was not complete within 5s")
}

// What the load asks for does not wait for a manifest that cannot be written.
func TestRaisedWithoutManifest(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 450)
	n.scale(page.url(), "--hpa-file=/proc/sys/hpa.yaml").want(1, "the manifest could not be written, so nothing was applied", "2 -> 9 replicas")
	n.wantReplicas(9)
	page.set(10)
	n.scale(page.url(), "--hpa-file=/proc/sys/hpa.yaml", "--cooldown=0").want(1, "could not be written")
	n.wantReplicas(9)
}

// A folder may have a Compose service and a Deployment of the same name: what was
// done to the one says nothing of the other.
func TestBothProviders(t *testing.T) {
	n := newNamespace(t)
	n.deployment("app", 2, pods{cpu: "100m"})
	page := newLoad(t, 80)
	n.scale(page.url()).want(0)
	n.write("compose.yaml", "services: {app: {image: app}}\n")
	n.withKubectl("").run("--provider=compose", "--min=1", "--max=5", "--rps-target=50", page.url()).want(0, "docker")
	n.rollback("--yes").want(0, "done: hpa", "done: state")
	n.run("status").want(0, "app")
}
