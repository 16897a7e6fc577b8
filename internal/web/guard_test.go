package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const pausePath = "/api/v1/services/shop/pause"

// Who may do what: other hosts' pages nothing, a change needs the token, and a
// name that somebody pointed here is not answered to.
func TestGuard(t *testing.T) {
	const body = `{"for": "30m"}`
	for _, c := range []struct {
		name, method, path string
		config             Config
		headers            []string
		status             int
		says               string
	}{
		{name: "reading needs no token", method: "GET", path: "/api/v1/services", status: 200},
		{name: "a change needs one", method: "POST", path: pausePath, status: 401, says: "Authorization: Bearer"},
		{name: "the end of a pause too", method: "DELETE", path: pausePath, status: 401},
		{name: "a wrong one", method: "POST", path: pausePath, headers: []string{bearer + "r"}, status: 401},
		{name: "a part of it", method: "POST", path: pausePath, headers: []string{bearer[:len(bearer)-1]}, status: 401},
		{name: "another scheme", method: "POST", path: pausePath, headers: []string{"Authorization: Basic " + secret}, status: 401},
		{name: "the right one", method: "POST", path: pausePath, headers: []string{bearer}, status: 200},
		{name: "in small letters", method: "POST", path: pausePath, headers: []string{"Authorization: bearer " + secret}, status: 200},
		{name: "our own page", method: "POST", path: pausePath, headers: []string{bearer, "Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:9292"}, status: 200},
		{name: "our own page in an old browser", method: "POST", path: pausePath, headers: []string{bearer, "Origin: http://127.0.0.1:9292"}, status: 200},
		{name: "another host's page", method: "POST", path: pausePath, headers: []string{bearer, "Sec-Fetch-Site: cross-site"}, status: 403, says: "another host"},
		{name: "another port's page", method: "POST", path: pausePath, headers: []string{bearer, "Sec-Fetch-Site: same-site"}, status: 403},
		{name: "another host's page in an old browser", method: "POST", path: pausePath, headers: []string{bearer, "Origin: http://evil.example"}, status: 403},
		{name: "a page without an origin", method: "DELETE", path: pausePath, headers: []string{bearer, "Origin: null"}, status: 403},
		{name: "a name pointed here", method: "GET", path: "/api/v1/services", headers: []string{"Host: evil.example:9292"}, status: 421, says: "evil.example"},
		{name: "the metrics by such a name", method: "GET", path: "/metrics", headers: []string{"Host: evil.example"}, status: 421},
		{name: "a change by such a name", method: "POST", path: pausePath, headers: []string{bearer, "Host: evil.example"}, status: 421},
		{name: "no name", method: "GET", path: "/", headers: []string{"Host: "}, status: 421},
		{name: "localhost", method: "GET", path: "/", headers: []string{"Host: LocalHost:9292"}, status: 200},
		{name: "a tunnel's port", method: "GET", path: "/", headers: []string{"Host: app.localhost:8080"}, status: 200},
		{name: "a name that ends alike", method: "GET", path: "/", headers: []string{"Host: evillocalhost"}, status: 421},
		{name: "six", method: "GET", path: "/", headers: []string{"Host: [::1]:9292"}, status: 200},
		{name: "six without a port", method: "GET", path: "/", headers: []string{"Host: [::1]"}, status: 200},
		{name: "this machine's name", method: "GET", path: "/", headers: []string{"Host: WEB1."}, status: 200},

		{name: "no token at all", config: Config{Listen: "127.0.0.1:9292"}, method: "POST", path: pausePath, headers: []string{"Authorization: Bearer "}, status: 403, says: "set token:"},
		{name: "no token, and reading", config: Config{Listen: "127.0.0.1:9292"}, method: "GET", path: "/api/v1/services", status: 200},

		{name: "others read with the token", config: Config{Listen: ":9292", Token: secret}, method: "GET", path: "/api/v1/services", headers: []string{bearer}, status: 200},
		{name: "and not without", config: Config{Listen: ":9292", Token: secret}, method: "GET", path: "/api/v1/services", status: 401},
		{name: "not even a stream", config: Config{Listen: ":9292", Token: secret}, method: "GET", path: "/api/v1/stream", status: 401},
		{name: "but whether it is ready", config: Config{Listen: ":9292", Token: secret}, method: "GET", path: "/healthz", status: 200},
		{name: "and the metrics", config: Config{Listen: ":9292", Token: secret}, method: "GET", path: "/metrics", status: 200},
		{name: "the name listened at", config: Config{Listen: "scaler.example:9292", Token: secret}, method: "GET", path: "/", headers: []string{"Host: scaler.example:9292"}, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &known{shots: many(1, time.Now()).shots}
			d.shots[0].Name = "shop"
			if c.config.Listen == "" {
				c.config = Config{Listen: "127.0.0.1:9292", Token: secret, Host: "web1"}
			}
			s, err := New(c.config, d, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := ask(s.Handler(), c.method, c.path, body, c.headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if changed := c.method != "GET" && c.status == 200; d.calls > 0 != changed {
				t.Errorf("%d changes", d.calls)
			}
			if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// Every answer tells browsers to load nothing foreign, to be framed nowhere and
// to keep nothing.
func TestHeaders(t *testing.T) {
	s := served(t, &known{}, nil)
	for _, h := range []http.Handler{s.Handler(), s.MetricsHandler()} {
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/v1/services", "/nothing"} {
			w := ask(h, "GET", path, "")
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			} {
				if got := w.Header().Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s: %q", path, name, got)
				}
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: %s", path, csp)
			}
		}
	}
}

// An address that others reach needs a token, and the error says what to do.
func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		config Config
		says   string // empty: taken
	}{
		{Config{}, ""},
		{Config{Listen: "127.0.0.1:9292"}, ""},
		{Config{Listen: "127.8.8.8:9292"}, ""},
		{Config{Listen: "[::1]:9292"}, ""},
		{Config{Listen: "localhost:9292"}, ""},
		{Config{MetricsListen: ":9293"}, ""},
		{Config{Listen: "0.0.0.0:9292", Token: secret}, ""},
		{Config{Listen: "0.0.0.0:9292"}, "there is no token"},
		{Config{Listen: ":9292"}, "there is no token"},
		{Config{Listen: "[::]:9292"}, "metrics-listen needs none"},
		{Config{Listen: "192.0.2.7:9292"}, "or listen on 127.0.0.1"},
		{Config{Listen: "localhost.example:9292"}, "there is no token"},
		{Config{Listen: "9292", Token: secret}, "listen: \"9292\" is no address"},
		{Config{MetricsListen: "nine:thousand:two"}, "metrics-listen: "},
	} {
		_, err := New(c.config, &known{}, nil)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}
