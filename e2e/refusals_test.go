//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// snapshot is all that must stay as it is where nothing is to change: the
// project's files with owner, mode and time, and its containers.
type snapshot map[string]string

// snapshot looks at everything but the files below the folders in except.
func (p *project) snapshot(except ...string) snapshot {
	p.t.Helper()
	s := snapshot{}
	if err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(p.dir, path)
		if err != nil {
			return err
		}
		if slices.Contains(except, name) {
			return filepath.SkipDir
		}
		s["file "+name], err = describe(path, entry)
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
	// By name, so that a project of another name that begins alike counts too.
	if ids := strings.Fields(p.docker("ps", "-aq", "--no-trunc", "--filter", "name="+p.name)); len(ids) > 0 {
		out := p.docker(append([]string{"inspect", "--format", "{{.Id}} {{.Name}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}} {{.Image}}"}, ids...)...)
		for line := range strings.Lines(out) {
			id, is, _ := strings.Cut(line, " ")
			s["container "+id] = is
		}
	}
	return s
}

// describe is what a file is, in a line. Of folders the time is left out: they
// change with the temporary files that they had.
func describe(path string, entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	owner := info.Sys().(*syscall.Stat_t)
	line := fmt.Sprintf("%v %d:%d", info.Mode(), owner.Uid, owner.Gid)
	switch {
	case info.IsDir():
		return line, nil
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return line + " -> " + to, err
	}
	text, err := os.ReadFile(path)
	return fmt.Sprintf("%s %s %x", line, info.ModTime(), sha256.Sum256(text)), err
}

// same fails the test where anything differs from before.
func (s snapshot) same(t *testing.T, after snapshot) {
	t.Helper()
	all := maps.Clone(s)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s[name] != after[name] {
			t.Errorf("%s changed:\n  before: %s\n  after:  %s", name, s[name], after[name])
		}
	}
}

// with is the project with more environment for its commands, and t for its
// failures.
func (p *project) with(t *testing.T, env ...string) *project {
	other := *p
	other.t, other.env = t, append(slices.Clone(p.env), env...)
	return &other
}

// bare runs the program with these arguments alone.
func (p *project) bare(args ...string) run {
	p.t.Helper()
	cmd := exec.Command(built.autoscale, args...)
	var out, errors strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, append(os.Environ(), p.env...), &out, &errors
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return run{p.t, cmd.ProcessState.ExitCode(), out.String(), errors.String()}
}

// refuses checks that a run with env as more environment ends with 1 and says
// so, and that nothing is changed or started; state and journal, in tools, may
// be.
func (p *project) refuses(env []string, args []string, says ...string) {
	p.t.Helper()
	temporary := p.t.TempDir()
	before := p.snapshot("tools")
	p.with(p.t, append(env, "TMPDIR="+temporary)...).autoscale(args...).want(1, says...)
	before.same(p.t, p.snapshot("tools"))
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		p.t.Errorf("temporary files left: %v (%v)", left, err)
	}
}

