//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRollback: everything goes back to how it was, twice in a row as well.
func TestRollback(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page := newPage(t, 100)
	files, first := p.tree(), p.containers("app")
	p.sub("rollback", page.url(), "--yes").want(0, "nothing is left to undo")
	p.autoscale(page.url()).want(0)
	p.wantRunning("app-1 app-2 app-3")
	scaled := p.tree()

	// It shows, and asks; and once more where the load needs what is there.
	p.sub("rollback", page.url()).want(2, "3 -> 1 replica", "nobody is at a terminal", "--yes")
	p.sub("rollback", page.url(), "--dry-run").want(0, "3 -> 1 replica", "the load is 100 rps, for which 3 replicas are needed at 40 each; 1 would be left", "this service's one decision")
	p.typed([]string{"n"}, "rollback", page.url()).want(1, "Do this? [y/N]", "not confirmed")
	p.typed([]string{"y", "n"}, "rollback", page.url()).want(1, "below what the load needs", "not confirmed")
	p.sub("rollback", page.url(), "--replicas=0").want(2, "--replicas=0")
	p.sub("rollback", page.url(), "--replicas=2", "--restore").want(2, "leave one of them away")
	p.wantTree(scaled)
	p.wantRunning("app-1 app-2 app-3")

	p.typed([]string{"y", "y"}, "rollback", page.url()).want(0, "done: replicas", "done: journal", "done: state")
	p.wantTree(files)
	p.wantRunning("app-1")
	if now := p.containers("app"); len(now) != 1 || now[0] != first[0] {
		t.Errorf("the replica was %+v and is %+v", first, now)
	}
	p.sub("rollback", page.url(), "--yes").want(0, "nothing is left to undo")
	p.wantTree(files)

	// Without the flags of a decision it works as well.
	p.autoscale(page.url()).want(0)
	p.call(nil, "rollback", "--yes").want(0, "was not looked at", "done: state")
	p.wantTree(files)
	p.wantRunning("app-1")
	var done struct {
		Status int
		Steps  []struct {
			What string
			Done bool
		}
	}
	p.autoscale(page.url()).want(0)
	if err := json.Unmarshal([]byte(p.sub("rollback", page.url(), "--yes", "--output=json").want(0).out), &done); err != nil || len(done.Steps) != 3 || !done.Steps[2].Done {
		t.Errorf("%v %+v", err, done)
	}
	p.wantTree(files)
}

// TestRollbackHalfDone: what stopped in the middle is finished by running it
// again; a failed run before it is undone like any other.
func TestRollbackHalfDone(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page := newPage(t, 100)
	files := p.tree()

	// A run that failed: its new replicas exit at once.
	p.write("compose.yaml", strings.Replace(sound, `LEVERS: "1"`, `LEVERS: "exit=3"`, 1))
	p.autoscale(page.url()).want(1)
	p.write("compose.yaml", sound)
	p.sub("rollback", page.url(), "--yes").want(0, "done: state")
	p.wantTree(files)
	p.wantRunning("app-1")

	// It stops where the engine does not do its part: nothing is forgotten.
	p.autoscale(page.url()).want(0)
	page.set(10)
	p.env = []string{"PATH=" + fakeDocker(t, `[[ " $* " = *" --scale "* && " $* " != *" --dry-run "* || $1 = stop ]] && { echo "no such luck" >&2; exit 1; }`) + ":" + os.Getenv("PATH")}
	p.sub("rollback", page.url(), "--yes").want(1, "replicas: ", "no such luck", "run this again for the rest")
	p.wantRunning("app-1 app-2 app-3")
	p.wantDeclared(3)
	p.env = nil
	p.sub("rollback", page.url(), "--yes").want(0, "done: replicas", "done: state")
	p.wantTree(files)
	p.wantRunning("app-1")

	// Journal gone, state left, as after a kill between the two.
	p.autoscale(page.url()).want(0)
	if err := os.Remove(filepath.Join(p.dir, "tools/.autoscale_state.journal.ndjson")); err != nil {
		t.Fatal(err)
	}
	p.sub("rollback", page.url(), "--yes").want(0, "done: state")
	p.wantTree(files)

	// With an unhealthy replica that would have to stay, nothing is lowered.
	page.set(100)
	p.autoscale(page.url()).want(0)
	page.set(10)
	for _, c := range p.containers("app") {
		p.docker("exec", c.ID, "/app", "-lever", "healthy=false")
	}
	p.eventually("all are unhealthy", func() bool {
		return strings.Count(p.docker("ps", "--filter", "label=com.docker.compose.project="+p.name, "--filter", "health=unhealthy", "-q"), "\n") == 3
	})
	p.sub("rollback", page.url(), "--yes").want(1, "must be healthy first", "run this again")
	p.wantRunning("app-1 app-2 app-3")
	for _, c := range p.containers("app") {
		p.docker("exec", c.ID, "/app", "-lever", "healthy=true")
	}
	p.eventually("all are healthy", func() bool {
		return strings.Count(p.docker("ps", "--filter", "label=com.docker.compose.project="+p.name, "--filter", "health=healthy", "-q"), "\n") == 3
	})
	p.sub("rollback", page.url(), "--yes").want(0)
	p.wantTree(files)
}

