package prometheus

import "bytes"

// comment takes a line that begins with "#": # TYPE tells the kind, # EOF ends
// OpenMetrics.
func (s *scanner) comment(line []byte, firstLine int) int {
	if s.om && string(line) == "# EOF\n" {
		s.ended = true
		return firstLine
	}
	word := trimBlanks(line[1:])
	if len(word) == len(line)-1 || len(word) < len("TYPE ") || word[4] != ' ' && word[4] != '\t' {
		return firstLine
	}
	switch string(word[:4]) {
	case "TYPE", "HELP", "UNIT":
	default:
		return firstLine
	}
	rest := trimBlanks(word[5:])
	if rest[0] == '"' {
		return s.quotedFamily(firstLine, word[0] == 'T')
	}
	// A family's name begins as the metric's name does.
	if mark := s.marks[rest[0]]; word[0] == 'T' && mark > 0 && mark < markNothing {
		n := 0
		for nameByte(rest[n]) {
			n++
		}
		s.setType(rest[:n], rest[n:])
	}
	return firstLine
}

// quotedFamily takes a TYPE, HELP or UNIT whose metric name stands in quotes,
// where it may hold line feeds.
func (s *scanner) quotedFamily(firstLine int, isType bool) int {
	for {
		b := s.buf[s.start:s.end]
		e := entry{b: b, i: bytes.IndexByte(b, '"')}
		name, err := e.quoted(true)
		end := -1
		if err == nil {
			end = bytes.IndexByte(b[e.i:], '\n')
		}
		if end >= 0 {
			if isType {
				s.match.scratch = appendUnescaped(s.match.scratch[:0], name)
				s.setType(s.match.scratch, b[e.i:e.i+end])
			}
			s.line += bytes.Count(name, []byte{'\n'})
			return e.i + end + 1
		}
		if err != nil && err != errMore || s.end-s.start >= maxLine || s.fill() != nil {
			return firstLine
		}
	}
}

// trimBlanks is bytes.TrimLeft for blanks and tabs, but quicker.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

func (s *scanner) setType(family, word []byte) {
	for i := range s.wants {
		w := &s.wants[i]
		switch {
		case w.Type == "" && string(family) == w.sel.Name:
			w.Type = knownType(word)
		case w.Base == "" && w.base != "" && string(family) == w.base:
			w.Base = knownType(word)
		}
	}
}

// knownType gives a metric type as a constant, or "" for what is none. Like
// Prometheus it takes any one byte between name and type.
func knownType(word []byte) string {
	word = bytes.TrimSpace(word[min(1, len(word)):])
	for _, t := range []string{"counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "info", "stateset"} {
		if string(word) == t {
			return t
		}
	}
	return ""
}
