package stress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// raw is a server that does with each connection what handle says.
func raw(t *testing.T, handle func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				handle(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String() + "/"
}

// request reads one request; false where none came.
func request(r *bufio.Reader) bool {
	got, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, got.Body)
	return err == nil
}

// say answers each request with a text, and closes if told so.
func say(text string, close bool) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for request(r) {
			if _, err := io.WriteString(c, text); err != nil || close {
				return
			}
		}
	}
}

// resources are this process's goroutines and descriptors.
func resources(t *testing.T) (goroutines, descriptors int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return runtime.NumGoroutine(), len(entries)
}

// ended fails where a run left something behind.
func ended(t *testing.T, run func()) {
	t.Helper()
	goroutines, descriptors := resources(t)
	run()
	for range 100 { // what has been closed may take a moment to end
		g, d := resources(t)
		if g <= goroutines && d <= descriptors {
			return
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	g, d := resources(t)
	t.Errorf("%d goroutines and %d descriptors are left of %d and %d", g, d, goroutines, descriptors)
}

// TestFaults: whatever a server does, a run ends with a report that counts it as
// what it is.
func TestFaults(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	for name, c := range map[string]struct {
		handle   func(net.Conn, *bufio.Reader)
		errors   map[string]int64 // of 20 requests
		bytes    int64
		requests int64
	}{
		"good":                {handle: say(good, false), bytes: 100},
		"closes after each":   {handle: say(good, true), bytes: 100},
		"says that it closes": {handle: say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", true), bytes: 100},
		"to the end":          {handle: say("HTTP/1.1 200 OK\r\n\r\nhello", true), bytes: 100},
		"HTTP/1.0":            {handle: say("HTTP/1.0 200 OK\r\n\r\nhello", true), bytes: 100},
		"chunked":             {handle: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", false), bytes: 100},
		"chunked, trailer":    {handle: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", false), bytes: 100},
		"no content":          {handle: say("HTTP/1.1 204 No Content\r\n\r\n", false)},
		"not modified":        {handle: say("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false)},
		"interim":             {handle: say("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+good, false), bytes: 100},
		"folded header":       {handle: say("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", false), bytes: 100},
		"long header":         {handle: say("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 20000)+"\r\nContent-Length: 5\r\n\r\nhello", false), bytes: 100},
		"not found":           {handle: say("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", false), bytes: 100, errors: map[string]int64{"status 404": 20}},
		"closes at once":      {handle: func(_ net.Conn, r *bufio.Reader) { request(r) }, errors: map[string]int64{"closed": 20}},
		"reset at once":       {handle: func(c net.Conn, r *bufio.Reader) { request(r); reset(c) }, errors: map[string]int64{"reset": 20}},
		"reset in the body": {handle: func(c net.Conn, r *bufio.Reader) {
			say(good[:len(good)-2], true)(c, r)
			time.Sleep(time.Millisecond)
			reset(c)
		}, bytes: 60, errors: map[string]int64{"reset": 20}},
		"closed in the body":   {handle: say(good[:len(good)-2], true), bytes: 60, errors: map[string]int64{"closed": 20}},
		"closed in the header": {handle: say("HTTP/1.1 200 OK\r\nContent-Le", true), errors: map[string]int64{"closed": 20}},
		"closed in a chunk":    {handle: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", true), bytes: 60, errors: map[string]int64{"closed": 20}},
		"garbage":              {handle: say("\x00\x01\x02 hello\r\n\r\n", true), errors: map[string]int64{"malformed": 20}},
		"bad chunk":            {handle: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", true), errors: map[string]int64{"malformed": 20}},
		"bad length":           {handle: say("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", true), errors: map[string]int64{"malformed": 20}},
		"two lengths":          {handle: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", true), errors: map[string]int64{"malformed": 20}},
		"endless header": {handle: func(c net.Conn, r *bufio.Reader) {
			if !request(r) {
				return
			}
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for line := "X: " + strings.Repeat("y", 8000) + "\r\n"; err == nil; {
				_, err = io.WriteString(c, line)
			}
		}, errors: map[string]int64{"malformed": 20}},
	} {
		t.Run(name, func(t *testing.T) {
			address := raw(t, c.handle)
			ended(t, func() {
				report, err := Run(t.Context(), Config{Target: target(t, address), Workers: 4, Requests: 20})
				if err != nil {
					t.Fatal(err)
				}
				if report.Requests != 20 || !maps.Equal(report.Errors, c.errors) || report.Bytes != c.bytes {
					t.Errorf("%d requests, %d bytes, errors %v (%v), want %d and %v", report.Requests, report.Bytes, report.Errors, report.Examples, c.bytes, c.errors)
				}
			})
		})
	}
}

// TestHugeBody: a body of a gigabyte costs no memory.
func TestHugeBody(t *testing.T) {
	const length = 1 << 30
	chunk := make([]byte, 1<<20)
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		if !request(r) {
			return
		}
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length)
		for range length / len(chunk) {
			if err == nil {
				_, err = c.Write(chunk)
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := Run(t.Context(), Config{Target: Target{URL: target(t, address).URL, Timeout: time.Minute}, Workers: 1, Requests: 1})
	runtime.ReadMemStats(&after)
	if err != nil || report.Bytes != length || report.Failed() != 0 {
		t.Fatalf("%v %+v", err, report)
	}
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
		t.Errorf("it took %d bytes of memory", grew)
	}
}

// TestRefused, TestNoName: nobody there is an error of its own, and no worker
// asks again at once.
func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	ended(t, func() {
		report, err := Run(t.Context(), Config{Target: target(t, "http://"+l.Addr().String()), Workers: 2, Requests: 4})
		if err != nil || report.Errors["refused"] != 4 || report.RateSent != 0 || report.Duration < 0.1 {
			t.Errorf("%v %+v", err, report)
		}
	})
}

func TestNoName(t *testing.T) {
	r := newRun(Config{Target: target(t, "http://no-such-name.invalid/"), Workers: 2, Requests: 4}, newAddresses(target(t, "http://no-such-name.invalid/")), newSleeper())
	r.addresses.resolver = names{err: &net.DNSError{Err: "no such host", Name: "no-such-name.invalid", IsNotFound: true}}
	report, err := r.run(t.Context())
	if err != nil || report.Errors["dns"] != 4 || !strings.Contains(report.Examples["dns"], "no such host") {
		t.Errorf("%v %+v", err, report)
	}
}

// names is a resolver.
type names struct {
	all func() []netip.Addr
	err error
}

func (n names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if n.err != nil {
		return nil, n.err
	}
	return n.all(), nil
}

// TestNeverAnswers: a request ends with its time, and that counts as its latency.
func TestNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := Config{Target: target(t, "http://127.0.0.1/"), Workers: 2, Requests: 4}
		c.Target.Timeout = 3 * time.Second
		report := s.send(t, c)
		if report.Errors["timeout"] != 4 || report.Latency.P50 < 2999 || report.Latency.P50 > 3050 || report.Duration < 5.9 {
			t.Errorf("%+v", report)
		}
	})
}

// TestInterrupted: Ctrl-C ends it at once, with the report of what was done.
func TestInterrupted(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		handle := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
				return
			}
			ok(w, r)
		})
		server := httptest.NewUnstartedServer(handle)
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetHTTP1(true)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		ctx, cancel := context.WithCancel(t.Context())
		address := target(t, server.URL+"/hang")
		address.HTTP2 = http2
		time.AfterFunc(200*time.Millisecond, cancel)
		began := time.Now()
		report, err := Run(ctx, Config{Target: address, Workers: 4, Duration: time.Minute})
		if err != nil || !report.Ended || report.Failed() != 0 || time.Since(began) > 30*time.Second {
			t.Errorf("HTTP/2 %v: %v %+v", http2, err, report)
		}
		server.Close()
	}
}

// TestStale: a connection that the server closed while nobody used it is no
// error; one that was closed on a request that had begun to be answered is.
func TestStale(t *testing.T) {
	var connections atomic.Int64
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for range 2 { // and closes without a word
			if !request(r) {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				return
			}
		}
	})
	report, err := Run(t.Context(), Config{Target: target(t, address), Workers: 1, Requests: 20})
	if err != nil || report.Failed() != 0 || report.Requests != 20 || connections.Load() != 10 {
		t.Errorf("%v, %d connections, %+v", err, connections.Load(), report)
	}
}

// TestRestart: a server that goes away in the middle and comes back.
func TestRestart(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(ok))
	where := server.Listener.Addr().String()
	go func() {
		time.Sleep(200 * time.Millisecond)
		server.CloseClientConnections()
		server.Close()
		time.Sleep(100 * time.Millisecond)
		l, err := net.Listen("tcp", where)
		if err != nil {
			t.Error(err)
			return
		}
		server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(ok)}}
		server.Start()
	}()
	c := curve(t, "const:500/1s")
	c.Target, c.Queue = target(t, "http://"+where+"/"), 1000
	report, err := Run(t.Context(), c)
	defer server.Close()
	if err != nil || report.Requests != 500 || report.Errors["refused"] == 0 || report.Failed() > 250 {
		t.Errorf("%v %+v", err, report)
	}
	last := report.Seconds[len(report.Seconds)-1]
	if last.Failed >= last.Done {
		t.Errorf("it did not recover: %+v", last)
	}
}

// TestAddresses: connections are spread over all addresses of a name, and go to
// new ones when it gets some.
func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		dialled := map[string]int{}
		now := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			ok(w, r)
		})
		where := target(t, "http://app:8000/")
		a := newAddresses(where)
		a.resolver = names{all: func() []netip.Addr { mu.Lock(); defer mu.Unlock(); return now }}
		a.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			dialled[address]++
			mu.Unlock()
			if strings.HasPrefix(address, "10.0.0.9") {
				return nil, errors.New("nobody there")
			}
			return s.dial(ctx, network, address)
		}
		time.AfterFunc(7*time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			now = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.9")}
		})
		r := newRun(Config{Target: where, Workers: 4, Duration: 20 * time.Second, Resolve: 5 * time.Second}, a, newSleeper())
		report, err := r.run(t.Context())
		if err != nil || report.Failed() != 0 {
			t.Fatalf("%v %+v", err, report)
		}
		if dialled["10.0.0.1:8000"] < 3 || dialled["10.0.0.2:8000"] != 2 || dialled["10.0.0.3:8000"] < 1 || dialled["10.0.0.9:8000"] != 1 {
			t.Errorf("%v", dialled)
		}
	})
}

