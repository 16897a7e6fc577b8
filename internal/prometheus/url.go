package prometheus

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	placeholder = "{replica}"
	// standIn takes the placeholder's place while the URL is parsed. No real host
	// has a name under ".invalid".
	standIn = "replica.invalid"
)

// address is one --metrics-url, taken apart.
type address struct {
	url        url.URL // without user and password
	perReplica bool    // the host is {replica}
	user       *url.Userinfo
}

// parseAddress reads one --metrics-url. The errors never repeat a password.
func parseAddress(raw string) (address, error) {
	if !strings.Contains(raw, "://") {
		return address{}, fmt.Errorf("--metrics-url: it has to begin with http:// or https://, such as http://localhost:8000/metrics%s", hideText(raw))
	}
	if err := unknownPlaceholder(raw); err != nil {
		return address{}, err
	}
	replicas := strings.Count(raw, placeholder)
	u, err := url.Parse(strings.Replace(raw, placeholder, standIn, 1))
	if err != nil {
		// The parser's message may hold a part of the password.
		return address{}, fmt.Errorf("--metrics-url: not a URL; special characters in user, password, path or query are written as %%XX%s", hideText(raw))
	}
	a := address{url: *u, user: u.User, perReplica: u.Hostname() == standIn}
	a.url.User, a.url.Fragment, a.url.RawFragment = nil, "", ""
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return address{}, fmt.Errorf("--metrics-url=%s: only http and https are read", a)
	case u.Hostname() == "":
		return address{}, fmt.Errorf("--metrics-url=%s: the host is missing", a)
	case replicas > 1 || replicas == 1 && !a.perReplica:
		return address{}, fmt.Errorf("--metrics-url=%s: {replica} stands for the host, as in http://{replica}:8000/metrics", a)
	}
	if _, err := a.port(); err != nil {
		return address{}, fmt.Errorf("--metrics-url=%s: the port has to be between 1 and 65535", a)
	}
	return a, nil
}

// word is what looks like a placeholder.
var word = regexp.MustCompile(`\{\w*\}`)

// unknownPlaceholder is the error of a URL whose host has another {word} than
// {replica}. It shows no word of a URL that may hold a password.
func unknownPlaceholder(raw string) error {
	_, host, _ := strings.Cut(raw, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	host = host[strings.LastIndex(host, "@")+1:]
	for _, found := range word.FindAllString(host, -1) {
		switch {
		case found == placeholder:
		case strings.Contains(raw, "@"):
			return errors.New("--metrics-url: unknown {…} for the host; did you mean {replica}?")
		default:
			return fmt.Errorf("--metrics-url: unknown %s; did you mean {replica}?%s", found, hideText(raw))
		}
	}
	return nil
}

// hideText gives " (got …)" for a text that cannot hold a password.
func hideText(raw string) string {
	if strings.ContainsAny(raw, "@?") {
		return ""
	}
	return fmt.Sprintf(" (got %q)", raw)
}

// port gives the stated port, or the scheme's own.
func (a address) port() (uint16, error) {
	p := a.url.Port()
	switch {
	case p == "" && a.url.Scheme == "https":
		return 443, nil
	case p == "":
		return 80, nil
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// String gives the URL without credentials: no user, no password, and *** for
// what the query calls a token, key, secret, password or signature.
func (a address) String() string {
	u := a.url
	if a.perReplica {
		u.Host = strings.Replace(u.Host, standIn, placeholder, 1)
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok && secretName(name) {
			pairs[i] = name + "=***"
		}
	}
	u.RawQuery = ""
	text := strings.Replace(u.String(), url.PathEscape(placeholder), placeholder, 1)
	if query := strings.Join(pairs, "&"); query != "" {
		text += "?" + query
	}
	return text
}

// secrets are the parts of the URL that are never to be printed, as a server may
// send them back: the password, also as the request's header has it, and what
// String masks.
func (a address) secrets() (all []string) {
	if password, ok := a.user.Password(); ok {
		all = append(all, password, base64.StdEncoding.EncodeToString([]byte(a.user.Username()+":"+password)))
	}
	for pair := range strings.SplitSeq(a.url.RawQuery, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || !secretName(name) {
			continue
		}
		all = append(all, value)
		if plain, err := url.QueryUnescape(value); err == nil && plain != value {
			all = append(all, plain)
		}
	}
	return all
}

func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"token", "key", "secret", "passw", "pwd", "auth", "sig", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
