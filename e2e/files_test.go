//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const stateFile = "tools/.autoscale_state.json"

// tmpfs makes a folder of the project a file system of its own with that many
// bytes. What was in it is hidden.
func (p *project) tmpfs(folder string, bytes int) {
	p.t.Helper()
	dir := filepath.Join(p.dir, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		p.t.Fatalf("a tmpfs cannot be mounted (%v): run the end-to-end tests as root, which the private engine needs as well", err)
	}
	p.t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			p.t.Error(err)
		}
	})
}

// fill writes into a folder until not a byte more fits; the returned function
// frees the space again.
func (p *project) fill(folder string) (free func()) {
	p.t.Helper()
	path := filepath.Join(p.dir, folder, "filler")
	file, err := os.Create(path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		p.t.Fatal(err)
	}
	return func() { p.must(os.Remove(path)) }
}

func (p *project) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// unwritable is one reason why the override file or the state cannot be
// written: bring brings it about, and the returned function mends it.
type unwritable struct {
	name  string
	says  []string
	bring func(*project) (mend func())
}

// mode takes a file's or folder's write permission away.
func mode(name string, perm fs.FileMode) func(*project) func() {
	return func(p *project) func() {
		path := filepath.Join(p.dir, name)
		info, err := os.Stat(path)
		p.must(err)
		p.must(os.Chmod(path, perm))
		return func() { p.must(os.Chmod(path, info.Mode())) }
	}
}

// Where the override file or the state cannot be written, a raise is made all
// the same and a lowering is not; both end with 1 and say why. Once it can be
// written again, the next run puts everything right.
func TestUnwritable(t *testing.T) {
	const cannot = "the override file could not be made to say replicas: "
	all := []unwritable{
		{"deploy full", []string{cannot, "no space left on device"}, func(p *project) func() { return p.fill("deploy") }},
		{"state full", []string{"state not saved", "no space left on device"}, func(p *project) func() { return p.fill("tools") }},
		{"override read-only", []string{cannot, "it is read-only (-r--r--r--); allow writing with chmod u+w"}, mode(overrideFile, 0o444)},
		// From here on only with AUTOSCALE_E2E=all.
		{"override's folder read-only", []string{cannot, "its folder is read-only", "chmod u+w"}, mode("deploy", 0o555)},
		{"override with two names", []string{cannot, "2 names (hard links)"}, func(p *project) func() {
			second := filepath.Join(p.dir, "deploy/second.yml")
			p.must(os.Link(filepath.Join(p.dir, overrideFile), second))
			return func() { p.must(os.Remove(second)) }
		}},
		{"state read-only", []string{"state not saved", "it is read-only"}, mode(stateFile, 0o444)},
		{"state's folder read-only", []string{"state not saved", "its folder is read-only"}, mode("tools", 0o555)},
	}
	if os.Getenv("AUTOSCALE_E2E") != "all" {
		all = all[:3]
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			if strings.HasSuffix(c.name, "full") {
				text := p.read(overrideFile)
				p.tmpfs("deploy", 64<<10)
				p.tmpfs("tools", 64<<10)
				p.write(overrideFile, text)
			}
			p.up()
			load := newPage(t, 20)
			p.autoscale(load.url()).want(0)
			p.unwritable(c, load)
		})
	}
}