// freePorts are n ports on loopback, one after the other, that nobody listens
// on; the first is returned.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for base := 20000 + os.Getpid()%5000; base < 32000; base += n {
		free := true
		for port := base; port < base+n && free; port++ {
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			free = err == nil
			if free {
				listener.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// Settings that allow for fewer replicas than are wanted are refused.
func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	const refusing = `
x-app: &app
  image: autoscale-e2e-app:1
  healthcheck: {test: ["CMD", "/app", "-healthcheck"], interval: 1s, timeout: 2s, retries: 3}
  stop_grace_period: 1s
services:
  app: *app
  named: {<<: *app, container_name: NAME-mine}
  fixed: {<<: *app, ports: ["127.0.0.1:SINGLE:8000"]}
  ranged: {<<: *app, ports: ["127.0.0.1:FIRST-LAST:8000"]}
  counted: {<<: *app, scale: 1}
  hosted: {image: "autoscale-e2e-app:1", network_mode: host, environment: {PORT: "0"}}
`
	p := newProject(t)
	port := freePorts(t, 3)
	numbers := strings.NewReplacer("NAME", p.name, "SINGLE", fmt.Sprint(port), "FIRST", fmt.Sprint(port+1), "LAST", fmt.Sprint(port+2))
	p.write("compose.yaml", numbers.Replace(refusing))
	p.up()
	load := newPage(t, 100) // wants 3
	for service, says := range map[string][]string{
		"named":   {"container_name: ", "only one replica can start", "remove container_name"},
		"fixed":   {"publishes host port SINGLE,", "only one replica can start", "use a range (SINGLE-", "put a proxy in front"},
		"ranged":  {"FIRST-LAST", "enough for 2 replicas, but 3 are wanted", "widen the range to FIRST-", "or lower --max"},
		"counted": {"scale: beside deploy.replicas", "remove scale: and keep the count in deploy/compose.override.yml"},
		"hosted":  {"network_mode: host", "give it a network of its own"},
		"ghost":   {`no service "ghost"`, "it has app, counted, fixed, hosted, named, ranged"},
	} {
		t.Run(service, func(t *testing.T) {
			if service == "counted" && strings.HasPrefix(p.docker("compose", "version", "--short"), "2.20.") {
				p.with(t).overrules(service, load)
				return
			}
			for i := range says {
				says[i] = numbers.Replace(says[i])
			}
			args := []string{"--service=" + service, load.url()}
			p.with(t).refuses(nil, args, says...)
			p.with(t).refuses(nil, append(args, "--dry-run"), says...)
		})
	}
	t.Run("range that suffices", func(t *testing.T) {
		load.set(70) // wants 2
		p.with(t).autoscale("--service=ranged", load.url()).want(0)
		if n := len(p.containers("ranged")); n != 2 {
			t.Errorf("%d replicas, want 2", n)
		}
	})
}

// overrules checks that scale: need not be refused, as deploy.replicas beside it
// is what an old Compose goes by.
func (p *project) overrules(service string, load *page) {
	p.t.Helper()
	p.autoscale("--service="+service, load.url()).want(0, "1 -> 3 replicas")
	p.docker("compose", "up", "-d", service)
	if n := len(p.containers(service)); n != 3 {
		p.t.Errorf("%d replicas after docker compose up -d, want 3", n)
	}
}

// What Compose itself rejects is refused in its words, with the command that
// shows the same.
func TestRefusedProject(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	for name, c := range map[string]struct{ file, says string }{
		"syntax":           {"services:\n  app:\n  image: [\n", "yaml"},
		"unknown key":      {strings.Replace(basic, "    image:", "    imagine: x\n    image:", 1), "imagine"},
		"missing env_file": {strings.Replace(basic, "    image:", "    env_file: gone.env\n    image:", 1), "gone.env"},
		"missing variable": {strings.Replace(basic, "app:1", "app:${GONE:?set it}", 1), "set it"},
	} {
		t.Run(name, func(t *testing.T) {
			p.write("compose.yaml", c.file)
			p.with(t).refuses(nil, []string{load.url()}, "Docker Compose rejects the project in "+p.dir, c.says, "docker compose config shows the same")
		})
	}
	p.write("compose.yaml", basic)
	p.autoscale(load.url()).want(0)
	p.wantRunning("app-1 app-2 app-3")
}

// Flags and environment that name something else than what runs are refused,
// naming both; those that say the same as what runs are no contradiction.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, "other.yaml", basic, "other.env", "A=1\n")
	p.up()
	elsewhere, running := newProject(t), newProject(t)
	running.up()
	empty := t.TempDir()
	before, beside := elsewhere.snapshot(), running.snapshot()
	load := newPage(t, 100)
	other := p.name + "x"
	for name, c := range map[string]struct {
		env  string
		args []string
		says []string
	}{
		"-p":                                     {args: []string{"-p", other}, says: []string{"--project-name says project \"" + other, "is project \"" + p.name, "say -p " + p.name}},
		"COMPOSE_PROJECT_NAME":                   {env: "COMPOSE_PROJECT_NAME=" + other, says: []string{"COMPOSE_PROJECT_NAME says project \"" + other, p.name}},
		"--project-dir and -p":                   {args: []string{"-p", p.name, "--project-dir=" + elsewhere.dir}, says: []string{p.dir, elsewhere.dir, "leave one of the two away"}},
		"--project-dir where nothing runs":       {args: []string{"--project-dir=" + elsewhere.dir}, says: []string{"no replica runs", elsewhere.dir, p.dir + " (-p " + p.name + ")", "cd " + elsewhere.dir + " && docker compose up -d"}},
		"--project-dir without a project":        {args: []string{"--project-dir=" + empty}, says: []string{empty}},
		"--project-dir that does not exist":      {args: []string{"--project-dir=gone"}, says: []string{"--project-dir=gone", "name the one that the project lies in"}},
		"--file":                                 {args: []string{"--file=other.yaml"}, says: []string{"--file says", "other.yaml", "compose.yaml", "leave the flag away"}},
		"--file that does not exist":             {args: []string{"--file=gone.yaml"}, says: []string{"--file says", "gone.yaml", "compose.yaml"}},
		"--env-file":                             {args: []string{"--env-file=other.env"}, says: []string{"--env-file says", "other.env", ".env", "leave the flag away"}},
		"engine that does not answer":            {env: "DOCKER_HOST=unix://" + empty + "/docker.sock", says: []string{"does not answer", "systemctl start docker", "DOCKER_HOST"}},
		"--docker that does not exist, always":   {args: []string{"--docker=gone", "--apply=always"}, says: []string{`"gone" is not on the PATH`, "--docker"}},
		"COMPOSE_PROJECT_NAME of another folder": {env: "COMPOSE_PROJECT_NAME=" + running.name, says: []string{"COMPOSE_PROJECT_NAME says project \"" + running.name, running.dir, p.dir, "say -p " + p.name}},
		"-p of another folder":                   {args: []string{"-p", running.name}, says: []string{"--project-name says project \"" + running.name, running.dir, p.dir}},
	} {
		t.Run(name, func(t *testing.T) {
			p.with(t).refuses([]string{c.env}, append(c.args, load.url()), c.says...)
		})
	}
	before.same(t, elsewhere.snapshot())
	beside.same(t, running.snapshot())
	for _, args := range [][]string{
		{"-p", p.name}, {"--project-dir=" + p.dir}, {"--file=compose.yaml"}, {"-f", "compose.yaml", "-f", overrideFile}, {"--env-file=.env"},
	} {
		p.autoscale(append(args, load.url(), "--dry-run")...).want(0, "would run")
	}
	p.wantRunning("app-1")
}

