//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program starts a program on this machine and ends it with the test. What it writes
// to its standard output goes to a file of that name, if there is one.
func program(t *testing.T, env []string, output string, words ...string) *os.Process {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if output != "" {
		file, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd.Stdout = file
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // may have ended
		_ = cmd.Wait()                          // ended by us
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(words[0]), &said)
		}
	})
	return cmd.Process
}

// unpacked are a program of Debian's and the environment that it runs in; the
// variable names where its packages were unpacked.
func unpacked(t *testing.T, variable, program string) (path string, env []string) {
	t.Helper()
	root := os.Getenv(variable)
	if root == "" {
		t.Fatal(variable + " is not set: run this through e2e/run")
	}
	return filepath.Join(root, program), []string{"LD_LIBRARY_PATH=" + libraries(root)}
}

// write writes a file into a folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// soon waits for a condition of the real world; a minute is a failure.
func soon(t *testing.T, what string, holds func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after a minute still not: %s: %v", what, err)
		}
	}
}

// gets asks a URL.
func gets(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(text), err
}

// counted is the last sample of a run.
type counted struct {
	Process, Verdict, Detail string
	Value, Answered, Failed  float64
}

func (r run) counted() counted {
	r.t.Helper()
	var d struct {
		Reading struct{ Samples []counted }
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || len(d.Reading.Samples) == 0 {
		r.t.Fatalf("no samples: %v\n%s", err, r.out)
	}
	return d.Reading.Samples[len(d.Reading.Samples)-1]
}

// nginxAt starts an nginx on this machine that serves http{…}, in which DIR is its
// folder.
func nginxAt(t *testing.T, dir, http string) *os.Process {
	t.Helper()
	path, env := unpacked(t, "AUTOSCALE_NGINX", "usr/sbin/nginx")
	conf := "user root;\npid DIR/nginx.pid;\nerror_log DIR/error.log;\nevents {}\nhttp {\n\tclient_body_temp_path DIR/body;\n\tproxy_temp_path DIR/proxy;\n\tfastcgi_temp_path DIR/fastcgi;\n\tuwsgi_temp_path DIR/uwsgi;\n\tscgi_temp_path DIR/scgi;\n" + http + "}\n"
	file := write(t, dir, "nginx.conf", strings.ReplaceAll(conf, "DIR", dir))
	return program(t, env, "", path, "-e", filepath.Join(dir, "error.log"), "-c", file, "-g", "daemon off;")
}

// TestAccessLog: under load, and while its log is rotated in every way, each request
// that a real nginx served is counted once.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	port := freePort(t)
	nginx := nginxAt(t, p.dir, "\taccess_log DIR/access.log combined;\n\taccess_log DIR/all.log combined;\n\tserver { listen 127.0.0.1:"+port+"; location / { return 200 \"done by nginx\"; } }\n")
	url := "http://127.0.0.1:" + port + "/"
	p.answers(url)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(p.dir, name) }
	reopen := func() { must(nginx.Signal(syscall.SIGUSR1)) }
	reopened := func() {
		reopen()
		soon(t, "nginx opens its log anew", func() error { _, err := os.Stat(path("access.log")); return err })
	}
	all := func() int { return strings.Count(p.read("all.log"), "\n") } // what nginx says it served
	// nginx writes its logs after it has answered.
	soon(t, "both logs have the first request", func() error {
		if n, m := all(), strings.Count(p.read("access.log"), "\n"); n == 0 || m != n {
			return fmt.Errorf("%d and %d lines", n, m)
		}
		return nil
	})
	process, before := "", all()
	read := func() int {
		t.Helper()
		got := p.autoscale("--access-log=access.log", "--mode=observe", "--min=0", "--output=json").want(0).counted()
		if process == "" {
			process = got.Process
		}
		if got.Process != process || got.Verdict != "ok" {
			t.Fatalf("%+v", got)
		}
		return int(got.Value)
	}
	if n := read(); n != 0 {
		t.Fatalf("what was there before counted as %d", n)
	}
	calls := callersAt(t, url, http.MethodGet, 150)
	rotations := []func(){
		func() {},
		func() { // as logrotate's create does, and nginx is told late
			must(os.Rename(path("access.log"), path("access.log.1")))
			must(os.WriteFile(path("access.log"), nil, 0o644))
			time.Sleep(300 * time.Millisecond)
			reopen()
		},
		func() { // and nginx is told only after a run
			must(os.Rename(path("access.log"), path("access.log-20261125")))
			read()
			reopened()
		},
		func() { // twice between two runs, and the oldest is compressed
			must(os.Rename(path("access.log.1"), path("access.log.3.gz")))
			must(os.Rename(path("access.log"), path("access.log.1")))
			reopened()
			time.Sleep(300 * time.Millisecond)
			must(os.Rename(path("access.log.1"), path("access.log.2")))
			must(os.Rename(path("access.log"), path("access.log.1")))
			reopened()
		},
		func() { // copytruncate, which itself loses what comes in between
			calls.end()
			text := ""
			soon(t, "the last answers are in the log", func() error {
				before := text
				time.Sleep(200 * time.Millisecond)
				if text = p.read("access.log"); text != before {
					return errors.New("it grows")
				}
				return nil
			})
			must(os.WriteFile(path("access.log-20261126"), []byte(text), 0o644))
			must(os.Truncate(path("access.log"), 0))
			calls = callersAt(t, url, http.MethodGet, 150)
		},
	}
	for range 2 {
		for _, rotate := range rotations {
			rotate()
			read()
		}
		for _, old := range []string{"access.log.1", "access.log.2", "access.log.3.gz", "access.log-20261125", "access.log-20261126"} {
			if err := os.Remove(path(old)); err != nil {
				t.Fatal(err)
			}
		}
		read() // what is gone had been read
	}
	sent := calls.end()
	served := 0
	soon(t, "all are counted", func() error {
		if served = read(); served != all()-before {
			return fmt.Errorf("%d requests served, %d counted", all()-before, served)
		}
		return nil
	})
	t.Logf("%d requests counted, of which the last callers sent %d", served, sent)
	if served < 1500 {
		t.Error("too few requests for a test")
	}

	// Silence is no doubt while nginx runs, and is once it does not.
	if n := read(); n != served {
		t.Errorf("%d more without a request", n-served)
	}
	must(nginx.Signal(syscall.SIGTERM))
	soon(t, "nginx ends", func() error {
		if _, err := os.Stat(path("nginx.pid")); err == nil {
			return errors.New("it runs")
		}
		return nil
	})
	p.autoscale("--access-log=access.log", "--mode=observe", "--min=0").want(1, "reading is stale", "no program has it open to write")
	p.doctor("--access-log=access.log").wantCodes(t, "access-log-silent", "no-schedule")
	p.doctor("--access-log=none.log").wantCodes(t, "access-log-unreadable", "no-schedule")
	tree := p.tree()
	p.autoscale("--access-log=access.log", "--dry-run").want(1)
	p.wantTree(tree)
	write(t, p.dir, "odd.log", strings.Repeat("GET / 200 10.0.0.1\n", 5))
	p.doctor("--access-log=odd.log").wantCodes(t, "access-log-malformed", "no-schedule")
}