// TestRollbackRestore: --restore brings back the count and the file from before
// the first run, byte for byte; whatever else changed in the file stays.
func TestRollbackRestore(t *testing.T) {
	t.Parallel()
	page := newPage(t, 100)
	for name, c := range map[string]struct {
		env, override string // before; "-" for none
		running       int
		edit          string // appended to the override meanwhile
		left          string // of the override; "" as before
	}{
		"no file":      {env: "", override: "-", running: 1},
		"no count":     {env: "COMPOSE_FILE=compose.yaml:" + overrideFile + "\n", override: "# ours\nservices:\n  app:\n    labels: {a: b} # x\n", running: 2},
		"a count":      {env: "COMPOSE_FILE=compose.yaml:" + overrideFile + "\n", override: "services: {app: {deploy: {replicas: 2}}}", running: 2},
		"edited since": {env: "COMPOSE_FILE=compose.yaml:" + overrideFile + "\n", override: "services: {app: {deploy: {replicas: 2}}}\n", running: 2, edit: "# mine\n", left: "services: {app: {deploy: {replicas: 2}}}\n# mine\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, "compose.yaml", sound, ".env", c.env, overrideFile, c.override)
			if c.override == "-" {
				if err := os.RemoveAll(filepath.Join(p.dir, "deploy")); err != nil {
					t.Fatal(err)
				}
			}
			p.docker("compose", "up", "-d", "--scale", "app="+string(rune('0'+c.running)))
			p.settle()
			files, before := p.tree(), p.running("app")
			page.set(190)
			p.autoscale(page.url()).want(0)
			p.wantRunning("app-1 app-2 app-3 app-4 app-5")
			if c.edit != "" {
				p.write(overrideFile, p.read(overrideFile)+c.edit)
			}
			page.set(10)
			p.sub("rollback", page.url(), "--yes", "--restore").want(0, "put ", "as it was before the first run")
			p.wantRunning(before)
			if c.left != "" {
				files["/"+overrideFile] = "-rw-r--r-- " + c.left
			}
			p.wantTree(files)
			p.sub("rollback", page.url(), "--yes", "--restore").want(0, "nothing to restore", "nothing is left to undo")
			p.wantTree(files)
		})
	}
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page.set(100)
	p.autoscale(page.url()).want(0)
	page.set(10)
	state := filepath.Join(p.dir, "tools/.autoscale_state.json")
	kept, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	p.sub("rollback", page.url(), "--yes", "--restore").want(1, "nothing is remembered of the time before the first run")
	p.wantRunning("app-1 app-2 app-3")
	if err := os.WriteFile(state, kept, 0o644); err != nil {
		t.Fatal(err)
	}
	p.sub("rollback", page.url(), "--yes", "--replicas=2").want(0)
	p.wantRunning("app-1 app-2")
	p.wantDeclared(2)
}

