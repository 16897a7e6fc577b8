//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestDown: scaling is not starting. After "compose down" nothing is started,
// neither by a raise nor by the minimum, unless --start says so.
func TestDown(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	load := newPage(t, 100)
	p.autoscale(load.url()).want(1, "no replica runs", "scaling does not start a project", "docker compose up -d")
	p.up()
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.docker("compose", "down", "-t", "1")
	p.autoscale(load.url(), "--min=2").want(1, "no replica runs", "docker compose up -d")
	if left := p.containers("app"); len(left) > 0 {
		t.Errorf("started: %+v", left)
	}
	p.autoscale(load.url(), "--min=2", "--start").want(0, "started 2 as --start asks")
	p.wantRunning("app-1 app-2")
	p.wantDeclared(2)
	if others := p.containers("other"); len(others) > 0 {
		t.Errorf("--start started another service: %+v", others)
	}
}

// TestStopped: exited replicas count as none.
func TestStopped(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	p.docker("compose", "stop", "-t", "1", "app")
	load := newPage(t, 100)
	p.autoscale(load.url()).want(1, "no replica runs")
	p.wantRunning("")
}

// TestWrongProject: a wrong project name starts no second copy, and a service
// of the same name elsewhere is named and not touched.
func TestWrongProject(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url(), "-p", "elsewhere").want(1, `--project-name says project "elsewhere"`, p.name)
	p.wantRunning("app-1")

	q := newProject(t)
	q.autoscale(load.url()).want(1, "no replica runs", `a service "app" runs in `, p.name)
	q.autoscale(load.url(), "-p", p.name).want(0, "1 -> 3 replicas")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
}

// TestRollout: docker-rollout doubles the replicas, then removes the old ones;
// nothing is lowered in between, and its new ones are kept.
func TestRollout(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 70)
	flags := []string{load.url(), "--cooldown=60"}
	p.autoscale(flags...).want(0, "1 -> 2 replicas")
	p.docker("compose", "up", "-d", "--no-deps", "--no-recreate", "--scale", "app=4", "app")
	p.settle()
	p.autoscale(flags...).want(0, "4 replicas kept", "somebody else raised the count from 2 to 4")
	p.wantRunning("app-1 app-2 app-3 app-4")
	p.docker("rm", "-f", p.name+"-app-1", p.name+"-app-2")
	p.autoscale(flags...).want(0, "2 replicas kept", "lowered the count from 4 to 2")
	p.wantRunning("app-3 app-4")
	p.wantDeclared(2)
	load.set(180)
	p.autoscale(flags...).want(0, "2 -> 5 replicas")
	if n := len(strings.Fields(p.running("app"))); n != 5 {
		t.Errorf("running: %s", p.running("app"))
	}
}

// TestHands: a count set by hand is kept for one cooldown when raised, and
// raised at once when the load wants it.
func TestHands(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.docker("compose", "up", "-d", "--scale", "app=1")
	p.autoscale(load.url()).want(0, "1 -> 3 replicas", "somebody else lowered the count from 3 to 1")
	p.docker("compose", "up", "-d", "--scale", "app=5")
	p.settle()
	p.autoscale(load.url(), "--cooldown=60").want(0, "5 replicas kept", "somebody else raised the count from 3 to 5")
	p.wantRunning("app-1 app-2 app-3 app-4 app-5")
}

// TestObserve: a service that is only observed is left alone, and the journal
// says what would have been done.
func TestObserve(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	before, file := p.containers("app"), p.read(overrideFile)
	load := newPage(t, 180)
	p.autoscale(load.url(), "--mode=observe").want(0, "1 replica kept (5 wanted)")
	if after := p.containers("app"); len(after) != 1 || after[0] != before[0] || p.read(overrideFile) != file {
		t.Errorf("changed: %+v\n%s", after, p.read(overrideFile))
	}
	if journal := p.read("tools/.autoscale_state.journal.ndjson"); !strings.Contains(journal, `"want":5`) {
		t.Errorf("journal: %s", journal)
	}
	p.autoscale(load.url(), "--mode=raise-only").want(0, "1 -> 5 replicas")
	load.set(1)
	p.autoscale(load.url(), "--mode=raise-only").want(0, "5 replicas kept", "does not lower")
}

