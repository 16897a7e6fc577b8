// Command load measures autoscale stress beside wrk, hey and vegeta in one run:
// what a request costs the generator, whether it sends what was asked, and
// whether its latencies are the truth. bench/load/run sets up what it needs.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	rounds  = flag.Int("rounds", 5, "rounds of each comparison")
	seconds = flag.Int("seconds", 5, "length of each run")
	long    = flag.Int("long", 60, "length of the runs that memory is taken from, in seconds")
	only    = flag.String("only", "", "these measures: cost, fast, prompt, curves, memory, truth")
	url     = flag.String("url", "", "a fast page, served from core 0")
	tools   = map[string]*string{
		"autoscale": flag.String("autoscale", "autoscale", "its binary"), "wrk": flag.String("wrk", "wrk", "its binary"),
		"hey": flag.String("hey", "hey", "its binary"), "debian-hey": flag.String("debian-hey", "hey", "as Debian builds it"), "vegeta": flag.String("vegeta", "vegeta", "its binary"),
	}
)

// cost is what one run of a generator came to.
type cost struct {
	requests float64
	cpu      time.Duration
	memory   int64 // most at a time, in KiB
	out      []byte
}

// each is the CPU time of one request, in microseconds.
func (c cost) each() float64 { return float64(c.cpu.Microseconds()) / c.requests }

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	for _, m := range []struct {
		name    string
		measure func() error
	}{{"cost", cheap}, {"fast", fast}, {"prompt", prompt}, {"curves", curves}, {"memory", lean}, {"truth", truth}} {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		if err := m.measure(); err != nil {
			return err
		}
	}
	return nil
}

// tell prints a figure beside what it should be.
func tell(name string, value, limit float64, unit string) {
	verdict := "kept"
	if value > limit {
		verdict = "MISSED"
	}
	fmt.Printf("  %-58s %10.4g %-8s at most %-8.4g %s\n", name, value, unit, limit, verdict)
}

func start(tool string, args ...string) (cost, error) {
	cmd := exec.Command("taskset", append([]string{"-c", "1", *tools[tool]}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s %s: %w\n%s", tool, strings.Join(args, " "), err, errs.String())
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), memory: used.Maxrss, out: out.Bytes()}, nil
}

// report is what autoscale stress --json prints.
type report struct {
	Requests  float64
	Dropped   float64
	Errors    map[string]int
	RateAsked float64                    `json:"rate_asked"`
	RateSent  float64                    `json:"rate_sent"`
	Latency   struct{ P50, P99 float64 } `json:"latency_ms"`
	Late      struct{ P50, P99 float64 } `json:"late_ms"`
}

func autoscale(args ...string) (cost, report, error) {
	c, err := start("autoscale", append([]string{"stress", "--json"}, args...)...)
	var r report
	if err == nil {
		err = json.Unmarshal(c.out, &r)
	}
	c.requests = r.Requests
	return c, r, err
}

// printed is the number that follows from a pattern in what a tool printed.
func printed(c cost, pattern string) (cost, error) {
	found := regexp.MustCompile(pattern).FindSubmatch(c.out)
	if found == nil {
		return c, fmt.Errorf("no %s in\n%s", pattern, c.out)
	}
	var err error
	c.requests, err = strconv.ParseFloat(string(found[1]), 64)
	return c, err
}

// closed runs a tool with so many connections, each asking as fast as it can.
func closed(tool string, connections int) (cost, error) {
	n, length := strconv.Itoa(connections), strconv.Itoa(*seconds)+"s"
	switch tool {
	case "wrk":
		c, err := start("wrk", "-t1", "-c"+n, "-d"+length, *url)
		if err != nil {
			return c, err
		}
		return printed(c, `(\d+) requests in`)
	case "hey", "debian-hey":
		c, err := start(tool, "-c", n, "-z", length, *url)
		if err != nil {
			return c, err
		}
		return printed(c, `\[200\]\s+(\d+) responses`)
	}
	c, _, err := autoscale("--url", *url, "--workers", n, "--duration", length)
	return c, err
}

// cheap compares what a request costs.
func cheap() error {
	for _, connections := range []int{64, 8} {
		all := map[string][]float64{}
		for range *rounds {
			for _, tool := range []string{"wrk", "autoscale", "hey", "debian-hey"} { // one after the other, so that all meet the same weather
				c, err := closed(tool, connections)
				if err != nil {
					return err
				}
				all[tool] = append(all[tool], c.each())
			}
		}
		fmt.Printf("\nCPU per request, %d connections, medians of %d rounds: wrk %.2f µs, autoscale %.2f µs, hey %.2f µs (Debian's %.2f µs)\n",
			connections, *rounds, median(all["wrk"]), median(all["autoscale"]), median(all["hey"]), median(all["debian-hey"]))
		tell("against wrk", median(all["autoscale"])/median(all["wrk"]), map[int]float64{64: 1.05, 8: 1.15}[connections], "times")
		if connections == 64 {
			fmt.Printf("  (against Debian's hey %.4g times, wrk against that %.4g times)\n",
				median(all["autoscale"])/median(all["debian-hey"]), median(all["wrk"])/median(all["debian-hey"]))
			tell("against hey", median(all["autoscale"])/median(all["hey"]), 0.3, "times")
		}
	}
	return nil
}