// unwritable takes one replica through a raise and a lowering while something
// cannot be written.
func (p *project) unwritable(c unwritable, load *page) {
	ofOverride := strings.Contains(c.says[0], "override")
	before := p.snapshot("tools")
	mend := c.bring(p)
	old, oldState := p.read(overrideFile), p.read(stateFile)
	load.set(100)
	p.autoscale(load.url()).want(1, append(c.says, "1 -> 3 replicas")...)
	p.wantRunning("app-1 app-2 app-3")
	if ofOverride && p.read(overrideFile) != old {
		p.t.Errorf("the override file changed:\n%s", p.read(overrideFile))
	}
	if !ofOverride {
		p.wantDeclared(3)
		if p.read(stateFile) != oldState {
			p.t.Errorf("the state changed:\n%s", p.read(stateFile))
		}
	}
	load.set(50) // 2 are enough, which the override file does not say yet
	raised := p.snapshot("tools")
	p.autoscale(load.url()).want(1, append(c.says, "nothing was lowered")...)
	raised.same(p.t, p.snapshot("tools"))
	mend()
	load.set(100)
	p.autoscale(load.url()).want(0)
	p.wantDeclared(3)
	load.set(50)
	p.autoscale(load.url()).want(0, "3 -> 2 replicas")
	p.wantRunning("app-1 app-2")
	p.agrees()
	for name := range p.snapshot("tools") {
		if _, known := before[name]; !known && strings.HasPrefix(name, "file ") {
			p.t.Errorf("%s was left behind", name)
		}
	}
}

// Somebody replaces the override file while a run is at work: what they wrote
// stays, and the count is set in it.
func TestOverrideReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	theirs := func(word string, count int) string {
		return fmt.Sprintf("# %s\nservices:\n  app:\n    labels: {owner: %s}\n    deploy: {replicas: %d}\n", word, word, count)
	}
	replace := func(text string) {
		p.write("deploy/.new", text)
		p.must(os.Rename(filepath.Join(p.dir, "deploy/.new"), filepath.Join(p.dir, overrideFile)))
	}
	load := newPage(t, 0)
	load.serve(func(w http.ResponseWriter) { // while the load is read
		replace(theirs("reading", 1))
		fmt.Fprint(w, lowHead, "http_requests_per_second 70\n")
	})
	p.autoscale(load.url()).want(0, "1 -> 2 replicas")
	if got, want := p.read(overrideFile), theirs("reading", 2); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	// While Compose moves, after the count was declared.
	dir := t.TempDir()
	real, err := exec.LookPath("docker")
	p.must(err)
	wrapper, moving := filepath.Join(dir, "docker"), filepath.Join(dir, "theirs.yml")
	script := fmt.Sprintf("#!/bin/sh\ncase \" $* \" in *' up '*) cp %s %s/new.yml && mv %s/new.yml '%s' ;; esac\nexec %s \"$@\"\n",
		moving, dir, dir, filepath.Join(p.dir, overrideFile), real)
	p.must(os.WriteFile(moving, []byte(theirs("moving", 1)), 0o644))
	p.must(os.WriteFile(wrapper, []byte(script), 0o755))
	load.set(100)
	p.autoscale(load.url(), "--docker="+wrapper).want(0, "2 -> 3 replicas")
	if got, want := p.read(overrideFile), theirs("moving", 3); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.wantRunning("app-1 app-2 app-3")

	// Taken away: it is made anew.
	load.serve(func(w http.ResponseWriter) {
		p.must(os.RemoveAll(filepath.Join(p.dir, overrideFile)))
		fmt.Fprint(w, lowHead, "http_requests_per_second 1\n")
	})
	p.autoscale(load.url()).want(0, "3 -> 1 replica:")
	p.wantDeclared(1)
	p.wantRunning("app-1")
}