// TestReconnect: connections are opened anew all the time, a share at a time.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		begun := time.Now()
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			ok(w, r)
		})
		where := target(t, "http://127.0.0.1/")
		a := newAddresses(where)
		a.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			at = append(at, time.Since(begun))
			mu.Unlock()
			return s.dial(ctx, network, address)
		}
		r := newRun(Config{Target: where, Workers: 10, Duration: 30 * time.Second, Reconnect: 10 * time.Second}, a, newSleeper())
		if report, err := r.run(t.Context()); err != nil || report.Failed() != 0 {
			t.Fatalf("%v %+v", err, report)
		}
		if len(at) < 35 || len(at) > 41 {
			t.Errorf("%d connections", len(at))
		}
		for i := 10; i+1 < len(at); i++ {
			if gap := at[i+1] - at[i]; gap > 1100*time.Millisecond {
				t.Errorf("a gap of %s", gap)
			}
		}
	})
}

// TestKinds of servers: TLS, HTTP/2, redirects, sockets, credentials, bodies.
func TestServers(t *testing.T) {
	var seen atomic.Value
	handle := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		user, password, _ := r.BasicAuth()
		seen.Store(fmt.Sprintf("%s %s %s host=%s x=%s user=%s:%s body=%s close=%v", r.Proto, r.Method, r.URL.RequestURI(), r.Host, r.Header.Get("X"), user, password, body, r.Close))
		ok(w, r)
	})
	plain := httptest.NewServer(handle)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handle)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	trusting := &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: handle}
	go func() { _ = unix.Serve(l) }()
	defer unix.Close()
	for name, c := range map[string]struct {
		change func(*Target)
		url    string
		want   string
		errors string
	}{
		"plain": {url: plain.URL + "/a?b=c", want: "HTTP/1.1 GET /a?b=c host=" + strings.TrimPrefix(plain.URL, "http://")},
		"all of it": {url: strings.Replace(plain.URL, "http://", "http://me:secret@", 1) + "/", change: func(t *Target) {
			t.Method, t.Body, t.Host, t.Header = "PUT", []byte("hello"), "x.example", http.Header{"X": {"y"}}
		}, want: "HTTP/1.1 PUT / host=x.example x=y user=me:secret body=hello close=false"},
		"no keep-alive": {url: plain.URL, change: func(t *Target) { t.Close = true }, want: "close=true"},
		"HEAD":          {url: plain.URL, change: func(t *Target) { t.Method = "HEAD" }, want: "HTTP/1.1 HEAD /"},
		"TLS":           {url: secure.URL, change: func(t *Target) { t.TLS = trusting }, want: "HTTP/1.1 GET /"},
		"insecure":      {url: secure.URL, change: func(t *Target) { t.TLS = &tls.Config{InsecureSkipVerify: true} }, want: "HTTP/1.1 GET /"},
		"not trusted":   {url: secure.URL, errors: "tls"},
		"no TLS there":  {url: strings.Replace(plain.URL, "http:", "https:", 1), errors: "tls"},
		"HTTP/2":        {url: secure.URL, change: func(t *Target) { t.TLS, t.HTTP2 = trusting, true }, want: "HTTP/2.0 GET /"},
		"socket":        {url: "http://localhost/x", change: func(t *Target) { t.Socket = socket }, want: "HTTP/1.1 GET /x host=localhost"},
		"redirect":      {url: plain.URL + "/from", change: func(t *Target) { t.Follow = 2 }, want: "HTTP/1.1 GET /to"},
		"no redirect":   {url: plain.URL + "/from", want: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			seen.Store("-")
			where := target(t, c.url)
			if c.change != nil {
				c.change(&where)
			}
			var report *Report
			var err error
			ended(t, func() { report, err = Run(t.Context(), Config{Target: where, Workers: 2, Requests: 4}) })
			if err != nil {
				t.Fatal(err)
			}
			if c.errors != "" {
				if report.Errors[c.errors] != 4 {
					t.Errorf("%v %v", report.Errors, report.Examples)
				}
				return
			}
			if got := seen.Load().(string); report.Failed() != 0 || report.Requests != 4 || !strings.Contains(got, c.want) {
				t.Errorf("%s, %v, want %s", got, report.Examples, c.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	good := Config{Target: target(t, "http://x/"), Workers: 1, Requests: 1}
	for says, change := range map[string]func(*Config){
		"http:// or https://": func(c *Config) { c.Target.URL = &url.URL{Scheme: "ftp", Host: "x"} },
		"names no host":       func(c *Config) { c.Target.URL = &url.URL{Scheme: "http", Path: "/x"} },
		"--timeout":           func(c *Config) { c.Target.Timeout = 0 },
		"--workers=0":         func(c *Config) { c.Workers = 0 },
		"never end":           func(c *Config) { c.Requests = 0 },
		"below 0":             func(c *Config) { c.Think = -1 },
		"invalid method":      func(c *Config) { c.Target.Method = "a b" },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
