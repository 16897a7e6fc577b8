package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Secret is a text that is not to be seen. Whatever prints it shows *** for what
// is secret in it.
type Secret struct {
	// text is behind a pointer so that a careless %v of what holds it shows no more
	// than an address.
	text  *string
	shown string
}

// Reveal is the text itself, for the one who has to send it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String is the text with *** for what is secret: all of it, but for the host and
// path of a URL and the name of a header.
func (s Secret) String() string { return s.shown }

// GoString is String.
func (s Secret) GoString() string { return s.shown }

// MarshalText is String, for JSON, YAML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown), nil }

const hidden = "***"

// SecretURL is a URL of which user, password and query are not to be seen.
func SecretURL(text string) Secret { return masked(text, text, "url") }

// SecretHeader is a header, "Name: value", of which the value is not to be seen.
func SecretHeader(text string) Secret { return masked(text, text, "header") }

// SecretPlace is a place to tell, of which only the scheme may be seen.
func SecretPlace(text string) Secret { return masked(text, text, "scheme") }

// masked is the secret text of a field whose tag says how much of it may be seen.
// written is the text as it stands in the file, *** for what came from elsewhere.
func masked(text, written, mask string) Secret {
	s := Secret{text: &text, shown: hidden}
	switch {
	case text == "":
		s.shown = ""
	case mask == "url":
		s.shown = maskURL(written)
	case mask == "scheme":
		if scheme, _, ok := strings.Cut(written, "://"); ok {
			s.shown = scheme + "://" + hidden
		}
	case mask == "header":
		if name, _, ok := strings.Cut(written, ":"); ok {
			s.shown = name + ": " + hidden
		}
	}
	return s
}

// maskURL hides user, password and the values of the query. It takes a text that
// is no URL as well, and then rather hides too much.
func maskURL(raw string) string {
	raw, query, _ := strings.Cut(raw, "?")
	if strings.Contains(query, "@") { // perhaps it was the password that had the "?"
		return hidden
	}
	scheme, rest := "", raw
	for _, known := range []string{"http://", "https://"} {
		if after, ok := strings.CutPrefix(raw, known); ok {
			scheme, rest = known, after
		}
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = hidden + rest[i:]
	}
	if query == "" {
		return scheme + rest
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok {
			pairs[i] = name + "=" + hidden
		} else {
			pairs[i] = hidden
		}
	}
	return scheme + rest + "?" + strings.Join(pairs, "&")
}

// variableName matches what may stand between ${ and }.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts the environment's values into text; $${ stands for ${. In written
// they are ***.
func expand(text string, env func(string) (string, bool)) (full, written string, err error) {
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			return full + text, written + text, nil
		}
		if literal, ok := strings.CutSuffix(before, "$"); ok {
			full, written, text = full+literal+"${", written+literal+"${", after
			continue
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !variableName.MatchString(name) {
			return "", "", errors.New("after ${ there has to be the name of an environment variable and }; write $${ where ${ itself is meant")
		}
		switch value, ok := env(name); {
		case !ok:
			return "", "", fmt.Errorf("the environment variable %s is not set; set it for the daemon (Environment= or EnvironmentFile= in its unit), or name a file: {file: /path}", name)
		case value == "":
			return "", "", fmt.Errorf("the environment variable %s is empty; give it its value", name)
		default:
			full, written, text = full+before+value, written+before+hidden, rest
		}
	}
}

// secretFile is the other way to give a secret.
type secretFile struct {
	File string `yaml:"file" help:"The file that holds it. A relative path counts from this file's folder."`
}

// maxSecret is the most bytes that a secret's file may have.
const maxSecret = 64 << 10

// read gives the file's content less the line ends behind it.
func (s secretFile) read(dir string) (string, error) {
	if s.File == "" {
		return "", errors.New("file: is missing; name the file that holds the secret: {file: /path}")
	}
	path := within(dir, s.File)
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w; name a file that the daemon may read", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("%s is no file of at most %d KiB; name the one that holds the secret alone", path, maxSecret>>10)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w; name a file that the daemon may read", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret))
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty; write the secret into it", path)
	}
	return secret, nil
}

// within is path, counted from dir where it is relative.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