// A symbolic link stays one, and the file it leads to is replaced.
func TestSymlinks(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	shared := t.TempDir()
	link := func(name string) (target string) {
		target = filepath.Join(shared, filepath.Base(name)+".real")
		path := filepath.Join(p.dir, name)
		p.must(os.MkdirAll(filepath.Dir(path), 0o755))
		if text, err := os.ReadFile(path); err == nil {
			p.must(os.WriteFile(target, text, 0o640))
			p.must(os.Remove(path))
		}
		p.must(os.Symlink(target, path))
		return target
	}
	override, state := link(overrideFile), link(stateFile)
	p.up()
	load := newPage(t, 70)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas")
	p.wantDeclared(2)
	for _, name := range []string{overrideFile, stateFile} {
		if info, err := os.Lstat(filepath.Join(p.dir, name)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", name, err)
		}
	}
	if info, err := os.Stat(override); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, want mode 0640 kept (%v)", info.Mode(), err)
	}
	if text, err := os.ReadFile(state); err != nil || !json.Valid(text) {
		t.Errorf("state: %s (%v)", text, err)
	}
	load.set(1)
	p.autoscale(load.url()).want(0, "2 -> 1 replica:")
	p.wantDeclared(1)
	load.set(70)
	p.must(os.Remove(override)) // a link to nothing
	p.autoscale(load.url()).want(1, "1 -> 2 replicas", "symbolic link that leads nowhere")
	p.wantRunning("app-1 app-2")
}

// Odd files are kept byte for byte in a real run, and Compose reads the count.
// The cases and what must come of them are those of internal/splice.
func TestFormats(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	load := newPage(t, 200) // wants 5, as the cases do
	rejected := 0
	for _, name := range []string{
		"emoji-file", "crlf", "bom", "bom-one-line", "number-double-quoted", "number-single-quoted", "number-anchor",
		"number-next-line-comment", "missing-comment-only-crlf", "missing-app-flow", "missing-deploy-flow",
		"missing-replicas-indent-8", "trailing-blanks", "number-same-hex", "number-tag-override", "key-wide",
	} {
		t.Run(name, func(t *testing.T) {
			p := p.with(t)
			folder := filepath.Join("../internal/splice/testdata/set", name)
			in, err := os.ReadFile(filepath.Join(folder, "in.yml"))
			p.must(err)
			out, err := os.ReadFile(filepath.Join(folder, "out.yml"))
			p.must(err)
			p.write(overrideFile, string(in))
			check := exec.Command("docker", "compose", "config", "-q")
			check.Dir = p.dir
			said, err := check.CombinedOutput()
			// An old Compose is stricter. A file of comments only, which it does not
			// like either, is left out until it says something.
			if err != nil && name != "missing-comment-only-crlf" {
				t.Logf("Compose rejects it: %s", said)
				rejected++
				p.refuses(nil, []string{load.url()}, "Docker Compose rejects the project")
				return
			}
			p.autoscale(load.url()).want(0)
			if got := p.read(overrideFile); got != string(out) {
				t.Fatalf("got\n%q\nwant\n%q", got, out)
			}
			config := p.docker("compose", "config", "--format", "json")
			var model struct {
				Services map[string]struct{ Deploy struct{ Replicas int } }
			}
			if err := json.Unmarshal([]byte(config), &model); err != nil || model.Services["app"].Deploy.Replicas != 5 {
				t.Errorf("Compose reads %+v (%v)", model, err)
			}
		})
	}
	if old := strings.HasPrefix(p.docker("compose", "version", "--short"), "2.20."); rejected > 0 && !old || rejected > 3 {
		t.Errorf("Compose rejects %d of the files", rejected)
	}
	p.wantRunning("app-1 app-2 app-3 app-4 app-5")
}

// An override file that is not there is created with its folder, and all that
// is created belongs to the owner of the project's folder.
func TestCreated(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, ".env", "")
	p.must(os.RemoveAll(filepath.Join(p.dir, "deploy")))
	owner := os.Getuid()
	if owner == 0 {
		owner = 12345
	}
	p.must(os.Chown(p.dir, owner, -1))
	p.up()
	load := newPage(t, 70)
	p.autoscale(load.url()).want(0, "1 -> 2 replicas", "COMPOSE_FILE=compose.yaml:"+overrideFile)
	if got, want := p.read(overrideFile), "services:\n  app:\n    deploy:\n      replicas: 2\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"deploy", overrideFile, "tools", stateFile, "tools/.autoscale_state.journal.ndjson"} {
		info, err := os.Stat(filepath.Join(p.dir, name))
		p.must(err)
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != owner {
			t.Errorf("%s belongs to %d, want %d", name, got, owner)
		}
		if perm := info.Mode().Perm(); perm&0o600 != 0o600 {
			t.Errorf("%s has mode %v", name, perm)
		}
	}
}

