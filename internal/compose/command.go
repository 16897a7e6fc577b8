package compose

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/five-keys/autoscale/internal/command"
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

// run runs a command in dir and returns its standard output. The command
// inherits the open files in held.
func run(ctx context.Context, dir string, words []string, held ...*os.File) (string, error) {
	out, _, err := command.Call{Words: words, Dir: dir, Held: held}.Run(ctx)
	return out, err
}

// runTold is run that gives the command an input, and also returns what it said
// on its standard error.
func runTold(ctx context.Context, dir, input string, words []string) (out, said string, err error) {
	return command.Call{Words: words, Dir: dir, Input: input}.Run(ctx)
}
