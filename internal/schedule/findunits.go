package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// manager is one service manager: the machine's, this user's own, or another
// user's, which only that user may talk to.
type manager struct {
	user    bool
	of      string   // another user's name; empty for this one's
	folders []string // where its units lie, first come first served
	present string   // a folder that is there while it runs
}

// machineManager is the machine's (systemd.unit(5) has the folders).
func machineManager() manager {
	return manager{present: "/run/systemd/system", folders: []string{
		"/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
	}}
}

// userManager is this user's own.
func userManager() manager {
	run := fmt.Sprintf("/run/user/%d/systemd", os.Geteuid())
	folders := []string{
		run + "/transient", "/etc/systemd/user", "/etc/xdg/systemd/user", "/run/systemd/user",
		"/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
	}
	if own := userFolder(); own != "" {
		folders = append([]string{own, filepath.Join(own, "../../../.local/share/systemd/user")}, folders...)
	}
	return manager{user: true, folders: folders, present: run}
}

// userFolder is where this user's own units lie; empty where nothing says where
// that is.
func userFolder() string {
	config, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(config, "systemd", "user")
}

// otherManagers are the other users' own, as far as root can read them.
func otherManagers() (all []manager, err error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	accounts, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, fmt.Errorf("other users' timers cannot be looked for: %w", err)
	}
	own := userFolder()
	for line := range strings.Lines(string(accounts)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 6 || fields[5] == "" {
			continue
		}
		folder := filepath.Join(fields[5], ".config/systemd/user")
		if info, err := os.Stat(folder); err == nil && info.IsDir() && !samePath(folder, own) {
			all = append(all, manager{user: true, of: fields[0], folders: []string{folder}})
		}
	}
	return all, nil
}

// install is the folder that units are installed in.
func (m manager) install() string { return m.folders[0] }

// runs reports whether this service manager is at work, also where it does not
// answer.
func (m manager) runs() bool {
	_, err := os.Stat(m.present)
	return err == nil
}

// systemctl runs a systemctl command.
func (m manager) systemctl(ctx context.Context, words ...string) (string, error) {
	all := []string{"systemctl"}
	if m.user {
		all = append(all, "--user")
	}
	return command(ctx, "", append(all, words...)...)
}

// findUnits gives the timers, and the services that are enabled without one,
// that decide on w. Warnings name what could not be read.
func findUnits(ctx context.Context, w Workload) (entries []Entry, warnings []string, err error) {
	others, err := otherManagers()
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	for _, m := range append([]manager{machineManager(), userManager()}, others...) {
		found, more, err := m.find(ctx, w)
		if err != nil {
			return nil, warnings, err
		}
		entries, warnings = append(entries, found...), append(warnings, more...)
	}
	return entries, warnings, nil
}

// find gives what one service manager has.
func (m manager) find(ctx context.Context, w Workload) (entries []Entry, warnings []string, err error) {
	started := map[string]bool{} // services that a timer starts
	seen := map[string]bool{}
	for _, folder := range m.folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.timer"))
		if err != nil {
			return nil, nil, err
		}
		for _, path := range paths {
			if seen[filepath.Base(path)] {
				continue // one in a folder before it counts
			}
			seen[filepath.Base(path)] = true
			service, e, ok, err := m.timer(ctx, path, w)
			if err != nil {
				warnings = append(warnings, err.Error())
			}
			started[service] = true
			if ok {
				entries = append(entries, e)
			}
		}
	}
	services, more := m.services(w, started)
	return append(entries, services...), append(warnings, more...), nil
}

// timer is the timer at path, where its service decides on w.
func (m manager) timer(ctx context.Context, path string, w Workload) (service string, e Entry, ok bool, err error) {
	options, text, err := m.options(path)
	if err != nil {
		return "", e, false, err
	}
	base := strings.TrimSuffix(filepath.Base(path), ".timer")
	service = base + ".service"
	e = Entry{Kind: KindSystemd, Where: path, Active: true}
	for _, o := range options {
		switch o.Section + "." + o.Name {
		case "Timer.Unit":
			service = o.Value
		case "Timer.OnUnitActiveSec", "Timer.OnUnitInactiveSec":
			e.Every = timeSpan(o.Value)
		}
	}
	concerns, acts, exec, serviceText, err := m.serviceCalls(m.path(service), w)
	e.Text, e.Acts = exec, acts
	byTimer, changedTimer, okTimer := markedFile(text)
	byService, changedService, okService := markedFile(serviceText)
	if okTimer && okService && byTimer == byService && byTimer.is(w) && filepath.Dir(path) == m.install() {
		concerns, e.Acts = true, acts || exec == ""
		if m.of == "" {
			e.Edited = changedTimer || changedService || m.overridden(service) || m.overridden(filepath.Base(path))
			e.Ours = !e.Edited
			e.remove = func(ctx context.Context) error { return m.uninstall(ctx, base) }
		} else {
			e.Text = fmt.Sprintf("(only %s can remove it: autoscale schedule remove) %s", m.of, e.Text)
		}
	}
	if concerns && m.of == "" {
		m.ask(ctx, filepath.Base(path), &e)
	}
	return service, e, concerns, err
}

