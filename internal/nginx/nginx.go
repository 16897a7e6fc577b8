// Package nginx reads an nginx's configuration for one question: which names
// does it resolve only once, when it starts? Replicas that come or go after that
// are not seen: a removed one's address goes on being asked, a new one's never.
//
// The syntax is http://nginx.org/en/docs/beginners_guide.html#conf_structure:
// words, quoted or not, up to a semicolon or a block in braces. What is resolved
// when is http://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass
// and http://nginx.org/en/docs/http/ngx_http_upstream_module.html#server.
//
// A variable is looked up for each request, unless its value is the name of an
// upstream. That is only seen where "set" gives it the plain name; what comes
// from map, a script or another variable is taken for a look-up, so that nothing
// is reported that is not so.
package nginx

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxFiles bounds how many files are read, so that includes may not run in a
	// circle.
	maxFiles = 1000
	// maxDepth bounds how deep includes may be nested.
	maxDepth = 20
)

// Place is where a name is resolved once.
type Place struct {
	File      string // absolute, as nginx has it
	Line      int    // from 1
	Directive string // "proxy_pass http://app:8000"
	Name      string // the name
}

// directive is one directive of the configuration.
type directive struct {
	file  string
	line  int
	words []string
	// in is the name of the upstream block that it stands in; empty outside.
	in string
}

func (d directive) String() string { return strings.Join(d.words, " ") }

// ResolvedOnce gives the places where nginx hands requests to one of names and
// resolves that only when it starts. files are the configuration by absolute
// path; conf is the one that nginx reads first, and without it there is an
// error. What an include names and files lack is passed over.
func ResolvedOnce(conf string, files map[string][]byte, names []string) ([]Place, error) {
	r := reader{root: path.Dir(conf), files: files}
	if err := r.read(conf, "", 0); err != nil {
		return nil, err
	}
	isName := func(host string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, strings.TrimSuffix(host, ".")) })
	}
	used := r.used()
	var places []Place
	add := func(d directive, host string) {
		places = append(places, Place{File: d.file, Line: d.line, Directive: d.String(), Name: host})
	}
	for _, d := range r.all {
		host, ok := passed(d)
		if _, upstream := used[strings.ToLower(host)]; ok && !upstream && isName(host) {
			add(d, host)
		}
	}
	for _, d := range r.all {
		if d.in == "" || d.words[0] != "server" || len(d.words) < 2 || !used[strings.ToLower(d.in)] || slices.Contains(d.words[2:], "resolve") {
			continue
		}
		if host := hostOf(d.words[1]); isName(host) {
			add(d, host)
		}
	}
	return places, nil
}

// used has the upstreams by name, in lower case, and whether requests are handed
// to them.
func (r *reader) used() map[string]bool {
	used := map[string]bool{}
	values := map[string][]string{} // of variables
	for _, d := range r.all {
		switch {
		case d.words[0] == "upstream" && len(d.words) > 1:
			used[strings.ToLower(d.words[1])] = false
		case d.words[0] == "set" && len(d.words) == 3:
			values[d.words[1]] = append(values[d.words[1]], withoutScheme(d.words[2]))
		}
	}
	for _, d := range r.all {
		hosts := values[passedVariable(d)]
		if host, ok := passed(d); ok {
			hosts = []string{host}
		}
		for _, host := range hosts {
			if _, upstream := used[strings.ToLower(host)]; upstream {
				used[strings.ToLower(host)] = true
			}
		}
	}
	return used
}

// passed is the host that a directive hands requests to; not ok where it is no
// such directive, or the host is only known when a request comes.
func passed(d directive) (host string, ok bool) {
	target, ok := passedTo(d)
	// With a variable anywhere in it all of it is looked up for each request.
	if !ok || strings.Contains(d.words[1], "$") || strings.HasPrefix(target, "unix:") {
		return "", false
	}
	target, _, _ = strings.Cut(target, "/")
	return hostOf(target), true
}

// variable is a variable alone where the host stands. With a port behind it no
// upstream is meant (ngx_http_upstream_init_request).
var variable = regexp.MustCompile(`^\$(?:(\w+)|\{(\w+)\})(?:[/$].*)?$`)

// passedVariable is the variable, "$backend", whose value is the host that a
// directive hands requests to; empty where none is.
func passedVariable(d directive) string {
	target, ok := passedTo(d)
	found := variable.FindStringSubmatch(target)
	if !ok || found == nil {
		return ""
	}
	return "$" + found[1] + found[2]
}

// passedTo is where a directive hands requests to, without the scheme; not ok
// where it is no such directive.
func passedTo(d directive) (target string, ok bool) {
	if !slices.Contains([]string{"proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass"}, d.words[0]) || len(d.words) < 2 {
		return "", false
	}
	return withoutScheme(d.words[1]), true
}

func withoutScheme(target string) string {
	if _, rest, found := strings.Cut(target, "://"); found {
		return rest
	}
	return target
}

// hostOf is an address without its port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

// reader collects the directives of all files.
type reader struct {
	root  string // what relative includes count from
	files map[string][]byte
	count int
	all   []directive
}

// read reads one file, and those that it includes; in is the upstream block that
// the file stands in.
func (r *reader) read(file, in string, depth int) error {
	text, ok := r.files[file]
	if !ok {
		return fmt.Errorf("nginx: there is no %s", file)
	}
	if r.count++; r.count > maxFiles || depth > maxDepth {
		return fmt.Errorf("nginx: %s: more than %d files, or includes %d deep", file, maxFiles, maxDepth)
	}
	blocks := []string{in} // the upstream that the file, and each open block, is or is in
	for d, end := range directives(string(text)) {
		if end {
			blocks = blocks[:max(1, len(blocks)-1)]
			continue
		}
		d.file, d.in = file, blocks[len(blocks)-1]
		if d.opens {
			in := d.in
			if d.words[0] == "upstream" && len(d.words) > 1 {
				in = d.words[1]
			}
			blocks = append(blocks, in)
		}
		r.all = append(r.all, d.directive)
		if d.words[0] == "include" && len(d.words) > 1 {
			if err := r.include(d.words[1], d.in, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// include reads the files that a pattern stands for, in the order of their
// names; none is no error.
func (r *reader) include(pattern, in string, depth int) error {
	if !path.IsAbs(pattern) {
		pattern = path.Join(r.root, pattern)
	}
	var found []string
	for name := range r.files {
		if ok, err := path.Match(pattern, name); err == nil && ok || name == pattern {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	for _, name := range found {
		if err := r.read(name, in, depth); err != nil {
			return err
		}
	}
	return nil
}