// TestAccessLogScales: the load in a log of a proxy in front moves a service, from zero
// and back to it.
func TestAccessLogScales(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	port := freePort(t)
	nginxAt(t, p.dir, "\taccess_log DIR/access.log combined;\n\tserver { listen 127.0.0.1:"+port+"; location / { return 200 \"done by nginx\"; } }\n")
	url := "http://127.0.0.1:" + port + "/"
	p.answers(url)
	flags := []string{"--access-log=access.log", `--rps-metric=requests{path!="/healthz"}`, "--min=0", "--rps-target=20", "--max-down=100%"}
	p.autoscale(flags...).want(0)
	calls := callersAt(t, url, http.MethodGet, 50)
	health := callersAt(t, url+"healthz", http.MethodGet, 100)
	time.Sleep(time.Second)
	p.autoscale(flags...).want(0, "-> 3 replicas")
	p.wantRunning("app-1 app-2 app-3")
	calls.end()
	p.eventually("the load is gone", func() bool { return strings.Contains(p.autoscale(flags...).want(0).out, "-> 0 replicas") })
	p.wantRunning("")
	p.autoscale(flags...).want(0, "0 replicas kept")
	calls = callersAt(t, url, http.MethodGet, 30)
	time.Sleep(time.Second)
	p.autoscale(flags...).want(0, "0 -> 2 replicas")
	p.wantRunning("app-1 app-2")
	calls.end()
	health.end()
}

