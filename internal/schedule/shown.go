package schedule

import (
	"regexp"
	"strings"
)

// nextFlag is where what belongs to a flag surely ends: at the next flag, or
// where the output goes. How quotes nest cannot always be told.
var nextFlag = regexp.MustCompile(`\s+["']?--[a-z]|\s+>>|\n`)

// userinfo is what a URL may carry to log in with; a password may hold an @.
var userinfo = regexp.MustCompile(`://[^/\s'"]+@`)

// secrets is what in a URL's query may be secret, by its name.
var secrets = regexp.MustCompile(`(?i)([?&][^=&\s'"]*(?:token|key|secret|passw|pwd|auth|sig|credential)[^=&\s'"]*=)[^&\s'"]*`)

// Shown is a command line, or a text of several, as it may be printed: without
// the values of request headers, without the places that are told, and without what
// URLs log in with.
func Shown(text string) string {
	text = userinfo.ReplaceAllString(hideValues(text), "://***@")
	return secrets.ReplaceAllString(text, "${1}***")
}

// hidden matches the flags whose values are not to be seen.
var hidden = regexp.MustCompile(`--(metrics-header|notify)\b`)

// hideValues hides the values of such flags, but for the name of a file that holds
// one.
func hideValues(text string) string {
	var b strings.Builder
	for {
		at := hidden.FindStringIndex(text)
		if at == nil {
			b.WriteString(text)
			return b.String()
		}
		before, flag, rest := text[:at[0]], text[at[0]:at[1]], text[at[1]:]
		if strings.HasPrefix(strings.TrimLeft(rest, ` ='"`), "file:") {
			b.WriteString(before + flag)
			text = rest
			continue
		}
		b.WriteString(strings.TrimRight(before, `"'`) + flag + "=***")
		text = ""
		if end := nextFlag.FindStringIndex(rest); end != nil {
			text = rest[end[0]:]
		}
	}
}
