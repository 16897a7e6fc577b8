package schedule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/five-keys/autoscale/internal/replace"
)

// Install has the job run from now on, and says where it was put. Its own
// unchanged schedule of the same kind and place is replaced, and returned as
// text; beside any other of the same workload it refuses. After an error nothing
// of it is left.
func (j Job) Install(ctx context.Context, kind string) (where, replaced string, warnings []string, err error) {
	if err := j.Validate(); err != nil {
		return "", "", nil, err
	}
	entries, warnings, err := Find(ctx, j.Workload)
	if err != nil {
		return "", "", warnings, err
	}
	old, err := j.replaces(entries, kind)
	if err != nil {
		return "", "", warnings, err
	}
	if old != nil {
		replaced = old.Text
	}
	if kind == KindCron {
		if where, err = j.installCron(ctx, old); err == nil && !cronRuns() {
			warnings = append(warnings, "no cron daemon seems to run here; start it (systemctl enable --now cron), or nothing will happen")
		}
		return where, replaced, warnings, err
	}
	m := j.manager()
	where, err = j.installUnits(ctx, m, old)
	if err == nil && m.user {
		warnings = append(warnings, fmt.Sprintf("this user's timers stop when the user logs out, unless: loginctl enable-linger %s", userName()))
	}
	return where, replaced, warnings, err
}

func (j Job) manager() manager {
	if j.System {
		return machineManager()
	}
	return userManager()
}

// replaces is the one schedule that the new one takes the place of; an error
// where it may not be installed.
func (j Job) replaces(entries []Entry, kind string) (old *Entry, err error) {
	here := "crontab of " + userName()
	switch {
	case kind == KindSystemd:
		here = filepath.Join(j.manager().install(), j.Unit+".timer")
	case j.System:
		here = filepath.Join("/etc/cron.d", j.Unit)
	}
	for _, e := range entries {
		switch {
		case e.Edited:
			return nil, fmt.Errorf("schedule: %s was changed since it was installed, so it is not replaced: remove it by hand, or keep it: %s", e.Where, e.Text)
		case e.Ours && e.Kind == kind && e.Where == here && old == nil:
			old = &e
		case e.Ours:
			return nil, fmt.Errorf("schedule: service %q is scheduled already, in %s; first: %s", j.Service, e.Where, j.Show("remove"))
		case e.Acts:
			return nil, fmt.Errorf("schedule: service %q is scheduled already, in %s, by somebody else: %s; remove that first", j.Service, e.Where, e.Text)
		}
	}
	return old, nil
}

// installUnits writes both units, and starts the timer.
func (j Job) installUnits(ctx context.Context, m manager, old *Entry) (where string, err error) {
	service, timer, err := j.Units()
	if err != nil {
		return "", err
	}
	if m.install() == "" {
		return "", errors.New("schedule: no folder for this user's units (HOME is not set); use --system")
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		return "", errors.New("schedule: there is no systemctl command here; use --cron, or print the units: autoscale schedule print")
	}
	if _, err := m.systemctl(ctx, "show-environment"); err != nil {
		return "", fmt.Errorf("schedule: systemd does not answer: %w; use --cron, or print the units: autoscale schedule print", err)
	}
	if err := verify(ctx, m, map[string]string{j.Unit + ".service": service, j.Unit + ".timer": timer}); err != nil {
		return "", err
	}
	where = filepath.Join(m.install(), j.Unit+".timer")
	back, err := j.writeUnits(m, old != nil, map[string]string{j.Unit + ".service": service, j.Unit + ".timer": timer})
	if err == nil {
		err = m.start(ctx, j.Unit+".timer")
	}
	if err != nil && back != nil {
		return "", errors.Join(err, back(context.WithoutCancel(ctx)))
	}
	return where, err
}

// writeUnits writes the files. What was there is only replaced where it is known
// for ours. back, where it is not nil, puts everything back.
func (j Job) writeUnits(m manager, ours bool, units map[string]string) (back func(context.Context) error, err error) {
	was := map[string][]byte{}
	for name := range units {
		path := m.path(name) // one in another folder would be hidden by ours
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("schedule: %w", err)
		case !ours:
			return nil, fmt.Errorf("schedule: %s is there already and not this service's; say another name with --unit", path)
		default:
			was[path] = text
		}
	}
	if err := replace.Folder(m.install()); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	back = func(ctx context.Context) error {
		if len(was) == 0 {
			return m.uninstall(ctx, j.Unit)
		}
		var errs []error
		for path, text := range was {
			errs = append(errs, replace.File(path, text))
		}
		return errors.Join(append(errs, m.start(ctx, j.Unit+".timer"))...)
	}
	for name, text := range units {
		if err := replace.File(filepath.Join(m.install(), name), []byte(j.mark(text)+"\n"+text), replace.Perm(0o644)); err != nil {
			return back, fmt.Errorf("schedule: %w", err)
		}
	}
	return back, nil
}

// start enables and starts a timer, and looks whether it runs.
func (m manager) start(ctx context.Context, timer string) error {
	if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	if _, err := m.systemctl(ctx, "enable", timer); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	// Not "enable --now": a timer that runs would keep its old times.
	if _, err := m.systemctl(ctx, "restart", timer); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	for _, is := range []string{"is-enabled", "is-active"} {
		if out, err := m.systemctl(ctx, is, timer); err != nil {
			return fmt.Errorf("schedule: %s was started and is %s: %w", timer, strings.TrimSpace(out), err)
		}
	}
	return nil
}

// uninstall stops a timer and takes its units away. Where it cannot be stopped,
// nothing is taken away: without its files it would go on, and nobody would find
// it.
func (m manager) uninstall(ctx context.Context, name string) error {
	_, err := m.systemctl(ctx, "show-environment")
	answers := err == nil
	switch {
	case answers:
		if _, err := m.systemctl(ctx, "disable", "--now", name+".timer"); err != nil {
			return fmt.Errorf("schedule: %s.timer cannot be stopped, so it stays: %w", name, err)
		}
	case m.runs():
		remedy := "systemctl status tells more"
		if m.user {
			remedy = "log in as this user (not with su), or set XDG_RUNTIME_DIR"
		}
		return fmt.Errorf("schedule: %s.timer stays: systemd runs and does not answer, so it cannot be stopped: %w; %s", name, err, remedy)
	}
	var errs []error
	for _, file := range []string{name + ".timer", name + ".service", "timers.target.wants/" + name + ".timer"} {
		if err := os.Remove(filepath.Join(m.install(), file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if answers {
		_, err := m.systemctl(ctx, "daemon-reload")
		errs = append(errs, err)
		// A run that failed would be listed on; one that did not is none to reset.
		_, _ = m.systemctl(ctx, "reset-failed", name+".service")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("schedule: %s not removed: %w", name, err)
	}
	return nil
}

// verify has systemd-analyze look at the units, where it is there.
func verify(ctx context.Context, m manager, units map[string]string) error {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "autoscale-units-")
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	defer os.RemoveAll(dir)
	words := []string{"systemd-analyze", "verify"}
	if m.user {
		words = append(words, "--user")
	}
	for name, text := range units {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		words = append(words, path)
	}
	_, err = command(ctx, "", words...)
	if err == nil {
		return nil
	}
	for name := range units { // it also tells of others that it came across
		if strings.Contains(err.Error(), name+":") {
			return fmt.Errorf("schedule: systemd does not take the units: %w", err)
		}
	}
	return nil
}
