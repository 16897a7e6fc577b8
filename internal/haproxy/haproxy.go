// Package haproxy reads a HAProxy's configuration for one question: which names
// does it resolve only once, when it starts? Replicas that come or go after that
// are not seen.
//
// The syntax is https://docs.haproxy.org/2.6/configuration.html#2: a section's
// name, and lines of words below it. A server's name is looked up again only where
// it, or the default-server before it, names a section of resolvers (5.3.1).
package haproxy

import (
	"net"
	"slices"
	"strings"
)

// Place is where a name is resolved once.
type Place struct {
	Line      int    // from 1
	Directive string // "server app app:8000"
	Name      string // the name
}

// ResolvedOnce gives the places of a configuration where HAProxy hands requests to
// one of names and resolves that only when it starts.
func ResolvedOnce(text string, names []string) (places []Place) {
	// By default, in all sections from a "defaults" on and in the one at hand.
	var defaults, section bool
	in := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := words(line)
		if len(words) == 0 {
			continue
		}
		switch again := slices.Contains(words, "resolvers"); words[0] {
		case "defaults":
			in, defaults, section = words[0], false, false
		case "global", "frontend", "backend", "listen", "resolvers", "peers", "userlist", "cache", "program", "ring", "http-errors", "mailers":
			in, section = words[0], defaults
		case "default-server":
			section = section || again
			if in == "defaults" {
				defaults = defaults || again
			}
		case "server", "server-template":
			host := address(words)
			known := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, strings.TrimSuffix(host, ".")) })
			if (in == "backend" || in == "listen") && known && !again && !section {
				places = append(places, Place{Line: number, Directive: strings.Join(words, " "), Name: host})
			}
		}
	}
	return places
}

// address is the host of a server: "server NAME ADDRESS", "server-template PREFIX
// NUMBER ADDRESS".
func address(line []string) string {
	at := 2
	if line[0] == "server-template" {
		at = 3
	}
	if len(line) <= at {
		return ""
	}
	host := line[at]
	for _, family := range []string{"ipv4@", "ipv6@"} {
		host = strings.TrimPrefix(host, family)
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host
}

// words are those of a line. Quotes and backslashes do not matter where names are
// looked for, but a comment ends the line.
func words(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.Fields(line)
}
