//go:build e2e

// Package kubernetes tests the product on a real Kubernetes control plane, with
// the real HorizontalPodAutoscaler and the real kubectl. There is no kubelet:
// kwok makes pods Ready. e2e/run sets all of it up and runs this.
package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// built is the program under test; TestMain builds it once.
var built string

// cluster asks the API server as the administrator, without a kubectl.
var cluster *api

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "autoscale-e2e-")
	if err == nil {
		err = prepare(dir)
	}
	status := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/kubernetes: set-up failed (run it through e2e/run):", err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

func prepare(dir string) (err error) {
	if cluster, err = newAPI(os.Getenv("AUTOSCALE_CLUSTER_DIR")); err != nil {
		return err
	}
	built = filepath.Join(dir, "autoscale")
	cmd := exec.Command("go", "build", "-o", built, "../../cmd/autoscale")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %s", err, out)
	}
	// A run that was killed may have left the cluster with metrics that nobody
	// serves any more.
	if out, err := exec.Command(os.Getenv("AUTOSCALE_KUBECTL"), "delete", "apiservices", "-l", metricsLabel).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %s", err, out)
	}
	return nil
}

// api is a client of the API server.
type api struct {
	server string
	http.Client
}

func newAPI(dir string) (*api, error) {
	kubeconfig, err := os.ReadFile(filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		return nil, err
	}
	server := regexp.MustCompile(`server: (https://\S+)`).FindSubmatch(kubeconfig)
	if server == nil {
		return nil, fmt.Errorf("%s/admin.kubeconfig names no server", dir)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}
	return &api{string(server[1]), http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}}, nil
}

// get reads one JSON document: get("/api/v1/nodes", &nodes).
func (a *api) get(path string, into any) error {
	response, err := a.Client.Get(a.server + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
	}
	return json.Unmarshal(body, into)
}

