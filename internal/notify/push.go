package notify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ntfy is ntfy://user:password@host/topic (https://docs.ntfy.sh/publish/#publish-as-json).
func ntfy(u *url.URL, o *options, by http.RoundTripper) (deliver, error) {
	topic := strings.Trim(u.Path, "/")
	if topic == "" || strings.Contains(topic, "/") {
		return nil, errors.New("it has to read ntfy://HOST/TOPIC")
	}
	scheme, tags, named := cmp.Or(o.take("scheme"), "https"), o.list("tags"), cmp.Or(strings.ToLower(o.take("priority")), "default")
	if scheme != "https" && scheme != "http" {
		return nil, errors.New("option scheme is neither http nor https")
	}
	priority := 1 + slices.Index([]string{"min", "low", "default", "high", "max"}, strings.Replace(named, "urgent", "max", 1))
	if n, err := strconv.Atoi(named); err == nil && n <= 5 {
		priority = n
	}
	if priority < 1 {
		return nil, errors.New("option priority is none of min, low, default, high, max")
	}
	header := map[string]string{}
	if password, has := u.User.Password(); has || u.User.Username() != "" {
		asked := http.Request{Header: http.Header{}}
		asked.SetBasicAuth(u.User.Username(), password)
		header["Authorization"] = asked.Header.Get("Authorization")
	}
	to := url.URL{Scheme: scheme, Host: cmp.Or(u.Host, "ntfy.sh"), Path: "/"}
	return post(by, func(m Message) []request {
		return []request{{url: to.String(), header: header, body: map[string]any{"topic": topic, "title": m.Title, "message": m.Text, "priority": priority, "tags": append([]string{}, tags...)}}}
	}), nil
}

// gotify is gotify://host/TOKEN, or gotify://host/path/TOKEN
// (https://gotify.net/docs/pushmsg).
func gotify(u *url.URL, o *options, by http.RoundTripper) (deliver, error) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	token := parts[len(parts)-1]
	if token == "" || u.Host == "" {
		return nil, errors.New("it has to read gotify://HOST/TOKEN")
	}
	plain, err := o.flag(false, "disabletls")
	if err != nil {
		return nil, err
	}
	priority := 5
	if text := o.take("priority"); text != "" {
		if priority, err = strconv.Atoi(text); err != nil || priority < -2 || priority > 10 {
			return nil, errors.New("option priority is no number from -2 to 10")
		}
	}
	to := url.URL{Scheme: webScheme(plain), Host: u.Host, Path: "/" + strings.Join(append(parts[:len(parts)-1], "message"), "/")}
	return post(by, func(m Message) []request {
		return []request{{url: to.String(), header: map[string]string{"X-Gotify-Key": token}, body: map[string]any{"title": m.Title, "message": m.Text, "priority": priority}}}
	}), nil
}

// webhook is generic+https://host/path?query, which is sent {"title": …, "message":
// …}. Options that begin with @ are headers: ?@Authorization=Bearer+….
func webhook(u *url.URL, o *options, by http.RoundTripper) (deliver, error) {
	if u.Host == "" {
		return nil, errors.New("it has to read generic+https://HOST/PATH")
	}
	title, message := cmp.Or(o.take("titlekey"), "title"), cmp.Or(o.take("messagekey"), "message")
	if template := o.take("template"); template != "" && !strings.EqualFold(template, "json") {
		return nil, errors.New("the only template is json; leave it away")
	}
	plain, err := o.flag(u.Scheme == "generic+http", "disabletls")
	if err != nil {
		return nil, err
	}
	to := url.URL{Scheme: webScheme(plain), Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	query, header := url.Values{}, map[string]string{}
	for key, values := range o.values {
		if name, is := strings.CutPrefix(key, "@"); is {
			if strings.ContainsAny(name+values[0], "\r\n\x00") {
				return nil, errors.New("a header is not on one line")
			}
			header[name] = values[0]
			continue
		}
		query[key] = values
	}
	o.values = nil // they are the webhook's
	if u.User != nil {
		to.User = u.User
	}
	to.RawQuery = query.Encode()
	if _, err := http.NewRequest(http.MethodPost, to.String(), nil); err != nil {
		return nil, fmt.Errorf("no request can be made of it: %w", err)
	}
	return post(by, func(m Message) []request {
		return []request{{url: to.String(), header: header, body: map[string]any{title: m.Title, message: m.Text}}}
	}), nil
}

// webScheme is https, unless it is to be plain.
func webScheme(plain bool) string {
	if plain {
		return "http"
	}
	return "https"
}
