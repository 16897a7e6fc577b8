//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// composeVersions are the Docker Composes that the set-up built.
func composeVersions(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{"compose 5": os.Getenv("AUTOSCALE_DOCKER_CONFIG_V5"), "compose 2": os.Getenv("AUTOSCALE_DOCKER_CONFIG_V2")}
	for name, config := range versions {
		if config == "" {
			t.Fatalf("%s is not set up; run through e2e/run", name)
		}
	}
	return versions
}

// TestScale is the product's main job: from one replica to five and back, the
// load following a script, while nothing else is touched.
func TestScale(t *testing.T) {
	for name, config := range composeVersions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.env = []string{"DOCKER_CONFIG=" + config}
			p.up()
			other := p.containers("other")
			load := newPage(t, 180)

			first := p.autoscale(load.url()).want(0, "1 -> 5 replicas: 180 rps", "Next: ", "--scale app=5 app")
			if lines := strings.Split(first.out, "\n"); len(lines) != 3 || !strings.Contains(lines[1], "note: 5 replicas run") {
				t.Errorf("a raise says more than its decision and its end:\n%s", first.out)
			}
			p.wantRunning("app-1 app-2 app-3 app-4 app-5")
			p.wantDeclared(5)
			if text := p.read(overrideFile); text != "services:\n  app:\n    deploy:\n      replicas: 5 # ours\n" {
				t.Errorf("more than the count changed in the override file:\n%s", text)
			}
			old := p.containers("app")

			p.autoscale(load.url()).want(0, "5 replicas kept: 180 rps")
			load.set(100)
			p.autoscale(load.url()).want(0, "5 -> 3 replicas")
			p.wantRunning("app-1 app-2 app-3")
			load.set(10)
			p.autoscale(load.url()).want(0, "3 -> 1 replica")
			p.wantRunning("app-1")
			p.wantDeclared(1)
			if got := p.containers("app"); len(got) != 1 || got[0] != old[0] {
				t.Errorf("the first replica was touched: %+v, was %+v", got, old[0])
			}
			if got := p.containers("other"); got[0] != other[0] {
				t.Errorf("another service was touched: %+v, was %+v", got, other)
			}

			// What scaling made is what Compose itself would have made.
			load.set(100)
			p.autoscale(load.url()).want(0, "1 -> 3 replicas")
			before := p.containers("app")
			p.docker("compose", "up", "-d")
			if got := p.containers("app"); fmt.Sprint(got) != fmt.Sprint(before) {
				t.Errorf("a plain up -d changed the scaled service:\n%v\nwas\n%v", got, before)
			}
		})
	}
}

// TestCooldown follows the contract's rules over real time: a lowering waits
// for the cooldown, and says until when.
func TestCooldown(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	flags := []string{"--cooldown=4s", load.url()}
	p.autoscale(flags...).want(0, "1 -> 3 replicas")
	load.set(10)
	p.autoscale(flags...).want(0, "3 replicas kept", "held until")
	p.wantRunning("app-1 app-2 app-3")
	p.eventually("the cooldown passes", func() bool {
		return strings.Contains(p.autoscale(flags...).want(0).out, "3 -> 1 replica")
	})
	p.wantRunning("app-1")
}

// TestReplicaMetrics reads every replica of the example's app by its address,
// as the example project does.
func TestReplicaMetrics(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	flags := []string{"--metrics-url=http://{replica}:8000/metrics"}
	p.lever("app-1", "rps=100")
	p.autoscale(flags...).want(0, "1 -> 3 replicas: 100 rps")
	p.lever("app-2", "rps=30")
	p.lever("app-3", "rps=30")
	p.autoscale(flags...).want(0, "3 -> 4 replicas: 160 rps")
	for _, name := range []string{"app-1", "app-2", "app-3", "app-4"} {
		p.lever(name, "rps=5")
	}
	p.autoscale(flags...).want(0, "4 -> 1 replica: 20 rps")

	d := p.autoscale(append(flags, "--output=json")...).want(0).json()
	if d.Version != 1 || d.Decision == nil || d.Decision.Verdict != "ok" || d.Reason != "DesiredWithinRange" || d.Reading.Samples[0].Name != p.name+"-app-1" {
		t.Errorf("the JSON object says %+v %+v", d, d.Decision)
	}
}