// prometheusAt starts Debian's Prometheus with a configuration, and returns its URL.
func prometheusAt(t *testing.T, config string, args ...string) string {
	t.Helper()
	root := os.Getenv("AUTOSCALE_PROMETHEUS")
	if root == "" {
		t.Fatal("AUTOSCALE_PROMETHEUS is not set: run this through e2e/run")
	}
	dir, address := t.TempDir(), "127.0.0.1:"+freePort(t)
	file := write(t, dir, "prometheus.yml", config)
	program(t, []string{"LD_LIBRARY_PATH=" + filepath.Join(root, "usr/lib")}, "", append([]string{filepath.Join(root, "usr/bin/prometheus"),
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--log.level=warn"}, args...)...)
	soon(t, "Prometheus starts", func() error { _, err := gets("http://" + address + "/-/ready"); return err })
	return "http://" + address
}

// TestPrometheus: a real Prometheus finds the replicas by the engine, scrapes them,
// and its answers move the service.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	server := prometheusAt(t, fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: app
    docker_sd_configs: [{host: %q, refresh_interval: 1s, port: 8000, filters: [{name: label, values: [com.docker.compose.project=%s, com.docker.compose.service=app]}]}]
`, os.Getenv("DOCKER_HOST"), p.name))
	const query = "--prometheus-query=sum(http_requests_per_second) and min(up) == 1"
	flags := []string{"--prometheus-url=" + server, query, "--rps-target=40"}
	p.lever("app-1", "rps=110")
	p.eventually("Prometheus scrapes the replica", func() bool {
		return strings.Contains(p.autoscale(append(flags, "--dry-run")...).out, "1 -> 3 replicas: 110 rps")
	})
	got := p.autoscale(append(flags, "--output=json")...).want(0)
	if d := got.json(); d.Decision == nil || d.Decision.To != 3 || d.Decision.RPS != 110 || got.counted().Process != server {
		t.Errorf("%+v", got)
	}
	p.wantRunning("app-1 app-2 app-3")
	p.eventually("three replicas are scraped", func() bool {
		return strings.Contains(p.autoscale("--prometheus-url="+server, "--prometheus-query=count(up) == 3", "--dry-run").out, "3 rps")
	})
	// One replica that cannot be scraped makes the answer nothing, and so doubt: also
	// while the others say that there is less to do.
	p.lever("app-2", "slow=3s")
	p.eventually("a scrape fails", func() bool { return strings.Contains(p.autoscale(flags...).out, "reading is absent") })
	p.lever("app-1", "rps=10")
	for range 3 {
		time.Sleep(time.Second)
		p.autoscale(flags...).want(1, "reading is absent", "doubt never lowers")
	}
	p.wantRunning("app-1 app-2 app-3")
	p.lever("app-2", "slow=0s")
	p.eventually("all are scraped again", func() bool { return strings.Contains(p.autoscale(flags...).out, "-> 1 replica") })
	p.wantRunning("app-1")

	p.autoscale("--prometheus-url="+server, "--prometheus-query=sum(", "--rps-target=40").want(1, "reading is malformed", "the server rejects the query", "unclosed left parenthesis")
	p.autoscale("--prometheus-url="+server, "--prometheus-query=sum(up) / 0", "--rps-target=40").want(1, "reading is not-finite")
	p.eventually("the replicas that went are forgotten", func() bool {
		return strings.Contains(p.autoscale("--prometheus-url="+server, "--prometheus-query=count(up) == 1 and min(up) == 1", "--dry-run").out, "1 rps")
	})
	p.doctor("--prometheus-url="+server, query).wantCodes(t, "no-schedule")
}

// TestDoctorPrometheus: what a real server says is found, and no other.
func TestDoctorPrometheus(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	var old atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "fresh 5")
		if old.Load() {
			fmt.Fprintf(w, "aged 7 %d\n", time.Now().Add(-10*time.Minute).UnixMilli())
		}
	}))
	t.Cleanup(target.Close)
	old.Store(true)
	scrape := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: x, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(target.URL, "http://"))
	server := prometheusAt(t, scrape, "--query.lookback-delta=1h")
	// Its second storage is not there, of which each answer warns.
	half := prometheusAt(t, scrape+"remote_read: [{url: \"http://127.0.0.1:1/read\", read_recent: true, remote_timeout: 1s}]\n")
	for _, url := range []string{server, half} {
		soon(t, "Prometheus scrapes", func() error {
			text, err := gets(url + "/api/v1/query?query=fresh")
			if err == nil && !strings.Contains(text, `"5"`) {
				err = errors.New(text)
			}
			return err
		})
	}
	for _, c := range []struct {
		code, url, query string
	}{
		{"", server, "fresh"},
		{"", server, "sum(fresh)"},
		{"metric-stale", server, "aged"},
		{"metric-absent", server, "nothing"},
		{"metric-no-number", server, "fresh - 7"},
		{"query-rejected", server, "sum("},
		{"query-rejected", server, "fresh[5m]"},
		{"query-rejected", target.URL, "fresh"},
		{"query-partial", half, "fresh"},
		{"metrics-unreachable", "http://127.0.0.1:1", "fresh"},
	} {
		want := []string{"not-running", "no-schedule"}
		if c.code != "" {
			want = append(want, c.code)
		}
		p.doctor("--prometheus-url="+c.url, "--prometheus-query="+c.query).wantCodes(t, want...)
	}
}

// front is a proxy on this machine that tells of its requests.
type front struct {
	url     string
	metrics string
	metric  string            // the documented selector
	logs    map[string]string // log file → selector
	own     float64           // most requests of its own that the metric counts in the test
}

// fronts start each of the proxies, to send requests on to an address.
var fronts = map[string]func(t *testing.T, dir, to string) front{
	"caddy": func(t *testing.T, dir, to string) front {
		web, admin := freePort(t), freePort(t)
		file := write(t, dir, "Caddyfile", fmt.Sprintf("{\n\tadmin 127.0.0.1:%s\n\tauto_https off\n\tpersist_config off\n\tmetrics\n}\n:%s {\n\tlog {\n\t\toutput file %s/caddy.log\n\t}\n\treverse_proxy %s\n}\n", admin, web, dir, to))
		program(t, []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, "", os.Getenv("AUTOSCALE_CADDY"), "run", "--adapter=caddyfile", "--config="+file)
		return front{"http://127.0.0.1:" + web + "/", "http://127.0.0.1:" + admin + "/metrics", `caddy_http_requests_total{handler="reverse_proxy"}`,
			map[string]string{"caddy.log": `requests{host=~"127.0.0.1:.*"}`}, 0}
	},
	"haproxy": func(t *testing.T, dir, to string) front {
		web, metrics := freePort(t), freePort(t)
		file := write(t, dir, "haproxy.cfg", fmt.Sprintf("global\n    log stdout format raw local0\ndefaults\n    mode http\n    log global\n    option httplog\n    timeout connect 1s\n    timeout client 60s\n    timeout server 60s\nfrontend web\n    bind 127.0.0.1:%s\n    default_backend app\nfrontend metrics\n    bind 127.0.0.1:%s\n    no log\n    http-request use-service prometheus-exporter if { path /metrics }\nbackend app\n    server app1 %s\n", web, metrics, to))
		path, env := unpacked(t, "AUTOSCALE_HAPROXY", "usr/sbin/haproxy")
		program(t, env, filepath.Join(dir, "haproxy.log"), path, "-db", "-f", file)
		return front{"http://127.0.0.1:" + web + "/", "http://127.0.0.1:" + metrics + "/metrics", `haproxy_backend_http_requests_total{proxy="app"}`,
			map[string]string{"haproxy.log": `requests{code="200"}`}, 0}
	},
	"traefik": func(t *testing.T, dir, to string) front {
		web, metrics := freePort(t), freePort(t)
		write(t, dir, "routes.yml", "http:\n  routers: {app: {rule: PathPrefix(`/`), service: app, entryPoints: [web]}}\n  services: {app: {loadBalancer: {servers: [{url: \"http://"+to+"\"}]}}}\n")
		file := write(t, dir, "traefik.yml", fmt.Sprintf("entryPoints: {web: {address: \"127.0.0.1:%s\"}, metrics: {address: \"127.0.0.1:%s\"}}\nmetrics: {prometheus: {entryPoint: metrics}}\naccessLog: {filePath: %s/traefik.log, format: json}\nproviders: {file: {filename: %s/routes.yml}}\n", web, metrics, dir, dir))
		program(t, nil, "", os.Getenv("AUTOSCALE_TRAEFIK"), "--configFile="+file)
		return front{"http://127.0.0.1:" + web + "/", "http://127.0.0.1:" + metrics + "/metrics", `traefik_service_requests_total{service="app@file"}`,
			map[string]string{"traefik.log": `requests{method="GET"}`}, 0}
	},
	"nginx": func(t *testing.T, dir, to string) front {
		web, status, metrics := freePort(t), freePort(t), freePort(t)
		nginxAt(t, dir, fmt.Sprintf("\tlog_format json escape=json '{\"time\":\"$time_iso8601\",\"method\":\"$request_method\",\"uri\":\"$request_uri\",\"host\":\"$host\",\"status\":$status}';\n\tserver { listen 127.0.0.1:%s; access_log DIR/nginx.log; access_log DIR/nginx.json json; location / { proxy_pass http://%s; } }\n\tserver { listen 127.0.0.1:%s; access_log off; location /stub_status { stub_status; } }\n", web, to, status))
		soon(t, "nginx runs", func() error { _, err := gets("http://127.0.0.1:" + status + "/stub_status"); return err })
		path, env := unpacked(t, "AUTOSCALE_NGINX_EXPORTER", "usr/bin/prometheus-nginx-exporter")
		program(t, env, "", path, "-web.listen-address=127.0.0.1:"+metrics, "-nginx.scrape-uri=http://127.0.0.1:"+status+"/stub_status")
		return front{"http://127.0.0.1:" + web + "/", "http://127.0.0.1:" + metrics + "/metrics", "nginx_http_requests_total",
			map[string]string{"nginx.log": "requests", "nginx.json": `requests{host="127.0.0.1"}`}, 3} // two looks of the exporter, and what was no HTTP
	},
}

// TestFronts: what the manual says of each proxy's own metrics and logs is so with the
// real one: requests count, each once, and what is none does not.
func TestFronts(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done by app") }))
	t.Cleanup(app.Close)
	for name, start := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t) // nothing of it runs: a file is all that is written
			dir := t.TempDir()
			f := start(t, dir, strings.TrimPrefix(app.URL, "http://"))
			if !strings.Contains(string(manual), f.metric) && !strings.Contains(string(manual), strings.Replace(f.metric, "@file", "@docker", 1)) {
				t.Errorf("the manual does not have %s", f.metric)
			}
			for _, url := range []string{f.url, f.metrics} {
				soon(t, url+" answers", func() error { _, err := gets(url); return err })
			}
			lines := map[string][]string{"metrics": {"--metrics-url=" + f.metrics, "--metrics-scope=service", "--rps-metric=" + f.metric}}
			for file, selector := range f.logs {
				lines[file] = []string{"--access-log=" + filepath.Join(dir, file), "--rps-metric=" + selector}
			}
			read := func(what string) counted {
				t.Helper()
				r := p.autoscale(append(lines[what], "--apply=never", "--mode=observe", "--min=0", "--output=json", "--state-file="+filepath.Join(dir, what+".state.json"))...)
				got := r.counted()
				if got.Verdict != "ok" {
					t.Fatalf("%s: %+v", what, got)
				}
				return got
			}
			before := map[string]counted{}
			for what := range lines {
				before[what] = read(what)
			}
			const n = 57
			for range n {
				if text, err := gets(f.url + "a?b=c"); err != nil || text != "done by app" {
					t.Fatal(text, err)
				}
			}
			hello(t, f.url)
			for _, what := range slices.Sorted(maps.Keys(lines)) {
				got, most := read(what), 0.0
				if what == "metrics" {
					most = f.own
				}
				if more := got.Value - before[what].Value; more < n || more > n+most {
					t.Errorf("%s: %v requests counted, %d sent", what, more, n)
				}
				t.Logf("%s: %+v", what, got)
			}
		})
	}
}

// hello sends what no HTTP server understands, as a scanner does.
func hello(t *testing.T, url string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x16\x03\x01\x02\x00\x01\n\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // a loopback connection has one
	_, _ = io.ReadAll(conn)                                   // until it is closed
}
