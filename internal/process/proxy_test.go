package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
)

// front is a proxy that listens, before replicas that are servers of the test.
func front(t *testing.T, servers ...*httptest.Server) *Workload {
	t.Helper()
	w := newWorkload(Config{Service: "app", Command: []string{"true"}, Wait: time.Minute})
	next := atomic.Int32{}
	w.open = func(r *replica) (*backend, error) {
		s := servers[(int(next.Add(1))-1)%len(servers)]
		address := s.Listener.Addr().String()
		p := &program{ended: make(chan struct{}), gone: make(chan struct{})}
		var once sync.Once
		p.tell = func(byte) { once.Do(func() { close(p.ended); close(p.gone) }) }
		return &backend{
			replica: r, program: p, address: address, started: time.Now(), trip: transport(address),
			probe: func(context.Context) error { return nil }, // as before it went away
		}, nil
	}
	var err error
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.serve()
	t.Cleanup(func() {
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, s := range servers {
			s.Close()
		}
	})
	if o, err := w.Set(t.Context(), len(servers)); err != nil || o.Count != len(servers) {
		t.Fatal(o, err)
	}
	return w
}

// exchange sends bytes to the proxy and reads its answer to req.
func exchange(t *testing.T, w *Workload, text, method string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// A replica sees the request as the client sent it, and who that was. What is said
// of those before is believed from this machine alone.
func TestRewrite(t *testing.T) {
	saw := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { saw <- r }))
	w := front(t, s)
	exchange(t, w, "GET /a%2Fb//c?x=1;y=2&%zz HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front.example\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\r\n", http.MethodGet)
	r := <-saw
	if r.Host != "shop.example" || r.RequestURI != "/a%2Fb//c?x=1;y=2&%zz" || r.Header.Get("X-Secret") != "" {
		t.Errorf("%s %s %v", r.Host, r.RequestURI, r.Header)
	}
	if h := r.Header; h.Get("X-Forwarded-For") != "192.0.2.7, 127.0.0.1" || h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != "front.example" {
		t.Errorf("from this machine: %v", h)
	}
	far := httptest.NewRequest(http.MethodGet, "/", nil)
	far.RemoteAddr = "198.51.100.4:1234"
	for name, value := range map[string]string{"Forwarded": "for=192.0.2.7", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "front.example"} {
		far.Header.Set(name, value)
	}
	w.ServeHTTP(httptest.NewRecorder(), far)
	if h := (<-saw).Header; h.Get("X-Forwarded-For") != "198.51.100.4" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Host") != "example.com" || h.Get("Forwarded") != "" {
		t.Errorf("from elsewhere: %v", h)
	}
}

// What two parsers could read differently is refused, and reaches no replica.
func TestSmuggling(t *testing.T) {
	var reached atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	w := front(t, s)
	for name, text := range map[string]string{
		"two lengths":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"no length":           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
		"an unknown encoding": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a space in a name":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
		"two hosts":           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"a tunnel":            "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
	} {
		if resp := exchange(t, w, text, http.MethodGet); resp.StatusCode < 400 {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the replica", n)
	}
}

// A replica that accepts no connection costs no request: another has it, also one
// with a body, of which nothing was read.
func TestRetry(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	alive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	}))
	w := front(t, gone, alive)
	gone.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 {
		for _, body := range []string{"", strings.Repeat("x", 1<<20)} {
			resp, err := client.Post("http://"+w.Addr().String(), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := fmt.Sprintf("%d <nil>", len(body)); err != nil || resp.StatusCode != http.StatusOK || string(text) != want {
				t.Fatalf("%s %q, %v; want %q", resp.Status, text, err, want)
			}
		}
	}
}

// A request that a replica has begun to read is not sent to another.
func TestNoRetry(t *testing.T) {
	var reached atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.Close()
		}
	})
	w := front(t, httptest.NewServer(handler), httptest.NewServer(handler))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+w.Addr().String(), "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || reached.Load() != 1 {
		t.Errorf("%s, reached %d", resp.Status, reached.Load())
	}
}

// Streams pass as they come, in both directions, and one side may be done before
// the other.
func TestStreams(t *testing.T) {
	step := make(chan string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			for text := range step {
				fmt.Fprintf(w, "data: %s\n\n", text)
				_ = http.NewResponseController(w).Flush()
			}
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		text, err := io.ReadAll(rw) // until the client is done
		if err != nil {
			t.Error(err)
		}
		_, _ = c.Write([]byte(strings.ToUpper(string(text))))
	}))
	w := front(t, s)

	resp, err := http.Get("http://" + w.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for _, text := range []string{"one", "two"} {
		step <- text
		if line, err := lines.ReadString('\n'); err != nil || line != "data: "+text+"\n" {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
	}
	close(step)
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()

	c, err := net.Dial("tcp", w.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	back := bufio.NewReader(c)
	answer, err := http.ReadResponse(back, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	fmt.Fprint(c, "hello")
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if text, err := io.ReadAll(back); err != nil || string(text) != "HELLO" {
		t.Errorf("%q, %v", text, err)
	}
}

// A client that goes away ends its request at the replica.
func TestClientGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	w := front(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-began; cancel() }()
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
}

// Requests go to the replica with the fewest under way, else to each in its turn.
func TestLeast(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		b.set(3)
		taken := map[*backend]int{}
		var all []*backend
		for range 9 {
			one, _, err := b.takeNow(nil, true)
			if err != nil {
				t.Fatal(err)
			}
			taken[one]++
			all = append(all, one)
		}
		for one, n := range taken {
			if n != 3 {
				t.Errorf("%s has %d of 9", one.replica.name, n)
			}
		}
		b.give(all[4])
		if one, _, _ := b.takeNow(nil, true); one != all[4] {
			t.Errorf("%s got it, not the one with fewer", one.replica.name)
		}
		for _, one := range all {
			b.give(one)
		}
		served := map[string]int{}
		for range 30 {
			one, _, err := b.takeNow(nil, true)
			if err != nil {
				t.Fatal(err)
			}
			served[one.replica.name]++
			b.give(one)
		}
		if len(served) != 3 || served["app-1"] != 10 {
			t.Errorf("idle replicas were served %v", served)
		}
	})
}