// TestPublishedRange: a URL that is one replica's own published port is not
// taken for the service; every replica is read.
func TestPublishedRange(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(basic, "    stop_grace_period",
		"    ports: [\"127.0.0.1:18300-18310:8000\"]\n    stop_grace_period", 1))
	p.up()
	p.lever("app-1", "rps=100")
	url := "--metrics-url=http://" + p.published("app-1") + "/metrics"
	p.autoscale(url).want(0, "1 -> 3 replicas: 100 rps")
	p.lever("app-1", "rps=1")
	p.lever("app-2", "rps=90")
	p.lever("app-3", "rps=90")
	p.autoscale(url).want(0, "3 -> 5 replicas: 181 rps")
	// The range has eleven ports.
	p.autoscale(url, "--min=12", "--max=12").want(1, "enough for 11 replicas, but 12 are wanted")
}

// TestMovedTag: an image that was built anew under the same name is not
// deployed by scaling.
func TestMovedTag(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	tag := built.image + ":" + p.name
	p.write("compose.yaml", strings.ReplaceAll(basic, built.image+":1", tag))
	p.docker("tag", built.image+":1", tag)
	p.up()
	runs := p.containers("app")[0].Image
	p.docker("tag", built.image+":2", tag)
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas", "stands for another image by now")
	for _, c := range p.containers("app") {
		if c.Image != runs {
			t.Errorf("%s runs image %s, the old replica %s", c.Name, c.Image, runs)
		}
	}
	if got := p.containers("other")[0].Image; got != runs {
		t.Errorf("another service was deployed: %s", got)
	}
	p.docker("compose", "up", "-d") // the deployment itself, later, by its user
	p.settle()
	if got := p.containers("app")[0].Image; got == runs {
		t.Error("a plain up -d does not deploy any more")
	}
	p.wantRunning("app-1 app-2 app-3")
}

// TestSkew: settings that changed meanwhile are reported.
func TestSkew(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	p.write("compose.yaml", strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", MORE: "1"`, 1))
	load := newPage(t, 60)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "settings of service \"app\" changed since "+p.name+"-app-1 started")
	old := p.containers("app")[0]
	if old.Name != "app-1" || old.State != "running" {
		t.Errorf("the old replica was recreated: %+v", old)
	}
	// The shell that started it had a variable that cron has not.
	q := newProject(t, "compose.yaml", strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", SECRET: "${SECRET_OF_TEST}"`, 1))
	q.env = []string{"SECRET_OF_TEST=x"}
	q.up()
	q.env = nil
	q.autoscale(load.url()).want(0, "1 -> 2 replicas", "variables that are not set here (SECRET_OF_TEST); put them into "+q.dir+"/.env")
}

// TestUncarriedOverride: while a plain up -d would undo the scaling, every run
// says which line mends it, and that line does.
func TestUncarriedOverride(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, ".env", "# nothing\n")
	p.up()
	load := newPage(t, 60)
	const line = "COMPOSE_FILE=compose.yaml:deploy/compose.override.yml"
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "would undo the scaling", line)
	p.autoscale(load.url()).want(0, line)
	p.write(".env", line+"\n")
	if r := p.autoscale(load.url()).want(0); strings.Contains(r.errors, "undo") {
		t.Errorf("the warning stays though the line is there:\n%s", r.errors)
	}
	p.docker("compose", "up", "-d")
	p.wantRunning("app-1 app-2")
}

// TestAutoLoadedOverride: the override that Compose loads by itself stays in
// force when another one is added for the count.
func TestAutoLoadedOverride(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, ".env", "# nothing\n",
		"compose.override.yaml", "services:\n  app:\n    labels: {kept: \"yes\"}\n")
	p.up()
	load := newPage(t, 60)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "COMPOSE_FILE=compose.yaml:compose.override.yaml:deploy/compose.override.yml")
	if got := p.docker("inspect", p.name+"-app-2", "--format", "{{.Config.Labels.kept}}"); strings.TrimSpace(got) != "yes" {
		t.Errorf("the new replica lacks the auto-loaded override: %q", got)
	}
}

// TestSeedCommand is the seed's Compose command as typed there, with the
// program for the script.
func TestSeedCommand(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, ".env", "", overrideFile, "")
	p.up("-f", "compose.yaml")
	load := newPage(t, 100)
	p.autoscale("--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=120", load.url(), "--service=app").want(0, "1 -> 3 replicas")
	p.wantDeclared(3)
	if state := p.read("tools/.autoscale_state.json"); !strings.Contains(state, `"version": 1`) {
		t.Errorf("state: %s", state)
	}
	p.autoscale("--dry-run", load.url()).want(0, "dry-run: 3 replicas kept")
}

// lever misuses one replica: see the example app's lever.go.
func (p *project) lever(name, query string) {
	p.t.Helper()
	p.docker("exec", p.name+"-"+name, "/app", "-lever", query)
}

// published is the host address of a replica's port 8000.
func (p *project) published(name string) string {
	p.t.Helper()
	return strings.TrimSpace(p.docker("port", p.name+"-"+name, "8000/tcp"))
}
