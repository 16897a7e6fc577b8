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
// the values of request headers, and without what URLs log in with.
func Shown(text string) string {
	text = userinfo.ReplaceAllString(hideHeaders(text), "://***@")
	return secrets.ReplaceAllString(text, "${1}***")
}

// hideHeaders hides the values of request headers.
func hideHeaders(text string) string {
	const flag = "--metrics-header"
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, flag)
		if !found {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(strings.TrimRight(before, `"'`) + flag + "=***")
		text = ""
		if end := nextFlag.FindStringIndex(rest); end != nil {
			text = rest[end[0]:]
		}
	}
}