// A request waits for a replica, for a while, and not with too many others.
func TestWaiting(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		began := time.Now()
		rw := b.ask(t.Context())
		if took := time.Since(began); rw.Code != http.StatusServiceUnavailable || rw.Header().Get("Retry-After") != "1" || took != 20*time.Second {
			t.Errorf("status %d after %s", rw.Code, took)
		}
		codes := make(chan int, mostWaiting+1)
		for range mostWaiting {
			go func() { codes <- b.ask(t.Context()).Code }()
		}
		synctest.Wait()
		if rw := b.ask(t.Context()); rw.Code != http.StatusServiceUnavailable {
			t.Errorf("one too many: status %d", rw.Code)
		}
		time.Sleep(5 * time.Second)
		b.set(1)
		for range mostWaiting {
			if code := <-codes; code != http.StatusOK {
				t.Fatalf("status %d", code)
			}
		}
		if b.waiting != 0 {
			t.Errorf("%d wait", b.waiting)
		}
	})
}

// total is the load of a reading in requests/s, and whether it is trusted.
func total(r autoscale.Reading) (sum float64, ok bool) {
	for _, s := range r.Samples {
		sum += s.Value
	}
	return sum, r.Samples[0].Verdict == autoscale.OK
}

// Every request that arrives is counted once, whatever becomes of it and of the
// replica that had it.
func TestRate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		read := func() (float64, bool) {
			t.Helper()
			seen, err := b.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return total(b.Read(t.Context(), seen.Running))
		}
		want := func(rate float64, trusted bool) {
			t.Helper()
			if got, ok := read(); math.Abs(got-rate) > 1e-9 || ok != trusted {
				t.Errorf("%v, trusted %v; want %v, %v", got, ok, rate, trusted)
			}
		}
		want(0, false) // at the very beginning
		time.Sleep(500 * time.Millisecond)
		b.set(2)
		for range 10 {
			b.ask(t.Context())
		}
		want(20, false) // over half a second
		time.Sleep(500 * time.Millisecond)
		want(10, true)
		time.Sleep(time.Second)
		want(0, true)

		// A replica leaves between two readings with what was given to it, and
		// another one comes.
		for range 6 {
			b.ask(t.Context())
		}
		b.set(1)
		synctest.Wait()
		for range 6 {
			b.ask(t.Context())
		}
		b.set(2)
		time.Sleep(2 * time.Second)
		want(6, true)
		time.Sleep(time.Second)
		want(0, true)

		// Without a replica they wait, and are counted when they come.
		b.set(0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { b.ask(ctx) })
		}
		time.Sleep(2 * time.Second)
		want(4, true)
		b.set(1)
		wg.Wait()
		cancel()
		time.Sleep(2 * time.Second)
		want(0, true)

		// Two readings in a row: over the time since the last one that is long ago,
		// and none of it is counted again.
		for range 5 {
			b.ask(t.Context())
		}
		time.Sleep(10 * time.Millisecond)
		want(5/2.01, true)
		time.Sleep(990 * time.Millisecond)
		want(0, true)
	})
}

// Errors are counted for the replica that they are of, and those without one for
// the proxy, which has those that wait as well.
func TestErrorsCounted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.ask(t.Context()) }) // for 20 s
		time.Sleep(15 * time.Second)
		for range 3 {
			wg.Go(func() { b.ask(ctx) })
		}
		time.Sleep(6 * time.Second)
		s := b.Read(t.Context(), nil).Samples
		if len(s) != 1 || s[0].Failed != 1./21 || s[0].Answered != 1./21 || s[0].InFlight != 3 || s[0].Value != 4./21 {
			t.Errorf("without a replica: %+v", s)
		}
		cancel()
		wg.Wait()
		b.set(1)
		one := b.all()[0]
		status := 0
		one.serve = func(r *http.Request) (*http.Response, error) {
			if status++; status == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: 498 + status, Body: http.NoBody, Request: r}, nil
		}
		for range 4 { // none, 500, 501, 502
			b.ask(t.Context())
		}
		one.serve = func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
		}
		for range 4 {
			b.ask(t.Context())
		}
		time.Sleep(2 * time.Second)
		seen, err := b.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s := b.Read(t.Context(), seen.Running).Samples; len(s) != 1 || s[0].Failed != 2 || s[0].Answered != 4 || s[0].InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}