// services are those that are enabled without a timer.
func (m manager) services(w Workload, started map[string]bool) (entries []Entry, warnings []string) {
	seen := map[string]bool{}
	for _, folder := range m.folders {
		wanted, err := filepath.Glob(filepath.Join(folder, "*.wants", "*.service"))
		if err != nil {
			continue // never: the pattern is good
		}
		for _, link := range wanted {
			name := filepath.Base(link)
			if started[name] || seen[name] {
				continue
			}
			seen[name] = true
			concerns, acts, exec, _, err := m.serviceCalls(link, w)
			if err != nil {
				warnings = append(warnings, err.Error())
			}
			if concerns {
				entries = append(entries, Entry{Kind: KindSystemd, Where: m.path(name), Text: exec, Acts: acts, Active: true})
			}
		}
	}
	return entries, warnings
}

// path is where the unit of that name lies. That of an instance (x@y) may be its
// template's.
func (m manager) path(name string) string {
	names := []string{name}
	if before, after, ok := strings.Cut(name, "@"); ok {
		names = append(names, before+"@"+filepath.Ext(after))
	}
	for _, name := range names {
		for _, folder := range m.folders {
			path := filepath.Join(folder, name)
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return filepath.Join(m.install(), name)
}

// dropIns are the files that change the unit of that name (systemctl edit).
func (m manager) dropIns(name string) (paths []string) {
	for _, folder := range m.folders {
		more, err := filepath.Glob(filepath.Join(folder, name+".d", "*.conf"))
		if err == nil { // else a name that is no pattern
			paths = append(paths, more...)
		}
	}
	return paths
}

// overridden reports whether the unit of that name is changed by other files.
func (m manager) overridden(name string) bool { return len(m.dropIns(name)) > 0 }

// options are the settings of a unit file and of what changes it, and the file's
// own text; none where there is no such file.
func (m manager) options(path string) (all []*unit.UnitOption, text string, err error) {
	for i, file := range append([]string{path}, m.dropIns(filepath.Base(path))...) {
		found, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("cannot look into %s: %w", file, err)
		}
		if i == 0 {
			text = string(found)
		}
		all = append(all, parseUnit(found)...)
	}
	return all, text, nil
}

// parseUnit reads the settings of one unit file.
func parseUnit(text []byte) []*unit.UnitOption {
	options, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err == nil {
		return options
	}
	// The library gives up on long lines, systemd does not.
	options = nil
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			options = append(options, unit.NewUnitOption(section, strings.TrimSpace(name), strings.TrimSpace(value)))
		}
	}
	return options
}

// serviceCalls is whether the service at path decides on w, and by which
// command.
func (m manager) serviceCalls(path string, w Workload) (concerns, acts bool, exec, text string, err error) {
	options, text, err := m.options(path)
	if err != nil {
		return false, false, "", "", err
	}
	folder := ""
	commands := map[string][]string{} // of each kind; one that is empty takes back those before it
	var kinds []string
	for _, o := range options {
		switch {
		case o.Section != "Service":
		case o.Name == "WorkingDirectory":
			to := unitWord(strings.TrimPrefix(o.Value, "-"))
			folder = ""
			if to.known {
				folder = under("", to.text)
			}
		case strings.HasPrefix(o.Name, "Exec") && o.Value == "":
			commands[o.Name] = nil
		case strings.HasPrefix(o.Name, "Exec"):
			if commands[o.Name] == nil {
				kinds = append(kinds, o.Name)
			}
			commands[o.Name] = append(commands[o.Name], o.Value)
		}
	}
	for _, kind := range kinds {
		for _, value := range commands[kind] {
			calls, sure := wordCalls(unitWords(strings.TrimLeft(value, "@-:+!|")), folder, 0)
			of, does := anyConcerns(calls, w)
			if of || !sure {
				concerns, acts, exec = true, acts || does || !sure, Shown(value)
			}
		}
	}
	return concerns, acts, exec, text, nil
}

// markedFile reads the marker in a unit's first line.
func markedFile(text string) (w Workload, changed, ok bool) {
	line, rest, _ := strings.Cut(text, "\n")
	return marked(line, rest)
}

// ask has systemd tell how a timer stands. Where no systemd answers nothing is
// known, and it counts as active.
func (m manager) ask(ctx context.Context, name string, e *Entry) {
	out, err := m.systemctl(ctx, "show", "-p", "ActiveState,LastTriggerUSec", name)
	if err != nil {
		out, err = m.systemctl(ctx, "is-active", name)
		if err != nil && (errors.Is(err, exec.ErrNotFound) || strings.TrimSpace(out) == "") {
			return
		}
		e.Active = strings.TrimSpace(out) == "active"
		return
	}
	for line := range strings.Lines(out) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
		case "ActiveState":
			e.Active = value == "active"
		case "LastTriggerUSec":
			if at, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", value); err == nil {
				e.Last = at
			}
		}
	}
	if e.Active && !e.Last.IsZero() && e.Every > 0 {
		e.Next = e.Last.Add(e.Every)
	}
}

// timeSpan reads systemd's spelling of a time (systemd.time(7)), as far as it is
// used for timers; 0 where it is another.
func timeSpan(text string) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	plain := strings.NewReplacer("minutes", "m", "minute", "m", "min", "m", "seconds", "s", "second", "s", "sec", "s", "hours", "h", "hour", "h", "hr", "h", " ", "").Replace(text)
	d, err := time.ParseDuration(plain)
	if err != nil {
		return 0
	}
	return d
}
