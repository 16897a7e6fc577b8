package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Units are the texts of the service and of the timer that starts it
// (systemd.service(5), systemd.timer(5), systemd.exec(5)).
func (j Job) Units() (service, timer string, err error) {
	if j.Every%time.Second != 0 {
		return "", "", fmt.Errorf("--every=%s: whole seconds, such as %s", j.Every, Spell(j.Every.Round(time.Second)))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "[Unit]\nDescription=%s autoscaler\n\n[Service]\nType=oneshot\nWorkingDirectory=%s\n", specifiers(j.title()), specifiers(j.Folder))
	for _, setting := range j.Env {
		fmt.Fprintf(&s, "Environment=%s\n", unitQuote(setting, false))
	}
	words := make([]string, len(j.Command))
	for i, word := range j.Command {
		words[i] = unitQuote(word, i > 0) // of the program's own path systemd makes no variables
	}
	fmt.Fprintf(&s, "ExecStart=%s\n", strings.Join(words, " "))
	s.WriteString("# A run ends its own children in order, even in the middle of a move.\nKillMode=mixed\nNoNewPrivileges=yes\n")
	if j.System {
		s.WriteString(j.sandbox())
	}
	var t strings.Builder
	fmt.Fprintf(&t, "[Unit]\nDescription=Run autoscaler every %s\n\n[Timer]\nOnBootSec=%s\nOnUnitActiveSec=%s\n", inWords(j.Every), Spell(j.Every), Spell(j.Every))
	t.WriteString("# Without this systemd may be up to a minute late.\nAccuracySec=1s\n")
	t.WriteString("# An even rhythm reads a counter best, and nobody else is waiting for its turn.\nRandomizedDelaySec=0\n")
	t.WriteString("# There is nothing to catch up on: the next run decides anew. (Only a calendar\n# timer could.)\nPersistent=no\n")
	fmt.Fprintf(&t, "Unit=%s.service\n\n[Install]\nWantedBy=timers.target\n", j.Unit)
	return s.String(), t.String(), nil
}

// sandbox is what a run of the machine's own manager is kept to. A user's
// manager lacks the rights for most of it.
func (j Job) sandbox() string {
	var b strings.Builder
	b.WriteString("# It writes to these folders, and the docker command talks to its socket.\nProtectSystem=strict\nReadWritePaths=")
	for i, folder := range j.Writable {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(unitQuote("-"+folder, false)) // one that is gone must not keep it from starting
	}
	b.WriteString("\nProtectHome=read-only\n")
	for _, name := range []string{
		"ProtectClock", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
		"LockPersonality", "RestrictRealtime", "RestrictSUIDSGID",
	} {
		b.WriteString(name + "=yes\n")
	}
	return b.String()
}

// specifiers escapes what systemd would replace in any value.
func specifiers(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// unitQuote is one word of a unit file's list (systemd.syntax(7)); in a command
// $ would be a variable.
func unitQuote(word string, command bool) string {
	out := specifiers(word)
	if command {
		out = strings.ReplaceAll(out, "$", "$$")
	}
	if out != "" && !strings.ContainsAny(out, " \t\"'\\;#") {
		return out
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(out) + `"`
}

// unitWords takes the value of an ExecStart apart again. What does not end is
// taken as it is.
func unitWords(value string) (words []word) {
	var text strings.Builder
	var quote rune
	escaped, any := false, false
	end := func() {
		if any {
			words = append(words, unitWord(text.String()))
		}
		text.Reset()
		any = false
	}
	for _, r := range value {
		switch {
		case escaped:
			text.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, any = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, any = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			end()
		default:
			text.WriteRune(r)
			any = true
		}
	}
	end()
	return words
}

// unitWord is a word of a unit file as systemd makes it; unknown where that
// holds a specifier, a variable or somebody's home.
func unitWord(raw string) word {
	plain := strings.NewReplacer("%%", "x", "$$", "x").Replace(raw)
	return word{
		text:  strings.NewReplacer("%%", "%", "$$", "$").Replace(raw),
		known: !strings.ContainsAny(plain, "%$") && !strings.HasPrefix(plain, "~"),
	}
}