// TestToZero: where the load is seen without a replica the last one goes, and
// what this program brought to zero it brings back.
func TestToZero(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 0)
	flags := []string{load.url(), "--min=0", "--metrics-scope=service"}
	p.autoscale(flags...).want(0, "1 replica kept")
	p.autoscale(flags...).want(0, "1 -> 0 replicas")
	p.wantRunning("")
	p.wantDeclared(0)
	p.autoscale(flags...).want(0, "0 replicas kept")
	load.set(60)
	p.autoscale(flags...).want(0, "0 -> 2 replicas")
	p.wantRunning("app-1 app-2")
	p.wantDeclared(2)
	if got := p.containers("other"); len(got) != 1 || got[0].State != "running" {
		t.Errorf("another service was touched: %+v", got)
	}
}

// TestSameFolderName: a folder of the same name elsewhere makes a project of
// the same name, which is not the one that is meant.
func TestSameFolderName(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	before := p.containers("app")
	q := &project{t: t, name: p.name, dir: t.TempDir() + "/" + p.name}
	q.write("compose.yaml", basic)
	load := newPage(t, 100)
	q.autoscale(load.url()).want(1, "no replica runs", p.dir)
	q.autoscale(load.url(), "--start").want(1, "is taken by what runs in "+p.dir)
	if after := p.containers("app"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("touched: %+v", after)
	}
}

// TestChangedNetwork: a network whose definition changed since it was made
// stops no replica; Compose by itself would stop them all to make it anew.
func TestChangedNetwork(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	before := p.containers("app")
	p.write("compose.yaml", basic+"networks: {default: {labels: {team: x}}}\n")
	load.set(180)
	p.autoscale(load.url()).want(0, "3 -> 5 replicas")
	after := p.containers("app")
	if len(after) != 5 || fmt.Sprint(after[:3]) != fmt.Sprint(before) {
		t.Errorf("replicas were stopped for the network:\n%v\nwere\n%v", after, before)
	}
	load.set(10)
	p.autoscale(load.url()).want(0, "5 -> 1 replica")
	if after = p.containers("app"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("the replica that stays was stopped: %v, was %v", after, before)
	}
	if others := p.containers("other"); len(others) != 1 || others[0].State != "running" {
		t.Errorf("another service was touched: %v", others)
	}
}

// TestPaused: Compose counts a paused replica, which carries nothing; it is
// neither removed nor taken for a new one.
func TestPaused(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(0, "1 -> 3 replicas")
	p.docker("pause", p.name+"-app-2")
	before := fmt.Sprint(p.containers("app"))
	load.set(180)
	p.autoscale(load.url()).want(1, p.name+"-app-2 is paused", "docker unpause")
	load.set(10)
	p.autoscale(load.url()).want(1, "is paused")
	if after := fmt.Sprint(p.containers("app")); after != before {
		t.Errorf("touched:\n%s\nwere\n%s", after, before)
	}
	p.docker("unpause", p.name+"-app-2")
}

// TestTwoFolders: a project started anew from another folder is still one
// project, and all its replicas count.
func TestTwoFolders(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up("--project-name", p.name)
	q := &project{t: t, name: p.name, dir: t.TempDir() + "/release"}
	for _, file := range []string{"compose.yaml", ".env", overrideFile} {
		q.write(file, p.read(file))
	}
	q.docker("compose", "-p", p.name, "up", "-d", "--no-recreate", "--scale", "app=4", "app")
	q.settle()
	before := p.containers("app")
	load := newPage(t, 180)
	q.autoscale(load.url()).want(0, "4 -> 5 replicas")
	if after := p.containers("app"); len(after) != 5 || fmt.Sprint(after[:4]) != fmt.Sprint(before) {
		t.Errorf("replicas of the other folder were touched:\n%v\nwere\n%v", after, before)
	}
}

