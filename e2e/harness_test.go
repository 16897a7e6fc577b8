//go:build e2e

// Package e2e tests the product on a real Docker Engine with real Docker
// Compose. e2e/run sets both up and runs it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// built are the programs under test; TestMain builds them once.
var built struct {
	autoscale string
	image     string // of the example's app
}

const appImage = "autoscale-e2e-app"

func TestMain(m *testing.M) {
	if built.autoscale, built.image = os.Getenv("AUTOSCALE_E2E_BUILT"), appImage; built.autoscale != "" {
		os.Exit(m.Run()) // in a sandbox, see inSandbox
	}
	dir, err := os.MkdirTemp("", "autoscale-e2e-")
	if err == nil {
		err = build(dir)
	}
	status := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: set-up failed (run it through e2e/run):", err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

func build(dir string) error {
	built.autoscale = filepath.Join(dir, "autoscale")
	for _, b := range [][2]string{{built.autoscale, "../cmd/autoscale"}, {filepath.Join(dir, "app"), "../examples/compose/app"}} {
		cmd := exec.Command("go", "build", "-o", b[0], b[1])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %s", err, out)
		}
	}
	dockerfile := "FROM scratch\nCOPY app /app\nCMD [\"/app\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return err
	}
	for _, tag := range []string{"1", "2"} { // two images that differ, for moved tags
		out, err := exec.Command("docker", "build", "-q", "--label", "build="+tag, "-t", built.image+":"+tag, dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker build: %v: %s", err, out)
		}
	}
	return nil
}

// project is one Compose project in a folder of its own.
type project struct {
	t    *testing.T
	name string
	dir  string
	env  []string // more environment for every command
}

const overrideFile = "deploy/compose.override.yml"

// basic is a project of the service that is scaled and one that is not.
const basic = `services:
  app:
    image: autoscale-e2e-app:1
    environment: {LEVERS: "1"}
    healthcheck: {test: ["CMD", "/app", "-healthcheck"], interval: 1s, timeout: 20s, retries: 3}
    stop_grace_period: 2s
  other:
    image: autoscale-e2e-app:1
`

// newProject writes files (path, text, …) into a folder and takes the project
// down at the end. The project is named after its folder, as Compose does.
func newProject(t *testing.T, files ...string) *project {
	t.Helper()
	parent := t.TempDir()
	p := &project{t: t, name: "e2e-" + strings.ToLower(strconv.FormatInt(time.Now().UnixNano(), 36))}
	p.dir = filepath.Join(parent, p.name)
	if len(files) == 0 {
		files = []string{"compose.yaml", basic}
	}
	if !slices.Contains(files, ".env") {
		files = append(files, ".env", "COMPOSE_FILE=compose.yaml:"+overrideFile+"\n")
	}
	if !slices.Contains(files, overrideFile) {
		files = append(files, overrideFile, "services:\n  app:\n    deploy:\n      replicas: 1 # ours\n")
	}
	for i := 0; i < len(files); i += 2 {
		p.write(files[i], files[i+1])
	}
	t.Cleanup(func() {
		// By label: a test may have left the project's files unreadable.
		ids := strings.Fields(p.docker("ps", "-aq", "--filter", "label=com.docker.compose.project="+p.name))
		if len(ids) > 0 {
			p.docker(append([]string{"rm", "-f"}, ids...)...)
		}
		networks := strings.Fields(p.docker("network", "ls", "-q", "--filter", "label=com.docker.compose.project="+p.name))
		if len(networks) > 0 {
			p.docker(append([]string{"network", "rm"}, networks...)...)
		}
	})
	return p
}

