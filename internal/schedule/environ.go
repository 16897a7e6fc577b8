package schedule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPath is the PATH that a scheduler gives to its commands: Debian's cron
// (crontab(5)), and systemd (systemd.exec(5)).
func defaultPath(kind string) string {
	if kind == KindCron {
		return "/usr/bin:/bin"
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// Tools are the programs that a run calls, and what of the environment is theirs.
type Tools struct {
	Programs []string // names or paths
	Prefixes []string // of the names of their variables
	Folder   string   // their own, in HOME
	Instead  string   // the variable that names another folder or file than that
}

// ComposeTools are those of a run on Docker Compose.
func ComposeTools(docker string) Tools {
	return Tools{[]string{docker, "docker-compose"}, []string{"DOCKER_", "COMPOSE_"}, ".docker", "DOCKER_CONFIG"}
}

// KubernetesTools are those of a run on Kubernetes.
func KubernetesTools(kubectl string) Tools {
	return Tools{[]string{kubectl}, []string{"KUBECONFIG", "KUBERNETES_"}, ".kube", "KUBECONFIG"}
}

// Environment is what of environ a run needs that its scheduler would not give
// it: PATH where one of its tools would be another one or none, HOME where their
// own folder lies there, and all of their variables. What seems to be secret is
// left out, with a warning.
func Environment(environ []string, kind string, system bool, tools Tools) (env, warnings []string) {
	values := map[string]string{}
	for _, setting := range environ {
		name, value, _ := strings.Cut(setting, "=")
		values[name] = value
	}
	for _, program := range tools.Programs {
		now := lookPath(program, values["PATH"])
		if strings.Contains(program, "/") || now == "" || now == lookPath(program, defaultPath(kind)) {
			continue
		}
		if len(env) == 0 {
			env = append(env, "PATH="+once(values["PATH"]))
		}
	}
	if home := values["HOME"]; kind == KindSystemd && system && home != "" && values[tools.Instead] == "" {
		if info, err := os.Stat(filepath.Join(home, tools.Folder)); err == nil && info.IsDir() {
			env = append(env, "HOME="+home) // systemd sets it for no one but a user
		}
	}
	var left []string
	for _, setting := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(setting, "=")
		theirs := slices.ContainsFunc(tools.Prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if !theirs || value == "" {
			continue
		}
		if slices.ContainsFunc([]string{"PASS", "TOKEN", "SECRET", "AUTH", "KEY"}, func(s string) bool { return strings.Contains(name, s) }) {
			left = append(left, name)
			continue
		}
		env = append(env, setting)
	}
	if len(left) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s may be secret, and a schedule is a file that others may read: left out; put what docker needs into its own configuration (docker login)", strings.Join(left, ", ")))
	}
	return env, warnings
}

// once is a PATH with each folder once: cron's lines are bounded.
func once(path string) string {
	var folders []string
	for _, folder := range filepath.SplitList(path) {
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return strings.Join(folders, string(filepath.ListSeparator))
}

// lookPath is the program that a PATH leads to; empty where none.
func lookPath(program, path string) string {
	for _, folder := range filepath.SplitList(path) {
		found := filepath.Join(folder, program)
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			if real, err := filepath.EvalSymlinks(found); err == nil {
				return real
			}
			return found
		}
	}
	return ""
}

// Environ is everything that a command of the job finds in its environment when
// the scheduler starts it, for trying it beforehand.
func (j Job) Environ(ctx context.Context, kind string) []string {
	home, err := os.UserHomeDir()
	env := []string{"PATH=" + defaultPath(kind), "LANG=C.UTF-8"}
	if err == nil && (kind == KindCron || !j.System) {
		env = append(env, "HOME="+home, "LOGNAME="+userName(), "SHELL=/bin/sh")
	}
	if kind == KindCron && !j.System {
		env = append(env, settings(ctx)...)
	}
	return append(env, j.Env...) // the later one wins
}

// settings are the variables that this user's crontab sets: they hold for a line
// at its end as well.
func settings(ctx context.Context) (env []string) {
	text, err := readCrontab(ctx, userName())
	if err != nil {
		return nil // an installation says so
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); setting.MatchString(line) && !strings.HasPrefix(line, "#") {
			name, value, _ := strings.Cut(line, "=")
			env = append(env, strings.Trim(strings.TrimSpace(name), `"'`)+"="+strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return env
}

// Trial is the command with more arguments, as the scheduler would call it, for
// trying it beforehand: cron's goes through a shell.
func (j Job) Trial(ctx context.Context, kind string, arguments ...string) (words, env []string, err error) {
	env = j.Environ(ctx, kind)
	j.Command = slices.Concat(j.Command, arguments)
	if kind != KindCron {
		return j.Command, env, nil
	}
	line, err := j.words()
	shell := "/bin/sh"
	for _, setting := range env {
		if value, ok := strings.CutPrefix(setting, "SHELL="); ok {
			shell = value
		}
	}
	return []string{shell, "-c", cronCommand(line)}, env, err
}
