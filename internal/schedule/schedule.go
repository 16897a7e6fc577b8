// Package schedule has decisions made again and again: it writes cron lines and
// systemd units, installs them, finds them again among everything else that is
// scheduled on the machine, and removes what it installed.
//
// What it installs bears a marker line that names the workload and a checksum of
// what follows, so that nothing is removed or replaced that somebody else wrote
// or changed since.
package schedule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kinds of schedules.
const (
	KindCron    = "cron"
	KindSystemd = "systemd"
)

// Workload says whose decisions are scheduled.
type Workload struct {
	Service string
	Dir     string // the project's folder, absolute
	// Provider is "k8s", or "compose" as the empty text is.
	Provider string
}

// is reports whether other is the same workload.
func (w Workload) is(other Workload) bool {
	return w.Service == other.Service && (w.Provider == "k8s") == (other.Provider == "k8s") && samePath(w.Dir, other.Dir)
}

// provided reports whether a stated provider is w's.
func (w Workload) provided(by string) bool {
	switch by {
	case "k8s", "kubernetes":
		return w.Provider == "k8s"
	}
	return w.Provider != "k8s"
}

// Job is a decision that is to be made again and again.
type Job struct {
	Workload
	// Name is what the log and the units' descriptions call it: "five-keys".
	Name string
	// Unit is the name of the units, and of the file in /etc/cron.d.
	Unit string
	// Every is the time from one run to the next.
	Every time.Duration
	// Folder is where the command runs, absolute.
	Folder string
	// Command is the program, absolute, and its arguments.
	Command []string
	// Env is what the command needs besides the scheduler's own environment,
	// each NAME=value.
	Env []string
	// Log is the file that cron appends the output to, absolute.
	Log string
	// Writable are the folders that a run writes to, absolute.
	Writable []string
	// System has it run by the machine rather than by this user's own crontab or
	// service manager.
	System bool
	// User is whom the machine's cron runs it as.
	User string
}

// Entry is one schedule that was found.
type Entry struct {
	Kind   string        `json:"kind"`
	Where  string        `json:"where"`  // for people: "crontab of root", "/etc/systemd/system/autoscale.timer"
	Text   string        `json:"text"`   // the cron line, or ExecStart
	Ours   bool          `json:"ours"`   // installed from here and unchanged since
	Edited bool          `json:"edited"` // installed from here and changed since
	Acts   bool          `json:"acts"`   // scales when it runs: neither --dry-run nor --mode=observe
	Every  time.Duration `json:"-"`      // 0 where it cannot be told
	Active bool          `json:"active"` // something runs it; also where that cannot be told
	Last   time.Time     `json:"last,omitzero"`
	Next   time.Time     `json:"next,omitzero"`

	lines  string // of a crontab: the marker and the line
	remove func(context.Context) error
}

// Remove takes the schedule away; only what was installed from here and is
// unchanged since.
func (e Entry) Remove(ctx context.Context) error {
	if !e.Ours || e.remove == nil {
		return fmt.Errorf("schedule: %s is not ours to remove: %s", e.Where, e.Text)
	}
	return e.remove(ctx)
}

// marker begins what we install.
var marker = regexp.MustCompile(`^# autoscale schedule: service ("(?:[^"\\]|\\.)*")( on Kubernetes)? in ("(?:[^"\\]|\\.)*") \(([0-9a-f]{12})\)`)

// mark is the marker line for text, without a line feed.
func (w Workload) mark(text string) string {
	on := ""
	if w.Provider == "k8s" {
		on = " on Kubernetes"
	}
	return fmt.Sprintf("# autoscale schedule: service %q%s in %q (%s); taken away by: autoscale schedule remove -- %s", w.Service, on, w.Dir, checksum(text), w.flags())
}

// flags are those that name the workload, for a shell.
func (w Workload) flags() string {
	flags := "--project-dir=" + quote(w.Dir)
	if w.Service != "app" {
		flags = "--service=" + quote(w.Service) + " " + flags
	}
	if w.Provider == "k8s" {
		flags = "--provider=k8s " + flags
	}
	if strings.ContainsFunc(flags, unicode.IsControl) {
		return "…" // not to be typed
	}
	return flags
}

// Show is the command that does something ("status", "remove") about the workload's
// schedule, for a shell.
func (w Workload) Show(verb string) string { return "autoscale schedule " + verb + " -- " + w.flags() }

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum[:6])
}

// marked reads a marker line; changed tells that text is not what was installed.
func marked(line, text string) (w Workload, changed, ok bool) {
	found := marker.FindStringSubmatch(line)
	if found == nil {
		return w, false, false
	}
	var errs [2]error
	w.Service, errs[0] = strconv.Unquote(found[1])
	w.Dir, errs[1] = strconv.Unquote(found[3])
	if found[2] != "" {
		w.Provider = "k8s"
	}
	return w, found[4] != checksum(text), errors.Join(errs[:]...) == nil
}

// unitName is what a unit, and a file in /etc/cron.d, may be called: cron passes
// over every name with a dot.
var unitName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Validate looks for what no scheduler can be given.
func (j Job) Validate() error {
	var errs []error
	if !unitName.MatchString(j.Unit) {
		errs = append(errs, fmt.Errorf("--unit=%s: letters, digits, - and _ only, as in autoscale-bot", j.Unit))
	}
	if j.Every < time.Second {
		errs = append(errs, fmt.Errorf("--every=%s: at least a second", j.Every))
	}
	for _, word := range append([]string{j.Name, j.Folder, j.Log}, append(j.Command, j.Env...)...) {
		if strings.ContainsFunc(word, unicode.IsControl) || !utf8.ValidString(word) {
			errs = append(errs, fmt.Errorf("%q holds a line break, another control character or what is not UTF-8, which no schedule can carry", Shown(word)))
		}
	}
	return errors.Join(errs...)
}

// title is the name as a heading: "five-keys" becomes "Five Keys".
func (j Job) title() string {
	words := strings.FieldsFunc(j.Name, func(r rune) bool { return r == '-' || r == '_' || unicode.IsSpace(r) })
	for i, word := range words {
		runes := []rune(word)
		runes[0] = unicode.ToUpper(runes[0])
		words[i] = string(runes)
	}
	return strings.Join(words, " ")
}
