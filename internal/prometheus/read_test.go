package prometheus

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// serve starts a server on loopback that ends with the test.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/metrics"
}

// answer serves one page.
func answer(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, page) // a client that went away is its test's business
	}
}

// read reads once and gives the only sample.
func read(t *testing.T, c Config, replicas ...autoscale.Replica) (autoscale.Reading, autoscale.Sample) {
	t.Helper()
	r := source(t, c).Read(t.Context(), replicas)
	if len(r.Samples) != 1 {
		t.Fatalf("%d samples, want 1: %+v", len(r.Samples), r)
	}
	return r, r.Samples[0]
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadOK(t *testing.T) {
	before := time.Now()
	url := serve(t, answer("# TYPE http_requests_per_second gauge\nhttp_requests_per_second{a=\"1\"} 5\nhttp_requests_per_second 7\nprocess_start_time_seconds 1.75983119562e+09\n"))
	r, s := read(t, Config{URLs: []string{url}})
	if r.Metric != DefaultMetric || r.Kind != autoscale.Gauge || r.Scope != autoscale.ScopeService || len(r.Notes) != 0 {
		t.Errorf("reading %+v", r)
	}
	if s.Verdict != autoscale.OK || s.Value != 12 || s.Detail != "" || s.Process != url || s.Name != url {
		t.Errorf("sample %+v", s)
	}
	if want := time.UnixMilli(1759831195620); !s.Started.Equal(want) {
		t.Errorf("started %v, want %v", s.Started, want)
	}
	if s.Time.Before(before) || s.Time.After(time.Now()) {
		t.Errorf("time %v", s.Time)
	}
}

// TestReadVerdicts is the fault table: what a server may answer, and what it is
// called.
func TestReadVerdicts(t *testing.T) {
	const gauge = "# TYPE http_requests_per_second gauge\nhttp_requests_per_second 5\n"
	header := func(name, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			_, _ = io.WriteString(w, body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	bomb := zipped(t, strings.Repeat("# 0123456789\n", 100_000))
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		verdict autoscale.Verdict
		detail  string
	}{
		"gzip":              {header("Content-Encoding", "gzip", string(zipped(t, gauge))), autoscale.OK, ""},
		"no type":           {header("Content-Type", "nonsense;;", gauge), autoscale.OK, ""},
		"openmetrics":       {header("Content-Type", "application/openmetrics-text; version=1.0.0", gauge+"# EOF\n"), autoscale.OK, ""},
		"openmetrics cut":   {header("Content-Type", "application/openmetrics-text; version=1.0.0", gauge), autoscale.Malformed, "without # EOF"},
		"other name":        {answer("x 1\n"), autoscale.Absent, "the page has no http_requests_per_second, nor requests_per_second, http_requests_rps, rps"},
		"empty":             {answer(""), autoscale.Absent, "the page has no"},
		"html":              {header("Content-Type", "text/html", "<html>\n</html>\n"), autoscale.Absent, "the answer calls itself text/html"},
		"histogram":         {answer("# TYPE http_requests_per_second histogram\nhttp_requests_per_second_count 5\n"), autoscale.Absent, "it has http_requests_per_second_count"},
		"quantiles":         {answer("# TYPE http_requests_per_second summary\nhttp_requests_per_second{quantile=\"1\"} 5\n"), autoscale.Malformed, "--rps-metric=http_requests_per_second_count"},
		"404":               {status(404), autoscale.Unreachable, "HTTP 404 Not Found; is the path"},
		"401":               {status(401), autoscale.Unreachable, "HTTP 401 Unauthorized; user:password@"},
		"503":               {status(503), autoscale.Unreachable, "HTTP 503 Service Unavailable"},
		"204":               {status(204), autoscale.Unreachable, "HTTP 204"},
		"large":             {answer(strings.Repeat("# 0123456789\n", 10_000)), autoscale.TooLarge, "larger than 100000 bytes"},
		"bomb":              {header("Content-Encoding", "gzip", string(bomb)), autoscale.TooLarge, "larger than 100000 bytes"},
		"just fits":         {answer(gauge + "#" + strings.Repeat("-", 100_000-len(gauge)-2) + "\n"), autoscale.OK, ""},
		"one byte too many": {answer(gauge + "#" + strings.Repeat("-", 100_000-len(gauge)-1) + "\n"), autoscale.TooLarge, "larger"},
		"cut":               {header("Content-Length", "1000", gauge), autoscale.Malformed, "cut short: unexpected EOF"},
		"gzip cut":          {header("Content-Encoding", "gzip", string(zipped(t, gauge)[:30])), autoscale.Malformed, "cut short: unexpected EOF"},
		"no gzip at all":    {header("Content-Encoding", "gzip", gauge), autoscale.Malformed, "gzip: invalid header"},
		"gzip and more":     {header("Content-Encoding", "gzip", string(zipped(t, gauge))+"garbage garbage"), autoscale.Malformed, "gzip: invalid header"},
		"brotli":            {header("Content-Encoding", "br", gauge), autoscale.Malformed, `encoded as "br"`},
		"protobuf":          {header("Content-Type", "application/vnd.google.protobuf", "x"), autoscale.Malformed, "protobuf, which was not asked for"},
		"no line feed":      {answer(strings.TrimSpace(gauge)), autoscale.Malformed, "line 2: the last line has no line feed"},
		"bad line":          {answer("http_requests_per_second five\n"), autoscale.Malformed, `line 1: the value "five"`},
		"twice":             {answer(gauge + "http_requests_per_second 5\n"), autoscale.Malformed, "stands twice"},
		"not finite":        {answer("http_requests_per_second NaN\n"), autoscale.NotFinite, "NaN"},
		"negative":          {answer("http_requests_per_second -5\n"), autoscale.Negative, "-5"},
		"current":           {answer(fmt.Sprintf("http_requests_per_second 5 %d\n", time.Now().Add(-4*time.Minute).UnixMilli())), autoscale.OK, ""},
		"stale":             {answer(fmt.Sprintf("http_requests_per_second 5 %d\n", time.Now().Add(-6*time.Minute).UnixMilli())), autoscale.Stale, "6m0s old, more than 5m0s"},
		"hangs up": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, autoscale.Unreachable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := read(t, Config{URLs: []string{serve(t, test.handler)}, MaxBytes: 100_000})
			if s.Verdict != test.verdict || !strings.Contains(s.Detail, test.detail) || (s.Detail == "") != (test.verdict == autoscale.OK) {
				t.Errorf("%s: %s\nwant %s: %s", s.Verdict, s.Detail, test.verdict, test.detail)
			}
			if s.Verdict == autoscale.OK && s.Value != 5 {
				t.Errorf("value %v, want 5", s.Value)
			}
		})
	}
}

func TestReadUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://me:s3cret@" + listener.Addr().String() + "/metrics"
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := Config{URLs: []string{url}}
	_, s := read(t, c)
	if s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "connection refused") || strings.Contains(fmt.Sprint(s), "s3cret") {
		t.Errorf("sample %+v", s)
	}
	// A replica that publishes another port may be what the URL once was.
	app := autoscale.Replica{ID: "1", Name: "app-2", Ports: []autoscale.Port{published8000("127.0.0.1:8001")}}
	_, s = read(t, c, app)
	if !strings.Contains(s.Detail, "app-2 publishes its port 8000 as 127.0.0.1:8001: --metrics-url=http://{replica}:8000/metrics") {
		t.Errorf("detail %s", s.Detail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := source(t, c).Read(ctx, nil)
	if s := r.Samples[0]; s.Verdict != autoscale.Unreachable || s.Detail != "interrupted" {
		t.Errorf("after Ctrl-C: %+v", s)
	}
}

// TestReadLate lets a server stop answering at three points.
func TestReadLate(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the header": func(http.ResponseWriter) {},
		"after the header":  func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"in the body": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "http_requests_per_second 5\n")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				<-r.Context().Done()
			})
			_, s := read(t, Config{URLs: []string{url}, Timeout: 50 * time.Millisecond})
			if s.Verdict != autoscale.Late || s.Detail != "the page was not complete within 50ms" {
				t.Errorf("%s: %s", s.Verdict, s.Detail)
			}
		})
	}
}

