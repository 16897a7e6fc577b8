package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile is the most bytes that a file may have.
const maxFile = 16 << 20

// Read reads the file at path. Its error is Problems.
func Read(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, Problems{{File: path, Text: fmt.Sprintf("cannot be read: %v; name the daemon's file, such as /etc/autoscale/autoscale.yaml", reason(err))}}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, Problems{{File: path, Text: fmt.Sprintf("cannot be read: %v; name a file", reason(err))}}
	}
	return Parse(path, text, os.LookupEnv)
}

// reason is what the system says, without the path that stands before it already.
func reason(err error) error {
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err
	}
	return err
}

// Parse reads the text of the file at path. Env looks up a variable of the
// environment. Its error is Problems.
func Parse(path string, text []byte, env func(string) (string, bool)) (*File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, Problems{{File: path, Text: fmt.Sprintf("cannot be found: %v; give an absolute path", err)}}
	}
	root, problem := parse(text)
	if problem != nil {
		problem.File = path
		return nil, Problems{*problem}
	}
	r := &reader{
		places: places{file: path, spots: map[string]*yaml.Node{}, bad: map[string]bool{}},
		dir:    filepath.Dir(absolute), env: env, left: maxNodes, merging: map[*yaml.Node]bool{},
	}
	file := r.document(root)
	file.Path, file.places = path, r.places
	if len(r.problems) > 0 {
		return nil, r.problems.tidy()
	}
	return file, nil
}

// parse gives the top value of a text that is one YAML document.
func parse(text []byte) (*yaml.Node, *Problem) {
	if len(text) > maxFile {
		return nil, &Problem{Text: fmt.Sprintf("is larger than %d MiB; make it shorter, with defaults: for what many services share", maxFile>>20)}
	}
	if !utf8.Valid(text) {
		line, column := firstInvalid(text)
		return nil, &Problem{Line: line, Column: column, Text: "the file is not UTF-8 here; save it as UTF-8"}
	}
	first, second, err := documents(text)
	switch {
	case err != nil:
		return nil, invalid(text, err)
	case second != nil:
		return nil, &Problem{Line: second.Line, Column: second.Column, Text: "a second YAML document begins here; keep one in this file"}
	case first == nil: // blanks and comments
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}, nil
	}
	return first.Content[0], nil
}

// documents are the first two of a text; nil where there are fewer.
func documents(text []byte) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for _, to := range []**yaml.Node{&first, &second} {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		*to = &n
	}
	return first, second, nil
}

