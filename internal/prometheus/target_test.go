package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// published8000 is a container's port 8000 published at host.
func published8000(host string) autoscale.Port {
	return autoscale.Port{Container: 8000, Host: netip.MustParseAddrPort(host)}
}

// app starts a replica on loopback, which publishes its port 8000 there.
func app(t *testing.T, n int, page string) (autoscale.Replica, string) {
	t.Helper()
	url := serve(t, answer(page))
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	return autoscale.Replica{ID: fmt.Sprintf("id%d", n), Name: fmt.Sprintf("app-%d", n), Ports: []autoscale.Port{published8000(host)}}, url
}

// values gives process=value or process=verdict for each sample, in order of
// process.
func values(r autoscale.Reading) string {
	var out []string
	for _, s := range r.Samples {
		if s.Verdict == autoscale.OK {
			out = append(out, fmt.Sprintf("%s=%v", s.Process, s.Value))
		} else {
			out = append(out, fmt.Sprintf("%s=%s", s.Process, s.Verdict))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

const gauge5 = "http_requests_per_second 5\n"

func TestPublishedPortIsOneReplica(t *testing.T) {
	one, url := app(t, 1, "http_requests_per_second 1\n")
	two, _ := app(t, 2, "http_requests_per_second 2\n")
	three, url3 := app(t, 3, "http_requests_per_second 4\n")
	all := []autoscale.Replica{one, two, three}
	port := url[strings.LastIndex(url, ":"):]

	for _, u := range []string{url, "http://localhost" + port, "http://0.0.0.0" + port, "http://[::ffff:127.0.0.1]" + port} {
		r := source(t, Config{URLs: []string{u}}).Read(t.Context(), all)
		if got := values(r); got != "id1=1 id2=2 id3=4" || r.Scope != autoscale.ScopeReplica {
			t.Errorf("%s: %s, scope %s", u, got, r.Scope)
		}
		if want := u + " is a port of app-1 alone; port 8000 of each of the 3 replicas is read instead"; len(r.Notes) != 1 || r.Notes[0] != want {
			t.Errorf("notes %q, want %q", r.Notes, want)
		}
	}
	r := source(t, Config{URLs: []string{url}}).Read(t.Context(), all[:1])
	if got := values(r); got != "id1=1" || len(r.Notes) != 0 {
		t.Errorf("one replica: %s, notes %q", got, r.Notes)
	}
	r = source(t, Config{URLs: []string{url, url3}}).Read(t.Context(), all)
	if got := values(r); got != "id1=1 id2=2 id3=4" || len(r.Notes) != 3 || !strings.Contains(strings.Join(r.Notes, "\n"), "left out") {
		t.Errorf("two ports of the same replicas: %s, notes %q", got, r.Notes)
	}
	r = source(t, Config{URLs: []string{url}, Scope: "replica"}).Read(t.Context(), all)
	if got := values(r); got != "id1=1 id2=2 id3=4" {
		t.Errorf("scope replica: %s", got)
	}
	r = source(t, Config{URLs: []string{url}, Scope: "service"}).Read(t.Context(), all)
	if got := values(r); got != url+"=1" || r.Scope != autoscale.ScopeService || len(r.Notes) != 0 {
		t.Errorf("scope service: %s, %+v", got, r)
	}
	all[0].Ports[0].Host = netip.AddrPortFrom(netip.IPv4Unspecified(), all[0].Ports[0].Host.Port())
	r = source(t, Config{URLs: []string{url}}).Read(t.Context(), all)
	if got := values(r); got != "id1=1 id2=2 id3=4" {
		t.Errorf("published on every address: %s", got)
	}
	two.Ports = nil
	r = source(t, Config{URLs: []string{url}}).Read(t.Context(), []autoscale.Replica{one, two})
	if got := values(r); got != "id1=1 id2=unreachable" || !strings.Contains(fmt.Sprint(r), "does not publish its port 8000") {
		t.Errorf("a replica without a way to it: %s", got)
	}
}

// TestPublishedPortElsewhere: a port of another address is not the URL's.
func TestPublishedPortElsewhere(t *testing.T) {
	one, url := app(t, 1, gauge5)
	two, _ := app(t, 2, gauge5)
	one.Ports[0].Host = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), one.Ports[0].Host.Port())
	r := source(t, Config{URLs: []string{url}}).Read(t.Context(), []autoscale.Replica{one, two})
	if got := values(r); got != url+"=5" {
		t.Errorf("%s", got)
	}
}

// twins starts servers with one port on two loopback addresses, as two replicas
// in two networks have it.
func twins(t *testing.T, pages ...string) (ips []netip.Addr, port uint16) {
	t.Helper()
	for range 20 {
		var listeners []net.Listener
		port = 0
		for i := range pages {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i+2, port))
			if err != nil {
				break // the port is taken on this address: try another one
			}
			listeners = append(listeners, l)
			port = netip.MustParseAddrPort(l.Addr().String()).Port()
		}
		if len(listeners) < len(pages) {
			for _, l := range listeners {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		for i, l := range listeners {
			server := httptest.NewUnstartedServer(answer(pages[i]))
			if err := server.Listener.Close(); err != nil {
				t.Fatal(err)
			}
			server.Listener = l
			server.Start()
			t.Cleanup(server.Close)
			ips = append(ips, netip.MustParseAddrPort(l.Addr().String()).Addr())
		}
		return ips, port
	}
	t.Fatal("no port is free on several loopback addresses")
	return nil, 0
}

func TestReplicaAddresses(t *testing.T) {
	ips, port := twins(t, "http_requests_per_second 1\n", "http_requests_per_second 2\n")
	closed := netip.MustParseAddr("127.0.0.9")
	published, _ := app(t, 3, "http_requests_per_second 4\n")
	published.Ports[0].Container = port
	published.Addrs = []netip.Addr{closed}
	replicas := []autoscale.Replica{
		{ID: "id1", Name: "app-1", Addrs: ips},                          // the first network goes first
		{ID: "id2", Name: "app-2", Addrs: []netip.Addr{closed, ips[1]}}, // the first that accepts
		published, // no network accepts, the port does
		{ID: "id4", Name: "app-4", Addrs: []netip.Addr{closed}}, // none does
		{ID: "id5", Name: "app-5"},                              // none is there
	}
	c := Config{URLs: []string{fmt.Sprintf("http://{replica}:%d/metrics", port)}}
	r := source(t, c).Read(t.Context(), replicas)
	if got := values(r); got != "id1=1 id2=2 id3=4 id4=unreachable id5=unreachable" || r.Scope != autoscale.ScopeReplica {
		t.Errorf("%s, scope %s", got, r.Scope)
	}
	for _, s := range r.Samples {
		if s.Process == "id4" && (!strings.Contains(s.Detail, "connection refused") || strings.Contains(s.Detail, "inside the container")) {
			t.Errorf("app-4: %s", s.Detail) // the port is right, since others answer on it
		}
		if s.Name != strings.Replace(s.Process, "id", "app-", 1) {
			t.Errorf("%s is called %s", s.Process, s.Name)
		}
	}

	published.Addrs, published.Ports[0].Host = []netip.Addr{closed}, netip.AddrPortFrom(closed, 1)
	r = source(t, c).Read(t.Context(), []autoscale.Replica{published})
	if says := fmt.Sprintf("connection refused; the port in the URL is the one inside the container: does the service listen on %d there, and not on 127.0.0.1 alone? (it publishes %d)", port, port); len(r.Samples) != 1 || !strings.HasSuffix(r.Samples[0].Detail, says) {
		t.Errorf("nothing listens: %+v, want %q", r.Samples, says)
	}

	r = source(t, c).Read(t.Context(), nil)
	if len(r.Samples) != 1 || r.Samples[0].Verdict != autoscale.Unreachable || !strings.Contains(r.Samples[0].Detail, "{replica} has no address") {
		t.Errorf("no replica: %+v", r)
	}
}

// TestReplicaHost: the app sees the host that the user wrote, where he wrote one.
func TestReplicaHost(t *testing.T) {
	var host atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host.Store(r.Host)
		if r.URL.Path == "/metrics" {
			http.Redirect(w, r, "/metrics/", http.StatusFound)
			return
		}
		answer(gauge5)(w, r)
	})
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	port := address[strings.Index(address, ":")+1:]
	replica := autoscale.Replica{ID: "id1", Name: "app-1", Ports: []autoscale.Port{published8000(address)}}
	for template, want := range map[string]string{
		"http://localhost:" + port + "/metrics": "localhost:" + port,
		"http://{replica}:8000/metrics":         address,
	} {
		_, s := read(t, Config{URLs: []string{template}}, replica)
		if s.Verdict != autoscale.OK || host.Load() != want {
			t.Errorf("%s: host %v, want %s; %+v", template, host.Load(), want, s)
		}
	}
}

