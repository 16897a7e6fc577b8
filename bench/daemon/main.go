// Command daemon measures what autoscale run costs for many services: CPU of one
// core, CPU per decision and memory, at several numbers of services. Their pages
// are served from here; their counts stand in files, so that no engine's work is
// measured with it.
//
//	go run ./daemon -autoscale ../bin/autoscale
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	binary   = flag.String("autoscale", "autoscale", "its binary")
	counts   = flag.String("services", "50,200,500,2000", "how many services")
	interval = flag.Duration("interval", 15*time.Second, "each one's interval")
	length   = flag.Duration("length", time.Minute, "how long each number is measured, after one interval")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# TYPE http_requests_per_second gauge\nhttp_requests_per_second 60\n")
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	fmt.Printf("interval %s, measured for %s\n\n%10s %14s %16s %12s %16s\n", *interval, *length, "services", "of one core", "per decision", "RSS", "RSS per service")
	for word := range strings.SplitSeq(*counts, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		if err := measure(n, listener.Addr().String()); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the daemon with n services.
func measure(n int, pages string) error {
	dir, err := os.MkdirTemp("", "autoscale-daemon-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var config strings.Builder
	fmt.Fprintf(&config, "interval: %s\nlisten: \"off\"\nstate: state\ndefaults: {provider: compose, min: 1, max: 5, rps-target: 40, apply: never, metrics-scope: service}\nservices:\n", *interval)
	for i := range n {
		project := filepath.Join(dir, fmt.Sprint("p", i))
		if err := os.MkdirAll(filepath.Join(project, "deploy"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(project, "deploy", "compose.override.yml"), []byte("services:\n  app:\n    deploy:\n      replicas: 2\n"), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&config, "  s%d: {service: app, project-dir: p%[1]d, metrics-url: \"http://%s/%[1]d/metrics\"}\n", i, pages)
	}
	file := filepath.Join(dir, "autoscale.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(*binary, "run", "--config", file)
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	time.Sleep(*interval + *interval/3)
	before, _, err := used(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("the daemon is gone: %w", err)
	}
	time.Sleep(*length)
	after, rss, err := used(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("the daemon is gone: %w", err)
	}
	spent := after - before
	decisions := float64(n) * length.Seconds() / interval.Seconds()
	fmt.Printf("%10d %13.1f%% %13.0f µs %9.1f MB %13.1f KB\n", n, 100*spent.Seconds()/length.Seconds(), float64(spent.Microseconds())/decisions, float64(rss)/1e6, float64(rss)/1e3/float64(n))
	return nil
}

// used is the CPU time that a process took, and its resident memory in bytes
// (proc_pid_stat(5)).
func used(pid int) (cpu time.Duration, rss int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	number := func(i int) (n int) {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			n = 0
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(number(11)+number(12)) * tick, number(21) * os.Getpagesize(), nil
}
