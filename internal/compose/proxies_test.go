package compose

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestNginxConf: nginx's own -c is meant, and no other program's.
func TestNginxConf(t *testing.T) {
	for command, want := range map[string]string{
		"/docker-entrypoint.sh nginx -g 'daemon off;'":                            defaultConf,
		"nginx -c /srv/nginx.conf":                                                "/srv/nginx.conf",
		"/docker-entrypoint.sh nginx -g 'daemon off;' -c /srv/conf/../nginx.conf": "/srv/nginx.conf",
		"/docker-entrypoint.sh nginx-debug -e stderr -c /srv/nginx.conf":          "/srv/nginx.conf",
		"nginx -c conf/nginx.conf":                                                defaultConf,
		"nginx -c $CONF":                                                          defaultConf,
		"/bin/sh -c nginx":                                                        defaultConf,
		"/bin/sh -c /start-nginx.sh":                                              defaultConf,
		`/docker-entrypoint.sh /bin/sh -c 'while :; do sleep 6h & wait $!; nginx -s reload; done & nginx -g "daemon off;"'`: defaultConf,
		`sh -c 'envsubst < /t.conf > /etc/nginx/conf.d/a.conf && exec nginx -g "daemon off;"'`:                              defaultConf,
		`sh -c "envsubst < /t.conf > /srv/nginx.conf && exec nginx -g 'daemon off;' -c /srv/nginx.conf"`:                    "/srv/nginx.conf",
		`sh -c 'nginx -t && sh -c /start.sh'`:           defaultConf,
		`bash -c 'nginx -c "/srv/nginx.conf"; sleep 1'`: "/srv/nginx.conf",
		"my-nginx -c /srv/nginx.conf":                   defaultConf,
	} {
		if got := nginxConf(command); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

// archives is an engine that has files in its containers, by the path that is
// asked for.
type archives struct {
	files map[string]string
	asked []string
}

// RoundTrip answers with the archive of a file or of the files in a folder.
func (a *archives) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.URL.Query().Get("path")
	a.asked = append(a.asked, asked)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range a.files {
		if name != asked && !strings.HasPrefix(name, asked+"/") {
			continue
		}
		name = name[strings.LastIndex(asked, "/")+1:]
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return nil, err
		}
	}
	status := http.StatusOK
	if b.Len() == 0 {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(&b), Request: r}, w.Close()
}

// TestResolvedOnceOf: of an nginx that a shell starts, the folder of its own
// configuration is asked for, and never a whole container.
func TestResolvedOnceOf(t *testing.T) {
	const conf = "events {}\nhttp { server { location / { proxy_pass http://app:8000; } } }\n"
	files := map[string]string{"/etc/nginx/nginx.conf": "http { include conf.d/*.conf; }", "/etc/nginx/conf.d/site.conf": conf, "/nginx.conf": conf, "/srv/x/nginx.conf": "http {}"}
	for command, want := range map[string]struct{ asked, place string }{
		`/docker-entrypoint.sh /bin/sh -c 'while :; do sleep 6h & wait $!; nginx -s reload; done & nginx -g "daemon off;"'`: {"/etc/nginx", "/etc/nginx/conf.d/site.conf:2"},
		"nginx -c /nginx.conf":          {"/nginx.conf", "/nginx.conf:2"},
		"nginx -c /srv/x/nginx.conf":    {"/srv/x", ""},
		"nginx -c /srv/gone/nginx.conf": {"/srv/gone", ""},
	} {
		a := &archives{files: files}
		e := &engine{client: &http.Client{Transport: a}}
		problems, err := e.nginxOnce(t.Context(), neighbour{Command: command}, []string{"app"})
		if err != nil || !slices.Equal(a.asked, []string{want.asked}) || len(problems) > 1 || (len(problems) == 1) != (want.place != "") {
			t.Errorf("%s: asked for %q, want %q: %v, %v", command, a.asked, want.asked, problems, err)
			continue
		}
		if want.place != "" && !strings.Contains(problems[0].Fact, want.place) {
			t.Errorf("%s: %s, want %s", command, problems[0].Fact, want.place)
		}
	}
}

// TestHAProxyOnce: the files that its command names are read; a list of ours is
// none of its own configuration.
func TestHAProxyOnce(t *testing.T) {
	const mark = "# Written by autoscale: the replicas of service app that take traffic. What is changed here by hand is lost.\n"
	const conf = "backend app\n  server app app:8000\n"
	files := map[string]string{"/usr/local/etc/haproxy/haproxy.cfg": conf, "/etc/h/a.cfg": "defaults\n mode http\n", "/etc/h/b.cfg": conf, "/etc/l/app.cfg": mark + conf}
	for command, want := range map[string]string{
		"docker-entrypoint.sh haproxy -f /etc/h/a.cfg":     "",
		"docker-entrypoint.sh haproxy":                     "/usr/local/etc/haproxy/haproxy.cfg:2",
		"haproxy -W -db -f /etc/h/a.cfg -f /etc/h/b.cfg":   "/etc/h/b.cfg:2",
		"haproxy -W -db -f /etc/h/a.cfg -f /etc/l/app.cfg": "",
		"haproxy -f /etc/gone/a.cfg":                       "",
	} {
		e := &engine{client: &http.Client{Transport: &archives{files: files}}}
		problems, err := e.haproxyOnce(t.Context(), neighbour{Command: command}, []string{"app"})
		if err != nil || len(problems) > 1 || (len(problems) == 1) != (want != "") || want != "" && !strings.Contains(problems[0].Fact, want) {
			t.Errorf("%s: %v, %v; want %s", command, problems, err, want)
		}
	}
}