func TestReplicaRedirectStays(t *testing.T) {
	other := serve(t, answer(gauge5))
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) })
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	replica := autoscale.Replica{ID: "id1", Name: "app-1", Ports: []autoscale.Port{published8000(address)}}
	_, s := read(t, Config{URLs: []string{"http://{replica}:8000/metrics"}}, replica)
	if s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "redirects to another host") {
		t.Errorf("another port may be another replica's: %+v", s)
	}
}

func TestIPv6(t *testing.T) {
	replica := autoscale.Replica{ID: "1", Addrs: []netip.Addr{netip.MustParseAddr("fd00::2")}, Ports: []autoscale.Port{published8000("[::]:9000")}}
	targets := perReplica(address{perReplica: true}, 8000, []autoscale.Replica{replica})
	if got := fmt.Sprint(targets[0].hosts); got != "[[fd00::2]:8000 [::1]:9000]" {
		t.Errorf("hosts %s", got)
	}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("this machine has no IPv6: %v", err)
		return
	}
	server := httptest.NewUnstartedServer(answer(gauge5))
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	own := netip.MustParseAddrPort(l.Addr().String())
	for _, url := range []string{server.URL, fmt.Sprintf("http://{replica}:%d", own.Port())} {
		if _, s := read(t, Config{URLs: []string{url}}, autoscale.Replica{ID: "1", Addrs: []netip.Addr{own.Addr()}}); s.Value != 5 {
			t.Errorf("%s: %+v", url, s)
		}
	}
}

