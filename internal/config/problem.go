package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	// Line and Column count from 1; 0 where the file as a whole is meant.
	Line, Column int
	// Path is the key, such as services.shop.sources[1].rps-target; empty for the
	// file as a whole.
	Path string
	// Text says what is wrong, and what to do about it.
	Text string
}

// Error gives "autoscale.yaml:12:5: services.shop.min: …".
func (p Problem) Error() string {
	place := p.File
	if p.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	parts := []string{place, p.Path, p.Text}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// Problems are everything that is wrong with a file, in the order of its lines.
type Problems []Problem

// Error gives a line for each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// places tell where in a file each key and each item of a list stands.
type places struct {
	file  string
	spots map[string]*yaml.Node // by path
	bad   map[string]bool       // paths of what could not be read
}

// from is the path under which a service's key stands: its own, or that of the
// defaults.
func (p places) from(path, key string) string {
	if own := join(path, key); p.spots[own] != nil || p.spots[join("defaults", key)] == nil {
		return own
	}
	return join("defaults", key)
}

// item is the path of an item of a list, which is the list's where that was
// written as one value.
func (p places) item(list string, i int) string {
	if one := fmt.Sprintf("%s[%d]", list, i); p.spots[one] != nil {
		return one
	}
	return list
}

// Locate gives the places to what other rooms find wrong with a part of the file:
// err is in the words of flags or keys, each of its lines something to mend. At is
// the path of that part: services.shop, services.shop.sources[0] or
// services.shop.schedule[0], as the items of a Service are counted.
func (f *File) Locate(at string, err error) Problems {
	if err == nil {
		return nil
	}
	if list, index, ok := strings.Cut(strings.TrimSuffix(at, "]"), "["); ok {
		service, key := parent(list), list[len(parent(list))+1:]
		i, err := strconv.Atoi(index)
		if err != nil {
			i = 0
		}
		at = f.places.item(f.places.from(service, key), i)
	}
	var all Problems
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if p, ok := f.places.locate(at, line); ok {
			all = append(all, p)
		}
	}
	return all.tidy()
}

// named matches a flag, or a key in front of a text.
var named = regexp.MustCompile(`(?:--|^)([a-z][a-z-]*[a-z])\b[=:]?`)

// locate finds the key that a text speaks of: one that stands in the part itself
// rather than one of the defaults. It is not ok where that key could not be read,
// which has been said then.
func (p places) locate(at, text string) (found Problem, ok bool) {
	under := at
	for _, part := range []string{at, "defaults"} {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			path := join(part, match[1])
			if p.bad[path] {
				return Problem{}, false
			}
			if p.spots[path] != nil && found.Line == 0 {
				under, found = part, p.problem(path, "")
			}
		}
	}
	if found.Line == 0 {
		found = p.problem(at, "")
	}
	found.Path, found.Text = under, inKeys(text)
	return found, true
}

// inKeys says of keys what text says of flags: "min: 6" instead of "--min=6".
func inKeys(text string) string {
	known := map[string]bool{}
	for _, f := range append(fields(typeOf[Service]()), fields(typeOf[Source]())...) {
		known[f.key] = true
	}
	return named.ReplaceAllStringFunc(text, func(flag string) string {
		key, isFlag := strings.CutPrefix(strings.TrimRight(flag, "=:"), "--")
		switch {
		case !isFlag || !known[key]:
			return flag
		case strings.HasSuffix(flag, "="):
			return key + ": "
		case strings.HasSuffix(flag, ":"):
			return key + ":"
		}
		return key
	})
}

// problem is one at a path, or at the nearest key above it that the file has.
func (p places) problem(path, text string) Problem {
	problem := Problem{File: p.file, Line: 1, Column: 1, Path: path, Text: text}
	for above := path; above != ""; above = parent(above) {
		if spot := p.spots[above]; spot != nil {
			problem.Line, problem.Column = spot.Line, spot.Column
			break
		}
	}
	return problem
}

// join is the path of a key below another.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent is the path above path.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// tidy puts problems in the order of the file, each once: what stands in defaults
// or at an anchor is met for every service that it is for.
func (p Problems) tidy() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	type place struct {
		line, column int
		text         string
	}
	seen := map[place]bool{}
	return slices.DeleteFunc(p, func(q Problem) bool {
		at := place{q.Line, q.Column, q.Text}
		again := seen[at]
		seen[at] = true
		return again
	})
}