// fakeCompose is a folder with a program that answers as another version of
// Docker Compose, and notes what it was asked.
func fakeCompose(t *testing.T, name, version string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
echo "$@" >> %s/asked
case $1 in
docker-cli-plugin-metadata) echo '{"SchemaVersion": "0.1.0", "Vendor": "test", "Version": "%s"}' ;;
*) echo %s ;;
esac
`, dir, version, version)
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Compose that is missing or too old is refused once there is something to move.
func TestRefusedCompose(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	none := "DOCKER_CONFIG=" + os.Getenv("AUTOSCALE_DOCKER_CONFIG_NONE")
	const remedy = "Docker Compose 2.20 or later is needed, but "
	refuses := func(name string, says string, env ...string) {
		t.Run(name, func(t *testing.T) {
			p.with(t).refuses(env, []string{load.url()}, remedy+says, "install the plugin (docker-compose-plugin")
		})
	}
	refuses("missing plugin", "it is not installed", none)
	for _, version := range []string{"1.29.2", "2.19.1", "v2.6.0"} {
		dir := fakeCompose(t, "docker-compose", version)
		refuses("docker-compose "+version, filepath.Join(dir, "docker-compose")+" is version "+strings.TrimPrefix(version, "v"),
			none, "PATH="+dir+":"+os.Getenv("PATH"))
	}
	for _, version := range []string{"1.29.2", "2.19.1"} {
		dir := fakeCompose(t, "cli-plugins/docker-compose", version)
		refuses("plugin "+version, "docker compose is version "+version, "DOCKER_CONFIG="+dir)
	}
	// One that is new enough serves beside one that is not.
	old := fakeCompose(t, "cli-plugins/docker-compose", "2.3.3")
	plugin := filepath.Join(os.Getenv("AUTOSCALE_DOCKER_CONFIG_V5"), "cli-plugins")
	p.with(t, "DOCKER_CONFIG="+old, "PATH="+plugin+":"+os.Getenv("PATH")).autoscale(load.url()).want(0, plugin+"/docker-compose --project-directory")
	p.wantRunning("app-1 app-2 app-3")
}

// Without docker on the PATH the file is written, and --apply says whether that
// is enough.
func TestWithoutDocker(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	load := newPage(t, 100)
	noPath := []string{"PATH=" + t.TempDir()}
	without := p.with(t, noPath...)
	p.refuses(nil, []string{load.url(), "--apply=always", "--docker=" + filepath.Join(t.TempDir(), "docker")}, "--apply=always", "is not on the PATH", "--docker")

	before := p.snapshot("tools", "deploy")
	without.autoscale(load.url()).want(0, `"docker" is not on the PATH, so only deploy/compose.override.yml is written and nothing is moved`, "install docker, name it with --docker, or say --apply=never")
	p.wantDeclared(3)
	load.set(140)
	without.autoscale(load.url()).want(0, "is not on the PATH")
	p.wantDeclared(4)
	load.set(180)
	if r := p.autoscale(load.url(), "--apply=never").want(0); strings.Contains(r.errors, "PATH") {
		t.Errorf("--apply=never speaks of the PATH:\n%s", r.errors)
	}
	p.wantDeclared(5)
	before.same(t, p.snapshot("tools", "deploy"))

	p.up()
	p.wantRunning("app-1 app-2 app-3 app-4 app-5")
	p.autoscale(load.url(), "--cooldown=120").want(0)
	before = p.snapshot("tools", "deploy")
	without.autoscale(load.url()).want(1, "an earlier run reached service", "set PATH in the crontab or the unit, or name the binary with --docker")
	before.same(t, p.snapshot("tools", "deploy"))
	p.autoscale(load.url(), "--apply=never").want(0)
	p.refuses(noPath, []string{load.url(), "--apply=always"}, "--apply=always", "is not on the PATH")
}

// An override file whose count cannot be set alone is left as it is, and the
// error names the line; so it is with one that is no Compose file.
func TestRefusedOverride(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	for name, c := range map[string]struct{ text, says string }{
		"alias":             {"x-d: &d\n  replicas: 1\nservices:\n  app:\n    deploy: *d\n  other:\n    deploy: *d\n", "line 5: services.app.deploy is the alias *d"},
		"anchor used":       {"services:\n  app:\n    deploy:\n      replicas: &n 1\n  other:\n    deploy:\n      replicas: *n\n", "line 4: "},
		"not YAML":          {"services:\n  app:\n    deploy:\n      replicas: 1\n   ports: b\n", "line 5: not valid YAML"},
		"not a mapping":     {"- services\n- app\n", "line 1: "},
		"several documents": {"services:\n  app:\n    deploy:\n      replicas: 1\n---\nservices: {}\n", "line 5: a second YAML document starts here; keep one"},
		"variable":          {"services:\n  app:\n    deploy:\n      replicas: ${REPLICAS:-1}\n", "line 4: services.app.deploy.replicas is \"${REPLICAS:-1}\""},
		"doubled key":       {"services:\n  app:\n    deploy:\n      replicas: 1\n      replicas: 1\n", "line 5: "},
		"UTF-16":            {"\xff\xfes\x00e\x00r\x00v\x00i\x00c\x00e\x00s\x00:\x00\n\x00", "line 1: the file is UTF-16; save it as UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			p.write(overrideFile, c.text)
			says := []string{filepath.Join(p.dir, overrideFile), c.says, "it was left alone"}
			load.set(100)
			p.with(t).refuses(nil, []string{load.url()}, says...)
			p.with(t).refuses(nil, []string{load.url(), "--apply=never", "--state-file=tools/never.json"}, says...)
			load.set(40) // nothing to move, yet the file should say 1
			if name != "anchor used" && name != "alias" && name != "variable" {
				p.with(t).refuses(nil, []string{load.url()}, says...)
			}
		})
	}
	p.wantRunning("app-1")
}

// Flags that are wrong in themselves end the run before anything is read.
func TestRefusedFlags(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	var asked atomic.Int64
	load := newPage(t, 100)
	load.serve(func(http.ResponseWriter) { asked.Add(1) })
	docker := fakeCompose(t, "docker", "")
	base := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0", load.url(), "--docker=" + filepath.Join(docker, "docker")}
	before := p.snapshot()
	for _, c := range []struct {
		args []string // beside base; those that begin with ! leave one of base out
		says string
	}{
		{[]string{"!--provider"}, "--provider"},
		{[]string{"!--min"}, "--min"},
		{[]string{"!--max"}, "--max"},
		{[]string{"!--rps-target"}, "--rps-target"},
		{[]string{"--provider=nomad"}, `--provider: "nomad": give compose or k8s`},
		{[]string{"--service="}, "--service"},
		{[]string{"--min=6"}, "--min=6 is above --max=5; swap them, or raise --max"},
		{[]string{"--min=-1"}, "--min=-1"},
		{[]string{"--min=two"}, "--min"},
		{[]string{"--min=0", "--max=0"}, "--max=0: at least 1 replica"},
		{[]string{"--max=99999999999999999999"}, "--max"},
		{[]string{"--rps-target=0"}, "--rps-target=0: give the requests per second one replica should carry"},
		{[]string{"--rps-target=-40"}, "--rps-target=-40"},
		{[]string{"--rps-target=NaN"}, "--rps-target=NaN"},
		{[]string{"--rps-target=Inf"}, "--rps-target=+Inf"},
		{[]string{"--rps-target=many"}, "--rps-target"},
		{[]string{"--tolerance=1"}, "--tolerance=1: give a share from 0 up to, but not including, 1"},
		{[]string{"--tolerance=-0.1"}, "--tolerance=-0.1"},
		{[]string{"--tolerance=NaN"}, "--tolerance=NaN"},
		{[]string{"--cooldown=soon"}, `"soon" is no time: give seconds (120)`},
		{[]string{"--cooldown=-1"}, "--cooldown"},
		{[]string{"--cooldown=NaN"}, "--cooldown"},
		{[]string{"--cooldown=1e300"}, "--cooldown"},
		{[]string{"--wait=later"}, `"later" is no time`},
		{[]string{"--wait=-5"}, "--wait"},
		{[]string{"--max-up=0"}, "--max-up"},
		{[]string{"--max-down=-1"}, "--max-down"},
		{[]string{"--max-down=half"}, `"half" is no limit: give a number of replicas such as 2, or a share such as 50%`},
		{[]string{"--on-doubt=0"}, "--on-doubt"},
		{[]string{"--on-doubt=raise"}, "give hold, or the number of replicas to raise to"},
		{[]string{"--mode=fast"}, "--mode"},
		{[]string{"--apply=sometimes"}, "--apply"},
		{[]string{"--output=xml"}, "--output"},
		{[]string{"--metrics-scope=all"}, "--metrics-scope"},
		{[]string{"--rps-metric-type=histogram"}, "--rps-metric-type"},
		{[]string{`--rps-metric=x{code=~"("}`}, "--rps-metric"},
		{[]string{`--rps-metric=x{code`}, "--rps-metric"},
		{[]string{"--metrics-url=localhost:8000/metrics"}, "it has to begin with http:// or https://"},
		{[]string{"--metrics-url=ftp://localhost/metrics"}, "only http and https"},
		{[]string{"--metrics-url=http://localhost:99999/"}, "the port has to be between 1 and 65535"},
		{[]string{"--metrics-url=http:///metrics"}, "the host is missing"},
		{[]string{"--metrics-url=http://localhost/{replica}"}, "{replica} stands for the host"},
		{[]string{load.url()}, "stated twice"},
		{[]string{"--metrics-header=nothing"}, "--metrics-header"},
		{[]string{"--min=0"}, "--min=0: without a replica nobody would see the load come back"},
		{[]string{"--min=0", "--metrics-scope=service", "--metrics-url=http://{replica}:8000/"}, "--min=0"},
		{[]string{"--metrics-url=http://{replica}:8000/", "--metrics-scope=service"}, "leave one of the two away"},
		{[]string{"--metrics-url=http://{replica}:8000/", "--apply=never"}, "--apply=never: {replica} needs the engine"},
		{[]string{"--nonsense"}, "--nonsense"},
		{[]string{"nonsense"}, "nonsense"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			args := slices.Clone(base)
			for _, arg := range c.args {
				if left, out := strings.CutPrefix(arg, "!"); out {
					args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, left+"=") })
				} else {
					args = append(args, arg)
				}
			}
			r := p.with(t).bare(args...).want(2, c.says)
			if r.out != "" || !strings.HasPrefix(r.errors, "autoscale: ") {
				t.Errorf("standard output %q, standard error %q", r.out, r.errors)
			}
		})
	}
	before.same(t, p.snapshot())
	if _, err := os.Stat(filepath.Join(docker, "asked")); asked.Load() > 0 || !os.IsNotExist(err) {
		t.Errorf("the metrics page was asked %d times, docker: %v", asked.Load(), err)
	}
}
