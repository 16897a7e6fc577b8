package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// request is one HTTP request that takes a message to a place.
type request struct {
	url    string
	header map[string]string
	body   any // as JSON
	// check looks at an answer with a status of 2xx; nil where that says all.
	check func(answer []byte) error
}

// mostAnswer bounds what is read of an answer, in bytes.
const mostAnswer = 64 << 10

// post is the deliver of places that are told by HTTP.
func post(by http.RoundTripper, requests func(Message) []request) deliver {
	client := &http.Client{
		Transport: by,
		// A redirected POST becomes a GET, which says nothing to anybody.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, m Message) error {
		var why []string
		final := true
		for _, r := range requests(m) { // one that fails keeps none from the others
			err := r.send(ctx, client)
			if err == nil {
				continue
			}
			_, refused := errors.AsType[*Refused](err)
			why, final = append(why, err.Error()), final && refused
		}
		switch {
		case len(why) == 0:
			return nil
		case final:
			return &Refused{strings.Join(why, "; ")}
		}
		return errors.New(strings.Join(why, "; "))
	}
}

func (r request) send(ctx context.Context, client *http.Client) error {
	body, err := json.Marshal(r.body)
	if err != nil {
		return err
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	asked.Header.Set("Content-Type", "application/json")
	asked.Header.Set("User-Agent", "autoscale")
	for name, value := range r.header {
		asked.Header.Set(name, value)
	}
	response, err := client.Do(asked)
	if failed, is := errors.AsType[*url.Error](err); is {
		return failed.Err // less the URL
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return answered(response, answer)
	}
	if err == nil && r.check != nil {
		err = r.check(answer)
	}
	return err
}

// answered is the error of an answer that is not a good one.
func answered(response *http.Response, answer []byte) error {
	text := "it answers " + response.Status
	if why := reason(answer); why != "" {
		text += ": " + why
	}
	switch status := response.StatusCode; {
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return errors.New(text)
	case status >= 300 && status < 400:
		return &Refused{text + "; give the URL that it leads to"}
	}
	return &Refused{text}
}

// reason is what an answer says of itself: the places' JSON objects each have their
// own name for it; Slack writes a word.
func reason(answer []byte) string {
	var object map[string]any
	text := ""
	if json.Unmarshal(answer, &object) == nil {
		for _, name := range []string{"description", "errorDescription", "error", "message"} {
			if value, is := object[name].(string); is && text == "" {
				text = value
			}
		}
	} else if word := strings.TrimSpace(string(answer)); len(word) < 80 && !strings.Contains(word, "<") {
		text = word
	}
	return shorten(text, 200)
}

// said checks that an answer is a JSON object that has "ok": true.
func said(answer []byte) error {
	var told struct {
		OK bool `json:"ok"`
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return errors.New("it answers with something else than it should; is there a proxy in between that wants a login?")
	}
	if !told.OK {
		return &Refused{fmt.Sprintf("it refuses: %s", reason(answer))}
	}
	return nil
}
