package accesslog

import (
	"bytes"
	"time"
)

// Request is what one line of a log says of a request.
type Request struct {
	// Time is when the line says it was; zero for JSON lines, of which no two say
	// that alike.
	Time time.Time
	// Method and Target are those of the request's first line: "GET", "/a?b=c". Either
	// may be empty in a JSON line.
	Method, Target string
	// Host is the one that was asked for; empty where the line does not say.
	Host string
	// Status is the answer's; 0 where the line does not say, or none was sent.
	Status int
}

// Path is Target without what stands behind a question mark.
func (r Request) Path() string {
	for i := range len(r.Target) {
		if r.Target[i] == '?' {
			return r.Target[:i]
		}
	}
	return r.Target
}

// Kind is what a line is.
type Kind int

const (
	// Unknown is a line of no format that is read.
	Unknown Kind = iota
	// Other is a line of a known format that tells of no HTTP request: a TLS hello on
	// a plain port, what a proxy says of itself.
	Other
	// HTTP is a line that tells of a request.
	HTTP
)

const (
	// clfTime is how the common log format writes a time
	// (https://httpd.apache.org/docs/2.4/logs.html#common), haproxyTime how HAProxy does
	// (https://docs.haproxy.org/3.0/configuration.html#8.2.3).
	clfTime     = "02/Jan/2006:15:04:05 -0700"
	haproxyTime = "02/Jan/2006:15:04:05.000"
)

// Parse reads one line, with or without its line feed: in the common or the combined
// log format (nginx, Apache, Traefik), HAProxy's HTTP log, or a JSON object. What
// stands in front of the first two, as syslog puts it there, is passed over.
func Parse(line []byte) (Request, Kind) {
	line = bytes.TrimRight(line, "\r\n")
	if trimmed := bytes.TrimLeft(line, " \t"); len(trimmed) > 0 && trimmed[0] == '{' {
		return parseJSON(trimmed)
	}
	for rest := line; ; {
		at := bytes.IndexByte(rest, '[')
		if at < 0 {
			return Request{}, Unknown
		}
		rest = rest[at+1:]
		if r, kind := parseCommon(rest); kind != Unknown {
			return r, kind
		}
		if r, kind := parseHAProxy(rest); kind != Unknown {
			return r, kind
		}
	}
}

// parseCommon reads what stands behind the bracket of the common log format's time.
func parseCommon(rest []byte) (Request, Kind) {
	at, rest, ok := cutTime(rest, clfTime, "] \"")
	if !ok {
		return Request{}, Unknown
	}
	asked, rest, ok := cutQuoted(rest)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return Request{}, Unknown
	}
	return parseRequest(Request{Time: at, Status: status(rest[1:])}, asked)
}

// parseHAProxy reads what stands behind the bracket of HAProxy's time:
//
//	… [06/Feb/2009:12:14:14.655] web app/app1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"
func parseHAProxy(rest []byte) (Request, Kind) {
	at, rest, ok := cutTime(rest, haproxyTime, "] ")
	if !ok {
		return Request{}, Unknown
	}
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // the frontend
	server, rest, _ := bytes.Cut(rest, []byte(" "))
	timers, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok || bytes.IndexByte(server, '/') < 0 || bytes.IndexByte(timers, '/') < 0 {
		return Request{}, Unknown
	}
	// A quote within what was captured of headers is written as #22.
	quote := bytes.IndexByte(rest, '"')
	if bytes.Count(timers, []byte("/")) != 4 || quote < 0 {
		return Request{}, Unknown // a connection: how many requests it had nobody knows
	}
	asked, _, ok := cutQuoted(rest[quote+1:])
	if !ok {
		return Request{}, Unknown
	}
	return parseRequest(Request{Time: at, Status: status(rest)}, asked)
}

// cutTime takes a time and what closes it from the front of text.
func cutTime(text []byte, layout, closing string) (time.Time, []byte, bool) {
	if len(text) < len(layout)+len(closing) || text[2] != '/' || text[6] != '/' || string(text[len(layout):len(layout)+len(closing)]) != closing {
		return time.Time{}, nil, false
	}
	at, err := time.ParseInLocation(layout, string(text[:len(layout)]), time.Local)
	return at, text[len(layout)+len(closing):], err == nil
}

// cutQuoted takes what stands before the next quote that no backslash escapes.
func cutQuoted(text []byte) (inside, rest []byte, ok bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[:i], text[i+1:], true
		}
	}
	return nil, nil, false
}

// parseRequest reads a request's first line; what is not HTTP has none.
func parseRequest(r Request, asked []byte) (Request, Kind) {
	method, rest, _ := bytes.Cut(asked, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	if len(method) == 0 || len(target) == 0 || !bytes.HasPrefix(version, []byte("HTTP/")) {
		return Request{}, Other
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return Request{}, Other
		}
	}
	r.Method, r.Target = string(method), string(target)
	return r, HTTP
}

// status is the number at the front of text; 0 where that is no status.
func status(text []byte) int {
	if len(text) < 3 || len(text) > 3 && text[3] != ' ' {
		return 0
	}
	n := 0
	for _, c := range text[:3] {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return valid(n)
}

// valid is a status that HTTP has (RFC 9110, 15); 0 for others.
func valid(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}
