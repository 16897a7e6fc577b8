package splice

import (
	"bytes"
	"unicode/utf8"
)

// text is a file's bytes with the places where its lines start. Lines end where
// the YAML library ends them: LF, CRLF, CR, NEL, LS and PS.
type text struct {
	src    []byte
	starts []int
}

func newText(src []byte) text {
	t := text{src: src, starts: []int{0}}
	for at := 0; at < len(src); at++ {
		switch src[at] {
		case '\n', '\r', 0xc2, 0xe2: // the first bytes of all breaks
			if n := breakAt(src[at:]); n > 0 {
				t.starts = append(t.starts, at+n)
				at += n - 1
			}
		}
	}
	return t
}

// breakAt returns the length of the line break that s starts with, 0 for none.
func breakAt(s []byte) int {
	for _, b := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(s, []byte(b)) {
			return len(b)
		}
	}
	return 0
}

// lineAt returns the line, counted from 1, that the byte at offset is on.
func (t text) lineAt(offset int) int {
	line := 1
	for line < len(t.starts) && t.starts[line] <= offset {
		line++
	}
	return line
}

// start returns the offset of a line's first byte; the end of the file for
// lines behind the last.
func (t text) start(line int) int {
	if line > len(t.starts) {
		return len(t.src)
	}
	return t.starts[line-1]
}

// line returns a line without its break.
func (t text) line(line int) []byte {
	s := t.src[t.start(line):t.start(line+1)]
	return s[:len(s)-len(lineBreak(s))]
}

// offset returns where the character at line and column, both counted from 1,
// starts. The library counts characters, not bytes, and leaves a byte-order
// mark out.
func (t text) offset(line, column int) int {
	at := t.start(line)
	if line == 1 && bytes.HasPrefix(t.src, []byte("\ufeff")) {
		at += len("\ufeff")
	}
	for ; column > 1 && at < len(t.src); column-- {
		_, n := utf8.DecodeRune(t.src[at:])
		at += n
	}
	return at
}

// newline returns how a line put in front of line ends: as the nearest one
// before it, else as the first of the file.
func (t text) newline(line int) string {
	for near := min(line-1, len(t.starts)); near > 0; near-- {
		switch b := string(lineBreak(t.src[t.start(near):t.start(near+1)])); b {
		case "\n", "\r\n", "\r":
			return b
		}
	}
	return "\n"
}

// end returns the first line from the given one on that marks the document's
// end, or the one behind the file's last.
func (t text) end(from int) int {
	for ; from <= len(t.starts); from++ {
		if bytes.HasPrefix(t.line(from), []byte("...")) {
			return from
		}
	}
	return len(t.starts) + 1
}

// skipBlanks returns the next offset from at on that holds no space or tab.
func (t text) skipBlanks(at int) int {
	for at < len(t.src) && (t.src[at] == ' ' || t.src[at] == '\t') {
		at++
	}
	return at
}

// atLineEnd reports whether nothing but a comment is left on the line.
func (t text) atLineEnd(at int) bool {
	return at == len(t.src) || t.src[at] == '#' || breakAt(t.src[at:]) > 0
}

// lineBreak returns the break that a line ends with.
func lineBreak(line []byte) []byte {
	for _, b := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasSuffix(line, []byte(b)) {
			return line[len(line)-len(b):]
		}
	}
	return nil
}