// TestRollbackUntouched: what only watched has nothing to put back but its own
// notes; and where docker is gone that did move the service, nothing is forgotten.
func TestRollbackUntouched(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound)
	p.docker("compose", "up", "-d", "--scale", "app=3")
	p.settle()
	page := newPage(t, 10)
	files := p.tree()
	p.autoscale(page.url(), "--mode=observe").want(0)
	p.sub("rollback", page.url(), "--yes").want(0, "no run has changed it", "done: journal", "done: state")
	p.wantRunning("app-1 app-2 app-3")
	p.wantTree(files)

	page.set(190)
	p.autoscale(page.url()).want(0)
	page.set(10)
	scaled := p.tree()
	p.env = []string{"PATH=" + filepath.Dir(built.autoscale)}
	p.sub("rollback", page.url(), "--yes").want(1, "nothing was changed", "an earlier run reached service")
	p.env = nil
	p.wantTree(scaled)

	// What a run left that did not find docker goes with the rest.
	p.env = []string{"PATH=" + filepath.Dir(built.autoscale)}
	p.autoscale(page.url()).want(1, "an earlier run reached service")
	p.env = nil
	p.sub("rollback", page.url(), "--dry-run").want(0, "5 -> 1 replica")
	p.wantRunning("app-1 app-2 app-3 app-4 app-5")
	scaled = p.tree()

	// A reading that fails is no reason to go below what may be needed unasked.
	page.serve(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	p.typed([]string{"y", "n"}, "rollback", page.url()).want(1, "is not known", "or may need", "not confirmed")
	p.wantTree(scaled)
	p.wantRunning("app-1 app-2 app-3 app-4 app-5")
	page.set(10)
	p.sub("rollback", page.url(), "--yes").want(0, "done: state")
	p.call(nil, "status").want(1, "nothing is known")

	// A misspelt service, or another folder, is no success.
	p.sub("rollback", page.url(), "--yes", "--service=ap").want(1, `no service "ap"`)
	p.sub("rollback", page.url(), "--yes", "--project-dir="+t.TempDir()).want(1, "no Compose file")

	// What --start began is known, too.
	p = newProject(t, "compose.yaml", sound, ".env", "")
	if err := os.RemoveAll(filepath.Join(p.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	files = p.tree()
	p.autoscale(page.url(), "--start").want(0)
	p.wantRunning("app-1")
	p.sub("rollback", page.url(), "--yes", "--restore").want(0, "done: file", "done: state")
	p.wantTree(files)
	p.wantRunning("app-1")
}

// TestRollbackOthers: another service's entry and decisions stay, to the byte;
// and nothing is started where nothing runs.
func TestRollbackOthers(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", sound+strings.Replace(strings.TrimPrefix(sound, "services:\n"), "app:", "web:", 1))
	p.up()
	page := newPage(t, 100)
	p.autoscale(page.url(), "--service=web", "--mode=observe").want(0)
	files := p.tree()
	p.autoscale(page.url()).want(0)
	p.sub("status").want(0, "\nweb ", "\napp ")
	page.set(10)
	p.sub("rollback", page.url(), "--yes").want(0)
	p.wantTree(files)
	p.sub("explain", "--last=9").want(0, "web: ")

	p.autoscale(page.url()).want(0)
	p.docker("compose", "down")
	p.sub("rollback", page.url(), "--yes").want(0, "none is started", "done: state")
	p.wantTree(files)
	if now := p.containers("app"); len(now) != 0 {
		t.Errorf("started: %+v", now)
	}

	// What no run is known to have set stays, unless a count is asked for.
	p.write(overrideFile, "services:\n  app:\n    deploy:\n      replicas: 3 # ours\n")
	p.sub("rollback", page.url(), "--yes").want(0, "no run is remembered", "--replicas N", "nothing is left to undo")
	p.wantDeclared(3)
	p.env = []string{"PATH=" + filepath.Dir(built.autoscale)}
	p.sub("rollback", page.url(), "--yes", "--replicas=1").want(0, "the override file says 3; make it say 1")
	p.wantTree(files)
	p.env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
	p.sub("rollback", page.url(), "--yes").want(1, "the Docker Engine does not answer")
	p.wantTree(files)
	p.env = nil
}
