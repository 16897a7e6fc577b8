package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Words takes a command apart into its program and arguments, where no shell is
// there to do it: at blanks, but for those in '…' or "…" or behind a backslash
// that is not in '…'. Nothing is expanded. What only a shell could act on, such as
// && or >, is an error when it stands as a word of its own.
func Words(text string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	begun, plain, escaped := false, true, false
	end := func() {
		if begun && plain && slices.Contains([]string{"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1"}, word.String()) {
			err = errors.Join(err, fmt.Errorf("%s is for a shell, and none reads this; put it into a script, or write sh -c '…'", word.String()))
		}
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun, plain = false, true
	}
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			begun, plain, escaped = true, false, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			begun, plain, quote = true, false, c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			end()
		default:
			begun = true
			word.WriteRune(c)
		}
	}
	end()
	switch {
	case quote != 0:
		return nil, fmt.Errorf("a %c is not closed; write a second one behind what it begins", quote)
	case escaped:
		return nil, errors.New("nothing stands behind the last backslash; leave it away")
	case err == nil && (len(words) == 0 || words[0] == ""):
		return nil, errors.New("it names no program; write one, such as nginx -s reload")
	}
	return words, err
}
