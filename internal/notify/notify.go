// Package notify tells people what happened to a service, wherever they read:
// Telegram, Slack, Discord, e-mail, ntfy, Gotify, a webhook.
//
// What is worth a message is decided by News, a pure function. A message costs a run
// five seconds at most, and never changes its outcome.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Within is how long a message may take to be sent, to all places together.
const Within = 5 * time.Second

// mostText is the longest text that is sent, in characters: the least that any of
// the places takes (Discord), less the title.
const mostText = 1800

// Message is what is sent.
type Message struct {
	// Title says who speaks, in one line.
	Title string
	// Text is what there is to say, a line for each thing.
	Text string
}

// deliver takes a message to a place before ctx ends.
type deliver func(ctx context.Context, m Message) error

// Place is where people read.
type Place struct {
	// Name is the place without anything secret: "telegram".
	Name string

	deliver deliver
	secrets []string
}

// Refused is the error of a message that the place will not take however often it is
// sent: a token that is wrong, a chat that is gone.
type Refused struct{ why string }

// Error is what the place said.
func (r *Refused) Error() string { return r.why }

// kinds are the places that there are, by the schemes of their URLs.
func kinds() map[string]func(*url.URL, *options, http.RoundTripper) (deliver, error) {
	return map[string]func(*url.URL, *options, http.RoundTripper) (deliver, error){
		"telegram": telegram, "slack": slack, "discord": discord, "ntfy": ntfy, "gotify": gotify, "generic": webhook, "smtp": mail,
	}
}

// Schemes are those that New knows, in order.
func Schemes() []string {
	var all []string
	for scheme := range kinds() {
		all = append(all, scheme)
	}
	slices.Sort(all)
	return all
}

// New reads a place's URL, as https://shoutrrr.nickfedor.com has them: for example
// telegram://TOKEN@telegram?chats=@channel, or generic+https://example.org/hook for a
// webhook. file:/path is a file that holds the URL. Errors show nothing secret.
func New(raw string) (*Place, error) {
	direct := http.DefaultTransport.(*http.Transport).Clone()
	direct.DisableKeepAlives = true // the next message may be days away
	return newPlace(raw, direct)
}

// newPlace is New whose requests go through by.
func newPlace(raw string, by http.RoundTripper) (*Place, error) {
	if path, is := strings.CutPrefix(raw, "file:"); is {
		var err error
		if raw, err = readURL(path); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is no URL (it is not shown, as it holds secrets)")
	}
	scheme, web, custom := strings.Cut(u.Scheme, "+")
	open, known := kinds()[scheme]
	if !known || custom && (scheme != "generic" || web != "http" && web != "https") {
		if strings.Contains(u.Scheme, ".") || len(u.Scheme) > 16 { // hardly a scheme: it may be a secret
			u.Scheme = "it"
		}
		return nil, fmt.Errorf("%q is none of %s; a webhook is generic+https://…", u.Scheme, strings.Join(Schemes(), "://, ")+"://")
	}
	o := &options{values: u.Query()}
	p := &Place{Name: scheme, secrets: secrets(u)}
	if p.deliver, err = open(u, o, by); err == nil {
		err = o.rest()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", scheme, p.hide(err.Error()))
	}
	return p, nil
}

// readURL reads the URL that a file holds.
func readURL(path string) (string, error) {
	path = strings.TrimPrefix(path, "//")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the URL cannot be read: %w", err)
	}
	raw := strings.TrimSpace(string(text))
	if raw == "" || strings.ContainsAny(raw, "\n\r") || strings.HasPrefix(raw, "file:") {
		return "", fmt.Errorf("%s has to hold one URL, and nothing else", path)
	}
	return raw, nil
}

// Send sends a message, and gives up once ctx ends. Its error shows nothing secret; a
// *Refused is in its chain where it is of no use to try again.
func (p *Place) Send(ctx context.Context, m Message) error {
	m.Title, m.Text = printable(m.Title), fit(printable(m.Text), mostText)
	err := p.deliver(ctx, m)
	if err == nil {
		return nil
	}
	text := p.hide(printable(err.Error()))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		text = fmt.Sprintf("not sent within %s", Within)
	}
	if _, is := errors.AsType[*Refused](err); is {
		return fmt.Errorf("%s: %w", p.Name, &Refused{text})
	}
	return fmt.Errorf("%s: %s", p.Name, text)
}

// SendAll sends a message to every place at the same time, within Within. The errors
// are those of the places, in their order: nil for one that was reached.
func SendAll(ctx context.Context, all []*Place, m Message) []error {
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = p.Send(ctx, m) })
	}
	wg.Wait()
	return errs
}

// secrets are the parts of a URL that must not be shown, the longest first.
func secrets(u *url.URL) []string {
	all := []string{u.User.Username()}
	if password, has := u.User.Password(); has {
		all = append(all, password, u.User.Username()+":"+password)
	}
	if strings.HasPrefix(u.Scheme, "generic") { // others have options there
		for _, values := range u.Query() {
			all = append(all, values...)
		}
	}
	all = append(all, strings.Split(u.Path, "/")...)
	for _, one := range slices.Clone(all) { // "hook:T…-B…-…" becomes a path
		all = append(all, strings.FieldsFunc(one, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < 6 }) // shorter ones would tear words apart
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// hide is a text without what is secret.
func (p *Place) hide(text string) string {
	for _, secret := range p.secrets {
		text = strings.ReplaceAll(text, secret, "***")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "***")
	}
	return text
}

// printable is a text that no terminal or chat is upset by: replicas' last words may
// be in it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || r != '\n' && unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}

// fit is as many lines of text as fit into most characters.
func fit(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	lines := strings.Split(text, "\n")
	for n := len(lines) - 1; n > 0; n-- {
		shorter := fmt.Sprintf("%s\n… and %d lines more", strings.Join(lines[:n], "\n"), len(lines)-n)
		if utf8.RuneCountInString(shorter) <= most {
			return shorter
		}
	}
	return shorten(text, most)
}

// shorten cuts text to most characters.
func shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// options are what a URL says behind its question mark.
type options struct {
	values url.Values
	known  []string
}

// take is the value of the option of one of those names, and takes it out.
func (o *options) take(names ...string) (value string) {
	o.known = append(o.known, names[0])
	for key, values := range o.values {
		if slices.Contains(names, strings.ToLower(key)) {
			value = strings.Join(values, ",")
			delete(o.values, key)
		}
	}
	return value
}

// flag is an option that is yes or no.
func (o *options) flag(otherwise bool, names ...string) (bool, error) {
	switch value := strings.ToLower(o.take(names...)); value {
	case "":
		return otherwise, nil
	case "yes", "true", "1", "on":
		return true, nil
	case "no", "false", "0", "off":
		return false, nil
	}
	return false, fmt.Errorf("option %s is neither yes nor no", names[0])
}

// list is an option of several values.
func (o *options) list(names ...string) (all []string) {
	for one := range strings.SplitSeq(o.take(names...), ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// rest is the error of options that nobody took. They are not shown: where a URL was
// mistyped they may be secret.
func (o *options) rest() error {
	if len(o.values) == 0 {
		return nil
	}
	if len(o.known) == 0 {
		return errors.New("it has no options; leave away what stands behind the question mark")
	}
	return fmt.Errorf("an option is none of %s; leave it away", strings.Join(o.known, ", "))
}
