//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme: the README's way from a check to the undo, by its own commands, on
// the example project and a real systemd. At the end everything is as it was:
// files, units, crontab, containers.
func TestReadme(t *testing.T) {
	t.Parallel()
	if !inSandbox(t, "systemd") {
		return
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## From a check to the undo\n")
	if !ok {
		t.Fatal("the README lacks the section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for _, found := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, found[1])
	}
	if len(blocks) != 4 {
		t.Fatalf("%d blocks, want check, load, look and undo", len(blocks))
	}
	setUp, check, ok := strings.Cut(blocks[0], "autoscale doctor")
	if !ok {
		t.Fatal("no doctor")
	}
	flags := regexp.MustCompile(`(?m)^flags=.*$`).FindString(setUp)

	// The example as a reader has it, but in a folder and at a port of the test.
	p := &project{t: t, name: "bot", dir: filepath.Join(t.TempDir(), "bot")}
	p.name = fmt.Sprintf("bot%d", time.Now().UnixNano())
	p.dir = filepath.Join(filepath.Dir(p.dir), p.name)
	port := freePort(t)
	p.env = []string{"PROXY_PORT=" + port, "PATH=" + filepath.Dir(built.autoscale) + ":" + os.Getenv("PATH"), "AUTOSCALE_SANDBOX=", "AUTOSCALE_E2E_BUILT="}
	reader := func(ctx context.Context, dir, block string) *exec.Cmd {
		block = strings.NewReplacer("/tmp/bot", p.dir, "localhost:8000/ ", "localhost:"+port+"/ ", "sudo autoscale rollback", "autoscale rollback --yes", "sudo ", "").Replace(block)
		cmd := exec.CommandContext(ctx, "bash", "-euc", block)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), p.env...)
		return cmd
	}
	run := func(dir, block string, says ...string) {
		t.Helper()
		out, err := reader(t.Context(), dir, block).CombinedOutput()
		t.Logf("%s\n%s", block, out)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range says {
			if !strings.Contains(string(out), text) {
				t.Errorf("does not say %q", text)
			}
		}
	}
	t.Cleanup(func() {
		cmd := exec.Command("docker", "compose", "down", "--timeout", "3")
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	run("..", setUp)
	crontab := func() string { // also where there is none
		out, _ := system(t, "", "crontab", "-l")
		return out
	}
	units := func() string { return mustSystem(t, "", "find", "/etc/systemd", "/etc/cron.d", "-type", "f") }
	files, containers, table, installed := p.tree(), fmt.Sprint(p.containers("app"), p.containers("proxy"), p.containers("worker")), crontab(), units()

	run(p.dir, flags+"\nautoscale doctor"+check, "app: all is well (1 note)", "1 replica kept", "installed in /etc/systemd/system/autoscale.timer")
	p.wantRunning("app-1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := reader(ctx, "..", blocks[1])
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	p.until("the load is met", 60*time.Second, func() bool { return strings.Count(p.running("app"), "app-") >= 4 })
	p.until("the load is gone, and so are the replicas", 150*time.Second, func() bool { return p.running("app") == "app-1" })
	cancel()
	_ = load.Wait() // it was ended
	run(p.dir, blocks[2], "SERVICE  PROJECT", "app: 1 -> ", " -> 1 replica: ", "  outcome   ")
	run(p.dir, flags+"\n"+blocks[3], "done: schedule", "done: state")

	p.wantTree(files)
	if now := fmt.Sprint(p.containers("app"), p.containers("proxy"), p.containers("worker")); now != containers {
		t.Errorf("containers were\n%s\nand are\n%s", containers, now)
	}
	if now := crontab(); now != table {
		t.Errorf("crontab was %q and is %q", table, now)
	}
	if now := units(); now != installed {
		t.Errorf("units were %q and are %q", installed, now)
	}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
