//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// sound is a project that doctor has nothing to say about.
const sound = `services:
  app:
    image: autoscale-e2e-app:1
    environment: {LEVERS: "1"}
    healthcheck: {test: ["CMD", "/app", "-healthcheck"], interval: 1s, timeout: 20s, retries: 3}
    stop_grace_period: 2s
    restart: unless-stopped
`

// findings is what the tests read of doctor --output=json.
type findings struct {
	Status   int
	Findings []struct {
		Code, Level, Text, Remedy string
		Fix                       *struct{ Text string }
	}
	Facts []string
	Error string
}

func (f findings) codes() (codes []string) {
	for _, found := range f.Findings {
		codes = append(codes, found.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// sub runs another command of the program with the usual flags and more.
func (p *project) sub(command string, args ...string) run {
	p.t.Helper()
	return p.as(nil, command, args...)
}

// as is sub as another user.
func (p *project) as(user *syscall.Credential, command string, args ...string) run {
	p.t.Helper()
	words := append(strings.Fields(command), "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0")
	return p.call(user, append(words, args...)...)
}

// call runs the program with these words only.
func (p *project) call(user *syscall.Credential, words ...string) run {
	p.t.Helper()
	cmd := exec.Command(built.autoscale, words...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	r := run{p.t, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	p.t.Logf("autoscale %s -> %d\n%s%s", strings.Join(words, " "), r.status, r.out, r.errors)
	return r
}

func (p *project) doctor(args ...string) findings {
	p.t.Helper()
	return p.sub("doctor", append(args, "--output=json")...).findings()
}

func (r run) findings() findings {
	r.t.Helper()
	var f findings
	if err := json.Unmarshal([]byte(r.out), &f); err != nil {
		r.t.Fatalf("not one JSON object: %v\n%s", err, r.out)
	}
	if f.Status != r.status || f.Error != "" {
		r.t.Fatalf("status %d, said %d, %s", r.status, f.Status, f.Error)
	}
	for _, found := range f.Findings {
		if found.Text == "" || found.Remedy == "" || found.Level == "" {
			r.t.Errorf("half a finding: %+v", found)
		}
	}
	return f
}

// wantCodes checks which findings there are.
func (f findings) wantCodes(t *testing.T, want ...string) findings {
	t.Helper()
	slices.Sort(want)
	if got := f.codes(); !slices.Equal(got, want) {
		t.Errorf("findings %q, want %q", got, want)
	}
	status := 0
	for _, found := range f.Findings {
		if found.Level != "note" {
			status = 1
		}
	}
	if f.Status != status {
		t.Errorf("status %d, want %d", f.Status, status)
	}
	return f
}

// TestDoctorSound: where all is well doctor says so and changes nothing.
func TestDoctorSound(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page := newPage(t, 30)
	before := p.tree()
	f := p.doctor(page.url()).wantCodes(t, "no-schedule")
	if !slices.ContainsFunc(f.Facts, func(fact string) bool { return strings.Contains(fact, "a gauge, says 30 rps") }) {
		t.Errorf("facts %q", f.Facts)
	}
	p.sub("doctor", page.url()).want(0, "app: all is well (1 note)", "note no-schedule")
	p.doctor("--metrics-url=http://{replica}:8000/metrics").wantCodes(t, "no-schedule")
	p.call(nil, "doctor", "--provider=compose", "--min=1", "--max=0", "--rps-target=40").want(2, "--max=0")
	p.wantTree(before)

	// What only a running service shows.
	p.doctor(page.url(), "--max=1000000").wantCodes(t, "memory-short", "no-schedule")
	p.doctor(page.url(), "--project-name=other").wantCodes(t, "project-refused", "no-schedule")
	p.env = []string{"PATH=" + filepath.Dir(built.autoscale)}
	p.doctor(page.url()).wantCodes(t, "docker-missing", "no-schedule")
	p.env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
	p.doctor(page.url()).wantCodes(t, "engine-unreachable", "no-schedule")
	p.env = []string{"DOCKER_CONFIG=" + os.Getenv("AUTOSCALE_DOCKER_CONFIG_NONE"), "PATH=" + onlyDocker(t)}
	p.doctor(page.url()).wantCodes(t, "compose-missing", "no-schedule")
	p.env = []string{"PATH=" + fakeDocker(t, `[ "$1 $2" = "compose version" ] && { echo 2.19.1; exit; }`) + ":" + os.Getenv("PATH")}
	p.doctor(page.url()).wantCodes(t, "compose-old", "no-schedule")
	// The real engine, but for one number of its answer.
	p.env = []string{"PATH=" + fakeDocker(t, `[ "$2" = dial-stdio ] && { "$real" "$@" | sed -u 's/"ApiVersion":"1.[0-9]*"/"ApiVersion":"1.30"/g'; exit; }`) + ":" + os.Getenv("PATH")}
	p.doctor(page.url()).wantCodes(t, "engine-old", "no-schedule")
	p.env = nil
	p.wantTree(before)
}

// TestDoctorSocket: another user than those who may use the engine is told so.
func TestDoctorSocket(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	p := newProject(t, "compose.yaml", sound)
	for dir := p.dir; dir != filepath.Dir(dir) && strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(built.autoscale), 0o755); err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	page := newPage(t, 30)
	p.env = []string{"HOME=/nonexistent", "PATH=" + publicDocker(t), "DOCKER_CONFIG="}
	p.as(nobody, "doctor", page.url(), "--output=json").findings().wantCodes(t, "socket-denied", "no-schedule")
}

// onlyDocker is a folder for the PATH with nothing of docker but its command.
func onlyDocker(t *testing.T) string {
	t.Helper()
	return fakeDocker(t, "")
}

// fakeDocker is a folder with a docker that first does what line says, where
// $real is the real one.
func fakeDocker(t *testing.T, line string) string {
	t.Helper()
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/bash\nPATH=$PATH:/usr/bin:/bin\nreal=%s\n%s\nexec \"$real\" \"$@\"\n", real, line)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// publicDocker is a folder with a copy of the docker command that every user may
// run.
func publicDocker(t *testing.T) string {
	t.Helper()
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "docker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDoctorProject: each fault of a project is found, and no other. Nothing
// runs, so that is found besides.
func TestDoctorProject(t *testing.T) {
	t.Parallel()
	page := newPage(t, 30)
	carried := "COMPOSE_FILE=compose.yaml:" + overrideFile + "\n"
	for _, c := range []struct {
		code     string
		old, new string // in the sound project
		files    []string
		args     []string
	}{
		{code: "not-running"},
		{code: "project-invalid", old: "services:", new: "surprise: 1\nservices:"},
		{code: "service-unknown", args: []string{"--service=nope"}},
		{code: "override-not-carried", files: []string{".env", "OTHER=1\n"}},
		{code: "override-unusable", files: []string{".env", carried + "N=1\n", overrideFile, "services:\n  app:\n    deploy:\n      replicas: ${N}\n"}},
		{code: "container-name", old: "    restart:", new: "    container_name: mine\n    restart:"},
		{code: "host-network", old: "    restart:", new: "    network_mode: host\n    restart:"},
		{code: "fixed-port", old: "    restart:", new: "    ports: [\"18000:8000\"]\n    restart:"},
		{code: "port-range", old: "    restart:", new: "    ports: [\"18000-18003:8000\"]\n    restart:"},
		{code: "scale-conflict", old: "    restart:", new: "    scale: 1\n    restart:"},
		{code: "shared-volume", old: "    restart:", new: "    volumes: [\"data:/data\"]\n    restart:", files: []string{overrideFile, "services:\n  app:\n    deploy:\n      replicas: 1\nvolumes: {data: {}}\n"}},
		{code: "shared-volume", old: "    restart:", new: "    volumes: [\"./data:/data\"]\n    restart:"},
		{code: "no-healthcheck", old: "    healthcheck: {test: [\"CMD\", \"/app\", \"-healthcheck\"], interval: 1s, timeout: 20s, retries: 3}\n", new: ""},
		{code: "no-healthcheck", old: "interval: 1s,", new: "disable: true, interval: 1s,"},
		{code: "no-stop-grace-period", old: "    stop_grace_period: 2s\n", new: ""},
		{code: "no-restart", old: "    restart: unless-stopped\n", new: ""},
		{code: "no-restart", old: "restart: unless-stopped", new: "restart: \"no\""},
		{code: "variables-unset", old: `LEVERS: "1"`, new: `LEVERS: "${NOBODY_SETS_THIS}"`},
		{code: "memory-short", old: "    restart:", new: "    mem_limit: 500g\n    restart:"},
		{code: "memory-short", old: "    restart:", new: "    deploy: {resources: {limits: {memory: 500g}}}\n    restart:"},
		{code: "cpu-short", old: "    restart:", new: "    cpus: 1000\n    restart:"},
		{code: "cpu-short", old: "    restart:", new: "    deploy: {resources: {limits: {cpus: \"1000\"}}}\n    restart:"},
		// Silence where it is right.
		{old: "    restart:", new: "    volumes: [\"./data:/data:ro\", \"/cache\", \"/dev/null:/dev/x\"]\n    restart:"},
		{old: "    restart:", new: "    ports: [\"8000\", \"18000-18004:8001\"]\n    restart:"},
		{old: "restart: unless-stopped", new: "deploy: {restart_policy: {condition: any}}"},
		{old: "    restart:", new: "    cpus: 0.01\n    mem_limit: 20m\n    restart:"},
		{args: []string{"--max=1"}, old: "    restart:", new: "    container_name: mine\n    restart:"},
	} {
		t.Run(c.code, func(t *testing.T) {
			text := sound
			if c.old != "" && !strings.Contains(text, c.old) {
				t.Fatalf("the sound project has no %q", c.old)
			}
			p := newProject(t, append([]string{"compose.yaml", strings.Replace(text, c.old, c.new, 1)}, c.files...)...)
			if c.code == "scale-conflict" && strings.HasPrefix(p.docker("compose", "version", "--short"), "2.20.") {
				c.code = "" // it does not mind, and so there is none
			}
			want := []string{"no-schedule"}
			switch c.code {
			case "project-invalid", "service-unknown": // said in place of not-running
			default:
				want = append(want, "not-running")
			}
			if c.code != "" && c.code != "not-running" {
				want = append(want, c.code)
			}
			before := p.tree()
			p.doctor(append(c.args, page.url())...).wantCodes(t, want...)
			p.wantTree(before)
		})
	}
}

// TestDoctorMetrics: each fault of a metrics page is found, and no other.
func TestDoctorMetrics(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	page := newPage(t, 30)
	say := func(text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { fmt.Fprint(w, text) }
	}
	for _, c := range []struct {
		code string
		body func(http.ResponseWriter)
		args []string
	}{
		{"", say("# TYPE x_total counter\nx_total 7\n"), []string{"--rps-metric=x_total"}},
		{"metric-absent", say("# TYPE x gauge\nx 7\n"), nil},
		{"metric-kind-unknown", say("x 7\n"), []string{"--rps-metric=x"}},
		{"metric-no-number", say("http_requests_per_second NaN\n"), nil},
		{"metric-no-number", say("http_requests_per_second -1\n"), nil},
		{"metric-stale", say(fmt.Sprintf("http_requests_per_second 5 %d\n", time.Now().Add(-time.Hour).UnixMilli())), nil},
		{"metrics-malformed", say("http_requests_per_second 5"), nil},
		{"metrics-slow", func(w http.ResponseWriter) {
			time.Sleep(1200 * time.Millisecond)
			say("http_requests_per_second 5\n")(w)
		}, nil},
		{"metrics-late", func(w http.ResponseWriter) {
			time.Sleep(6 * time.Second)
		}, nil},
		{"metrics-too-large", func(w http.ResponseWriter) {
			line := []byte(strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 1024))
			for range 66 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, nil},
		{"metrics-unreachable", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, nil},
		{"metrics-unreachable", nil, []string{"--metrics-url=http://{replica}:8000/metrics"}}, // none runs
	} {
		t.Run(c.code, func(t *testing.T) {
			args := []string{page.url()}
			if c.body == nil {
				args = nil
			} else {
				page.serve(c.body)
			}
			want := []string{"not-running", "no-schedule"}
			if c.code != "" {
				want = append(want, c.code)
			}
			p.doctor(append(args, c.args...)...).wantCodes(t, want...)
		})
	}
}

// TestDoctorOneOfSeveral: a page through a balancer is found out while one
// replica runs as well as when more do.
func TestDoctorOneOfSeveral(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	through := newPage(t, 0)
	balance := func() { // each request meets the next replica
		var each []*httputil.ReverseProxy
		for _, host := range p.addresses("app") {
			each = append(each, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host + ":8000"}))
		}
		var next atomic.Int64
		through.serve(func(w http.ResponseWriter) {
			each[next.Add(1)%int64(len(each))].ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		})
	}
	balance()
	f := p.doctor(through.url()).wantCodes(t, "one-of-several", "no-schedule")
	if remedy := f.Findings[0].Remedy; !strings.Contains(remedy, "--metrics-url='http://{replica}:8000/metrics'") {
		t.Errorf("remedy %q", remedy)
	}
	p.doctor(through.url(), "--metrics-scope=service").wantCodes(t, "no-schedule")
	p.docker("compose", "up", "-d", "--scale", "app=3")
	p.settle()
	balance()
	p.doctor(through.url()).wantCodes(t, "one-of-several", "no-schedule")
	p.doctor("--metrics-url=http://{replica}:8000/metrics").wantCodes(t, "no-schedule")
}

// addresses are the addresses of a service's running containers.
func (p *project) addresses(service string) (all []string) {
	p.t.Helper()
	for _, c := range p.containers(service) {
		all = append(all, strings.TrimSpace(p.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c.ID)))
	}
	return all
}

// TestDoctorFix: what it can mend it mends once asked to, and not before.
func TestDoctorFix(t *testing.T) {
	t.Parallel()
	page := newPage(t, 30)
	p := newProject(t, "compose.yaml", sound, ".env", "TZ=UTC # ours", overrideFile, "services:\n  app:\n    deploy:\n      replicas: 1\n")
	p.up()
	before := p.tree()
	f := p.doctor(page.url()).wantCodes(t, "override-not-carried", "no-schedule")
	if f.Findings[0].Fix == nil {
		t.Fatalf("no fix: %+v", f.Findings[0])
	}
	p.sub("doctor", page.url(), "--fix").want(2, "nobody is at a terminal", "--yes")
	p.wantTree(before)
	p.typed([]string{"n"}, "doctor", page.url(), "--fix").want(1, "append COMPOSE_FILE=compose.yaml:"+overrideFile, "[y/N]")
	p.wantTree(before)
	p.typed([]string{"y"}, "doctor", page.url(), "--fix").want(0, "done: append", "app: all is well (1 note)")
	if text := p.read(".env"); text != "TZ=UTC # ours\nCOMPOSE_FILE=compose.yaml:"+overrideFile+"\n" {
		t.Errorf(".env is %q", text)
	}
	p.doctor(page.url()).wantCodes(t, "no-schedule")
	p.sub("doctor", page.url(), "--fix", "--yes").want(0, "nothing of it can be mended")

	// Where there is no override yet, Compose must still accept the project.
	p = newProject(t, "compose.yaml", sound, ".env", "", overrideFile, "")
	if err := os.RemoveAll(filepath.Join(p.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.dir, ".env")); err != nil {
		t.Fatal(err)
	}
	p.docker("compose", "up", "-d", "--scale", "app=2")
	p.sub("doctor", page.url(), "--fix", "--yes").want(0, "done: append")
	p.docker("compose", "config", "--quiet")
	p.wantDeclared(2)

	// Something else says already which files are read: nothing is offered.
	p = newProject(t, "compose.yaml", sound, ".env", "COMPOSE_FILE=compose.yaml\n")
	before = p.tree()
	p.sub("doctor", page.url(), "--fix", "--yes").want(1, "override-not-carried", "nothing of it can be mended")
	p.wantTree(before)
}

// TestDoctorGit: an override that Git tracks is found, and the fix has Git leave
// it alone.
func TestDoctorGit(t *testing.T) {
	t.Parallel()
	page := newPage(t, 30)
	p := newProject(t, "compose.yaml", sound)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", p.dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	git("init", "-q")
	git("add", "compose.yaml")
	git("commit", "-qm", "first")
	p.doctor(page.url()).wantCodes(t, "not-running", "no-schedule") // there, but not tracked
	git("add", "-f", ".")
	git("commit", "-qm", "second")
	f := p.doctor(page.url()).wantCodes(t, "not-running", "override-in-git", "no-schedule")
	at := slices.IndexFunc(f.Findings, func(one struct {
		Code, Level, Text, Remedy string
		Fix                       *struct{ Text string }
	}) bool {
		return one.Code == "override-in-git"
	})
	if f.Findings[at].Fix == nil {
		t.Fatal("no fix")
	}
	p.sub("doctor", page.url(), "--fix").want(2, "--yes")
	p.typed([]string{"n"}, "doctor", page.url(), "--fix").want(1, "git update-index")
	p.doctor(page.url()).wantCodes(t, "not-running", "override-in-git", "no-schedule")
	p.sub("doctor", page.url(), "--fix", "--yes").want(1, "done: git update-index")
	p.doctor(page.url()).wantCodes(t, "not-running", "no-schedule")
	p.write(overrideFile, "services:\n  app:\n    deploy:\n      replicas: 4\n")
	if out := git("status", "--porcelain"); out != "" {
		t.Errorf("Git sees %q", out)
	}
}

// typed runs a command on a terminal of its own, and types one answer after the
// other, each once it is asked for.
func (p *project) typed(answers []string, command string, args ...string) run {
	p.t.Helper()
	words := append([]string{command, "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0"}, args...)
	cmd := exec.CommandContext(p.t.Context(), built.autoscale, words...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	defer terminal.Close()
	var out strings.Builder
	buffer := make([]byte, 4096)
	for asked := 0; ; {
		n, err := terminal.Read(buffer)
		out.Write(buffer[:n])
		if strings.Count(out.String(), "[y/N]") > asked && asked < len(answers) {
			if _, err := io.WriteString(terminal, answers[asked]+"\n"); err != nil {
				p.t.Error(err)
			}
			asked++
		}
		if err != nil { // the program ended: Linux says EIO then
			break
		}
	}
	_ = cmd.Wait() // the status is what the tests look at
	r := run{p.t, cmd.ProcessState.ExitCode(), strings.ReplaceAll(out.String(), "\r\n", "\n"), ""}
	p.t.Logf("on a terminal: autoscale %s -> %d\n%s", command, r.status, r.out)
	return r
}

// tree is every file of the project with its text.
func (p *project) tree() map[string]string {
	p.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(p.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "/.git/") {
			return err
		}
		name := strings.TrimPrefix(path, p.dir)
		if entry.IsDir() {
			files[name+"/"] = ""
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = fmt.Sprintf("%s %s", info.Mode(), text)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// wantTree checks that every file is as it was, and no other is there.
func (p *project) wantTree(want map[string]string) {
	p.t.Helper()
	got := p.tree()
	for name, text := range want {
		if got[name] != text {
			p.t.Errorf("%s was %q and is %q", name, text, got[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			p.t.Errorf("%s is new", name)
		}
	}
}

// TestDoctorProxy: a real nginx that looks up the service once is found; one that
// looks again is not.
func TestDoctorProxy(t *testing.T) {
	t.Parallel()
	image := nginxImage(t)
	conf := func(pass string) string {
		return "user root;\nevents {}\nhttp {\n  access_log off;\n  server {\n    listen 80;\n    resolver 127.0.0.11 valid=1s;\n    location / {\n      " + pass + "\n    }\n  }\n}\n"
	}
	p := newProject(t, "compose.yaml", sound+"  front:\n    image: "+image+"\n    volumes: [\"./nginx.conf:/etc/nginx/nginx.conf:ro\"]\n    depends_on: [app]\n",
		"nginx.conf", conf("proxy_pass http://app:8000;"))
	p.up()
	ask := func() {
		t.Helper()
		p.eventually("nginx answers", func() bool {
			response, err := http.Get("http://" + p.addresses("front")[0] + "/metrics")
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode == http.StatusOK
		})
	}
	ask()
	each := "--metrics-url=http://{replica}:8000/metrics"
	f := p.doctor(each).wantCodes(t, "proxy-resolves-once", "no-schedule")
	if text := f.Findings[0].Text; !strings.Contains(text, "/etc/nginx/nginx.conf:9: proxy_pass http://app:8000") {
		t.Error(text)
	}
	p.write("nginx.conf", conf("set $backend app; proxy_pass http://$backend:8000;"))
	p.docker("compose", "restart", "front")
	ask()
	p.doctor(each).wantCodes(t, "no-schedule")
}
