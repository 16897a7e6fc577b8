package schedule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// maxCommand is the longest command that Debian's cron takes, in bytes: its
// MAX_COMMAND of 1,000 less what it needs itself.
const maxCommand = 998

// Cron is the line for a crontab, without a line feed; for one in /etc/cron.d,
// which names the user too, where the machine is to run it.
func (j Job) Cron() (string, error) {
	when, err := cronFields(j.Every)
	if err != nil {
		return "", err
	}
	command, err := j.shell()
	if err != nil {
		return "", err
	}
	if len(command) > maxCommand {
		return "", fmt.Errorf("schedule: the command has %d characters, and cron takes %d; put it into a script and schedule that, or use --systemd", len(command), maxCommand)
	}
	if j.System {
		when += " " + j.User
	}
	return when + " " + command, nil
}

// plain is a word that no shell takes for anything but itself.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote writes a word as a shell reads it.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	quoted, err := syntax.Quote(text, syntax.LangPOSIX)
	if err != nil {
		quoted = "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" // not of ASCII alone
	}
	return quoted
}

// words are the folder, the environment and the command, with cron's own
// escapes: an unescaped % would be a line feed.
func (j Job) words() (string, error) {
	var words []string
	for _, setting := range j.Env {
		name, value, _ := strings.Cut(setting, "=")
		words = append(words, name+"="+quote(value))
	}
	for _, word := range j.Command {
		words = append(words, quote(word))
	}
	return escaped(fmt.Sprintf("cd %s && %s", quote(j.Folder), strings.Join(words, " ")))
}

// shell is the command as cron hands it to the shell.
func (j Job) shell() (string, error) {
	words, err := j.words()
	if err != nil {
		return "", err
	}
	log, err := escaped(quote(j.Log))
	return fmt.Sprintf("%s >> %s 2>&1", words, log), err
}

// escaped is part of a command as a crontab has it. What \\ and \% come to
// differs from one cron to the next.
func escaped(text string) (string, error) {
	if strings.Contains(text, `\\`) || strings.Contains(text, `\%`) {
		return "", fmt.Errorf(`schedule: a crontab cannot carry \\ or \%% (in %s); use --systemd, or put the command into a script`, Shown(text))
	}
	return strings.ReplaceAll(text, "%", `\%`), nil
}

// cronFields are cron's five fields for a time between runs.
func cronFields(every time.Duration) (string, error) {
	const day = 24 * time.Hour
	switch {
	case every == time.Minute:
		return "* * * * *", nil
	case every < time.Hour && every%time.Minute == 0 && time.Hour%every == 0:
		return fmt.Sprintf("*/%d * * * *", every/time.Minute), nil
	case every == time.Hour:
		return "0 * * * *", nil
	case every < day && every%time.Hour == 0 && day%every == 0:
		return fmt.Sprintf("0 */%d * * *", every/time.Hour), nil
	case every == day:
		return "0 0 * * *", nil
	}
	if every%time.Minute != 0 {
		hint := ""
		if every < time.Minute {
			hint = fmt.Sprintf(" (bare numbers are seconds: --every=%dm?)", max(1, every/time.Second))
		}
		return "", fmt.Errorf("--every=%s: cron runs on whole minutes, such as %s%s; --systemd can do any time", Spell(every), Spell(nearest(every)), hint)
	}
	return "", fmt.Errorf("--every=%s: cron can only do what divides an hour or a day into equal parts, such as %s; --systemd can do any", Spell(every), Spell(nearest(every)))
}

// nearest is the time that cron can do and that is closest to every.
func nearest(every time.Duration) time.Duration {
	var can []time.Duration
	for minutes := 1; minutes <= 24*60; minutes++ {
		if d := time.Duration(minutes) * time.Minute; 60%minutes == 0 || minutes%60 == 0 && 24*60%minutes == 0 {
			can = append(can, d)
		}
	}
	return slices.MinFunc(can, func(a, b time.Duration) int { return int((a - every).Abs() - (b - every).Abs()) })
}

// Spell is a time as cron's and systemd's users write it: 2m, 15s, 1h30m.
func Spell(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// inWords is a time as a sentence has it: "2 minutes", "15 seconds", "minute".
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		one  time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / unit.one; {
		case d%unit.one != 0:
		case n == 1:
			return unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return Spell(d)
}
