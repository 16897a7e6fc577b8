package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answerTime is how long crontab or systemctl may take to answer.
const answerTime = 20 * time.Second

// Find gives every schedule on this machine that decides on w, as far as this
// user may read them: those installed from here, and anybody else's. When unsure
// it takes a schedule for one. Warnings name what could not be looked at.
func Find(ctx context.Context, w Workload) (entries []Entry, warnings []string, err error) {
	tables, warnings, err := crontabs(ctx)
	if err != nil {
		return nil, warnings, err
	}
	runs := cronRuns()
	for _, t := range tables {
		for _, e := range t.entries(w) {
			e.Active = runs
			entries = append(entries, e)
		}
	}
	units, more, err := findUnits(ctx, w)
	return append(entries, units...), append(warnings, more...), err
}

// crontab is one table of cron.
type crontab struct {
	where string // for people
	text  string
	// named tells that each line names its user, as in /etc/cron.d.
	named bool
	// remove takes lines out; nil where we put none.
	remove func(ctx context.Context, lines string) error
}

// crontabs reads all tables that this user may read.
func crontabs(ctx context.Context) (tables []crontab, warnings []string, err error) {
	own, err := readCrontab(ctx, userName())
	switch {
	case errors.Is(err, exec.ErrNotFound): // then there is no cron
	case err != nil && ctx.Err() != nil:
		return nil, nil, err
	case err != nil: // who may not have one (cron.allow) has none
		warnings = append(warnings, err.Error())
	default:
		tables = append(tables, crontab{where: "crontab of " + userName(), text: own, remove: removeFrom(userName())})
	}
	add := func(path, where string, named bool, remove func(context.Context, string) error) {
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			warnings = append(warnings, fmt.Sprintf("cannot look into %s: %v", path, err))
		default:
			tables = append(tables, crontab{where: where, text: string(text), named: named, remove: remove})
		}
	}
	add("/etc/crontab", "/etc/crontab", true, nil)
	parts, err := filepath.Glob("/etc/cron.d/*")
	for _, path := range parts {
		if unitName.MatchString(filepath.Base(path)) { // cron passes over the others
			add(path, path, true, removeFile(path))
		}
	}
	if err != nil {
		return tables, warnings, err
	}
	for _, every := range []string{"hourly", "daily", "weekly", "monthly"} {
		scripts, err := filepath.Glob("/etc/cron." + every + "/*")
		if err != nil {
			return tables, warnings, err
		}
		for _, path := range scripts {
			tables = append(tables, crontab{where: path, text: "@" + every + " root " + path + "\n", named: true})
		}
	}
	if os.Geteuid() != 0 {
		return tables, append(warnings, "other users' crontabs are only seen by root"), nil
	}
	for _, folder := range []string{"/var/spool/cron/crontabs", "/var/spool/cron"} { // Debian's, and others'
		others, err := os.ReadDir(folder)
		if err != nil {
			continue // another system's folder
		}
		for _, other := range others {
			if other.Type().IsRegular() && other.Name() != userName() {
				add(filepath.Join(folder, other.Name()), "crontab of "+other.Name(), false, removeFrom(other.Name()))
			}
		}
	}
	return tables, warnings, nil
}

// userName is who runs this.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// readCrontab is the crontab of a user; empty where there is none. It wraps
// exec.ErrNotFound where the crontab command is missing.
func readCrontab(ctx context.Context, name string) (string, error) {
	out, err := command(ctx, "", append(crontabOf(name), "-l")...)
	if err != nil && (strings.Contains(err.Error(), "no crontab for") || strings.Contains(err.Error(), "No such file or directory")) { // Debian's and cronie's words, BusyBox's
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("schedule: the crontab of %s cannot be read: %w", name, err)
	}
	return out, nil
}

// crontabOf is the crontab command for a user; only root may name another one.
func crontabOf(name string) []string {
	if name == userName() {
		return []string{"crontab"}
	}
	return []string{"crontab", "-u", name}
}

// command runs one of the system's own programs with an input, and returns what
// it prints. Its error has what it said.
func command(ctx context.Context, input string, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC") // for what it prints to be read
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, text)
		}
		return out.String(), fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	return out.String(), nil
}

