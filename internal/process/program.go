package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/command"
)

const (
	// longestLine bounds a line of a replica's output, in bytes. What is longer is
	// told in parts.
	longestLine = 16 << 10
	// startWithin is how long a supervisor may take to start its program.
	startWithin = 20 * time.Second
	// outputWait is how long output is read after the last process has ended: on
	// systems other than Linux one may have left the group and hold the pipe.
	outputWait = time.Second
)

// program is the running program of one replica. Its parts are functions so that
// tests need no process.
type program struct {
	// supervisor is the ID of the process that looks after it.
	supervisor int
	// ended is closed once the program has ended, and gone once nothing is left of
	// what it started and all of its output was told.
	ended, gone chan struct{}
	// how says how it ended; it is there once ended is closed.
	how string
	// tell sends a word to the supervisor; one that is gone needs none.
	tell func(word byte)
}

// terminate asks the program to end.
func (p *program) terminate() { p.tell(wordTerminate) }

// kill ends it.
func (p *program) kill() { p.tell(wordKill) }

// hasEnded reports whether it has.
func (p *program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// launch says what to start.
type launch struct {
	name   string
	words  []string
	dir    string
	env    []string
	output func(line string)
}

// start starts a program and its supervisor, and returns once it runs.
func (l launch) start() (p *program, err error) {
	self, err := executable()
	if err != nil {
		return nil, fmt.Errorf("this program does not find itself: %w", err)
	}
	var ends []*os.File // the other sides' ends of the pipes
	defer func() {
		for _, end := range ends {
			err = errors.Join(err, end.Close())
		}
	}()
	var pipes [3]struct{ r, w *os.File } // control, report, output
	for i := range pipes {
		if pipes[i].r, pipes[i].w, err = os.Pipe(); err != nil {
			return nil, err
		}
		ends = append(ends, pipes[i].r, pipes[i].w)
	}
	control, report, output := pipes[0], pipes[1], pipes[2]
	cmd := exec.Command(self, append([]string{supervisorWord, l.name, "--"}, l.words...)...)
	cmd.Args[0] = "autoscale"
	cmd.Dir, cmd.Env = l.dir, l.env
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output.w, output.w, []*os.File{control.r, report.w}
	command.OwnGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ends = []*os.File{control.r, report.w, output.w}
	p = &program{supervisor: cmd.Process.Pid, ended: make(chan struct{}), gone: make(chan struct{})}
	p.tell = func(word byte) { _, _ = control.w.Write([]byte{word}) } // it may be gone
	started := make(chan error, 1)
	go l.follow(p, cmd, control.w, report.r, output.r, started)
	select {
	case err = <-started:
	case <-time.After(startWithin):
		err = fmt.Errorf("it was not started within %s", startWithin)
		p.kill()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// follow reads what the supervisor and the program say, until both are gone.
func (l launch) follow(p *program, cmd *exec.Cmd, control, report, output *os.File, started chan<- error) {
	defer close(p.gone)
	told := make(chan struct{})
	go func() {
		defer close(told)
		l.relay(output)
	}()
	group := 0
	p.how = "was lost: the process that looked after it ended"
	reports(report, func(what, text string) {
		switch what {
		case "started":
			group, _ = strconv.Atoi(text) // it writes a number
			started <- nil
		case "failed":
			started <- errors.New(text)
		case "ended":
			p.how = text
			close(p.ended)
		}
	})
	_ = cmd.Wait() // how the program ended counts, which was reported
	if !p.hasEnded() {
		select {
		case started <- errors.New(p.how):
		default:
		}
		if group > 1 {
			killGroup(group) // what the kernel has not killed with its supervisor
		}
		close(p.ended)
	}
	_ = output.SetReadDeadline(time.Now().Add(outputWait)) // a pipe takes one
	<-told
	for _, file := range []*os.File{control, report, output} {
		_ = file.Close() // nothing was written that could be lost
	}
}

// relay tells each line of an output.
func (l launch) relay(output io.Reader) {
	lines := bufio.NewReaderSize(output, longestLine)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		l.output(string(line))
	}
}

// environ is the environment of a replica: this process's, less what systemd
// means for this process alone, and more.
func environ(own []string, more ...string) (env []string) {
	for _, variable := range own {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		default:
			env = append(env, variable)
		}
	}
	return append(env, more...)
}