func (p *project) write(name, text string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// docker runs a docker command in the project's folder; it must succeed.
func (p *project) docker(args ...string) string {
	p.t.Helper()
	out, err := p.tryDocker(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// tryDocker is docker that may fail.
func (p *project) tryDocker(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), err
}

// up starts the project as its user would.
func (p *project) up(args ...string) {
	p.t.Helper()
	p.docker(append(append([]string{"compose"}, args...), "up", "-d")...)
	p.settle()
}

// settle waits until every running container of the project that has a health
// check is past "starting".
func (p *project) settle() {
	p.t.Helper()
	p.eventually("health checks settle", func() bool {
		return !strings.Contains(p.docker("ps", "--filter", "label=com.docker.compose.project="+p.name, "--format", "{{.Status}}"), "starting")
	})
}

// eventually waits for a condition of the real world; a minute is a failure.
func (p *project) eventually(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// one is a container as the tests compare it.
type one struct {
	ID, Name, State, Image, Started string
}

// containers lists a service's containers by name; every state.
func (p *project) containers(service string) []one {
	p.t.Helper()
	ids := strings.Fields(p.docker("ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.service="+service))
	if len(ids) == 0 {
		return nil
	}
	out := p.docker(append([]string{"inspect", "--format", "{{.Id}} {{.Name}} {{.State.Status}} {{.Image}} {{.State.StartedAt}}"}, ids...)...)
	var all []one
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		all = append(all, one{f[0], strings.TrimPrefix(f[1], "/"+p.name+"-"), f[2], f[3], f[4]})
	}
	slices.SortFunc(all, func(a, b one) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// running are the names of a service's running containers: "app-1 app-2".
func (p *project) running(service string) string {
	p.t.Helper()
	// One command: what runs may be on the move.
	names := strings.Fields(p.docker("ps", "--filter", "status=running", "--filter", "label=com.docker.compose.project="+p.name,
		"--filter", "label=com.docker.compose.service="+service, "--format", "{{.Names}}"))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, p.name+"-")
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (p *project) wantRunning(want string) {
	p.t.Helper()
	if got := p.running("app"); got != want {
		p.t.Fatalf("running %q, want %q", got, want)
	}
}

// wantDeclared checks the count that the override file carries.
func (p *project) wantDeclared(count int) {
	p.t.Helper()
	if text := p.read(overrideFile); !strings.Contains(text, fmt.Sprintf("replicas: %d", count)) {
		p.t.Fatalf("the override file does not say %d:\n%s", count, text)
	}
}

// run is what one run of autoscale gave.
type run struct {
	t           *testing.T
	status      int
	out, errors string
}

// autoscale runs the program in the project's folder with the usual flags and
// more; later flags win.
func (p *project) autoscale(args ...string) run {
	p.t.Helper()
	return p.start(context.Background(), args...)()
}

// start starts the program; the returned function waits for it.
func (p *project) start(ctx context.Context, args ...string) func() run {
	p.t.Helper()
	base := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0"}
	cmd := exec.CommandContext(ctx, built.autoscale, append(base, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return func() run {
		p.t.Helper()
		_ = cmd.Wait() // the status is what the tests look at
		r := run{p.t, cmd.ProcessState.ExitCode(), out.String(), errors.String()}
		p.t.Logf("autoscale %s -> %d\n%s%s", strings.Join(args, " "), r.status, r.out, r.errors)
		return r
	}
}

// want checks the exit status and what the run said on either output.
func (r run) want(status int, says ...string) run {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d\n%s%s", r.status, status, r.out, r.errors)
	}
	for _, text := range says {
		if !strings.Contains(r.out+r.errors, text) {
			r.t.Fatalf("does not say %q:\n%s%s", text, r.out, r.errors)
		}
	}
	return r
}

// page is a metrics page that speaks for the whole service, served by the test.
type page struct {
	*httptest.Server
	mu   sync.Mutex
	body func(http.ResponseWriter)
}

func newPage(t *testing.T, rps float64) *page {
	t.Helper()
	p := &page{}
	p.set(rps)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		body := p.body
		p.mu.Unlock()
		body(w)
	}))
	t.Cleanup(p.Close)
	return p
}

// set makes the page say rps requests/s.
func (p *page) set(rps float64) {
	p.serve(func(w http.ResponseWriter) {
		fmt.Fprintf(w, "# TYPE http_requests_per_second gauge\nhttp_requests_per_second %v\n", rps)
	})
}

func (p *page) serve(body func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

// url is the flag that names the page.
func (p *page) url() string { return "--metrics-url=" + p.URL + "/metrics" }

// document is what the tests read of --output=json.
type document struct {
	Version  int
	Status   int
	Reason   string
	Decision *struct {
		From, To, Want int
		Verdict        string
		RPS            float64
		Steps          []struct{ Stage, Reason, Detail string }
	}
	Reading *struct {
		Samples []struct{ Name, Verdict string }
	}
	Warnings []string
	Error    string
}

func (r run) json() document {
	r.t.Helper()
	var d document
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		r.t.Fatalf("not one JSON object: %v\n%s", err, r.out)
	}
	return d
}
