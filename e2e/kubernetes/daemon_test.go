//go:build e2e

package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is autoscale run in a namespace's folder, whose autoscale.yaml it reads.
type daemon struct {
	*namespace
	cmd *exec.Cmd

	mu  sync.Mutex
	log bytes.Buffer
}

// Write keeps the log.
func (d *daemon) Write(text []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(text)
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (n *namespace) newDaemon(services string) *daemon {
	n.t.Helper()
	d := &daemon{namespace: n}
	d.configure(services)
	d.begin()
	n.t.Cleanup(func() {
		d.end(syscall.SIGKILL)
		if n.t.Failed() {
			n.t.Log(d.said())
		}
	})
	return d
}

func (d *daemon) configure(services string) {
	d.write("autoscale.yaml", "interval: 1s\nlisten: 127.0.0.1:0\nstate: state\ndefaults: {provider: k8s, min: 2, max: 10, rps-target: 50, cooldown: 0s}\nservices:\n"+services)
}

func (d *daemon) begin() {
	d.t.Helper()
	d.cmd = exec.Command(built, "run")
	d.cmd.Dir, d.cmd.Env = d.dir, append(append(os.Environ(), "KUBECONFIG="+d.kubeconfig), d.env...)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// end ends the daemon by a signal and waits for it; how it ended is not asked.
func (d *daemon) end(by syscall.Signal) time.Duration {
	began := time.Now()
	_ = d.cmd.Process.Signal(by) // it may have ended
	_ = d.cmd.Wait()
	return time.Since(began)
}

// The daemon does on Kubernetes what the one-shot does: it leaves the HPAs as they
// should be, starts Deployments at the right count, and lowers nothing.
func TestDaemon(t *testing.T) {
	n := newNamespace(t)
	n.deployment("shop", 2, pods{cpu: "100m"})
	n.deployment("mail", 3, pods{cpu: "100m"})
	shop, mail := newLoad(t, 180), newLoad(t, 60)
	entry := func(name string, l *load, more string) string {
		return fmt.Sprintf("  %s: {service: %[1]s, hpa-file: k8s/%[1]s.yaml, metrics-url: %q%s}\n", name, strings.TrimPrefix(l.url(), "--metrics-url="), more)
	}
	services := entry("shop", shop, "") + entry("mail", mail, "")
	d := n.newDaemon(services)
	n.eventually("the shop has 4", func() bool { return n.replicas("shop") == 4 })
	n.eventually("both HPAs", func() bool {
		return n.tryKubectl("get", "hpa", "shop-hpa", "mail-hpa").status == 0
	})
	if count := n.replicas("mail"); count != 3 {
		t.Errorf("%d pods of mail: lowering is the HPA's", count)
	}

	// A page that fails and a configuration that is wrong change nothing; one that is
	// right is declared.
	shop.say("nothing of use\n")
	n.eventually("it says so", func() bool { return strings.Contains(d.said(), "verdict=absent") })
	d.configure(services + "  third: {mim: 1}\n")
	n.eventually("it says what is wrong", func() bool { return strings.Contains(d.said(), "did you mean min?") })
	mail.set(190)
	n.eventually("mail has 4", func() bool { return n.replicas("mail") == 4 })
	d.configure(entry("shop", shop, ", max: 12") + entry("mail", mail, ""))
	n.eventually("the HPA's maximum is 12", func() bool {
		return n.kubectl("get", "hpa", "shop-hpa", "-o", "jsonpath={.spec.maxReplicas}") == "12"
	})
	if count := n.replicas("shop"); count != 4 {
		t.Errorf("%d pods of the shop, whose load is not known", count)
	}

	// Killed, it goes on.
	d.end(syscall.SIGKILL)
	shop.set(290)
	d.begin()
	n.eventually("the shop has 6", func() bool { return n.replicas("shop") == 6 })
	if took := d.end(syscall.SIGTERM); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	config := "--config=" + filepath.Join(n.dir, "autoscale.yaml")
	n.run("status", config).want(0, "shop", "mail", "4 -> 6 replicas")
	n.run("explain", config, "--service=shop", "--changes", "--last=1000").want(0, "2 -> 4 replicas", "4 -> 6 replicas", "absent")
}
