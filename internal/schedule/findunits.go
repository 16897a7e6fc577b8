package schedule

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// manager is one service manager: the machine's, or a user's own.
type manager struct {
	user    bool
	folders []string // where its units lie, first come first served
}

// machineManager is the machine's (systemd.unit(5) has the folders).
func machineManager() manager {
	return manager{folders: []string{
		"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
	}}
}

// userManager is this user's own.
func userManager() manager {
	folders := []string{"/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"}
	if own := userFolder(); own != "" {
		folders = append([]string{own}, folders...)
	}
	return manager{user: true, folders: folders}
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

// install is the folder that units are installed in.
func (m manager) install() string { return m.folders[0] }

// systemctl runs a systemctl command.
func (m manager) systemctl(ctx context.Context, words ...string) (string, error) {
	all := []string{"systemctl"}
	if m.user {
		all = append(all, "--user")
	}
	return command(ctx, "", append(all, words...)...)
}

// findUnits gives the timers, and the services that are enabled without one,
// that decide on w.
func findUnits(ctx context.Context, w Workload) (entries []Entry, err error) {
	for _, m := range []manager{machineManager(), userManager()} {
		started := map[string]bool{} // services that a timer starts
		seen := map[string]bool{}
		for _, folder := range m.folders {
			paths, err := filepath.Glob(filepath.Join(folder, "*.timer"))
			if err != nil {
				return nil, err
			}
			for _, path := range paths {
				if seen[filepath.Base(path)] {
					continue // one in a folder before it counts
				}
				seen[filepath.Base(path)] = true
				service, e, ok := m.timer(ctx, path, w)
				started[service] = true
				if ok {
					entries = append(entries, e)
				}
			}
		}
		entries = append(entries, m.services(w, started)...)
	}
	return entries, nil
}

// timer is the timer at path, where its service decides on w.
func (m manager) timer(ctx context.Context, path string, w Workload) (service string, e Entry, ok bool) {
	options, text := options(path)
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
	unit := m.path(service)
	concerns, acts, exec, serviceText := serviceCalls(unit, w)
	e.Text, e.Acts = exec, acts
	byTimer, changedTimer, okTimer := markedFile(text)
	byService, changedService, okService := markedFile(serviceText)
	if okTimer && okService && byTimer == byService && byTimer.Service == w.Service && samePath(byTimer.Dir, w.Dir) && filepath.Dir(path) == m.install() {
		concerns, e.Edited = true, changedTimer || changedService
		e.Ours = !e.Edited
		e.remove = func(ctx context.Context) error { return m.uninstall(ctx, base) }
	}
	if concerns {
		m.ask(ctx, filepath.Base(path), &e)
	}
	return service, e, concerns
}

// services are those that are enabled without a timer.
func (m manager) services(w Workload, started map[string]bool) (entries []Entry) {
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
			concerns, acts, exec, _ := serviceCalls(link, w)
			if concerns {
				entries = append(entries, Entry{Kind: KindSystemd, Where: m.path(name), Text: exec, Acts: acts, Active: true})
			}
		}
	}
	return entries
}

// path is where the unit of that name lies.
func (m manager) path(name string) string {
	for _, folder := range m.folders {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(m.install(), name)
}

// options are the settings of a unit file, and its text; none where it cannot be
// read.
func options(path string) ([]*unit.UnitOption, string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, ""
	}
	options, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err == nil {
		return options, string(text)
	}
	// The library gives up on long lines, systemd does not.
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			options = append(options, unit.NewUnitOption(section, strings.TrimSpace(name), strings.TrimSpace(value)))
		}
	}
	return options, string(text)
}

// serviceCalls is whether the service at path decides on w, and by which
// command.
func serviceCalls(path string, w Workload) (concerns, acts bool, exec, text string) {
	options, text := options(path)
	folder := ""
	for _, o := range options {
		if o.Section == "Service" && o.Name == "WorkingDirectory" {
			folder = strings.ReplaceAll(o.Value, "%%", "%")
		}
	}
	for _, o := range options {
		if o.Section != "Service" || o.Name != "ExecStart" {
			continue
		}
		words := unitWords(strings.TrimLeft(o.Value, "@-:+!|"))
		calls, sure := wordCalls(words, folder, 0)
		of, does := anyConcerns(calls, w)
		if of || !sure {
			concerns, acts, exec = true, acts || does || !sure, Shown(o.Value)
		}
	}
	return concerns, acts, exec, text
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