// TestOneOfSeveral lets one URL be answered by two processes in turn.
func TestOneOfSeveral(t *testing.T) {
	replicas := []autoscale.Replica{{ID: "1", Name: "app-1"}, {ID: "2", Name: "app-2"}}
	const counter = "# TYPE http_requests_per_second counter\n"
	for name, test := range map[string]struct {
		first, second string
		why           string
	}{
		"same":           {gauge5, gauge5, ""},
		"grown":          {counter + gauge5 + "process_cpu_seconds_total 1\n", counter + "http_requests_per_second 6\nprocess_cpu_seconds_total 2\n", ""},
		"gauge fell":     {gauge5, "http_requests_per_second 4\n", ""},
		"start":          {gauge5 + "process_start_time_seconds 100.01\n", gauge5 + "process_start_time_seconds 100.02\n", "process_start_time_seconds are not the same"},
		"several starts": {gauge5 + "process_start_time_seconds{i=\"1\"} 1\nprocess_start_time_seconds{i=\"2\"} 2\n", gauge5 + "process_start_time_seconds{i=\"1\"} 1\nprocess_start_time_seconds{i=\"2\"} 3\n", ""},
		"cpu":            {gauge5 + "process_cpu_seconds_total 2\n", gauge5 + "process_cpu_seconds_total 1\n", "process_cpu_seconds_total went back"},
		"counter":        {counter + gauge5, counter + "http_requests_per_second 4\n", "the counter went back"},
		"only one":       {"x 1\n", gauge5, "only one of them has the metric"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			var clients sync.Map
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if _, before := clients.LoadOrStore(r.RemoteAddr, true); before {
					t.Errorf("a connection was used twice")
				}
				if asked.Add(1) == 1 {
					answer(test.first)(w, r)
					return
				}
				answer(test.second)(w, r)
			})
			_, s := read(t, Config{URLs: []string{url}}, replicas...)
			if n := asked.Load(); n < 2 || n > connections {
				t.Errorf("asked %d times", n)
			}
			if test.why == "" {
				if s.Verdict != autoscale.OK {
					t.Errorf("%+v, want ok", s)
				}
				return
			}
			if s.Verdict != autoscale.OneOfSeveral || !strings.Contains(s.Detail, test.why) ||
				!strings.Contains(s.Detail, "use --metrics-url=http://{replica}:PORT/metrics") || !strings.Contains(s.Detail, "--metrics-scope=service") {
				t.Errorf("%+v, want %s", s, test.why)
			}
			for _, alone := range []struct {
				c        Config
				replicas []autoscale.Replica
			}{
				{Config{URLs: []string{url}, Scope: "service"}, replicas},
				{Config{URLs: []string{url}}, replicas[:1]},
				{Config{URLs: []string{url}}, nil},
			} {
				asked.Store(1) // the later answer, which has the metric
				clients.Clear()
				_, s := read(t, alone.c, alone.replicas...)
				if asked.Load() != 2 || s.Verdict != autoscale.OK {
					t.Errorf("%+v with %d replicas: asked %d times, %+v", alone.c, len(alone.replicas), asked.Load()-1, s)
				}
			}
		})
	}
}

