//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// BenchmarkSteadyRun is a one-shot that changes nothing, on a metrics page of
// 100 KB: its CPU time and memory beside those of the one docker command that
// it runs. The docker command alone is measured in the same run, answering the
// same questions.
func BenchmarkSteadyRun(b *testing.B) {
	t := &testing.T{}
	p := newProject(t)
	defer p.docker("compose", "down", "-t", "1")
	p.up()
	var text strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&text, "http_request_duration_seconds_bucket{handler=\"/api/%d\",le=\"0.5\"} %d\n", i, i)
	}
	text.WriteString("http_requests_per_second 20\n")
	load := newPage(t, 0)
	defer load.Close()
	load.serve(func(w http.ResponseWriter) { fmt.Fprint(w, text.String()) })

	flags := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", load.url(), "--project-dir=" + p.dir}
	const ask = `printf 'GET /containers/json?all=1 HTTP/1.1\r\nHost: d\r\n\r\nGET /networks/host HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n' | docker system dial-stdio`
	var all, file, docker, memory float64
	for b.Loop() {
		cpu, rss := cost(b, built.autoscale, append(flags, "--apply=never", "--state-file=never.json")...)
		file += cpu
		memory = max(memory, rss)
		cpu, _ = cost(b, built.autoscale, flags...)
		all += cpu
		cpu, _ = cost(b, "sh", "-c", ask)
		docker += cpu
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all/n, "cpu-ms/run")
	b.ReportMetric(docker/n, "docker-cpu-ms/run")
	b.ReportMetric((all-docker)/n, "own-cpu-ms/run")
	b.ReportMetric(file/n, "without-docker-cpu-ms/run")
	b.ReportMetric(memory, "own-MB")
}

// cost runs a command and returns its CPU time in milliseconds, that of its
// children included, and the largest resident set of one process in MB.
func cost(b *testing.B, name string, args ...string) (cpu, rss float64) {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / 1000, float64(usage.Maxrss) / 1024
}