// namespace is a namespace of a test's own, with a folder that commands run in
// and a kubeconfig whose current namespace it is.
type namespace struct {
	t          *testing.T
	name       string
	dir        string
	kubeconfig string
	env        []string // more environment for autoscale; the last one of a name wins
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	parent := t.TempDir()
	n := &namespace{t: t, name: "e2e-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	n.dir, n.kubeconfig = filepath.Join(parent, n.name), filepath.Join(parent, "kubeconfig")
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err == nil {
		err = os.WriteFile(n.kubeconfig, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.kubectl("config", "set-context", "--current", "--namespace="+n.name)
	n.kubectl("create", "namespace", n.name)
	// Nothing waits until all in it is gone: that takes a while, and the next
	// test's namespace is another one.
	t.Cleanup(func() { n.kubectl("delete", "namespace", n.name, "--wait=false") })
	n.eventually("a service account for pods", func() bool {
		return cluster.get("/api/v1/namespaces/"+n.name+"/serviceaccounts/default", new(struct{})) == nil
	})
	return n
}

// write writes a file into the folder.
func (n *namespace) write(name, text string) {
	n.t.Helper()
	file := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// kubectl runs a kubectl command in this namespace; it must succeed. What it
// printed on its standard output is returned.
func (n *namespace) kubectl(args ...string) string {
	n.t.Helper()
	r := n.tryKubectl(args...)
	if r.status != 0 {
		n.t.Fatalf("kubectl %s: status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// tryKubectl runs a kubectl command that may fail.
func (n *namespace) tryKubectl(args ...string) result {
	n.t.Helper()
	return n.command("", os.Getenv("AUTOSCALE_KUBECTL"), nil, args...)
}

// apply applies a manifest and returns what kubectl says.
func (n *namespace) apply(manifest string) string {
	n.t.Helper()
	r := n.command(manifest, os.Getenv("AUTOSCALE_KUBECTL"), nil, "apply", "-f", "-")
	if r.status != 0 {
		n.t.Fatalf("kubectl apply: status %d\n%s%s\n%s", r.status, r.stdout, r.stderr, manifest)
	}
	return r.stdout
}

// pods is what a deployment's pods are like. They never run: the image is only
// a name.
type pods struct {
	cpu  string // the CPU that a container requests, like 100m; none if empty
	port int    // a container port named "http"; none if 0
	// remote pods have addresses that only the API server reaches, by which they
	// can be read: /api/v1/namespaces/…/pods/NAME:PORT/proxy. Those of others are
	// this machine's own, and the API server refuses those.
	remote bool
}

// deployment makes a Deployment whose pods carry the label app=NAME, and waits
// until all are ready.
func (n *namespace) deployment(name string, replicas int, like pods) {
	n.t.Helper()
	container := "{name: app, image: app"
	if like.cpu != "" {
		container += fmt.Sprintf(", resources: {requests: {cpu: %q}}", like.cpu)
	}
	if like.port != 0 {
		container += fmt.Sprintf(", ports: [{name: http, containerPort: %d}]", like.port)
	}
	node := ""
	if like.remote {
		node = ", nodeName: remote"
	}
	n.apply(fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [%[3]s}]%[4]s}
`, name, replicas, container, node))
	n.eventually(fmt.Sprintf("%d ready pods of %s", replicas, name), func() bool { return n.status(name).Status.ReadyReplicas == replicas })
}

// deploymentState is what the tests read of a Deployment.
type deploymentState struct {
	Metadata struct {
		Generation      int
		ResourceVersion string
	}
	Spec   struct{ Replicas int }
	Status struct{ Replicas, ReadyReplicas int }
}

func (n *namespace) status(name string) (d deploymentState) {
	n.t.Helper()
	if err := cluster.get("/apis/apps/v1/namespaces/"+n.name+"/deployments/"+name, &d); err != nil {
		n.t.Fatal(err)
	}
	return d
}

// replicas is how many pods a Deployment is told to have.
func (n *namespace) replicas(name string) int { n.t.Helper(); return n.status(name).Spec.Replicas }

// generation counts the changes of what a Deployment is told.
func (n *namespace) generation(name string) int {
	n.t.Helper()
	return n.status(name).Metadata.Generation
}

// condition returns status and reason of an autoscaler's condition, such as
// "False FailedGetPodsMetric" of ScalingActive; "" before it has one.
func (n *namespace) condition(name, kind string) string {
	n.t.Helper()
	var h struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason string }
		}
	}
	if err := cluster.get("/apis/autoscaling/v2/namespaces/"+n.name+"/horizontalpodautoscalers/"+name, &h); err != nil {
		n.t.Fatal(err)
	}
	for _, c := range h.Status.Conditions {
		if c.Type == kind {
			return c.Status + " " + c.Reason
		}
	}
	return ""
}

// pod is what the tests read of a pod.
type pod struct {
	Metadata struct {
		Name, Namespace   string
		DeletionTimestamp string
	}
	Status struct {
		PodIP      string
		Conditions []struct{ Type, Status string }
	}
}

func (p pod) ready() bool {
	return p.Metadata.DeletionTimestamp == "" && p.Status.PodIP != "" &&
		slices.ContainsFunc(p.Status.Conditions, func(c struct{ Type, Status string }) bool { return c.Type == "Ready" && c.Status == "True" })
}

// eventually waits for a condition of the real world; a minute is a failure.
func (n *namespace) eventually(what string, holds func() bool) {
	n.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			// What the autoscaler says of itself is most often why.
			n.t.Fatalf("after two minutes still not: %s\n%s", what, n.tryKubectl("describe", "hpa").stdout)
		}
	}
}

// result is what a command gave.
type result struct {
	t              *testing.T
	status         int
	stdout, stderr string
}

// want checks the exit status and what the command said on either output.
func (r result) want(status int, says ...string) result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d\n%s%s", r.status, status, r.stdout, r.stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.stdout+r.stderr, text) {
			r.t.Fatalf("does not say %q:\n%s%s", text, r.stdout, r.stderr)
		}
	}
	return r
}

// run runs autoscale in the folder, as its user would.
func (n *namespace) run(args ...string) result {
	n.t.Helper()
	r := n.command("", built, n.env, args...)
	n.t.Logf("autoscale %s -> %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	return r
}

// with is the same namespace with more environment for autoscale.
func (n *namespace) with(env ...string) *namespace {
	other := *n
	other.env = append(slices.Clone(n.env), env...)
	return &other
}

// withKubectl is the same namespace with another kubectl for autoscale: a shell
// script's text, which finds the real one in $AUTOSCALE_KUBECTL. With "" there
// is none.
func (n *namespace) withKubectl(script string) *namespace {
	n.t.Helper()
	bin := n.t.TempDir()
	if script == "" {
		return n.with("PATH=" + bin)
	}
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	return n.with("PATH=" + bin + ":" + os.Getenv("PATH"))
}

// withRights is the same namespace seen by a service account that may only do
// what the rules of its Role say, such as
// `[{apiGroups: [apps], resources: [deployments], verbs: [get]}]`.
func (n *namespace) withRights(rules string) *namespace {
	n.t.Helper()
	name := "limited-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	n.apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: %[1]s}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %[1]s}, rules: %[2]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{kind: ServiceAccount, name: %[1]s}]
`, name, rules))
	other := *n
	other.kubeconfig = filepath.Join(n.t.TempDir(), "kubeconfig")
	text, err := os.ReadFile(n.kubeconfig)
	if err == nil {
		err = os.WriteFile(other.kubeconfig, text, 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	other.kubectl("config", "set-credentials", name, "--token="+strings.TrimSpace(n.kubectl("create", "token", name)))
	other.kubectl("config", "set-context", "--current", "--user="+name)
	return &other
}

// command runs a program in the folder. Two minutes are a failure.
func (n *namespace) command(stdin, program string, env []string, args ...string) result {
	n.t.Helper()
	// Not the test's own context: cleanups run commands too.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = n.dir, strings.NewReader(stdin)
	cmd.Env = append(append(os.Environ(), "KUBECONFIG="+n.kubeconfig), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		n.t.Fatalf("%s: %v", program, err)
	}
	if ctx.Err() != nil {
		n.t.Fatalf("%s %s did not end within two minutes\n%s%s", program, strings.Join(args, " "), stdout.String(), stderr.String())
	}
	return result{n.t, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