// TestScaleBeside: a count that Compose would reject beside scale: is not
// written by a run that moves nothing either.
func TestScaleBeside(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(basic, "    stop_grace_period", "    scale: 2\n    stop_grace_period", 1), overrideFile, "# nothing yet\n")
	p.env = []string{"DOCKER_CONFIG=" + composeVersions(t)["compose 5"]} // 2.20 takes deploy.replicas, and does not mind
	p.up()
	p.docker("compose", "up", "-d", "--scale", "app=3", "app")
	p.settle()
	load := newPage(t, 100)
	p.autoscale(load.url()).want(1, "has scale: beside deploy.replicas")
	if text := p.read(overrideFile); text != "# nothing yet\n" {
		t.Errorf("written all the same:\n%s", text)
	}
	p.docker("compose", "config", "-q")
}

// TestOrphansStay: a service that is not among the project's files any more is
// not removed by scaling, whatever the environment says.
func TestOrphansStay(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, ".env", "COMPOSE_REMOVE_ORPHANS=1\nCOMPOSE_FILE=compose.yaml:"+overrideFile+"\n",
		"more.yaml", "services:\n  more:\n    image: autoscale-e2e-app:1\n")
	p.up()
	p.docker("compose", "-f", "compose.yaml", "-f", "more.yaml", "up", "-d", "more")
	p.env = []string{"COMPOSE_REMOVE_ORPHANS=1"}
	load := newPage(t, 60)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas")
	if got := p.running("more"); got != "more-1" {
		t.Errorf("another service was removed: %q", got)
	}
}

// TestZeroKeepsFiles: what comes back from zero comes from the files that the
// project was started with, not from those Compose would guess.
func TestZeroKeepsFiles(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, "prod.yaml", strings.ReplaceAll(basic, `LEVERS: "1"`, `LEVERS: "1", PROD: "yes"`), ".env", "")
	p.up("-f", "prod.yaml")
	load := newPage(t, 0)
	flags := []string{load.url(), "--min=0", "--metrics-scope=service"}
	p.autoscale(flags...).want(0, "1 replica kept")
	p.autoscale(flags...).want(0, "1 -> 0 replicas")
	load.set(30)
	p.autoscale(flags...).want(0, "0 -> 1 replica")
	if env := p.docker("inspect", p.name+"-app-1", "--format", "{{.Config.Env}}"); !strings.Contains(env, "PROD=yes") {
		t.Errorf("came back from other files: %s", env)
	}
}

// TestFailedStart: a start of which nothing came leaves no 0 in the override,
// with which the next "up" would start nothing.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "exit=3"`, 1))
	load := newPage(t, 10)
	p.autoscale(load.url(), "--start").want(1, "exited with status 3")
	p.wantRunning("")
	p.wantDeclared(1)
}

// TestDeploy: a deployment in the middle keeps the count that the file says, and
// nothing goes down before a cooldown of readings from the new replicas.
func TestDeploy(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 100)
	flags := []string{load.url(), "--cooldown=4s"}
	p.autoscale(flags...).want(0, "1 -> 3 replicas")
	old := p.containers("app")
	p.write("compose.yaml", strings.Replace(basic, `LEVERS: "1"`, `LEVERS: "1", RELEASE: "2"`, 1))
	p.docker("compose", "up", "-d", "--remove-orphans")
	p.settle()
	now := p.containers("app")
	if len(now) != 3 || now[0].ID == old[0].ID {
		t.Fatalf("after the deployment %+v", now)
	}
	load.set(25)
	p.autoscale(flags...).want(0, "3 replicas kept", "every replica was started since the last run")
	p.eventually("a cooldown passes", func() bool { return strings.Contains(p.autoscale(flags...).want(0).out, "3 -> 1 replica") })
	if got := p.containers("app"); len(got) != 1 || got[0].ID != now[0].ID {
		t.Errorf("after the lowering %+v, was %+v", got, now)
	}
}
