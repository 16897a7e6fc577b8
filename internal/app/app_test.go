package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func ask(t *testing.T, a *App) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	a.Work(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	return w
}

// 200 requests at once on a replica that does 50/s and lets none wait longer
// than 1 s: 51 are answered, one every 20 ms, and the others refused at once.
func TestOverloadShowsAsLatencyThenAsRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, start := New(Config{Capacity: 50, Queue: time.Second}), time.Now()
		var mu sync.Mutex
		var last time.Duration
		codes := map[int]int{}
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				w := ask(t, a)
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
				last = max(last, time.Since(start))
			})
		}
		group.Wait()
		if codes[200] != 51 || codes[503] != 149 {
			t.Errorf("answers by status: %v, want 51 × 200 and 149 × 503", codes)
		}
		if want := 51 * 20 * time.Millisecond; last != want {
			t.Errorf("the last answer came after %v, want %v", last, want)
		}
	})
}

func TestGaugeIsTheMeanOfFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{Capacity: 1000, Queue: time.Second})
		gauge := func() string {
			page := a.Page(time.Now(), nil)
			for line := range strings.Lines(page) {
				if value, ok := strings.CutPrefix(line, "http_requests_per_second "); ok {
					return strings.TrimSpace(value)
				}
			}
			t.Fatalf("no gauge on the page:\n%s", page)
			return ""
		}
		if got := gauge(); got != "0" {
			t.Errorf("at the start the gauge says %s, want 0", got)
		}
		for range 400 { // 10 s of 40 requests/s, less the millisecond of each
			ask(t, a)
			time.Sleep(24 * time.Millisecond)
		}
		if got := gauge(); got != "40" {
			t.Errorf("under load the gauge says %s, want 40", got)
		}
		time.Sleep(6 * time.Second)
		if got := gauge(); got != "0" {
			t.Errorf("after the load the gauge says %s, want 0", got)
		}
	})
}

func TestMetricsPageIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(time.Now())
		m.begin()
		m.end(time.Now(), 503)
		const want = `# HELP http_requests_per_second Requests answered per second, over the last 5 s.
# TYPE http_requests_per_second gauge
http_requests_per_second 12.5
# HELP http_requests_total Requests answered, by status.
# TYPE http_requests_total counter
http_requests_total{code="200"} 0
http_requests_total{code="503"} 1
# HELP http_requests_in_flight Requests waiting or being answered.
# TYPE http_requests_in_flight gauge
http_requests_in_flight 0
# HELP process_start_time_seconds Start of the process, in seconds since 1970.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 946684800.000
`
		fixed := 12.5
		if got := m.page(time.Now(), &fixed); got != want {
			t.Errorf("the page:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestSettingsThatAreWrong(t *testing.T) {
	for _, wrong := range []map[string]string{
		{"CAPACITY": "0"}, {"CAPACITY": "NaN"}, {"CAPACITY": "much"}, {"QUEUE": "-1s"}, {"STARTUP": "3"},
	} {
		if _, err := FromEnv(func(name string) string { return wrong[name] }); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

// A request that was accepted is answered, though the service was told to end.
func TestEndsOnceRequestsUnderWayAreAnswered(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var told []string
	serving, ended := make(chan struct{}), make(chan error, 1)
	tell := func(format string, args ...any) {
		if told = append(told, fmt.Sprintf(format, args...)); strings.HasPrefix(format, "serving") {
			close(serving)
		}
	}
	asked := make(chan struct{})
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-ctx.Done()
		fmt.Fprint(w, "done")
	})
	go func() { ended <- Serve(ctx, Config{Host: "127.0.0.1", Port: port, Capacity: 50}, answer, tell) }()
	<-serving
	go func() {
		<-asked
		end()
	}()
	response, err := http.Get("http://127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil || string(body) != "done" {
		t.Errorf("answered %q, %v; want done", body, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if want := 3; len(told) != want {
		t.Errorf("told %q; want %d lines", told, want)
	}
}