// setting is a line of a crontab that sets a variable.
var setting = regexp.MustCompile(`^\s*["']?\w+["']?\s*=`)

// entries are the lines of the table that decide on w.
func (t crontab) entries(w Workload) (entries []Entry) {
	lines := strings.SplitAfter(t.text, "\n")
	for i, raw := range lines {
		line := strings.TrimRight(raw, "\r\n")
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' || setting.MatchString(text) {
			continue
		}
		when, rest, ok := t.split(line)
		if !ok {
			continue
		}
		calls, sure := shellCalls(cronCommand(rest), "", 0)
		concerns, acts := anyConcerns(calls, w)
		e := Entry{Kind: KindCron, Where: t.where, Text: Shown(line), Every: cronEvery(when), Acts: acts || !sure}
		above := ""
		if i > 0 {
			above = strings.TrimRight(lines[i-1], "\r\n")
		}
		if by, changed, ok := marked(above, line); ok && t.remove != nil && by.is(w) {
			e.Ours, e.Edited, e.Acts, concerns = !changed, changed, acts || !sure || len(calls) == 0, true
			e.lines = lines[i-1] + raw
			e.remove = func(ctx context.Context) error { return t.remove(ctx, e.lines) }
		}
		e.Next = nextRun(time.Now(), when)
		if concerns || !sure {
			entries = append(entries, e)
		}
	}
	return entries
}

// split parts a line into when it runs and what.
func (t crontab) split(line string) (when []string, rest string, ok bool) {
	fields := 5
	if strings.HasPrefix(strings.TrimSpace(line), "@") {
		fields = 1
	}
	if t.named {
		fields++
	}
	rest = line
	for range fields {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			return nil, "", false
		}
		when, rest = append(when, rest[:end]), rest[end:]
	}
	return when, strings.TrimSpace(rest), true
}

// cronCommand is what the shell gets of a line's command: up to the first % that
// is not escaped.
func cronCommand(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			b.WriteByte('%')
			i++
		case text[i] == '%':
			return b.String()
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// cronEvery is the time between runs, where the fields say it plainly.
func cronEvery(when []string) time.Duration {
	step := func(field string) time.Duration {
		n, err := strconv.Atoi(strings.TrimPrefix(field, "*/"))
		if err != nil || n < 1 || !strings.HasPrefix(field, "*/") {
			return 0
		}
		return time.Duration(n)
	}
	switch {
	case when[0] == "@hourly":
		return time.Hour
	case len(when) < 5 || when[2] != "*" || when[3] != "*" || when[4] != "*":
		return 0
	case when[1] == "*" && when[0] == "*":
		return time.Minute
	case when[1] == "*" && step(when[0]) > 0:
		return step(when[0]) * time.Minute
	case when[1] == "*" && when[0] == "0":
		return time.Hour
	case when[0] == "0" && step(when[1]) > 0:
		return step(when[1]) * time.Hour
	case when[0] == "0" && when[1] == "0":
		return 24 * time.Hour
	}
	return 0
}

// nextRun is when cron runs a line next, where its fields say it plainly: by the
// clock on the wall, from minute to minute, as cron goes.
func nextRun(now time.Time, when []string) time.Time {
	if cronEvery(when) == 0 {
		return time.Time{}
	}
	if when[0] == "@hourly" {
		when = []string{"0", "*"}
	}
	matches := func(field string, value int) bool {
		step, err := strconv.Atoi(strings.TrimPrefix(field, "*/"))
		return field == "*" || err == nil && step > 0 && strings.HasPrefix(field, "*/") && value%step == 0 || err == nil && step == value
	}
	at := now.Truncate(time.Minute)
	for range 2 * 24 * 60 {
		at = at.Add(time.Minute)
		if matches(when[0], at.Minute()) && matches(when[1], at.Hour()) {
			return at
		}
	}
	return time.Time{}
}

// cronRuns reports whether a cron daemon runs; also where nobody can tell.
func cronRuns() bool {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil || len(names) == 0 || !slices.Contains(names, "/proc/1/comm") { // no /proc, or one that hides others' processes
		return true
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		switch strings.TrimSpace(string(comm)) {
		case "cron", "crond", "fcron", "busybox":
			return true
		}
	}
	return false
}
