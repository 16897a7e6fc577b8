// Package upstream writes the list of a service's replicas that take traffic, for
// the proxy in front of it: one file, in the proxy's own format, that is this
// program's alone.
package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Format is how a list is written.
type Format string

const (
	// Nginx is "server" lines for the inside of an upstream block
	// (https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server).
	Nginx Format = "nginx"
	// HAProxy is a whole backend section, since no section goes on in another file
	// (https://docs.haproxy.org/2.6/management.html#3, "-f").
	HAProxy Format = "haproxy"
	// Traefik is a service of the file provider's dynamic configuration, in YAML
	// (https://doc.traefik.io/traefik/routing/services/#servers-load-balancer).
	Traefik Format = "traefik"
	// JSON is for other programs; docs/proxies.md describes it.
	JSON Format = "json"
)

// Formats are those that there are.
func Formats() []Format { return []Format{Nginx, HAProxy, Traefik, JSON} }

// Server is one replica that takes traffic.
type Server struct {
	// Name is how a person calls it: "shop-app-3".
	Name string
	// Addr is where it takes connections, as the proxy reaches it.
	Addr netip.AddrPort
}

// Render writes a service's list. Equal arguments give equal bytes; the order of
// the servers is kept, so that a proxy goes on with the one it knows.
func Render(f Format, service string, servers []Server) ([]byte, error) {
	switch f {
	case Nginx:
		return nginx(service, servers), nil
	case HAProxy:
		return haproxy(service, servers), nil
	case Traefik:
		return traefik(service, servers), nil
	case JSON:
		return asJSON(service, servers)
	}
	return nil, fmt.Errorf("upstream: there is no format %q; give nginx, haproxy, traefik or json", string(f))
}

// mark is what the first line, or the first key, of a list of a service says. It
// is how a file is known to be this program's.
func mark(service string) string {
	return fmt.Sprintf("Written by autoscale: the replicas of service %s that take traffic.", service)
}

// warning stands behind the mark.
const warning = "What is changed here by hand is lost."

// nobody is what an nginx gets that has no server at all: it would not start
// without one. It answers 502 then.
const nobody = "server 127.0.0.1:1 down; # no replica runs\n"

func nginx(service string, servers []Server) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s %s\n", mark(service), warning)
	for _, s := range servers {
		fmt.Fprintf(&b, "server %s; # %s\n", s.Addr, s.Name)
	}
	if len(servers) == 0 {
		b.WriteString(nobody)
	}
	return b.Bytes()
}

func haproxy(service string, servers []Server) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s %s\nbackend %s\n", mark(service), warning, service)
	for _, s := range servers {
		fmt.Fprintf(&b, "    server %s %s\n", s.Name, s.Addr)
	}
	return b.Bytes()
}

func traefik(service string, servers []Server) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s %s\nhttp:\n  services:\n    %s:\n      loadBalancer:\n        servers:", mark(service), warning, strconv.Quote(service))
	if len(servers) == 0 {
		b.WriteString(" []\n")
		return b.Bytes()
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "\n          - url: \"http://%s\" # %s", s.Addr, s.Name)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// document is the list in JSON.
type document struct {
	Mark    string   `json:"written_by"`
	Version int      `json:"version"`
	Service string   `json:"service"`
	Servers []server `json:"servers"`
}

type server struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
}

func asJSON(service string, servers []Server) ([]byte, error) {
	d := document{Mark: mark(service) + " " + warning, Version: 1, Service: service, Servers: []server{}}
	for _, s := range servers {
		d.Servers = append(d.Servers, server{s.Name, s.Addr.Addr(), s.Addr.Port()})
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	return append(text, '\n'), nil
}

// ErrNotOurs is wrapped by the error of a file that something else wrote.
var ErrNotOurs = errors.New("it is not autoscale's")

// marked finds the mark where a list has it, and the service that it names.
var marked = regexp.MustCompile(`^(?:# |\{\s*"written_by": ")Written by autoscale: the replicas of service (\S+) that take traffic\.`)

// Marked reports whether a text is a list, of whatever service.
func Marked(text []byte) bool { return marked.Match(text) }

// Read is what the file at path holds; nil where there is none. A file that is
// neither empty nor a list of that service is ErrNotOurs: it is never written to.
func Read(path, service string) ([]byte, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("upstream: the list cannot be read: %w", err)
	case len(bytes.TrimSpace(text)) == 0:
		return append([]byte{}, text...), nil
	}
	found := marked.FindSubmatch(text)
	switch {
	case found == nil:
		return nil, fmt.Errorf("upstream: %s was left alone: %w, as its first line does not say so; name a file that does not exist yet, and include that one", path, ErrNotOurs)
	case string(found[1]) != service:
		return nil, fmt.Errorf("upstream: %s was left alone: %w for this service, it lists service %s; give each service a file of its own", path, ErrNotOurs, found[1])
	}
	return text, nil
}

// Names are the servers' names, for a person.
func Names(servers []Server) string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Name
	}
	if len(all) == 0 {
		return "no replica"
	}
	return strings.Join(all, ", ")
}

// Settings are what a user says of a list and of the command beside it.
type Settings struct {
	File, Format, Network, OnChange string
	Port                            int  // inside the replicas; 0 where not stated
	Blind                           bool // the engine is not asked
}

// Check looks for what is wrong in the settings themselves, in the words of the
// flags.
func (s Settings) Check() error {
	var errs []error
	if (s.File != "") != (s.Format != "") {
		errs = append(errs, errors.New("--upstream-file and --upstream-format belong together, the list and what it is written for; give both, or neither"))
	}
	if s.Format != "" && !slices.Contains(Formats(), Format(s.Format)) {
		errs = append(errs, fmt.Errorf("--upstream-format=%s: give nginx, haproxy, traefik or json", s.Format))
	}
	if s.Port < 0 || s.Port > 65535 {
		errs = append(errs, fmt.Errorf("--upstream-port=%d: a port is a number from 1 to 65535", s.Port))
	}
	if s.File == "" && (s.Port != 0 || s.Network != "") {
		errs = append(errs, errors.New("--upstream-port and --upstream-network are about a list; name it with --upstream-file, or leave them away"))
	}
	if s.Blind && (s.File != "" || s.OnChange != "") {
		errs = append(errs, errors.New("--apply=never: which replicas take traffic only the engine knows, which is not asked; leave --upstream-file and --on-change away"))
	}
	return errors.Join(errs...)
}
