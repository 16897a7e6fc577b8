package stress

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// Target is what is asked, and how.
type Target struct {
	URL    *url.URL
	Method string // GET where empty
	Header http.Header
	// Host is the request's Host header; empty for the URL's.
	Host string
	Body []byte
	// Timeout is how long one request may take, connecting included.
	Timeout time.Duration
	// Close has each request open a connection of its own.
	Close bool
	// HTTP2 has net/http speak HTTP/2, over TLS or in the clear.
	HTTP2 bool
	// Follow has net/http follow so many redirects; 0 takes a redirect as the
	// answer.
	Follow int
	// TLS is for https; nil for the defaults.
	TLS *tls.Config
	// Socket is the path of a Unix socket to connect to in place of the URL's
	// host.
	Socket string
}

// Validate looks for what cannot be asked.
func (t Target) Validate() error {
	switch {
	case t.URL == nil || t.URL.Scheme != "http" && t.URL.Scheme != "https":
		return errors.New("--url: http:// or https:// comes first, as in http://localhost:8000/")
	case t.URL.Host == "":
		return fmt.Errorf("--url=%s: it names no host, as in http://localhost:8000/", t.URL.Redacted())
	case t.Timeout <= 0:
		return errors.New("--timeout: a time above 0")
	}
	_, err := t.request(trace.Arrival{})
	return err
}

// request is the one for an arrival: the Target's own, but for what a recording
// says of it.
func (t Target) request(a trace.Arrival) (*http.Request, error) {
	u, method, body := *t.URL, t.Method, t.Body
	if a.Path != "" {
		path, err := url.ParseRequestURI(a.Path)
		if err != nil || !strings.HasPrefix(a.Path, "/") {
			return nil, fmt.Errorf("%q is no path that can be asked for; it begins with /", a.Path)
		}
		u.Path, u.RawPath, u.RawQuery = path.Path, path.RawPath, path.RawQuery
	}
	if a.Method != "" {
		method, body = a.Method, nil
	}
	if a.Body != "" {
		body = []byte(a.Body)
	}
	var reader io.Reader
	if len(body) > 0 {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequest(method, u.String(), reader)
	if err != nil {
		return nil, err
	}
	r.Header = t.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "autoscale-stress")
	}
	if user := u.User; user != nil && r.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	if t.Host != "" {
		r.Host = t.Host
	}
	r.Close = t.Close
	return r, nil
}

// port is the URL's, or its scheme's.
func (t Target) port() string {
	if port := t.URL.Port(); port != "" {
		return port
	}
	if t.URL.Scheme == "https" {
		return "443"
	}
	return "80"
}

// tls is the configuration for one connection.
func (t Target) tls() *tls.Config {
	config := t.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = t.URL.Hostname()
		if host, _, err := net.SplitHostPort(t.Host); err == nil {
			config.ServerName = host
		} else if t.Host != "" {
			config.ServerName = t.Host
		}
	}
	return config
}

// prepared is a request, and what is written for it.
type prepared struct {
	request *http.Request
	text    []byte
}

// prepare writes the request for an arrival once, to be sent as often as it is
// asked for.
func (t Target) prepare(a trace.Arrival) (prepared, error) {
	r, err := t.request(a)
	if err != nil {
		return prepared{}, err
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return prepared{}, err
	}
	r.Body = nil
	return prepared{r, b.Bytes()}, nil
}
