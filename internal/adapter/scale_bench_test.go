package adapter

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/five-keys/autoscale/internal/prometheus"
)

// cpuTime is what this process used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkScale reads 5,000 pods that 200 autoscalers ask for at the default
// interval for a minute. The pages are served by this process too, and count.
func BenchmarkScale(b *testing.B) {
	const asking, each = 200, 25
	began := time.Now()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total %v\n", 40*time.Since(began).Seconds())
	})}
	go server.Serve(listener)
	defer server.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)

	before := heap()
	a := New(Config{Open: func(m Metric, page Page) (Reader, error) {
		return prometheus.New(prometheus.Config{
			URLs: []string{fmt.Sprintf("http://{replica}:%d/metrics", page.Port)}, Scope: "replica",
			Metric: m.Name, Others: Names(m.Name, prometheus.Fallbacks(m.Name)), Timeout: 3 * time.Second,
		})
	}})
	uids := map[Metric][]string{}
	for i := range asking {
		m := Metric{Namespace: fmt.Sprintf("ns-%d", i), Name: "http_requests_per_second"}
		var pods []Pod
		for j := range each {
			uid := fmt.Sprintf("00000000-0000-0000-0000-%06d%06d", i, j)
			pods = append(pods, Pod{UID: uid, Name: fmt.Sprintf("app-7d9f8c6b5-%05d", j), Addr: netip.AddrFrom4([4]byte{127, 30, byte(i), byte(j + 1)}), Page: Page{"http", port, "/metrics"}})
			uids[m] = append(uids[m], uid)
		}
		a.Ask(m, 5*time.Minute, pods)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	time.Sleep(20 * time.Second)
	first, used := time.Now(), cpuTime(b)
	var oldest time.Duration
	for range 60 {
		time.Sleep(time.Second)
		oldest = max(oldest, a.Figures().Oldest)
	}
	used = cpuTime(b) - used
	served := 0
	for m, all := range uids {
		values, _ := a.Values(m, all)
		served += len(values)
	}
	b.ReportMetric(100*used.Seconds()/time.Since(first).Seconds(), "%core")
	b.ReportMetric(oldest.Seconds(), "s-oldest")
	b.ReportMetric(float64(served), "values")
	cancel()
	<-done
	b.ReportMetric(float64(heap()-before)/(asking*each), "B/pod")
	runtime.KeepAlive(a)
}
