package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// supervisorWord is the command under which this program is its own supervisor.
const supervisorWord = "__replica"

// The words of the pipe that a supervisor is told by. That it closes, because
// this program ended in whatever way, is the last word.
const (
	wordTerminate = 'T' // SIGTERM to the program's process group
	wordKill      = 'K' // SIGKILL to everything the program has started
)

// orphanGrace is the time from SIGTERM to SIGKILL for what is left behind: by a
// program that ended, or by an autoscale that was killed.
const orphanGrace = 2 * time.Second

// The files that a supervisor inherits.
const (
	controlFile = 3 + iota
	reportFile
)

// Supervising reports whether this process was started as the supervisor of a
// replica: then main has nothing to do but to return what Supervise does.
func Supervising(args []string) bool { return len(args) > 1 && args[1] == supervisorWord }

// Supervise runs the program of one replica, with the arguments that Supervising
// was given, and sees to it that nothing of it outlives this program: neither
// where that is killed nor where the replica's program leaves others behind. It
// returns the status to exit with.
//
// A supervisor of its own for each replica is what holds under kill -9: only a
// process that is an ancestor is given what its descendants leave behind (Linux:
// PR_SET_CHILD_SUBREAPER), and a process that is gone can kill nobody.
func Supervise(args []string) int {
	// The program is killed once the thread that started it ends (Linux:
	// PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	// Caught, not ignored, since the program would inherit that. A terminal's
	// signals, or systemd's to all there is, are answered above.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	at := slices.Index(args, "--")
	if at < 0 || at+1 >= len(args) || !isPipe(controlFile) || !isPipe(reportFile) {
		fmt.Fprintf(os.Stderr, "autoscale: %s is what autoscale run starts its replicas with; see autoscale run --help\n", supervisorWord)
		return 2
	}
	syscall.CloseOnExec(controlFile)
	syscall.CloseOnExec(reportFile)
	s := supervisor{control: os.NewFile(controlFile, "control"), report: os.NewFile(reportFile, "report")}
	if err := s.start(args[at+1:]); err != nil {
		s.say("failed %s", strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	s.say("started %d", s.pid)
	go s.obey()
	return s.wait()
}

func isPipe(file int) bool {
	var stat syscall.Stat_t
	return syscall.Fstat(file, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFIFO
}

// supervisor looks after the program of one replica.
type supervisor struct {
	control, report *os.File
	pid             int // of the program, and of its process group
	// asked tells that the group was told to end: who did that decides when it has
	// had time enough.
	asked atomic.Bool
}

// say tells what happened. Where nobody is left to be told, control says so.
func (s *supervisor) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.report, format+"\n", args...)
}

// start starts the program in a process group of its own.
func (s *supervisor) start(words []string) error {
	path, err := exec.LookPath(words[0])
	if err != nil {
		return err
	}
	if err := adopt(); err != nil {
		return err
	}
	s.pid, err = syscall.ForkExec(path, words, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: bound()})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// obey does what it is told.
func (s *supervisor) obey() {
	words := bufio.NewReader(s.control)
	for {
		word, err := words.ReadByte()
		switch {
		case err != nil: // io.EOF: autoscale is gone
			s.finish()
			return
		case word == wordTerminate:
			s.asked.Store(true)
			_ = syscall.Kill(-s.pid, syscall.SIGTERM) // it may be gone
		case word == wordKill:
			s.killAll()
		}
	}
}

// wait collects every process that ends, until none is left.
func (s *supervisor) wait() int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD: none is left
			_ = syscall.Kill(-s.pid, syscall.SIGKILL) // of those that are not given to us
			return 0
		case pid == s.pid:
			s.ended(status)
		}
	}
}

// ended tells how the program ended, and ends what it left behind.
func (s *supervisor) ended(status syscall.WaitStatus) {
	if status.Signaled() {
		s.say("ended was ended by %s", signalName(status.Signal()))
	} else {
		s.say("ended exited with status %d", status.ExitStatus())
	}
	if s.asked.Load() {
		s.signal(syscall.SIGTERM, false) // the group was told already
		return
	}
	go s.finish()
}

// finish ends everything, in order where that is possible.
func (s *supervisor) finish() {
	s.signal(syscall.SIGTERM, true)
	<-time.After(orphanGrace) // where nothing is left, wait ends this process
	s.killAll()
}

// killAll kills everything, again and again, since it may be starting more.
// Where nothing is left, wait ends this process.
func (s *supervisor) killAll() {
	for {
		s.signal(syscall.SIGKILL, true)
		<-time.After(20 * time.Millisecond)
	}
}

// signal sends a signal to every descendant, with those of the program's group or
// without.
func (s *supervisor) signal(sig syscall.Signal, group bool) {
	if group {
		_ = syscall.Kill(-s.pid, sig) // it may be gone
	}
	for _, pid := range descendants(os.Getpid()) {
		if of, err := syscall.Getpgid(pid); err == nil && of != s.pid {
			_ = syscall.Kill(pid, sig) // it may be gone
		}
	}
}

// signalName is what people call a signal: SIGKILL (killed).
func signalName(sig syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGKILL: "SIGKILL", syscall.SIGTERM: "SIGTERM", syscall.SIGSEGV: "SIGSEGV", syscall.SIGABRT: "SIGABRT",
		syscall.SIGBUS: "SIGBUS", syscall.SIGINT: "SIGINT", syscall.SIGPIPE: "SIGPIPE", syscall.SIGHUP: "SIGHUP",
	}
	if name := names[sig]; name != "" {
		return name
	}
	return fmt.Sprintf("signal %d (%s)", int(sig), sig)
}

// reports reads what a supervisor says, line by line, until it is gone.
func reports(from io.Reader, each func(what, text string)) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		what, text, _ := strings.Cut(lines.Text(), " ")
		each(what, text)
	}
}

// killGroup kills a process group.
func killGroup(group int) { _ = syscall.Kill(-group, syscall.SIGKILL) } // it may be gone