// forgets checks what every state that is not to be believed leads to: the
// current count holds at that run, whatever the load, and the run after it may
// lower. Nothing is moved, so that the same replicas serve all cases.
func (p *project) forgets(reason string, args ...string) (first run) {
	p.t.Helper()
	args = append(args, "--mode=observe", "--output=json")
	first = p.autoscale(args...).want(0)
	d := first.json()
	if d.Decision.Want != 2 || !slices.ContainsFunc(d.Decision.Steps, func(s struct{ Stage, Reason, Detail string }) bool { return s.Reason == reason }) {
		p.t.Fatalf("decided %+v, want 2 replicas kept by %s", d.Decision, reason)
	}
	if next := p.autoscale(args...).want(0).json(); next.Decision.Want != 1 {
		p.t.Fatalf("the run after decided %+v, want 1 replica", next.Decision)
	}
	return first
}

// A state that cannot be read, or of the earlier Python script, is kept aside
// and makes a first run; one of a newer version is left alone.
func TestStrangeState(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, overrideFile, "services: {app: {deploy: {replicas: 2}}}\n")
	p.up()
	load := newPage(t, 1)
	p.autoscale(load.url(), "--mode=observe").want(0)
	good := p.read(stateFile)
	damaged := strings.Replace(good, `"state": {`, `"state": "gone", "was": {`, 1)
	for name, c := range map[string]struct{ text, kept, says string }{
		"garbage":       {"\x00\x01garbage\xff", "corrupt", "is unreadable"},
		"empty":         {"", "corrupt", "is unreadable"},
		"torn":          {good[:len(good)/2], "corrupt", "is unreadable"},
		"no version":    {`{"entries": {}}`, "corrupt", "is unreadable"},
		"damaged entry": {damaged, "corrupt", "is unreadable"},
		"Python script": {`{"idle_since": 1700000000.5, "last_scale_at": 1700000300.0, "last_replicas": 2}` + "\n", "python", "written by the earlier Python script"},
		"its null":      {`{"idle_since": null, "last_scale_at": 0, "last_replicas": null}`, "python", "written by the earlier Python script"},
	} {
		t.Run(name, func(t *testing.T) {
			p := p.with(t)
			p.write("tools/"+name+".json", c.text)
			d := p.forgets("FirstRun", load.url(), "--state-file=tools/"+name+".json").json()
			if warnings := strings.Join(d.Warnings, "\n"); !strings.Contains(warnings, c.says) || !strings.Contains(warnings, "is kept as") {
				t.Errorf("warnings: %s", warnings)
			}
			kept, err := filepath.Glob(filepath.Join(p.dir, "tools", name+".json."+c.kept+"-*"))
			if err != nil || len(kept) != 1 {
				t.Fatalf("kept: %v (%v)", kept, err)
			}
			if text, err := os.ReadFile(kept[0]); err != nil || string(text) != c.text {
				t.Errorf("kept: %q (%v)", text, err)
			}
		})
	}
	t.Run("no journal", func(t *testing.T) { // loses no decision
		p := p.with(t)
		p.must(os.Mkdir(filepath.Join(p.dir, "tools/other.journal.ndjson"), 0o755))
		p.forgets("FirstRun", load.url(), "--state-file=tools/other.json").want(0, "this decision is missing in the journal")
	})
	t.Run("newer version", func(t *testing.T) {
		p := p.with(t)
		newer := strings.Replace(good, `"version": 1`, `"version": 2`, 1)
		p.write("tools/newer.json", newer)
		says := []string{"it has version 2, written by a newer autoscale", "update it, or name another --state-file"}
		p.refuses(nil, []string{load.url(), "--state-file=tools/newer.json"}, says...)
		load.set(100) // a raise waits for no state
		p.autoscale(load.url(), "--state-file=tools/newer.json").want(1, append(says, "2 -> 3 replicas")...)
		p.wantRunning("app-1 app-2 app-3")
		if p.read("tools/newer.json") != newer {
			t.Errorf("the file changed:\n%s", p.read("tools/newer.json"))
		}
	})
}