// firstInvalid is where a text stops to be UTF-8.
func firstInvalid(text []byte) (line, column int) {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	before := text[:at]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

// atLine matches what stands before the words of the YAML library's errors. Its
// line is often not the one to look at.
var atLine = regexp.MustCompile(`^(yaml: )?(line \d+: )?`)

// invalid is the problem of a text that is no YAML. Its line is the first one
// with which the text is wrong in the same way.
func invalid(text []byte, err error) *Problem {
	words := func(err error) string { return atLine.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", " "), "") }
	said := words(err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	line := 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, _, err := documents(bytes.Join(lines[:i+1], nil))
		return err != nil && words(err) == said
	})
	return &Problem{Line: line, Column: 1, Text: "this is no YAML: " + said + "; look at indentation, quotes and brackets here and in the line before"}
}

// document reads the whole file.
func (r *reader) document(root *yaml.Node) *File {
	var doc document
	fill(reflect.ValueOf(&doc.File).Elem())
	var defaults, services *yaml.Node
	r.mapping(root, "", func(f field, n *yaml.Node) bool {
		switch f.key {
		case "defaults":
			defaults = n
		case "services":
			services = n
		default:
			return false
		}
		return true
	}, reflect.ValueOf(&doc).Elem())
	file := &doc.File
	file.State = within(r.dir, file.State)
	if file.History.File == "" {
		file.History.File = filepath.Join(file.State, "history.db")
	}
	file.History.File = within(r.dir, file.History.File)
	r.checkListen(file)

	base := settings{service: Service{Interval: file.Interval}}
	fill(reflect.ValueOf(&base.service).Elem())
	fill(reflect.ValueOf(&base.source).Elem())
	if defaults != nil {
		base = r.settings(defaults, "defaults", base)
	}
	file.Services = r.services(services, base)
	r.checkTwins(file.Services)
	return file
}

// settings are what a mapping of a service's keys says.
type settings struct {
	service Service
	// source is the only one where the service has none, and what those start from
	// that defaults: has.
	source Source
}

// settings reads what a mapping says on top of what holds already.
func (r *reader) settings(n *yaml.Node, path string, base settings) settings {
	r.source = base.source
	r.mapping(n, path, nil, reflect.ValueOf(&base.service).Elem(), reflect.ValueOf(&base.source).Elem())
	if key := r.ownSource(path); key != "" && r.spots[path+".sources"] != nil {
		r.add(join(path, key), "is for a service with one source, and sources: stand beside it; write it into each of them that needs it")
	}
	return base
}

// ownSource is the first key of the only source that a mapping states itself;
// empty for none.
func (r *reader) ownSource(path string) string {
	for _, f := range fields(typeOf[Source]()) {
		if f.key != "name" && f.key != "rps-target" && r.spots[join(path, f.key)] != nil {
			return f.key
		}
	}
	return ""
}

// label matches the names of services: they name files, too.
var label = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$`)

// ofService is the path of a service.
func ofService(name string) string {
	if !label.MatchString(name) {
		return fmt.Sprintf("services[%q]", name)
	}
	return "services." + name
}

// services reads all of them.
func (r *reader) services(n *yaml.Node, base settings) (all []Service) {
	const example = "such as services: {app: {provider: compose, min: 1, max: 5, rps-target: 40}}"
	switch {
	case n == nil:
		r.add("services", "is missing; write the services to scale, %s", example)
		return nil
	case target(n).Kind != yaml.MappingNode || len(target(n).Content) == 0:
		r.add("services", "has no service in it; write one below it, %s", example)
		return nil
	}
	for _, p := range r.pairs(target(n), "services") {
		name := p.key.Value
		path := ofService(shorten(name))
		r.spots[path] = p.key
		if !label.MatchString(name) {
			r.wrong(p.key, path, "is no name of a service; write letters, digits, - and _, no more than 60 of them; what it is called elsewhere stands in service:")
			continue
		}
		all = append(all, r.service(name, path, p.value, base))
	}
	return all
}

// service reads one of them.
func (r *reader) service(name, path string, n *yaml.Node, base settings) Service {
	own := r.settings(n, path, base)
	s := own.service
	s.Name = name
	if s.Service == "" {
		s.Service = name
	}
	if s.Provider == "kubernetes" {
		s.Provider = "k8s"
	}
	s.DirGiven = r.spots[path+".project-dir"] != nil || r.spots["defaults.project-dir"] != nil
	s.ProjectDir = within(r.dir, s.ProjectDir)
	if s.Kubeconfig != "" {
		s.Kubeconfig = within(r.dir, s.Kubeconfig)
	}
	if len(s.Sources) == 0 || r.spots[path+".sources"] == nil && r.ownSource(path) != "" {
		s.Sources = []Source{own.source}
	}
	s.Sources = r.sources(s, path)
	if s.RPSTarget == 0 {
		s.RPSTarget = s.Sources[0].RPSTarget
	}
	r.check(s, path)
	return s
}

// sources are a service's with what they take from it, each under its own name.
func (r *reader) sources(s Service, path string) []Source {
	all := make([]Source, len(s.Sources))
	taken := map[string]bool{}
	for i, source := range s.Sources {
		at := r.sourceAt(path, i)
		if at != path {
			r.checkTarget(source, at)
		}
		if taken[source.Name] && source.Name != "" {
			r.add(join(at, "name"), "another source is called %q already; write another name", source.Name)
		}
		taken[source.Name] = true
		all[i] = source
		if source.RPSTarget == 0 {
			all[i].RPSTarget = s.RPSTarget
		}
		r.settle(&all[i], s.Provider, at)
	}
	for i := range all {
		if len(all) < 2 || all[i].Name != "" {
			continue
		}
		plain := all[i].usual()
		name := plain
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s (%d)", plain, n)
		}
		taken[name], all[i].Name = true, name
	}
	return all
}
