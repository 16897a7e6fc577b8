//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// inSandbox runs the calling test once more where a real cron, or a real systemd,
// is there for it alone; it reports whether this is that run.
func inSandbox(t *testing.T, kind string) bool {
	t.Helper()
	if os.Getenv("AUTOSCALE_SANDBOX") == kind {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a sandbox")
	}
	cmd := exec.Command("engine/sandbox", kind, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), "AUTOSCALE_SANDBOX="+kind, "AUTOSCALE_E2E_BUILT="+built.autoscale)
	out, err := cmd.CombinedOutput()
	t.Logf("in a sandbox with %s:\n%s", kind, out)
	if err != nil {
		t.Fatalf("in the sandbox: %v", err)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatal("the sandbox ran no test")
	}
	return false
}

// system runs one of the system's own commands, with an input.
func system(t *testing.T, input string, words ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustSystem(t *testing.T, input string, words ...string) string {
	t.Helper()
	out, err := system(t, input, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// line are the flags of one decision, as they stand behind --.
func (p *project) line(more ...string) []string {
	return append([]string{"--", "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0"}, more...)
}

// schedule runs autoscale schedule with words before the line.
func (p *project) schedule(words string, line ...string) run {
	p.t.Helper()
	return p.call(nil, slices.Concat([]string{"schedule"}, strings.Fields(words), line)...)
}

// TestScheduleCron: a line that real cron takes, and runs; beside other lines,
// which stay as they are.
func TestScheduleCron(t *testing.T) {
	t.Parallel()
	if !inSandbox(t, "cron") {
		return
	}
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page := newPage(t, 100)
	// Each word of it would come out wrong if it were quoted wrong, and the
	// decision would be another or none.
	odd := []string{page.url(), `--rps-metric=http_requests_per_second{x!~"5%.$'"}`, "--metrics-header=X-Odd: 100% \"sure\" $HOME `x` ; #"}
	theirs := "# mine %\nMAILTO=\"\"\n17 * * * * cd /srv/other && autoscale --provider=compose --min=1 --max=2 --rps-target=1\n"
	mustSystem(t, theirs, "crontab", "-")
	files := p.tree()

	out := p.schedule("install --cron --every 1m", p.line(odd...)...).want(0, "tried once with --dry-run", "app dry-run: 1 -> 3 replicas", "installed in crontab of root").out
	if got := mustSystem(t, "", "crontab", "-l"); !strings.HasPrefix(got, theirs) || strings.Count(got, "\n") != 5 {
		t.Errorf("the crontab:\n%s", got)
	}
	log := regexp.MustCompile(`>> (\S+) 2>&1`).FindStringSubmatch(out)[1]
	p.schedule("status", p.line()...).want(0, "installed by autoscale\n", "every 1m,", "next ")
	p.doctor(page.url()).wantCodes(t) // nothing left to note
	p.until("cron has it run", 80*time.Second, func() bool { return p.running("app") == "app-1 app-2 app-3" })
	p.settle()
	p.until("its log is written", 10*time.Second, func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "app: 1 -> 3 replicas")
	})
	p.until("the run ended", 30*time.Second, func() bool { return strings.Contains(p.sub("explain", "--changes").out, "1 -> 3 replicas") })
	p.sub("explain", "--changes").want(0, "1 -> 3 replicas", "more than the 44 rps")

	// Again with other flags: the same line changes. Another kind is refused.
	p.schedule("install --cron --every 2m", p.line(page.url(), "--max=4")...).want(0)
	if got := mustSystem(t, "", "crontab", "-l"); !strings.Contains(got, "*/2 * * * * ") || !strings.Contains(got, "--max=4") || strings.Count(got, "\n") != 5 {
		t.Errorf("the crontab:\n%s", got)
	}
	p.schedule("install --cron --system", p.line(page.url())...).want(1, "is scheduled already, in crontab of root")
	p.schedule("install --cron", p.line("--max=0")...).want(2, "behind --", "--max=0")
	p.schedule("install --cron --every 7m", p.line()...).want(2, "such as 6m")

	// A line that was edited is no longer ours to change or remove.
	ours := mustSystem(t, "", "crontab", "-l")
	edited := strings.Replace(ours, "--max=4", "--max=9", 1)
	mustSystem(t, edited, "crontab", "-")
	p.schedule("remove", p.line()...).want(1, "was changed since it was installed")
	p.schedule("install --cron", p.line(page.url())...).want(1, "was changed since it was installed")
	p.sub("rollback", page.url(), "--yes").want(1, "nothing was changed", "was changed since autoscale installed it")
	if got := mustSystem(t, "", "crontab", "-l"); got != edited {
		t.Errorf("the crontab:\n%s", got)
	}
	mustSystem(t, ours, "crontab", "-")

	// A foreign line that would scale again keeps a rollback from beginning.
	foreign := ours + "* * * * * cd " + p.dir + " && python3 tools/autoscale.py --provider=compose\n"
	mustSystem(t, foreign, "crontab", "-")
	p.doctor(page.url()).wantCodes(t, "schedules-several")
	page.set(10)
	before := p.tree()
	p.sub("rollback", page.url(), "--yes").want(1, "nothing was changed", "tools/autoscale.py", "crontab -e")
	p.wantTree(before)
	p.wantRunning("app-1 app-2 app-3")
	if got := mustSystem(t, "", "crontab", "-l"); got != foreign {
		t.Errorf("the crontab:\n%s", got)
	}
	mustSystem(t, ours, "crontab", "-")

	// And back: everything as it was.
	p.sub("rollback", page.url(), "--yes").want(0, "done: schedule", "done: replicas", "done: journal", "done: state")
	if got := mustSystem(t, "", "crontab", "-l"); got != theirs {
		t.Errorf("the crontab:\n%s", got)
	}
	p.wantTree(files)
	p.wantRunning("app-1")
	p.schedule("remove", p.line()...).want(0, "nothing is installed")
	p.schedule("status", p.line()...).want(1, "nothing runs autoscale")

	// With nothing else in it the crontab goes, too.
	mustSystem(t, "", "crontab", "-r")
	p.schedule("install --cron", p.line(page.url())...).want(0)
	p.schedule("remove", p.line()...).want(0, "removed from crontab of root")
	if out, err := system(t, "", "crontab", "-l"); err == nil || !strings.Contains(out, "no crontab") {
		t.Errorf("%v %s", err, out)
	}

	// For the machine, in a file of its own; never over somebody else's.
	if err := os.WriteFile("/etc/cron.d/theirs", []byte("# theirs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.schedule("install --cron --system --unit=theirs", p.line(page.url())...).want(1, "with something else in it", "--unit")
	p.schedule("install --cron --system --unit=a.b", p.line(page.url())...).want(2, "--unit=a.b")
	p.schedule("install --cron --system --every 1m", p.line(page.url(), "--mode=observe")...).want(0, "installed in /etc/cron.d/autoscale")
	p.until("cron has it run", 80*time.Second, func() bool {
		out, _ := system(t, "", built.autoscale, "explain", "--project-dir", p.dir)
		return strings.Contains(out, "1 replica kept")
	})
	p.sub("rollback", page.url(), "--yes").want(0, "remove from /etc/cron.d/autoscale")
	if left, err := filepath.Glob("/etc/cron.d/*"); err != nil || !slices.Equal(left, []string{"/etc/cron.d/theirs"}) {
		t.Errorf("%q %v", left, err)
	}

	// A cron that does not run, and one that has not for long.
	p.schedule("install --cron", p.line(page.url())...).want(0)
	p.autoscale(page.url()).want(0)
	p.doctor(page.url()).wantCodes(t)
	journal := filepath.Join(p.dir, "tools/.autoscale_state.journal.ndjson")
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`"time":"20\d\d`).ReplaceAllString(string(text), `"time":"2020`)
	if err := os.WriteFile(journal, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	p.doctor(page.url()).wantCodes(t, "schedule-silent")
	mustSystem(t, "", "pkill", "-x", "cron")
	p.until("cron ended", 5*time.Second, func() bool { _, err := system(t, "", "pgrep", "-x", "cron"); return err != nil })
	p.doctor(page.url()).wantCodes(t, "schedule-inactive", "schedule-silent")
	p.schedule("status", p.line()...).want(1, "not running")
	p.schedule("remove", p.line()...).want(0)
}

// until waits for something that takes its time.
func (p *project) until(what string, limit time.Duration, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("after %s still not: %s", limit, what)
		}
	}
}

// seedLine and seedUnits are the first users' own, with autoscale for the script.
const (
	seedFlags = "--provider=compose --min=1 --max=5 --rps-target=40 --cooldown=180"
	seedLine  = "*/2 * * * * cd /srv/bot && /usr/local/bin/autoscale " + seedFlags + " >> /var/log/five-keys-autoscale.log 2>&1\n"
)

// TestScheduleSeed: as root, with docker where Debian puts it and nothing of
// DOCKER_* set, the seed's line and units come out to the letter; real systemd
// and real cron take them.
func TestScheduleSeed(t *testing.T) {
	t.Parallel()
	if !inSandbox(t, "cron") {
		return
	}
	// The sandbox's /usr stays the machine's: what is put there goes with it.
	mustSystem(t, "", "mount", "-t", "tmpfs", "tmpfs", "/srv")
	mustSystem(t, "", "mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin")
	for _, dir := range []string{"/srv/bot/deploy", "/srv/bot/tools"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustSystem(t, "", "cp", built.autoscale, "/usr/local/bin/autoscale")
	call := func(words string) string {
		t.Helper()
		cmd := exec.Command("/usr/local/bin/autoscale", strings.Fields(words)...)
		cmd.Dir, cmd.Env = "/srv/bot", []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", words, err, out)
		}
		return string(out)
	}
	got := call("schedule print --cron --name=five-keys -- " + seedFlags)
	if got != seedLine {
		t.Errorf("%q\nwant\n%q", got, seedLine)
	}
	mustSystem(t, got, "crontab", "-")
	mustSystem(t, "", "crontab", "-r")

	units := call("schedule print --systemd --name=five-keys -- " + seedFlags)
	service, timer, ok := strings.Cut(strings.TrimPrefix(units, "# autoscale.service\n"), "\n# autoscale.timer\n")
	if !ok {
		t.Fatalf("units:\n%s", units)
	}
	hasLines(t, service, `[Unit]
Description=Five Keys autoscaler

[Service]
Type=oneshot
WorkingDirectory=/srv/bot
ExecStart=/usr/local/bin/autoscale `+seedFlags)
	hasLines(t, timer, `[Unit]
Description=Run autoscaler every 2 minutes

[Timer]
OnBootSec=2m
OnUnitActiveSec=2m
Unit=autoscale.service

[Install]
WantedBy=timers.target`)
	dir := t.TempDir()
	for name, text := range map[string]string{"autoscale.service": service, "autoscale.timer": timer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := system(t, "", "systemd-analyze", "verify", filepath.Join(dir, "autoscale.service"), filepath.Join(dir, "autoscale.timer")); err != nil || strings.Contains(out, "autoscale.") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// hasLines checks that all lines of want stand in text, in their order.
func hasLines(t *testing.T, text, want string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for line := range strings.SplitSeq(want, "\n") {
		at := slices.Index(lines, line)
		if at < 0 {
			t.Fatalf("%q is missing, or not in its place, in\n%s", line, text)
		}
		lines = lines[at+1:]
	}
}

// TestScheduleSystemd: units that a real systemd takes, and runs; hardened as
// they are they still scale.
func TestScheduleSystemd(t *testing.T) {
	t.Parallel()
	if !inSandbox(t, "systemd") {
		return
	}
	p := newProject(t, "compose.yaml", sound)
	p.up()
	page := newPage(t, 100)
	files := p.tree()
	units := func() string {
		found := strings.Fields(mustSystem(t, "", "find", "/etc/systemd", "-type", "f", "-o", "-type", "l"))
		slices.Sort(found)
		return strings.Join(found, " ")
	}
	none := units()
	odd := []string{page.url(), `--rps-metric=http_requests_per_second{x!~"5%.$'"}`, "--metrics-header=X-Odd: 100% \"sure\" $HOME `x` ; #"}
	p.schedule("install --systemd --every 2s", p.line(odd...)...).want(0, "installed in /etc/systemd/system/autoscale.timer", "app dry-run: 1 -> 3 replicas")
	p.until("systemd has it run", 60*time.Second, func() bool { return p.running("app") == "app-1 app-2 app-3" })
	p.settle()
	p.schedule("status", p.line()...).want(0, "installed by autoscale\n", "every 2s, last ")
	p.doctor(page.url()).wantCodes(t)
	if out := mustSystem(t, "", "systemctl", "list-timers", "--no-pager"); !strings.Contains(out, "autoscale.timer") {
		t.Error(out)
	}

	// Another rhythm takes effect at once; one unit changed by hand is kept.
	p.schedule("install --systemd --every 3s", p.line(page.url())...).want(0)
	if out := mustSystem(t, "", "systemctl", "cat", "autoscale.timer"); !strings.Contains(out, "OnUnitActiveSec=3s") {
		t.Error(out)
	}
	service := "/etc/systemd/system/autoscale.service"
	ours, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(service, append(slices.Clone(ours), "Nice=5\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	p.schedule("remove", p.line()...).want(1, "was changed since")
	p.sub("rollback", page.url(), "--yes").want(1, "nothing was changed")
	if err := os.WriteFile(service, ours, 0o644); err != nil {
		t.Fatal(err)
	}

	// Stopped by hand: it is there, and nothing runs it.
	mustSystem(t, "", "systemctl", "disable", "--now", "autoscale.timer")
	p.doctor(page.url()).wantCodes(t, "schedule-inactive")
	p.schedule("status", p.line()...).want(1, "not running")
	mustSystem(t, "", "systemctl", "enable", "--now", "autoscale.timer")

	page.set(10)
	p.sub("rollback", page.url(), "--yes").want(0, "remove from /etc/systemd/system/autoscale.timer")
	if now := units(); now != none {
		t.Errorf("units left: %s", now)
	}
	p.wantTree(files)
	p.wantRunning("app-1")
	if out := mustSystem(t, "", "systemctl", "list-units", "--all", "--no-pager", "autoscale*"); strings.Contains(out, "autoscale.") {
		t.Errorf("systemd still knows it:\n%s", out)
	}

	// Units of that name that are somebody else's stay.
	if err := os.WriteFile(service, []byte("[Service]\nExecStart=/bin/true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.schedule("install --systemd", p.line(page.url())...).want(1, "is there already and not this service's", "--unit")
	p.schedule("install --systemd --unit=autoscale-bot", p.line(page.url())...).want(0)
	p.schedule("remove", p.line()...).want(0, "autoscale-bot.timer")
	if now := units(); now != service+" "+none {
		t.Errorf("units left: %s", now)
	}
}