// edit changes the state file's only entry, as time or another machine would.
func (p *project) edit(change func(state map[string]any)) {
	p.t.Helper()
	var document struct {
		Version int                       `json:"version"`
		Entries map[string]map[string]any `json:"entries"`
	}
	decoder := json.NewDecoder(strings.NewReader(p.read(stateFile)))
	decoder.UseNumber()
	p.must(decoder.Decode(&document))
	for _, entry := range document.Entries {
		change(entry["state"].(map[string]any))
	}
	text, err := json.Marshal(document)
	p.must(err)
	p.write(stateFile, string(text))
}

// A boot, a clock that was moved and readings that are missing: nothing goes
// down at that run.
func TestClocks(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, overrideFile, "services: {app: {deploy: {replicas: 2}}}\n")
	p.up()
	load := newPage(t, 1)
	shift := func(at map[string]any, wall, uptime time.Duration) {
		was, err := time.Parse(time.RFC3339Nano, at["time"].(string))
		p.must(err)
		ran, err := at["uptime_ns"].(json.Number).Int64()
		p.must(err)
		at["time"], at["uptime_ns"] = was.Add(wall).Format(time.RFC3339Nano), ran+int64(uptime)
	}
	for _, c := range []struct {
		name, reason string
		change       func(at map[string]any)
	}{
		{"boot", "Rebooted", func(at map[string]any) { at["boot"] = "another" }},
		{"clock moved forward", "ClockMoved", func(at map[string]any) { shift(at, -time.Minute, 0) }},
		{"clock moved back", "ClockMoved", func(at map[string]any) { shift(at, time.Hour, 0) }},
		{"clock moved back while off", "ClockMoved", func(at map[string]any) { shift(at, 6*time.Second, 0) }},
		{"all replicas started since", "AllReplicasNew", func(at map[string]any) { shift(at, -20*time.Minute, -20*time.Minute) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.with(t)
			p.autoscale(load.url(), "--mode=observe").want(0)
			if d := p.autoscale(load.url(), "--mode=observe", "--output=json").want(0).json(); d.Decision.Want != 1 {
				t.Fatalf("without it decided %+v, want 1 replica", d.Decision)
			}
			p.edit(func(state map[string]any) { c.change(state["at"].(map[string]any)) })
			p.forgets(c.reason, load.url())
		})
	}
	p.wantRunning("app-1 app-2")
	p.autoscale(load.url()).want(0, "2 -> 1 replica:")
	p.wantRunning("app-1")
}

// --dry-run changes nothing at all, and --mode=observe nothing but state and
// journal, whatever the load asks for and whatever is in their way.
func TestNothingChanges(t *testing.T) {
	t.Parallel()
	p := newProject(t, "compose.yaml", basic, overrideFile, "services: {app: {deploy: {replicas: 2}}}\n")
	p.up()
	p.docker("stop", "-t", "1", p.name+"-app-2") // a leftover that a raise would remove
	load := newPage(t, 1)
	for _, state := range []string{"none", "good", "corrupt"} {
		switch state {
		case "good":
			load.set(40)
			p.autoscale(load.url(), "--mode=observe").want(0)
		case "corrupt":
			p.write(stateFile, "{")
		}
		for _, c := range []struct {
			rps    float64
			status int
		}{{1, 0}, {40, 0}, {100, 0}, {-1, 1}} {
			load.set(c.rps)
			before := p.snapshot()
			p.autoscale(load.url(), "--dry-run").want(c.status, "dry-run")
			if state == "none" {
				p.autoscale(load.url(), "--dry-run", "--apply=never").want(c.status, "dry-run")
			}
			before.same(t, p.snapshot())
		}
	}
	p.must(os.RemoveAll(filepath.Join(p.dir, "tools")))
	for _, c := range []struct {
		rps    float64
		status int
	}{{40, 0}, {1, 0}, {100, 0}, {-1, 1}} {
		load.set(c.rps)
		before := p.snapshot("tools")
		p.autoscale(load.url(), "--mode=observe").want(c.status)
		before.same(t, p.snapshot("tools"))
	}
	if journal := p.read("tools/.autoscale_state.journal.ndjson"); strings.Count(journal, "\n") != 4 {
		t.Errorf("journal:\n%s", journal)
	}
}

