package accesslog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Lines as the programs write them. What the real ones write is counted in
// e2e/sources_test.go.
func TestParse(t *testing.T) {
	const clf = `10.0.0.1 - bob [24/Nov/2026:10:05:07 +0100] `
	for name, c := range map[string]struct{ line, want string }{
		"common":                    {clf + `"GET /a?b=c HTTP/1.1" 200 13`, "GET /a  200 at 09:05:07"},
		"combined":                  {clf + `"POST / HTTP/2.0" 503 - "http://x/" "curl \"7\""`, "POST /  503 at 09:05:07"},
		"nginx, a client that left": {clf + `"GET / HTTP/1.1" 499 0 "-" "-"`, "GET /  499 at 09:05:07"},
		"no status":                 {clf + `"GET / HTTP/1.1" - -`, "GET /  0 at 09:05:07"},
		"a quote":                   {clf + `"GET /\"x HTTP/1.1" 200 1`, `GET /\"x  200 at 09:05:07`},
		"a user with a bracket":     {`10.0.0.1 - a[b [24/Nov/2026:10:05:07 +0100] "GET / HTTP/1.1" 200 1`, "GET /  200 at 09:05:07"},
		"behind syslog":             {`Nov 24 10:05:07 web nginx: ` + clf + `"GET / HTTP/1.1" 200 1` + "\r\n", "GET /  200 at 09:05:07"},
		"with a virtual host":       {`shop.example:443 ` + clf + `"GET / HTTP/1.1" 200 1`, "GET /  200 at 09:05:07"},
		"a TLS hello":               {clf + `"\x16\x03\x01" 400 150 "-" "-"`, "other"},
		"nothing was sent":          {clf + `"" 400 0 "-" "-"`, "other"},
		"no version":                {clf + `"GET /" 400 0`, "other"},
		"traefik": {`127.0.0.1 - - [25/Nov/2026:09:05:51 +0000] "GET /a HTTP/1.1" 200 1 "-" "-" 1 "app@file" "http://127.0.0.1:8000" 0ms`,
			"GET /a  200 at 09:05:51"},
		"haproxy": {`haproxy[14389]: 10.0.1.2:33317 [06/Feb/2026:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"`,
			"GET /index.html  200 at 12:14:14"},
		"haproxy, TLS":    {`10.0.1.2:33317 [06/Feb/2026:12:14:14.655] web~ app/app1 0/0/0/1/1 200 7 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1" 0/0/0/0/0 x/TLSv1.3/y`, "GET /  200 at 12:14:14"},
		"haproxy, broken": {`127.0.0.1:36998 [25/Nov/2026:09:46:06.759] web web/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"`, "other"},
		"haproxy, TCP":    {`10.0.1.2:33313 [06/Feb/2026:12:12:51.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0`, "unknown"},
		"haproxy's own":   {`haproxy[1]: Server app/app1 is UP, reason: Layer4 check passed.`, "unknown"},
		"caddy": {`{"level":"info","ts":1795597551.9,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"127.0.0.1","proto":"HTTP/1.1","method":"GET","host":"127.0.0.1:8","uri":"/a?b=c","headers":{"User-Agent":["curl/7.88.1"]}},"bytes_read":0,"duration":0.0004,"size":12,"status":200}`,
			"GET /a 127.0.0.1:8 200"},
		"caddy on an error": {`{"level":"error","ts":1.5,"logger":"http.log.error.log0","msg":"dial tcp","request":{"method":"GET","uri":"/"},"status":502}`, "other"},
		"caddy on itself":   {`{"level":"info","ts":1.5,"logger":"tls","msg":"cleaning storage unit"}`, "unknown"},
		"traefik's JSON": {`{"DownstreamStatus":502,"RequestHost":"shop","RequestMethod":"GET","RequestPath":"/a","level":"info","msg":"","time":"2026-11-25T09:05:51Z"}`,
			"GET /a shop 502"},
		"nginx's JSON":            {`{"time":"2026-11-25T09:05:51+00:00","request":"GET /a HTTP/1.1","status":"200","host":"shop"}`, "GET /a shop 200"},
		"nginx's JSON, in pieces": {`{"request_method":"PUT","request_uri":"/a?b","status":204,"http_host":"shop:8"}`, "PUT /a shop:8 204"},
		"envoy's":                 {`{"method":"GET","path":"/a","response_code":0,"authority":"shop"}`, "GET /a shop 0"},
		"JSON, no HTTP":           {`{"request":"\u0016\u0003","status":"400"}`, "other"},
		"JSON in pieces, no HTTP": {`{"time":"2026-11-25T09:46:07+00:00","method":"","uri":"","host":"","status":400}`, "other"},
		"JSON in other words":     {`{"verb":"GET","where":"/","answer":200}`, "unknown"},
		"JSON, cut":               {`{"method":"GET","path":`, "unknown"},
		"not JSON":                {`{"request":"GET \x22 HTTP/1.1","status":200}`, "unknown"},
		"an error log":            {`2026/11/24 10:05:07 [error] 7#7: *1 connect() failed (111: Connection refused), request: "GET / HTTP/1.1"`, "unknown"},
		"empty":                   {"", "unknown"},
		"a date that is none":     {`h - - [99/Nov/2026:10:05:07 +0100] "GET / HTTP/1.1" 200 1`, "unknown"},
	} {
		r, kind := Parse([]byte(c.line))
		got := map[Kind]string{Unknown: "unknown", Other: "other", HTTP: fmt.Sprintf("%s %s %s %d", r.Method, r.Path(), r.Host, r.Status)}[kind]
		if kind == HTTP && !r.Time.IsZero() {
			at := r.Time.UTC()
			if strings.HasPrefix(name, "haproxy") {
				at = r.Time.In(time.Local)
			}
			got += at.Format(" at 15:04:05")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if kind != HTTP && r != (Request{}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		`10.0.0.1 - bob [24/Nov/2026:10:05:07 +0100] "GET /a?b=c HTTP/1.1" 200 13 "-" "-"`,
		`h [06/Feb/2026:12:14:14.655] web app/app1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"`,
		`{"request":{"method":"GET","host":"h","uri":"/"},"status":200,"logger":"http.log.access"}`, `{"request":"GET / HTTP/1.1","status":"200"}`, "{", "[[[", `[""`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, kind := Parse(line)
		if kind != HTTP && r != (Request{}) || kind == HTTP && r.Method == "" && r.Target == "" {
			t.Errorf("%d %+v", kind, r)
		}
		if r.Status != 0 && (r.Status < 100 || r.Status > 599) {
			t.Errorf("status %d", r.Status)
		}
		again, same := Parse(append(append([]byte{}, line...), '\n'))
		if at := r.Time; at.Equal(again.Time) {
			again.Time = at // zones are compared by their addresses
		}
		if again != r || same != kind {
			t.Errorf("with a line feed: %d %+v, without: %d %+v", same, again, kind, r)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, line := range map[string]string{
		"combined": `10.0.0.1 - bob [24/Nov/2026:10:05:07 +0100] "GET /a?b=c HTTP/1.1" 200 13 "http://x/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"`,
		"JSON":     `{"level":"info","ts":1795599934.1337235,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"127.0.0.1","remote_port":"47562","client_ip":"127.0.0.1","proto":"HTTP/1.1","method":"GET","host":"127.0.0.1:18810","uri":"/a?b=c","headers":{"User-Agent":["curl/7.88.1"],"Accept":["*/*"]}},"bytes_read":0,"user_id":"","duration":0.001433018,"size":11,"status":200,"resp_headers":{"Via":["1.1 Caddy"],"Date":["Wed, 25 Nov 2026 09:45:34 GMT"],"Content-Length":["11"],"Content-Type":["text/plain; charset=utf-8"]}}`,
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(line)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, kind := Parse(text); kind != HTTP {
					b.Fatal("not read")
				}
			}
		})
	}
}
