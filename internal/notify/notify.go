// Package notify tells people what happened to a service, wherever they read:
// Telegram, Slack, Discord, e-mail, ntfy, Gotify, a webhook.
//
// What is worth a message is decided by News, a pure function; what is sent costs a
// run five seconds at most, and never changes its outcome.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Within is how long a message may take to be sent, to all places together.
const Within = 5 * time.Second

// kinds are the services that can be told, by the scheme of their URLs
// (https://shoutrrr.nickfedor.com/latest/services/overview/).
func kinds() map[string]func() types.Service {
	return map[string]func() types.Service{
		"telegram": func() types.Service { return &telegram.Service{} },
		"slack":    func() types.Service { return &slack.Service{} },
		"discord":  func() types.Service { return &discord.Service{} },
		"smtp":     func() types.Service { return &smtp.Service{} },
		"ntfy":     func() types.Service { return &ntfy.Service{} },
		"gotify":   func() types.Service { return &gotify.Service{} },
		"generic":  func() types.Service { return &generic.Service{} },
	}
}

// Sender sends messages to one place.
type Sender struct {
	// Name is the place without anything secret: "telegram".
	Name    string
	service types.Service
	secrets []string

	mu   sync.Mutex
	busy bool // a message is on its way still
}

// New reads a place's URL, such as telegram://TOKEN@telegram?chats=@channel, or
// generic+https://example.org/hook for a webhook. Its errors show nothing of it but
// the scheme.
func New(raw string) (*Sender, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is no URL (it is not shown, as it holds secrets)")
	}
	scheme, _, _ := strings.Cut(u.Scheme, "+")
	open, known := kinds()[scheme]
	if !known {
		return nil, fmt.Errorf("%q is none of %s; a webhook is generic+https://…", u.Scheme, strings.Join(Schemes(), ", "))
	}
	if _, of, custom := strings.Cut(u.Scheme, "+"); custom && (scheme != "generic" || of != "http" && of != "https") {
		return nil, fmt.Errorf("%q: a webhook is generic+https://… or generic+http://…", u.Scheme)
	}
	s := &Sender{Name: scheme, service: open(), secrets: secrets(raw, u)}
	if hook, is := s.service.(*generic.Service); is && u.Scheme != scheme { // generic+https://, the real URL
		if q := u.Query(); !q.Has("template") {
			q.Set("template", "json") // {"title": …, "message": …}
			u.RawQuery = q.Encode()
		}
		if u, err = hook.GetConfigURLFromCustom(u); err != nil {
			return nil, fmt.Errorf("%s: %s", scheme, s.hide(err))
		}
	}
	if err := s.service.Initialize(u, quiet{}); err != nil {
		return nil, fmt.Errorf("%s: %s", scheme, s.hide(err))
	}
	return s, nil
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

// secrets are the parts of a URL that must not be shown.
func secrets(raw string, u *url.URL) []string {
	all := []string{raw, u.Host, u.Path, u.RawQuery, u.User.Username(), u.User.String()}
	if password, has := u.User.Password(); has {
		all = append(all, password)
	}
	for _, values := range u.Query() {
		all = append(all, values...)
	}
	all = append(all, strings.Split(strings.Trim(u.Path, "/"), "/")...)
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < 4 }) // shorter ones would tear words apart
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// hide is what an error says, without what is secret.
func (s *Sender) hide(err error) string {
	text := err.Error()
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "***")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "***")
	}
	return text
}

// quiet takes the library's own log.
type quiet struct{}

// Print discards.
func (quiet) Print(...any) {}

// Printf discards.
func (quiet) Printf(string, ...any) {}

// Println discards.
func (quiet) Println(...any) {}

// Send sends a message, and gives up once ctx ends. Its error shows nothing secret.
func (s *Sender) Send(ctx context.Context, title, text string) error {
	s.mu.Lock()
	if s.busy {
		s.mu.Unlock()
		return fmt.Errorf("%s: the message before is on its way still; this one was left out", s.Name)
	}
	s.busy = true
	s.mu.Unlock()
	sent := make(chan error, 1)
	go func() { // the library has bounds of its own, and longer ones
		params := types.Params{"title": title}
		body := text
		if s.Name == "telegram" { // which shows no title
			body = title + "\n" + text
		}
		err := s.service.Send(body, &params)
		s.mu.Lock()
		s.busy = false
		s.mu.Unlock()
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("%s: %s", s.Name, s.hide(err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: not sent within %s", s.Name, Within)
	}
}

// SendAll sends a message to every place at the same time, within Within. The errors
// are of those that were not reached.
func SendAll(ctx context.Context, all []*Sender, title, text string) []error {
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() { errs[i] = s.Send(ctx, title, text) })
	}
	wg.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}