// whole checks that state and override file are what some run wrote, and no
// part of it.
func (p *project) whole() {
	p.t.Helper()
	if text := p.read(overrideFile); !regexp.MustCompile(`^services:\n  app:\n    deploy:\n      replicas: [1-5] # ours\n$`).MatchString(text) {
		p.t.Fatalf("override file:\n%s", text)
	}
	text, err := os.ReadFile(filepath.Join(p.dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	p.must(err)
	if !json.Valid(text) {
		p.t.Fatalf("state:\n%s", text)
	}
}

// Killed at any moment of a raise or a lowering, a run leaves whole files, and
// the next one comes to the count that the load asks for.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 6
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		kills = 25
	}
	p := newProject(t)
	p.up()
	load := newPage(t, 20)
	p.autoscale(load.url()).want(0)
	load.set(100)
	began := time.Now()
	p.autoscale(load.url()).want(0)
	took := time.Since(began)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, kills within %v", seed, took)
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		after := time.Duration(random.Int64N(int64(took)))
		p.killed(load, 1+2*random.IntN(2), func(cmd *exec.Cmd) {
			p.must(cmd.Start())
			time.Sleep(after)
			_ = cmd.Process.Kill() // it may have ended already
			t.Logf("killed after %v", after)
		})
	}
}

// Killed as it starts a command, a run leaves that at work: the next run waits
// for it, or undoes what it did.
func TestKilledBesideCommand(t *testing.T) {
	t.Parallel()
	words := []string{" up "}
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		words = []string{" dial-stdio ", " version ", " config --format ", " config --hash ", " up "}
	}
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t)
	p.up()
	load := newPage(t, 20)
	p.autoscale(load.url()).want(0)
	for _, word := range words {
		docker := filepath.Join(t.TempDir(), "docker")
		script := fmt.Sprintf("#!/bin/sh\ncase \" $* \" in *'%s'*) [ \"$(cat /proc/$PPID/comm)\" != autoscale ] || kill -9 $PPID ;; esac\nexec %s \"$@\"\n", word, real)
		p.must(os.WriteFile(docker, []byte(script), 0o755))
		for _, want := range []int{1, 1, 3, 1, 3, 3} { // up and back, up; down, down and back
			p.killed(load, want, func(cmd *exec.Cmd) {
				cmd.Args = append(cmd.Args, "--docker="+docker)
				p.must(cmd.Start())
				t.Logf("killed at%s", word)
			})
		}
	}
}

// atWork reports whether a command on the project is under way.
func (p *project) atWork() bool {
	p.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	p.must(err)
	return slices.ContainsFunc(lines, func(line string) bool {
		words, err := os.ReadFile(line)
		return err == nil && bytes.Contains(words, []byte(p.name)) // or it has ended
	})
}

