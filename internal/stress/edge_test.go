package stress

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRequestsAtARate: a bound on the requests ends an open loop with the last
// one, and none beyond it was asked for.
func TestRequestsAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := curve(t, "const:20")
		c.Workers, c.Requests = 256, 10
		report := serve(t, ok).send(t, c)
		if report.Requests != 10 || report.Dropped != 0 || report.Reached() < 0.99 || report.Duration > 0.6 {
			t.Errorf("%+v", report)
		}
	})
}

// TestRateInTime: what ends when the time is over is no part of the rate.
func TestRateInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := curve(t, "const:100/2s")
		c.Workers = 1
		report := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			ok(w, r)
		}).send(t, c)
		if report.RateDone > 51 || report.RateGood > 51 || report.RateSent > 51 || report.Requests != 200 {
			t.Errorf("%+v", report)
		}
		report = serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			ok(w, r)
		}).send(t, Config{Workers: 8, Duration: 500 * time.Millisecond})
		if report.RateDone != 0 || report.Requests != 8 {
			t.Errorf("%+v", report)
		}
	})
}

// TestNoQueue: without a queue nothing waits, and what a free client takes at once
// is not dropped.
func TestNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, profile := range []string{"const:20/2s", "const:12000/1s"} {
			c := curve(t, profile)
			c.Workers, c.Target = 64, target(t, "http://127.0.0.1/")
			a := newAddresses(c.Target)
			a.dial = serve(t, ok).dial
			c.Queue = 0
			if report, err := newRun(c, a, newSleeper()).run(t.Context()); err != nil || report.Dropped != 0 {
				t.Errorf("%s: %v, %d of %d dropped", profile, err, report.Dropped, report.Requests)
			}
		}
	})
}

// TestNotTwice: a request that was answered in part is not sent again.
func TestNotTwice(t *testing.T) {
	for _, part := range []string{"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\nHTTP"} {
		var seen atomic.Int64
		address := raw(t, func(c net.Conn, r *bufio.Reader) {
			for first := true; request(r); first = false {
				seen.Add(1)
				text := part
				if first {
					text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
				}
				if _, err := io.WriteString(c, text); err != nil || !first {
					return
				}
			}
		})
		where := target(t, address)
		where.Method, where.Body = http.MethodPost, []byte("x")
		report, err := Run(t.Context(), Config{Target: where, Workers: 1, Requests: 2})
		if err != nil || seen.Load() != 2 || report.Errors["closed"] != 1 {
			t.Errorf("%q: %v, %d requests came, %v", part, err, seen.Load(), report.Errors)
		}
	}
}

// TestLeftOver: what comes without having been asked for is no response to the
// next request.
func TestLeftOver(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	report, err := Run(t.Context(), Config{Target: target(t, raw(t, say(good+strings.Replace(good, "200 OK", "404 Not Found", 1), false))), Workers: 1, Requests: 6})
	if err != nil || report.Failed() != 0 || report.Requests != 6 {
		t.Errorf("%v %+v", err, report)
	}
	// A proxy that gives an unused connection up with a 408.
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		if !request(r) {
			return
		}
		_, _ = io.WriteString(c, good)
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	report, err = Run(t.Context(), Config{Target: target(t, address), Workers: 1, Requests: 4, Think: 60 * time.Millisecond})
	if err != nil || report.Failed() != 0 || report.Requests != 4 {
		t.Errorf("%v %+v", err, report)
	}
}

// TestNoKeepAlive holds also where the server would keep the connection.
func TestNoKeepAlive(t *testing.T) {
	var connections atomic.Int64
	where := target(t, raw(t, func(c net.Conn, r *bufio.Reader) {
		connections.Add(1)
		say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false)(c, r)
	}))
	where.Close = true
	if report, err := Run(t.Context(), Config{Target: where, Workers: 1, Requests: 10}); err != nil || report.Failed() != 0 || connections.Load() != 10 {
		t.Errorf("%v, %d connections, %+v", err, connections.Load(), report)
	}
}

// TestRedirectElsewhere: a redirect to another server is followed there.
func TestRedirectElsewhere(t *testing.T) {
	var came atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		ok(w, r)
	}))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL+"/", http.StatusFound))
	defer first.Close()
	where := target(t, first.URL+"/")
	where.Follow = 1
	if report, err := Run(t.Context(), Config{Target: where, Workers: 2, Requests: 6}); err != nil || report.Failed() != 0 || came.Load() != 6 {
		t.Errorf("%v, %d came, %+v", err, came.Load(), report.Examples)
	}
}

// TestRefusedRate: what was not sent because nobody listens is not put down to
// busy connections.
func TestRefusedRate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := curve(t, "const:100/0.2s")
	c.Target, c.Queue = target(t, "http://"+l.Addr().String()+"/"), 10
	report, err := Run(t.Context(), c)
	if err != nil || len(report.Warnings()) == 0 || !strings.Contains(report.Warnings()[0], "refused") {
		t.Errorf("%v %q", err, report.Warnings())
	}
}

// TestText: the report for people, where nothing succeeded.
func TestText(t *testing.T) {
	var b strings.Builder
	r := &Report{URL: "http://x/", Requests: 2, Errors: map[string]int64{"refused": 2}, Examples: map[string]string{"refused": "nobody there"}, Duration: 0.1}
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"requests  2, of which 2 failed (100%)", "\n  refused  2  nobody there\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), " \n") {
		t.Errorf("blanks at the end of a line:\n%q", b.String())
	}
}
