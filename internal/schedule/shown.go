package schedule

import (
	"regexp"
	"strings"
)

// userinfo is what a URL may carry to log in with.
var userinfo = regexp.MustCompile(`://[^/@\s]+@`)

// Shown is a command line as it may be printed: without the values of request
// headers, and without what URLs log in with.
func Shown(line string) string {
	var b strings.Builder
	hide := false // the word before was --metrics-header
	for len(line) > 0 {
		word, rest := rawWord(line)
		line = rest
		plain := strings.Trim(word, `'"`)
		switch {
		case strings.TrimSpace(word) == "":
		case hide:
			word, hide = "***", false
		case plain == "--metrics-header":
			hide = true
		case strings.HasPrefix(plain, "--metrics-header"):
			word = "--metrics-header=***"
		}
		b.WriteString(word)
	}
	return userinfo.ReplaceAllString(b.String(), "://***@")
}

// rawWord cuts the first word, or the space before it, off a line, with its
// quotes.
func rawWord(line string) (word, rest string) {
	blank := func(c byte) bool { return c == ' ' || c == '\t' }
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && i > 0 && blank(c) != blank(line[0]):
			return line[:i], line[i:]
		case c == '\\' && quote != '\'':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '\'' || c == '"':
			quote = c
		}
	}
	return line, ""
}
