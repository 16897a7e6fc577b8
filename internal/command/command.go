// Package command runs the user's own tools, docker and kubectl: their contexts,
// credentials and plug-ins apply, and what was run can be run again by hand.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"time"
)

// limit is how long a command may take where its Call does not say: one that
// waits for a server which hangs must not hold the locks for ever, but replicas
// may have long grace periods.
const limit = 15 * time.Minute

// Grace is how long an interrupted command has to end in order.
const Grace = 15 * time.Second

// ErrTooMuch is wrapped by the error of a command that wrote more than its Call
// allows; what it wrote until then is returned.
var ErrTooMuch = errors.New("it wrote more than is read of it")

// Call is one run of a command.
type Call struct {
	// Words are the program and its arguments; no shell reads them.
	Words []string
	// Dir is the folder it runs in; empty for this process's.
	Dir string
	// Input is what it reads from its standard input.
	Input string
	// Env is added to this process's environment, as NAME=value.
	Env []string
	// Limit is how long it may take; 0 is 15 minutes.
	Limit time.Duration
	// MaxOutput bounds, in bytes, what it writes to its standard output where it
	// holds no files: a command that writes more is ended. 0 is no bound.
	MaxOutput int64
	// Held are open files that it inherits, locks among them. A command that holds
	// some moves something, and outlives this process where that is killed.
	Held []*os.File
}

// Run runs the command and returns what it wrote to its standard output and to
// its standard error. When ctx ends, it is asked to end as by Ctrl-C, and waited
// for: a killed Compose leaves half-made containers. The exit status alone
// decides; what a failed command said on its standard error is part of the
// error, which wraps the *exec.ExitError.
func (c Call) Run(ctx context.Context) (out, said string, err error) {
	within := c.Limit
	if within == 0 {
		within = limit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it did not end within %s", within))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := exec.CommandContext(ctx, c.Words[0], c.Words[1:]...)
	cmd.Dir, cmd.ExtraFiles = c.Dir, c.Held
	if len(c.Env) > 0 {
		cmd.Env = append(os.Environ(), c.Env...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = Grace
	OwnGroup(cmd)
	if c.Input != "" {
		cmd.Stdin = strings.NewReader(c.Input)
	}
	if len(c.Held) > 0 {
		out, said, err = runMoving(cmd)
	} else {
		stdout, stderr := bounded{most: c.MaxOutput, over: func() { end(ErrTooMuch) }}, bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		out, said = stdout.text.String(), stderr.String()
	}
	if errors.Is(context.Cause(ctx), ErrTooMuch) {
		return out, said, fmt.Errorf("%s: %w", c.Words[0], ErrTooMuch)
	}
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("%s was interrupted: %w", c.Words[0], context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out, said, &failure{exit: exit, said: LastLines(said, 5)}
	}
	return out, said, err
}

// bounded keeps what is written to it, until that is more than most bytes.
type bounded struct {
	text bytes.Buffer
	most int64 // 0 is no bound
	over func()
}

// Write keeps b, or as much of it as shows that it is too much.
func (w *bounded) Write(b []byte) (int, error) {
	if left := w.most + 1 - int64(w.text.Len()); w.most > 0 && int64(len(b)) >= left {
		w.text.Write(b[:max(left, 0)])
		w.over()
		return 0, ErrTooMuch
	}
	return w.text.Write(b)
}

// failure is the error of a command that ended with another status than 0.
type failure struct {
	exit *exec.ExitError
	said string
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %s", f.exit, f.said) }
func (f *failure) Unwrap() error { return f.exit }

// runMoving runs a command whose output goes to files: were this process killed,
// a command that writes to its pipes would die of that in the middle of a move.
func runMoving(cmd *exec.Cmd) (out, said string, err error) {
	var files [2]*os.File
	for i := range files {
		if files[i], err = outputFile(); err != nil {
			return "", "", fmt.Errorf("a file for the output of %s: %w", cmd.Args[0], err)
		}
		defer files[i].Close()
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	err = cmd.Run()
	for i, text := range []*string{&out, &said} {
		read, lost := io.ReadAll(io.NewSectionReader(files[i], 0, math.MaxInt64))
		*text, err = string(read), errors.Join(err, lost)
	}
	return out, said, err
}

// Both runs a command for so long at most, and returns what it wrote to either
// output: a container's log comes on both.
func Both(ctx context.Context, within time.Duration, words []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = time.Second
	OwnGroup(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, LastLines(string(out), 2))
	}
	return strings.TrimSpace(string(out)), nil
}

// LastLines are the last n lines that say something, joined into one. Compose's
// progress ("Container x Started") says nothing of a failure.
func LastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "Container ") && !strings.HasPrefix(line, "Network ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// Text writes words as a person would type them into a shell.
func Text(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
