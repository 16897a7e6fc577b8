package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// brand is a variable in the environment by which everything is known that
// descends from a test, whoever its parent is.
type brand string

func newBrand() brand { return brand(fmt.Sprintf("AUTOSCALE_TEST_MARK=%d", rand.Uint64())) }

// left are the processes that bear the mark and run, by their IDs and command
// lines.
func (m brand) left(t *testing.T) (pids []int, lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		env, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), string(m)) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || len(line) == 0 {
			continue // it ended
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
		lines = append(lines, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	}
	return pids, lines
}

// find is the one process whose command line has a text.
func (m brand) find(t *testing.T, text string) int {
	t.Helper()
	pids, lines := m.left(t)
	i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, text) })
	if i < 0 {
		t.Fatalf("no process %q in %q", text, lines)
	}
	return pids[i]
}

// wantNone waits until nothing is left.
func (m brand) wantNone(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, lines := m.left(t)
		if len(lines) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %q", lines)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// perReplica is how many processes a replica with children is: supervisor,
// program, and of each of the two children a shell and two that it waits for.
const perReplica = 2 + 2*2

// TestKilled: however the program that owns replicas is killed, nothing of them is
// left, children in sessions of their own included.
func TestKilled(t *testing.T) {
	for name, words := range map[string][]string{
		"replicas":               nil,
		"with children":          {"children"},
		"with children and deaf": {"children", "deaf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newBrand()
			cmd := exec.Command(os.Args[0], append([]string{"owner"}, words...)...)
			cmd.Env = append(os.Environ(), string(m))
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "owns\n" {
				t.Fatalf("%q, %v\n%s", line, err, &said)
			}
			if pids, lines := m.left(t); words != nil && len(pids) < 1+2*perReplica {
				t.Errorf("only %d processes: %q", len(pids), lines)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			m.wantNone(t)
		})
	}
}

// TestSupervisorKilled: where a supervisor is killed, its replica is started anew,
// and nothing of the old one is left in its group.
func TestSupervisorKilled(t *testing.T) {
	m := newBrand()
	w, log := open(t, func(c *Config) { c.Env = []string{string(m)} })
	set(t, w, 1)
	supervisor, program := m.find(t, supervisorWord), m.find(t, "app")
	if pids, _ := m.left(t); len(pids) != 2 {
		t.Fatalf("%d processes", len(pids))
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, log, "started again", func() bool {
		pids, _ := m.left(t)
		return len(pids) == 2 && !slices.Contains(pids, supervisor) && !slices.Contains(pids, program)
	})
	if code, _ := get(t, w, "/"); code != 200 || !strings.Contains(log.String(), "app-1 was lost") {
		t.Errorf("status %d; it said:\n%s", code, log)
	}
}

// TestProgramKilled: what a program leaves behind when it is killed goes with it,
// and it is started anew.
func TestProgramKilled(t *testing.T) {
	m := newBrand()
	w, log := open(t, func(c *Config) { c.Env, c.Grace = []string{string(m)}, 100*time.Millisecond }, "children")
	set(t, w, 1)
	before, _ := m.left(t)
	seen, err := w.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := seen.Running[0].Usage; u.Memory < 1<<20 || u.CPU < 0 || u.Time.IsZero() || seen.Host.Cores == 0 {
		t.Errorf("it uses %+v", u)
	}
	if err := syscall.Kill(pidOf(t, w), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, log, "started again", func() bool {
		now, _ := m.left(t)
		return len(now) == len(before) && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
	if !strings.Contains(log.String(), "app-1 was ended by SIGKILL; it is started again in 1s; it said: serves on") {
		t.Errorf("it said:\n%s", log)
	}
}

// TestClosed: what is deaf and has children in sessions of their own is gone when
// Close returns.
func TestClosed(t *testing.T) {
	m := newBrand()
	w, _ := open(t, func(c *Config) { c.Env, c.Grace = []string{string(m)}, 100*time.Millisecond }, "children", "deaf")
	set(t, w, 2)
	if pids, lines := m.left(t); len(pids) < 2*perReplica {
		t.Errorf("only %q", lines)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, lines := m.left(t); len(lines) > 0 {
		t.Errorf("left: %q", lines)
	}
}

// pidOf is the process ID of the only replica's program: what it answers with.
func pidOf(t *testing.T, w *Workload) (pid int) {
	t.Helper()
	_, text := get(t, w, "/")
	if _, err := fmt.Sscan(text, &pid); err != nil {
		t.Fatal(text, err)
	}
	return pid
}

// eventually waits until something is so.
func eventually(t *testing.T, log *told, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never; it said:\n%s", what, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestParseStat(t *testing.T) {
	const line = "4242 (a) (b c) S 17 4242 4242 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 9 0 123456 1000000 2500 18446744073709551615 1 1 0 0\n"
	e, ok := parseStat(4242, []byte(line))
	if !ok || e.pid != 4242 || e.parent != 17 || e.state != 'S' || e.cpu != 2500*time.Millisecond {
		t.Errorf("%+v, %v", e, ok)
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := parseStat(os.Getpid(), own); !ok || e.parent != os.Getppid() {
		t.Errorf("%+v, %v", e, ok)
	}
	if m := memory(os.Getpid()); m < 1<<20 || m > 10<<30 {
		t.Errorf("%d bytes", m)
	}
}

// FuzzParseStat: names are anybody's to choose, and what stands behind them is
// read all the same.
func FuzzParseStat(f *testing.F) {
	const rest = " S 17 4242 4242 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 9 0 123456"
	for _, name := range []string{"(a) (b c)", "", "(x) R 1 1", "(\n)", ")"} {
		f.Add([]byte(name), []byte(rest))
	}
	f.Fuzz(func(t *testing.T, name, text []byte) {
		if e, ok := parseStat(1, slices.Concat([]byte("1 ("), name, []byte(")"+rest))); !ok || e.parent != 17 || e.cpu != 2500*time.Millisecond {
			t.Errorf("of the name %q: %+v, %v", name, e, ok)
		}
		parseStat(1, text) // whatever it is
	})
}
