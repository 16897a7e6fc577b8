package nginx

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestResolvedOnce: real-life configurations, each with the places that stay
// with the replicas of the start.
func TestResolvedOnce(t *testing.T) {
	const head = "user nginx;\nworker_processes auto;\nevents { worker_connections 1024; }\nhttp {\n  include /etc/nginx/mime.types; # there is none here\n  log_format main '$remote_addr - \"$request\" { ; }';\n  include conf.d/*.conf;\n}\n"
	for name, c := range map[string]struct {
		site string
		want []string // line and name
	}{
		"the plain one":        {"server {\n  listen 80;\n  location / {\n    proxy_pass http://app:8000;\n  }\n}", []string{"4 app"}},
		"without a port":       {"server { location / { proxy_pass http://app; } }", []string{"1 app"}},
		"with a path":          {"server { location /x { proxy_pass http://APP:8000/y/; } }", []string{"1 APP"}},
		"an alias, dotted":     {"server { location / { proxy_pass http://bot-app-1.:8000; } }", []string{"1 bot-app-1."}},
		"in quotes":            {"server { location / { proxy_pass \"http://app:8000\"; } }", []string{"1 app"}},
		"grpc and fastcgi":     {"server {\nlocation /a { grpc_pass grpc://app:9000; }\nlocation /b { fastcgi_pass app:9000; }\n}", []string{"2 app", "3 app"}},
		"an upstream":          {"upstream back {\n  least_conn;\n  server app:8000 max_fails=3;\n}\nserver { location / { proxy_pass http://back; } }", []string{"3 app"}},
		"named as the service": {"upstream app { server app:8000; }\nserver { location / { proxy_pass http://app; } }", []string{"1 app"}},
		"resolving":            {"resolver 127.0.0.11;\nupstream back { zone z 64k; server app:8000 resolve; }\nserver { location / { proxy_pass http://back; } }", nil},
		"a variable":           {"server { resolver 127.0.0.11; set $b app; location / { proxy_pass http://$b:8000; } }", nil},
		"a variable in braces": {"server { set $b app; location ~ ^/(?<x>.{2}) { proxy_pass http://${b}:8000$request_uri; } }", nil},
		"an unused upstream":   {"upstream back { server app:8000; }\nserver { location / { proxy_pass http://other:80; } }", nil},
		"another service":      {"server { location / { proxy_pass http://other:8000; proxy_set_header Host app; } }", nil},
		"a socket":             {"server { location / { proxy_pass http://unix:/run/app.sock; } }", nil},
		"commented out":        {"server { # proxy_pass http://app:8000;\n}", nil},
		"server blocks":        {"server { server_name app; listen app:80; }", nil},
		"cut short":            {"server { location / { proxy_pass http://app:8000;", []string{"1 app"}},

		"an upstream by a variable":           {"upstream back { server app:8000; }\nserver { set $b back; location / { proxy_pass http://$b; } }", []string{"1 app"}},
		"with its path, in braces":            {"upstream Back {\nserver app:8000; }\nserver { set $b back; location / { proxy_pass http://${b}/x$request_uri; } }", []string{"2 app"}},
		"with its scheme":                     {"upstream back { server app:8000; }\nserver { set $b http://back; location / { proxy_pass $b$request_uri; } }", []string{"1 app"}},
		"named as the service, by a variable": {"upstream app { server app:8000; }\nserver { set $b app; location / { proxy_pass http://$b; } }", []string{"1 app"}},
		"a variable with a port is looked up": {"upstream app { server app:8000; }\nserver { set $b app; location / { proxy_pass http://$b:8000; } }", nil},
		"an upstream that resolves, by one":   {"upstream back { server app:8000 resolve; }\nserver { set $b back; location / { proxy_pass http://$b; } }", nil},
		"a variable that is no upstream":      {"upstream back { server app:8000; }\nserver { set $b app; location / { proxy_pass http://$b; } }", nil},
		"a variable of a map, passed over":    {"map $host $b { default back; }\nupstream back { server app:8000; }\nserver { location / { proxy_pass http://$b; } }", nil},
		"included in an upstream":             {"upstream back {\n  include servers/app.inc;\n}\nserver { location / { proxy_pass http://back; } }", []string{"1 app", "2 app"}},
		"included in an unused upstream":      {"upstream back { include servers/app.inc; }\nserver { location / { proxy_pass http://other; } }", nil},
	} {
		t.Run(name, func(t *testing.T) {
			places, err := ResolvedOnce("/etc/nginx/nginx.conf", map[string][]byte{
				"/etc/nginx/nginx.conf":       []byte(head),
				"/etc/nginx/conf.d/site.conf": []byte(c.site),
				"/etc/nginx/servers/app.inc":  []byte("server app:8000; } # one too many\nserver app:8001;"),
				"/etc/nginx/other/x.conf":     []byte("server { location / { proxy_pass http://app:1; } }"),
			}, []string{"app", "bot-app-1"})
			var got []string
			for _, p := range places {
				got = append(got, fmt.Sprintf("%d %s", p.Line, p.Name))
				if p.File != "/etc/nginx/conf.d/site.conf" && p.File != "/etc/nginx/servers/app.inc" || !strings.Contains(p.Directive, p.Name) {
					t.Errorf("%+v", p)
				}
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := ResolvedOnce("/x", nil, nil); err == nil {
		t.Error("no configuration is no error")
	}
	circle := map[string][]byte{"/a": []byte("include /b;"), "/b": []byte("include /a;")}
	if _, err := ResolvedOnce("/a", circle, nil); err == nil {
		t.Error("a circle is no error")
	}
}

func FuzzResolvedOnce(f *testing.F) {
	f.Add("upstream app { server app:8000; }\nserver { location / { proxy_pass http://app; } }")
	f.Add("include *; '\\")
	f.Add("}}}{;;\"${")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = ResolvedOnce("/etc/nginx/nginx.conf", map[string][]byte{"/etc/nginx/nginx.conf": []byte(text), "/etc/nginx/x": []byte(text)}, []string{"app"})
	})
}
