package accesslog

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON line: each of the names under which Caddy, Traefik and Envoy, and
// the examples for nginx, Apache and HAProxy, write what is read. Cases do not matter.
type object struct {
	// Request is Caddy's object, or "GET / HTTP/1.1".
	Request json.RawMessage `json:"request"`
	Line    text            `json:"request_line"`

	// Methods are nil where they do not stand there, and empty of what is no HTTP.
	Method        *text `json:"method"`
	RequestMethod *text `json:"request_method"`
	TraefikMethod *text `json:"requestmethod"`
	HTTPMethod    *text `json:"http_method"`

	URI         text `json:"uri"`
	RequestURI  text `json:"request_uri"`
	Path        text `json:"path"`
	TraefikPath text `json:"requestpath"`
	URL         text `json:"url"`

	Host        text `json:"host"`
	HTTPHost    text `json:"http_host"`
	TraefikHost text `json:"requesthost"`
	Authority   text `json:"authority"`
	VHost       text `json:"vhost"`
	ServerName  text `json:"server_name"`

	Status        text `json:"status"`
	StatusCode    text `json:"status_code"`
	Code          text `json:"response_code"`
	TraefikStatus text `json:"downstreamstatus"`

	// Logger tells which part of Caddy wrote the line.
	Logger text `json:"logger"`
}

// text is a JSON string or number; empty for anything else.
type text string

// UnmarshalJSON never fails: what else a name may hold in other programs' lines is
// not of interest.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch {
	case b[0] == '"' && bytes.IndexByte(b, '\\') < 0: // by far the most
		*t = text(b[1 : len(b)-1])
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		*t = text(b)
	}
	return nil
}

// first is the first text that is not empty.
func first(all ...text) string {
	for _, t := range all {
		if t != "" {
			return string(t)
		}
	}
	return ""
}

// parseJSON reads a JSON line. It tells of a request where it says two things of
// it: method, path, status. Of one that says less nobody knows.
func parseJSON(line []byte) (Request, Kind) {
	var o object
	if err := json.Unmarshal(line, &o); err != nil {
		return Request{}, Unknown
	}
	if logger := string(o.Logger); strings.HasPrefix(logger, "http.log.") && !strings.HasPrefix(logger, "http.log.access") {
		return Request{}, Other // Caddy on what went wrong with a request that it logs besides
	}
	var inner object
	asked := string(o.Line)
	if len(o.Request) > 0 {
		switch o.Request[0] {
		case '{':
			if err := json.Unmarshal(o.Request, &inner); err != nil {
				return Request{}, Unknown
			}
		case '"':
			if err := json.Unmarshal(o.Request, &asked); err != nil {
				return Request{}, Unknown
			}
		}
	}
	named := o.Request != nil
	var method text
	for _, m := range []*text{o.Method, o.RequestMethod, o.TraefikMethod, o.HTTPMethod, inner.Method} {
		if m != nil && method == "" {
			named, method = true, *m
		}
	}
	r := Request{
		Method: string(method),
		Target: first(o.RequestURI, o.URI, o.TraefikPath, o.Path, o.URL, inner.URI),
		Host:   first(o.HTTPHost, o.Host, o.TraefikHost, o.Authority, o.VHost, o.ServerName, inner.Host),
	}
	if n, err := strconv.Atoi(first(o.Status, o.StatusCode, o.Code, o.TraefikStatus)); err == nil {
		r.Status = valid(n)
	}
	if line, kind := parseRequest(Request{}, []byte(asked)); kind == HTTP {
		r.Method, r.Target = line.Method, line.Target
	}
	said := 0
	for _, there := range []bool{r.Method != "", r.Target != "", r.Status != 0} {
		if there {
			said++
		}
	}
	switch {
	case said >= 2:
		return r, HTTP
	case named && method == "" && r.Status >= 400:
		return Request{}, Other // what was sent was no HTTP
	}
	return Request{}, Unknown // it may be a request in other words
}