// fast looks whether a high rate is kept, and at what cost.
func fast() error {
	length := strconv.Itoa(*seconds) + "s"
	var sent, each, slow, late []float64
	for range *rounds {
		c, r, err := autoscale("--url", *url, "--rate", "20000", "--duration", length)
		if err != nil {
			return err
		}
		sent, each, slow, late = append(sent, r.RateSent), append(each, c.each()), append(slow, r.Latency.P99), append(late, r.Late.P50)
	}
	fmt.Printf("\n20,000 requests/s asked, medians of %d rounds: %.0f/s sent, p99 %.3g ms, late by %.3g ms (p50)\n", *rounds, median(sent), median(slow), median(late))
	tell("share not sent", 1-median(sent)/20000, 0.005, "")
	tell("CPU per request", median(each), 16, "µs")
	attack := exec.Command("sh", "-c", fmt.Sprintf("echo GET %s | taskset -c 1 %s attack -rate 20000 -duration %s | %s report -type=json", *url, *tools["vegeta"], length, *tools["vegeta"]))
	out, err := attack.Output()
	if err != nil {
		return fmt.Errorf("vegeta: %w", err)
	}
	var v struct {
		Throughput float64
		Latencies  struct {
			P99 float64 `json:"99th"`
		}
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return err
	}
	used := attack.ProcessState.SysUsage().(*syscall.Rusage)
	fmt.Printf("  vegeta: %.0f/s answered, p99 %.3g ms, %d MiB\n", v.Throughput, v.Latencies.P99/1e6, used.Maxrss>>10)
	return nil
}

// prompt looks at what the generator adds of its own.
func prompt() error {
	_, r, err := autoscale("--url", *url, "--rate", "1000", "--duration", strconv.Itoa(*seconds)+"s")
	if err != nil {
		return err
	}
	fmt.Printf("\n1,000 requests/s: %.1f/s sent, latency p50 %.3g ms\n", r.RateSent, r.Latency.P50)
	tell("the generator's own lateness, median", r.Late.P50, 0.1, "ms")
	return nil
}

// curves compares what the server saw in each second with what was asked.
func curves() error {
	var mu sync.Mutex
	var times []time.Time
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		times = append(times, time.Now())
		mu.Unlock()
		_, _ = io.WriteString(w, "hello, world\n")
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	recording, err := os.CreateTemp("", "load-*.csv")
	if err != nil {
		return err
	}
	defer os.Remove(recording.Name())
	recorded := func(second int) float64 { return 100 + 80*math.Sin(float64(second)) }
	fmt.Fprintln(recording, "seconds_since_start,rps")
	for second := range 20 {
		fmt.Fprintf(recording, "%d,%g\n", second, recorded(second))
	}
	if err := recording.Close(); err != nil {
		return err
	}
	fmt.Println("\nWhat the server saw in each of 20 seconds, against what was asked (to 1 %, or 3 requests)")
	for _, c := range []struct {
		name string
		args []string
		want func(second int) float64
	}{
		{"a ramp from 10 to 500", []string{"--profile", "ramp:10..500/20s"}, func(s int) float64 { return 10 + 490*(float64(s)+0.5)/20 }},
		{"a sine around 200", []string{"--profile", "sine:mean=200,amplitude=150,period=20/20s"}, func(s int) float64 {
			w := 2 * math.Pi / 20
			return 200 + 150/w*(math.Cos(w*float64(s))-math.Cos(w*float64(s+1)))
		}},
		{"a replay", []string{"--replay", recording.Name()}, recorded},
	} {
		times = nil
		if _, _, err := autoscale(append([]string{"--url", "http://" + l.Addr().String() + "/"}, c.args...)...); err != nil {
			return err
		}
		worst := 0.0
		counts := make([]float64, 20)
		for _, at := range times {
			counts[min(19, int(at.Sub(times[0])/time.Second))]++
		}
		for second, n := range counts {
			want := c.want(second)
			worst = max(worst, math.Abs(n-want)/max(3, want/100))
		}
		tell(c.name+": worst second, in parts of what is allowed", worst, 1, "")
	}
	return nil
}

// lean looks at the memory.
func lean() error {
	short, _, err := autoscale("--url", *url, "--workers", "64", "--duration", strconv.Itoa(max(1, *long/6))+"s")
	if err != nil {
		return err
	}
	whole, _, err := autoscale("--url", *url, "--workers", "64", "--duration", strconv.Itoa(*long)+"s")
	if err != nil {
		return err
	}
	fmt.Printf("\nMemory, 64 connections: %.1f MB after %.0f requests, %.1f MB after %.0f\n", mb(short), short.requests, mb(whole), whole.requests)
	tell(fmt.Sprintf("peak of a run of %d s", *long), mb(whole), 20, "MB")
	return nil
}

func mb(c cost) float64 { return float64(c.memory) * 1024 / 1e6 }

// truth asks a server that stalls for 1 s in every 10, at 200 requests/s.
func truth() error {
	begun := time.Now()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if into := time.Since(begun) % (10 * time.Second); into < time.Second {
			time.Sleep(time.Second - into)
		}
		_, _ = io.WriteString(w, "hello, world\n")
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	stalling := "http://" + l.Addr().String() + "/"
	fmt.Println("\nA server that stalls 1 s in every 10 s, at 200 requests/s (p99 in truth: 900 ms)")
	for _, connections := range []string{"10", "300"} {
		_, r, err := autoscale("--url", stalling, "--rate", "200", "--duration", "60s", "--workers", connections)
		if err != nil {
			return err
		}
		tell(fmt.Sprintf("p99 %.4g ms with %s connections: off by", r.Latency.P99, connections), 100*math.Abs(r.Latency.P99-900)/900, 3, "%")
	}
	c, err := start("hey", "-c", "10", "-q", "20", "-z", "20s", stalling)
	if err != nil {
		return err
	}
	if found := regexp.MustCompile(`99% in ([\d.]+) secs`).FindSubmatch(c.out); found != nil {
		fmt.Printf("  hey, 10 connections: p99 %s s\n", found[1])
	}
	return nil
}

func median(all []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(all), cmp.Compare)
	return sorted[len(sorted)/2]
}