// killed starts a run on its way from one replica to three, or back, lets kill
// end it, and checks what the next one makes of it, which wants that many.
func (p *project) killed(load *page, want int, kill func(*exec.Cmd)) {
	p.t.Helper()
	from := len(strings.Fields(p.running("app")))
	load.set(float64(40*(4-from) - 10))
	cmd := exec.Command(built.autoscale, "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0", load.url())
	cmd.Dir = p.dir
	kill(cmd)
	_ = cmd.Wait() // its status is told below
	p.t.Logf("from %d to %d: %s, running %s; now to %d", from, 4-from, cmd.ProcessState, p.running("app"), want)
	p.whole()
	load.set(float64(40*want - 10))
	next := p.autoscale(load.url())
	if strings.Contains(next.errors, "somebody else changed the replicas") {
		// That was the killed run's Compose, still at work: nothing was moved.
		next.want(1)
		p.eventually("what the killed run had started ends", func() bool { return !p.atWork() })
		next = p.autoscale(load.url())
	}
	next.want(0)
	p.whole()
	time.Sleep(time.Second) // for what may be at work still
	if count := len(strings.Fields(p.running("app"))); count != want {
		p.t.Fatalf("%d replicas, want %d", count, want)
	}
	p.agrees()
	if strings.Contains(p.read(stateFile), `"moving"`) {
		p.t.Errorf("the state still speaks of a move:\n%s", p.read(stateFile))
	}
	if kept, err := filepath.Glob(filepath.Join(p.dir, "tools/*.corrupt-*")); err != nil || len(kept) > 0 {
		p.t.Errorf("a state was taken for corrupt: %v (%v)", kept, err)
	}
}

// Two runs at once, from one folder or two, with one state file or two: one
// goes after the other, or gives up and names it, and the count is right.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	elsewhere := *p
	elsewhere.dir = t.TempDir()
	other := []string{"--project-dir=" + p.dir, "--state-file=" + filepath.Join(elsewhere.dir, "state.json")}
	load := newPage(t, 1)
	for _, c := range []struct {
		rps     float64
		running string
	}{{100, "app-1 app-2 app-3"}, {1, "app-1"}} {
		p.autoscale(append(other, load.url(), "--mode=observe")...).want(0) // knows of the past
		load.set(c.rps)
		first := p.start(t.Context(), load.url())
		second := elsewhere.start(t.Context(), append(other, load.url())...)
		third := p.start(t.Context(), load.url())
		done := 0
		for _, r := range []run{first(), second(), third()} {
			if r.status == 0 {
				done++
			} else {
				r.want(1, "locked by process ")
			}
		}
		if done == 0 {
			t.Error("none was done")
		}
		p.wantRunning(c.running)
		p.agrees()
	}
}

// A run that takes long is waited for 10 s; then the other names it and ends
// with 1, and nothing of the first is disturbed.
func TestLocked(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.up()
	p.write("compose.yaml", strings.NewReplacer(`LEVERS: "1"`, `STARTUP: "15s"`, "retries: 3", "retries: 90").Replace(basic))
	load, asked := newPage(t, 0), make(chan struct{}, 9)
	load.serve(func(w http.ResponseWriter) {
		asked <- struct{}{}
		io.WriteString(w, lowHead+"http_requests_per_second 70\n")
	})
	holder := exec.Command(built.autoscale, "--provider=compose", "--min=1", "--max=5", "--rps-target=40", load.url())
	var said strings.Builder
	holder.Dir, holder.Stdout, holder.Stderr = p.dir, &said, &said
	p.must(holder.Start())
	<-asked // so it has the lock
	start := time.Now()
	second := p.autoscale(load.url(), "--state-file="+filepath.Join(t.TempDir(), "other.json"))
	waited := time.Since(start)
	err := holder.Wait()
	t.Logf("the holder, after %v (%v):\n%s", time.Since(start), err, said.String())
	if err != nil || waited < 10*time.Second {
		t.Errorf("the second waited %v, and should 10 s", waited)
	}
	second.want(1, fmt.Sprintf(`locked by process %d ("autoscale") since `, holder.Process.Pid), "waited 10s", "try again")
	p.wantRunning("app-1 app-2")
	p.agrees()
}