func TestReadAuth(t *testing.T) {
	var got *http.Request
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		http.Error(w, "no entry for "+r.Header.Get("Authorization"), http.StatusForbidden)
	})
	url = strings.Replace(url, "http://", "http://me:s3cret@", 1) + "?token=s3cret"
	r, s := read(t, Config{URLs: []string{url}, Headers: []string{"x-key: s3cret", "Host: app.example"}})
	if user, password, ok := got.BasicAuth(); !ok || user != "me" || password != "s3cret" {
		t.Errorf("user %q, password %q", user, password)
	}
	if got.Header.Get("X-Key") != "s3cret" || got.Host != "app.example" || got.URL.Query().Get("token") != "s3cret" {
		t.Errorf("request %+v", got)
	}
	if got.Header.Get("Accept-Encoding") != "gzip" || !strings.Contains(got.Header.Get("Accept"), "openmetrics") {
		t.Errorf("header %v", got.Header)
	}
	if all := fmt.Sprintf("%+v", r); strings.Contains(all, "s3cret") || s.Verdict != autoscale.Unreachable {
		t.Errorf("reading %s", all)
	}
	url = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "s3cret") })
	if _, s = read(t, Config{URLs: []string{url}, Headers: []string{"X-Key: s3cret"}}); !strings.Contains(s.Detail, `encoded as "***"`) {
		t.Errorf("detail %s", s.Detail)
	}
	// A page that shows the secrets in the very line that is quoted.
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, basic, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		answer("http_requests_per_second s3cret "+basic+"\n")(w, r)
	})
	url = strings.Replace(url, "http://", "http://me:pass@", 1)
	if _, s = read(t, Config{URLs: []string{url}, Headers: []string{"X-Key: s3cret"}}); !strings.Contains(s.Detail, `"http_requests_per_second *** ***"`) {
		t.Errorf("detail %s", s.Detail)
	}
}

func TestReadRedirects(t *testing.T) {
	var elsewhere bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere = true })
	other = strings.Replace(other, "127.0.0.1", "me:s3cret@localhost", 1) // the same machine by another name
	var auth string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			http.Redirect(w, r, "/metrics/", http.StatusMovedPermanently)
		case "/metrics/":
			auth = r.Header.Get("Authorization")
			answer("http_requests_per_second 5\n")(w, r)
		case "/away":
			http.Redirect(w, r, other, http.StatusFound)
		default:
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	})
	url = strings.Replace(url, "http://", "http://me:pass@", 1)
	if _, s := read(t, Config{URLs: []string{url}}); s.Verdict != autoscale.OK || s.Value != 5 || auth == "" {
		t.Errorf("within the host: %+v, Authorization %q", s, auth)
	}
	_, s := read(t, Config{URLs: []string{strings.Replace(url, "/metrics", "/away", 1)}})
	if s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "redirects to another host, localhost:") || strings.Contains(s.Detail, "s3cret") || elsewhere {
		t.Errorf("to another host: %+v, was asked: %v", s, elsewhere)
	}
	_, s = read(t, Config{URLs: []string{strings.Replace(url, "/metrics", "/loop", 1)}})
	if s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "more than 5 redirects") {
		t.Errorf("in circles: %+v", s)
	}
}

func TestReadHTTPS(t *testing.T) {
	plain := serve(t, answer("http_requests_per_second 5\n"))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plain, http.StatusFound)
			return
		}
		answer("http_requests_per_second 5\n")(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs that we refuse its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	if _, s := read(t, Config{URLs: []string{server.URL}}); s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "certificate") {
		t.Errorf("unknown certificate: %+v", s)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusting := &tls.Config{RootCAs: roots}
	if _, s := read(t, Config{URLs: []string{server.URL}, TLS: trusting}); s.Verdict != autoscale.OK {
		t.Errorf("known certificate: %+v", s)
	}
	if _, s := read(t, Config{URLs: []string{server.URL + "/down"}, TLS: trusting}); !strings.Contains(s.Detail, "from https to http") {
		t.Errorf("redirected to http: %+v", s)
	}
}

func TestReadSeveralURLs(t *testing.T) {
	a := serve(t, answer("# TYPE http_requests_total counter\nhttp_requests_total 5\n"))
	b := serve(t, answer("http_requests_total 7\n"))
	r := source(t, Config{URLs: []string{a, b}, Metric: "http_requests_total"}).Read(t.Context(), nil)
	if r.Kind != autoscale.Counter || len(r.Samples) != 2 || r.Samples[0].Value+r.Samples[1].Value != 12 || r.Samples[0].Process == r.Samples[1].Process {
		t.Errorf("reading %+v", r)
	}
}

// BenchmarkRead reads a page of 100 KB from a server in the same process, whose
// cost is counted, too.
func BenchmarkRead(b *testing.B) {
	page := strings.Repeat("http_server_requests_seconds_bucket{method=\"GET\",uri=\"/orders\",le=\"0.5\"} 12345.0\n", 1200) + "http_requests_per_second 5\n"
	server := httptest.NewServer(answer(page))
	b.Cleanup(server.Close)
	s, err := New(Config{URLs: []string{server.URL}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if r := s.Read(b.Context(), nil); r.Samples[0].Verdict != autoscale.OK {
			b.Fatal(r)
		}
	}
}
