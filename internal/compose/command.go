package compose

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

// leastCompose is the oldest Compose whose behaviour was tried on a real
// engine: 2.20.
var leastCompose = [2]int{2, 20}

// composeCommand is how Compose is called: "docker compose" or
// "docker-compose".
type composeCommand struct {
	words   []string
	version string
}

// findCompose looks for a Compose that is new enough, the docker command's
// plugin first.
func findCompose(ctx context.Context, docker string) (*composeCommand, error) {
	candidates := [][]string{{docker, "compose"}}
	if path, err := exec.LookPath("docker-compose"); err == nil {
		candidates = append(candidates, []string{path})
	}
	var found []string
	for _, words := range candidates {
		out, err := run(ctx, "", append(words, "version", "--short"))
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			// Without the plugin, docker takes "compose" for a flag error of its own.
			continue
		}
		version := strings.TrimPrefix(strings.TrimSpace(out), "v")
		if newEnough(version) {
			return &composeCommand{words: words, version: version}, nil
		}
		found = append(found, fmt.Sprintf("%s is version %s", strings.Join(words, " "), version))
	}
	code, said := CodeComposeMissing, "it is not installed"
	if len(found) > 0 {
		code, said = CodeComposeOld, strings.Join(found, ", ")
	}
	return nil, &Problem{
		Code:   code,
		Fact:   fmt.Sprintf("Docker Compose %d.%d or later is needed, but %s", leastCompose[0], leastCompose[1], said),
		Remedy: "install the plugin (docker-compose-plugin in Docker's packages, docker-compose-v2 in Ubuntu's)",
	}
}

// number is the first two parts of a version; zeros where it has none.
func number(version string) (major, minor int) {
	// What cannot be read stays 0, which is too old.
	_, _ = fmt.Sscanf(version, "%d.%d", &major, &minor)
	return major, minor
}

func newEnough(version string) bool {
	major, minor := number(version)
	return major > leastCompose[0] || major == leastCompose[0] && minor >= leastCompose[1]
}

// takesHighest reports whether this Compose, when it scales down, takes the
// replicas with the highest numbers. 2.20 was seen to take any.
func (c *composeCommand) takesHighest() bool {
	major, _ := number(c.version)
	return major >= 5
}

// commandTime is how long a command may take: a Compose that waits for an
// engine which hangs must not hold the locks for ever, but replicas may have
// long grace periods.
const commandTime = 15 * time.Minute

// graceTime is how long an interrupted command has to end in order.
const graceTime = 15 * time.Second

// run runs a command in dir and returns its standard output. When ctx ends, the
// command is asked to end as by Ctrl-C, and waited for: a killed Compose leaves
// half-made containers. The command's exit status alone decides; what it says
// on its standard error becomes part of the error. It inherits the open files in
// held.
func run(ctx context.Context, dir string, words []string, held ...*os.File) (string, error) {
	out, _, err := runTold(ctx, dir, "", words, held...)
	return out, err
}

// runTold is run that gives the command an input, and also returns what it said
// on its standard error.
func runTold(ctx context.Context, dir, input string, words []string, held ...*os.File) (out, said string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("it did not end within %s", commandTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.ExtraFiles = dir, held
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = graceTime
	// A terminal's Ctrl-C would reach the child as well, twice in effect.
	ownGroup(cmd)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	if len(held) > 0 {
		out, said, err = runMoving(cmd)
	} else {
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		out, said = stdout.String(), stderr.String()
	}
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("%s was interrupted: %w", words[0], context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", said, fmt.Errorf("%s: %s", exit, lastLines(said, 5))
	}
	return out, said, err
}

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

// lastLines are the last n lines that say something, joined into one. Compose's
// progress ("Container x Started") says nothing of a failure.
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "Container ") && !strings.HasPrefix(line, "Network ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// words writes arguments as a person would type them into a shell.
func words(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// runBoth runs a command and returns what it wrote to either output: a
// container's log comes on both.
func runBoth(ctx context.Context, words []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLines(string(out), 2))
	}
	return strings.TrimSpace(string(out)), nil
}