// TestOneOfSeveralByLuck: a balancer may hand out the same replica a few times
// in a row, or keep to one for good.
func TestOneOfSeveralByLuck(t *testing.T) {
	var asked atomic.Int32
	started := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	page := func(at time.Time) string {
		return gauge5 + fmt.Sprintf("process_start_time_seconds %d\n", at.Unix())
	}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%5 == 0 {
			answer(page(started.Add(time.Minute)))(w, r)
			return
		}
		answer(page(started))(w, r)
	})
	far := autoscale.Replica{ID: "1", Name: "app-1", Started: started.Add(time.Hour)}
	if _, s := read(t, Config{URLs: []string{url}}, far, far); s.Verdict != autoscale.OneOfSeveral || asked.Load() != 5 {
		t.Errorf("asked %d times: %+v", asked.Load(), s)
	}
	// The replica answers on another loopback address at the balancer's port.
	sticky := httptest.NewServer(answer(page(started)))
	t.Cleanup(sticky.Close)
	port := netip.MustParseAddrPort(sticky.Listener.Addr().String()).Port()
	near := autoscale.Replica{ID: "2", Name: "app-2", Started: started.Add(1900 * time.Millisecond), Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}
	if _, s := read(t, Config{URLs: []string{sticky.URL}}, far, near); s.Verdict != autoscale.OK {
		t.Errorf("a proxy's own page, started with app-2: %+v", s)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.9:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	own := httptest.NewUnstartedServer(answer(page(started)))
	if err := own.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	own.Listener = l
	own.Start()
	t.Cleanup(own.Close)
	if _, s := read(t, Config{URLs: []string{sticky.URL}}, far, near); s.Verdict != autoscale.OneOfSeveral || !strings.Contains(s.Detail, "app-2 itself serves the same page") {
		t.Errorf("a balancer that keeps to app-2: %+v", s)
	}
}

func TestSecondConnectionFails(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answer(gauge5)(w, r)
	})
	_, s := read(t, Config{URLs: []string{url}}, autoscale.Replica{ID: "1"}, autoscale.Replica{ID: "2"})
	if s.Verdict != autoscale.Unreachable || !strings.HasPrefix(s.Detail, "connection 2: it answered with HTTP 502") {
		t.Errorf("%+v", s)
	}
}

func TestScopeReplicaWithoutPlaceholder(t *testing.T) {
	a, b := serve(t, answer("http_requests_per_second 1\n")), serve(t, answer("http_requests_per_second 2\n"))
	replicas := []autoscale.Replica{{ID: "id1", Name: "app-1"}, {ID: "id2", Name: "app-2"}}
	for _, test := range []struct {
		urls     []string
		replicas []autoscale.Replica
		want     string
	}{
		{[]string{a}, nil, a + "=1"},
		{[]string{a}, replicas[:1], "id1=1"},
		{[]string{a}, replicas, a + "=one-of-several"},
		{[]string{a, b}, replicas, a + "=1 " + b + "=2"},
	} {
		r := source(t, Config{URLs: test.urls, Scope: "replica"}).Read(t.Context(), test.replicas)
		want := strings.Fields(test.want)
		slices.Sort(want)
		if got := values(r); got != strings.Join(want, " ") || r.Scope != autoscale.ScopeReplica {
			t.Errorf("%d URLs, %d replicas: %s, scope %s, want %s", len(test.urls), len(test.replicas), got, r.Scope, want)
		}
	}
}

// TestLocal covers the addresses that are the machine's own.
func TestLocal(t *testing.T) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil || len(interfaces) == 0 {
		t.Fatal("no interface addresses", err)
	}
	for _, a := range interfaces {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if !local(ip) {
			t.Errorf("%v is an address of this machine", ip)
		}
	}
	if local(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is nobody's address")
	}
}

// TestUnknownHost: the name of a service is one in its own network only.
func TestUnknownHost(t *testing.T) {
	unknown := fmt.Errorf("dial tcp: %w", &net.DNSError{Err: "no such host", IsNotFound: true})
	for raw, c := range map[string]struct {
		err  error
		want string
	}{
		"http://app:8000/metrics":             {unknown, "--metrics-url=http://{replica}:8000/metrics reads every replica"},
		"https://app/m":                       {unknown, "--metrics-url=https://{replica}/m reads"},
		"http://app.example.org:8000/metrics": {unknown, ""},
		"http://app:8001/metrics":             {errors.New("connection refused"), ""},
	} {
		a, err := parseAddress(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := unknownHost(a, c.err); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", raw, got, c.want)
		}
	}
}

// A page that comes by another way is bounded like one that is read directly.
func TestRelayBounds(t *testing.T) {
	running := autoscale.Replica{ID: "a", Name: "app-1", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	c := Config{URLs: []string{"http://{replica}:1/metrics"}, MaxBytes: 1000, Timeout: 50 * time.Millisecond}
	c.Relay = func(_ context.Context, _ autoscale.Replica, _ url.URL, most int64) (string, error) {
		return strings.Repeat("#\n", 1000)[:most+1], nil
	}
	if _, s := read(t, c, running); s.Verdict != autoscale.TooLarge {
		t.Errorf("%s: %s", s.Verdict, s.Detail)
	}
	c.Relay = func(ctx context.Context, _ autoscale.Replica, _ url.URL, _ int64) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if _, s := read(t, c, running); s.Verdict != autoscale.Late {
		t.Errorf("%s: %s", s.Verdict, s.Detail)
	}
}
