//go:build e2e

// Package demo tests `autoscale demo` as it is: the program, its replicas, its
// load. It needs neither Docker nor a cluster.
package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// autoscale is the program under test; TestMain builds it once.
var autoscale string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "autoscale-e2e-demo-")
	status := 1
	if err == nil {
		autoscale = filepath.Join(dir, "autoscale")
		build := exec.Command("go", "build", "-o", autoscale, "../../cmd/autoscale")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, failed := build.CombinedOutput(); failed != nil {
			err = fmt.Errorf("%w: %s", failed, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/demo: set-up failed:", err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// command is the demonstration with arguments, and a folder of its own for what is
// temporary.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, temporary string) {
	t.Helper()
	temporary = t.TempDir()
	cmd = exec.CommandContext(t.Context(), autoscale, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary, "TERM=xterm-256color")
	return cmd, temporary
}

// running are the processes of the program, replicas and their supervisors among
// them.
func running(t *testing.T) (all []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range processes {
		if exe, err := os.Readlink(link); err == nil && exe == autoscale { // else it has ended meanwhile
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			all = append(all, filepath.Dir(link)+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return all
}

// left fails the test where a process stays for longer than some seconds, or a file.
func left(t *testing.T, temporary string) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	for all := running(t); len(all) > 0; all = running(t) {
		if time.Now().After(deadline) {
			t.Fatalf("still there:\n%s", strings.Join(all, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if temporary == "" {
		return
	}
	if files, err := os.ReadDir(temporary); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// Without a terminal the story is told in lines, in under a minute, and status 0
// says that the replicas followed.
func TestFast(t *testing.T) {
	cmd, temporary := command(t, "--fast")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	out, err := cmd.Output()
	t.Logf("%s%s", out, errs.Bytes())
	if err != nil && strings.Contains(errs.String(), "this machine was too busy to tell") {
		t.Skip("what is to be seen needs a machine that keeps up with 400 requests/s")
	}
	if err != nil {
		t.Errorf("it ends with %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	left(t, temporary)
	at := 0
	for _, next := range []string{
		"the daemon's page at http://127.0.0.1:",
		"demo: a quiet start", "demo: the load rises", "app: 1 -> 2 replicas: ", "more than the 44 rps that 1 replica may carry",
		"demo: a burst", "demo: the metrics fail", "held in doubt", "doubt never lowers",
		"demo: the metrics are back", "trusted again", "-> 1 replica: ",
		"requests  ", "replicas  from 1 to ", "replicas held for 6s without metrics", "What to try next:",
	} {
		i := bytes.Index(out[at:], []byte(next))
		if i < 0 {
			t.Fatalf("%q does not follow", next)
		}
		at += i
	}
}

// screen is the demonstration in a terminal.
type screen struct {
	t   *testing.T
	cmd *exec.Cmd
	pty *os.File
	out bytes.Buffer
}

func open(t *testing.T, size *pty.Winsize, args ...string) (*screen, string) {
	t.Helper()
	cmd, temporary := command(t, args...)
	file, err := pty.StartWithSize(cmd, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	s := &screen{t: t, cmd: cmd, pty: file}
	if err := file.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s, temporary
}

// until reads the screen until some text is there.
func (s *screen) until(text string) {
	s.t.Helper()
	buffer := make([]byte, 4096)
	for !bytes.Contains(s.out.Bytes(), []byte(text)) {
		n, err := s.pty.Read(buffer)
		s.out.Write(buffer[:n])
		if err != nil {
			s.t.Fatalf("no %q on the screen: %v\n%q", text, err, s.out.String())
		}
	}
}

// ended reads the rest, and gives the status.
func (s *screen) ended() int {
	s.t.Helper()
	if _, err := io.Copy(&s.out, s.pty); err != nil && !errors.Is(err, syscall.EIO) { // what the last reader of a terminal gets
		s.t.Fatalf("the screen does not end: %v\n%q", err, s.out.String())
	}
	_ = s.cmd.Wait() // the status says it
	return s.cmd.ProcessState.ExitCode()
}

const (
	alternate = "\x1b[?1049h" // the terminal's other screen, and back from it
	back      = "\x1b[?1049l"
)

func TestKeysEndIt(t *testing.T) {
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03"} {
		t.Run(name, func(t *testing.T) {
			s, temporary := open(t, &pty.Winsize{Rows: 24, Cols: 80})
			s.until("replica kept") // the first decision
			if err := pty.Setsize(s.pty, &pty.Winsize{Rows: 12, Cols: 50}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(s.pty, key); err != nil {
				t.Fatal(err)
			}
			if status := s.ended(); status != 0 {
				t.Errorf("it ends with %d", status)
			}
			left(t, temporary)
			out := s.out.String()
			_, after, gone := strings.Cut(out, back)
			if !strings.Contains(out, alternate) || !gone {
				t.Errorf("the terminal is not as it was: %q", out)
			}
			if !strings.Contains(after, "ended before the story was") || !strings.Contains(after, "What to try next:") {
				t.Errorf("no summary after the screen: %q", after)
			}
		})
	}
}

// A signal ends it as well; without a terminal that is no success.
func TestSignals(t *testing.T) {
	for _, one := range []struct {
		signal syscall.Signal
		status int
	}{{syscall.SIGTERM, 1}, {syscall.SIGINT, 1}, {syscall.SIGKILL, -1}} {
		t.Run(one.signal.String(), func(t *testing.T) {
			cmd, temporary := command(t, "--fast")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			buffer := make([]byte, 4096)
			for !strings.Contains(said.String(), "1 -> 2 replicas") {
				n, err := out.Read(buffer)
				said.Write(buffer[:n])
				if err != nil {
					t.Fatalf("it ended by itself: %v\n%s", err, said.String())
				}
			}
			if len(running(t)) < 5 { // itself, two replicas, and who looks after each
				t.Errorf("only these run: %q", running(t))
			}
			if err := cmd.Process.Signal(one.signal); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(&said, out) // until it ends
			_ = cmd.Wait()             // the status says it
			if status := cmd.ProcessState.ExitCode(); status != one.status {
				t.Errorf("it ends with %d, want %d", status, one.status)
			}
			if one.signal == syscall.SIGKILL {
				temporary = "" // nobody was left to clear it
			}
			left(t, temporary)
		})
	}
}
