//go:build e2e

package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exporter starts a node_exporter that reads files in a folder and nothing else, and
// gives what it serves.
func exporter(t *testing.T, folder string) (metrics func() string) {
	t.Helper()
	root := os.Getenv("AUTOSCALE_NODE_EXPORTER")
	if root == "" {
		t.Fatal("AUTOSCALE_NODE_EXPORTER is not set: run this through e2e/run")
	}
	address := free(t)
	var log bytes.Buffer
	c := exec.CommandContext(t.Context(), filepath.Join(root, "usr/bin/prometheus-node-exporter"),
		"--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory="+folder, "--web.listen-address="+address)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // may have ended
		_ = c.Wait()
		if t.Failed() {
			t.Logf("node_exporter said:\n%s", &log)
		}
	})
	get := func() (string, error) {
		r, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode != http.StatusOK {
			err = errors.New(r.Status)
		}
		return string(text), err
	}
	eventually(t, "node_exporter starts", func() error { _, err := get(); return err })
	return func() string {
		text, err := get()
		if err != nil {
			t.Error(err)
		}
		return text
	}
}

// A real node_exporter takes what one decision after the other leaves, of two
// projects whose services have one name, and never sees half of it.
func TestTextfile(t *testing.T) {
	folder, bin := t.TempDir(), filepath.Join(t.TempDir(), "autoscale")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/autoscale").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "http_requests_per_second 100")
	}))
	defer page.Close()
	projects := map[string]string{"bot": t.TempDir(), "shop": t.TempDir()}
	decide := func() {
		t.Helper()
		for name, dir := range projects {
			c := exec.Command(bin, "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--apply=never", "--metrics-scope=service", "--metrics-url="+page.URL,
				"--project-dir="+dir, "--textfile="+filepath.Join(folder, name+".prom"))
			if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "warning: --textfile") {
				t.Errorf("%v\n%s", err, out)
			}
		}
	}
	decide()
	metrics := exporter(t, folder)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 8 {
			decide()
		}
	}()
	for n := 0; ; n++ {
		text := metrics()
		for _, dir := range projects {
			if want := fmt.Sprintf("autoscale_replicas{project=%q,service=\"app\"} 3\n", dir); !strings.Contains(text, want) {
				t.Fatalf("after %d scrapes no %s in\n%s", n, want, text)
			}
		}
		if !strings.Contains(text, "\nnode_textfile_scrape_error 0\n") {
			t.Fatalf("a file was not taken:\n%s", text)
		}
		select {
		case <-ended:
			t.Logf("%d scrapes", n+1)
		default:
			continue
		}
		break
	}
	for name := range projects {
		text, err := os.ReadFile(filepath.Join(folder, name+".prom"))
		if err != nil {
			t.Fatal(err)
		}
		c := tool(t, "promtool", "check", "metrics")
		c.Stdin = bytes.NewReader(text)
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != len(projects) {
		t.Errorf("%v (%v)", left, err)
	}
}
