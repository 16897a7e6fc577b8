package nginx

import (
	"iter"
	"strings"
)

// parsed is a directive as it was read; opens tells that a block follows.
type parsed struct {
	directive
	opens bool
}

// directives yields the directives of a text in order; end, without one, stands
// for the end of a block. What does not end is left out.
func directives(text string) iter.Seq2[parsed, bool] {
	return func(yield func(parsed, bool) bool) {
		s := scanner{text: text, line: 1}
		var d parsed
		for {
			word, kind := s.next()
			switch kind {
			case end:
				return
			case plain:
				if len(d.words) == 0 {
					d.line = s.at
				}
				d.words = append(d.words, word)
				continue
			case closing:
				if !yield(parsed{}, true) {
					return
				}
			case semicolon, opening:
				d.opens = kind == opening
				if len(d.words) == 0 {
					d.words = []string{""}
				}
				if !yield(d, false) {
					return
				}
			}
			d = parsed{}
		}
	}
}

// kind is what a word is to the syntax.
type kind int

const (
	plain kind = iota
	semicolon
	opening
	closing
	end
)

// scanner takes a text apart.
type scanner struct {
	text string
	line int // that comes next
	at   int // of the last word
}

// next is the next word, or what stands between words.
func (s *scanner) next() (string, kind) {
	s.skip()
	s.at = s.line
	if s.text == "" {
		return "", end
	}
	switch c := s.text[0]; c {
	case ';', '{', '}':
		s.text = s.text[1:]
		return "", map[byte]kind{';': semicolon, '{': opening, '}': closing}[c]
	case '"', '\'':
		return s.quoted(c), plain
	}
	return s.bare(), plain
}

// skip passes over blanks and comments.
func (s *scanner) skip() {
	for s.text != "" {
		switch s.text[0] {
		case '\n':
			s.line++
			s.text = s.text[1:]
		case ' ', '\t', '\r':
			s.text = s.text[1:]
		case '#':
			to := strings.IndexByte(s.text, '\n')
			if to < 0 {
				to = len(s.text)
			}
			s.text = s.text[to:]
		default:
			return
		}
	}
}

// quoted is a word in quotes.
func (s *scanner) quoted(quote byte) string {
	var b strings.Builder
	for i := 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == quote:
			s.text = s.text[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(s.text):
			i++
			b.WriteByte(s.text[i])
		default:
			if c == '\n' {
				s.line++
			}
			b.WriteByte(c)
		}
	}
	s.text = ""
	return b.String()
}

// bare is a word without quotes; the braces of ${name} are a part of it.
func (s *scanner) bare() string {
	for i := 0; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\\':
			i++
		case c == '{' && i > 0 && s.text[i-1] == '$':
			if to := strings.IndexByte(s.text[i:], '}'); to > 0 {
				i += to
			}
		case strings.IndexByte(" \t\r\n;{", c) >= 0:
			word := s.text[:i]
			s.text = s.text[i:]
			return word
		}
	}
	word := s.text
	s.text = ""
	return word
}
