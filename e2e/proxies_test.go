//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// images keeps the tests from building one twice at the same time.
var images sync.Mutex

// proxyOf builds an image of a program and what it needs: COPY lines, and scripts
// for bash that fill the folder root/.
func proxyOf(t *testing.T, name, script, command string) string {
	t.Helper()
	images.Lock()
	defer images.Unlock()
	if exec.Command("docker", "image", "inspect", name).Run() == nil {
		return name
	}
	dir := t.TempDir()
	dockerfile := "FROM scratch\nCOPY root /\nENV PATH=/usr/sbin:/usr/bin\nCMD " + command + "\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	const users = `mkdir -p root/etc root/tmp root/run root/usr/sbin root/lib64
printf 'root:x:0:0:::\nnobody:x:65534:65534:::\n' > root/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > root/etc/group
`
	cmd := exec.Command("bash", "-euc", users+script+"\ndocker build -q -t "+name+" .")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the image %s: %v\n%s", name, err, out)
	}
	return name
}

// debian is the script that takes a program of Debian's along, with its libraries;
// the variable names where its packages were unpacked.
func debian(t *testing.T, variable, program string) string {
	t.Helper()
	root := os.Getenv(variable)
	if root == "" {
		t.Fatal(variable + " is not set: run this through e2e/run")
	}
	ldd := exec.Command("ldd", filepath.Join(root, program))
	ldd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries(root))
	out, err := ldd.Output()
	if err != nil {
		t.Fatal(err)
	}
	script := "cp " + filepath.Join(root, program) + " root/usr/sbin/\n"
	for path := range strings.FieldsSeq(string(out)) {
		if filepath.IsAbs(path) {
			to := strings.TrimPrefix(path, root)
			script += fmt.Sprintf("mkdir -p root%s && cp -L %s root%s\n", filepath.Dir(to), path, to)
		}
	}
	return script
}

// libraries is where those of unpacked packages lie.
func libraries(root string) string {
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu")) // the pattern is a good one
	return strings.Join(append(found, filepath.Join(root, "usr/lib")), ":")
}

// nginxImage is an image of Debian's nginx.
func nginxImage(t *testing.T) string {
	t.Helper()
	return proxyOf(t, "autoscale-e2e-nginx", debian(t, "AUTOSCALE_NGINX", "usr/sbin/nginx")+"mkdir -p root/var/log/nginx root/var/lib/nginx", `["nginx", "-g", "daemon off; error_log stderr;"]`)
}

func haproxyImage(t *testing.T) string {
	t.Helper()
	return proxyOf(t, "autoscale-e2e-haproxy", debian(t, "AUTOSCALE_HAPROXY", "usr/sbin/haproxy"), `["haproxy"]`)
}

func traefikImage(t *testing.T) string {
	t.Helper()
	return proxyOf(t, "autoscale-e2e-traefik", "cp "+os.Getenv("AUTOSCALE_TRAEFIK")+" root/usr/sbin/traefik", `["traefik"]`)
}

func caddyImage(t *testing.T) string {
	t.Helper()
	return proxyOf(t, "autoscale-e2e-caddy", "cp "+os.Getenv("AUTOSCALE_CADDY")+" root/usr/sbin/caddy", `["caddy", "run", "--config", "/etc/caddy/Caddyfile"]`)
}

// example is a project of examples/proxies that runs, and the URL of its proxy.
func example(t *testing.T, name, variable, image string) (*project, string) {
	t.Helper()
	var files []string
	root := filepath.Join("../examples/proxies", name)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		files = append(files, strings.TrimPrefix(path, root+"/"), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p, port := newProject(t, files...), freePort(t)
	p.env = []string{"APP_IMAGE=" + appImage + ":1", "CAPACITY=200", "PROXY_PORT=" + port, variable + "=" + image}
	p.up()
	return p, "http://127.0.0.1:" + port + "/"
}

// answers waits until a URL does.
func (p *project) answers(url string) {
	p.t.Helper()
	p.eventually(url+" answers", func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil && response.StatusCode == http.StatusOK
	})
}

// scalings brings a service up and down under a steady load of such requests, and
// looks that none fails of it, nor takes long. A GET may be
// repeated, by whoever finds a connection closed; a POST may not.
func (p *project) scalings(url string, methods []string, flags ...string) {
	p.t.Helper()
	p.answers(url)
	// Without all of it a request took 3 to 100 seconds. A second, on a machine that
	// other tests keep busy, is for the long version.
	count, load, most := 4, int64(20), 3*time.Second
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		count, most = 50, time.Second
	}
	page := newPage(p.t, 30)
	flags = append([]string{page.url(), "--metrics-scope=service", "--max-reversals=0"}, flags...)
	// The first run tells the proxy.
	p.autoscale(flags...).want(0)
	var all []*callers
	for _, method := range methods {
		all = append(all, callersAt(p.t, url, method, load))
	}
	for i := range count {
		to := []int{3, 1, 4, 2}[i%4]
		page.set(float64(to)*40 - 10)
		p.autoscale(flags...).want(0, fmt.Sprintf("-> %d replica", to))
		p.wantDeclared(to)
		time.Sleep(time.Duration(300+i*137%500) * time.Millisecond)
	}
	for _, calls := range all {
		sent := calls.end()
		p.t.Logf("%d scalings, %d requests (%s), %d failed, slowest %s", count, sent, calls.method, len(calls.failed), calls.slowest.Round(time.Millisecond))
		if calls.slowest > most {
			p.t.Errorf("a request took %s", calls.slowest)
		}
		if seen := calls.known(); seen < 3 {
			p.t.Errorf("only %d replicas ever answered", seen)
		}
	}
}

func both() []string { return []string{http.MethodGet, http.MethodPost} }

func TestProxyNginx(t *testing.T) {
	t.Parallel()
	p, url := example(t, "nginx", "NGINX_IMAGE", nginxImage(t))
	p.scalings(url, both(), "--upstream-file=proxy/upstreams/app.conf", "--upstream-format=nginx", "--drain=2s",
		"--on-change=docker compose exec -T proxy nginx -s reload")
}

func TestProxyHAProxy(t *testing.T) {
	t.Parallel()
	p, url := example(t, "haproxy", "HAPROXY_IMAGE", haproxyImage(t))
	p.scalings(url, both(), "--upstream-file=proxy/upstreams/app.cfg", "--upstream-format=haproxy", "--drain=2s",
		"--on-change=docker compose kill -s USR2 proxy")
}

func TestProxyTraefik(t *testing.T) {
	t.Parallel()
	p, url := example(t, "traefik", "TRAEFIK_IMAGE", traefikImage(t))
	p.scalings(url, both(), "--upstream-file=proxy/upstreams/app.yml", "--upstream-format=traefik", "--drain=3s")
}

func TestProxyCaddy(t *testing.T) {
	t.Parallel()
	p, url := example(t, "caddy", "CADDY_IMAGE", caddyImage(t))
	p.scalings(url, []string{http.MethodGet}) // of a POST it does not know whether the replica that stopped did it
}

// TestProxyNginxOnHost: the proxy runs on the machine itself.
func TestProxyNginxOnHost(t *testing.T) {
	t.Parallel()
	p, url := example(t, "nginx-host", "NGINX_IMAGE", "")
	root := os.Getenv("AUTOSCALE_NGINX")
	site := strings.NewReplacer("/etc/nginx/upstreams", p.dir+"/upstreams", "listen 8000", "listen "+strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")).Replace(p.read("app.conf"))
	p.write("nginx.conf", "user root;\npid "+p.dir+"/nginx.pid;\nevents {}\nhttp {\n\taccess_log off;\n\tclient_body_temp_path "+p.dir+"/body;\n\tproxy_temp_path "+p.dir+"/proxy;\n\tfastcgi_temp_path "+p.dir+"/fastcgi;\n\tuwsgi_temp_path "+p.dir+"/uwsgi;\n\tscgi_temp_path "+p.dir+"/scgi;\n"+site+"}\n")
	nginx := fmt.Sprintf("env LD_LIBRARY_PATH=%s %s/usr/sbin/nginx -e %s/error.log -c %s/nginx.conf", libraries(root), root, p.dir, p.dir)
	flags := []string{"--upstream-file=upstreams/app.conf", "--upstream-format=nginx", "--drain=2s", "--on-change=" + nginx + " -s reload"}
	page := newPage(t, 30)
	// No list, no nginx: the first run writes the one, and says that the other does not run.
	p.autoscale(append(flags, page.url(), "--metrics-scope=service")...).want(1, "--on-change:", "nginx.pid")
	words := strings.Fields(nginx + " -g")
	if out, err := exec.Command(words[0], append(words[1:], "daemon off; error_log "+p.dir+"/error.log;", "-t")...).CombinedOutput(); err != nil {
		t.Fatalf("nginx rejects its configuration: %v\n%s", err, out)
	}
	server := exec.Command(words[0], append(words[1:], "daemon off;")...)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait() // ended by us
		if t.Failed() {
			t.Logf("nginx said: %s", said.String())
		}
	})
	p.scalings(url, both(), flags...)
}
