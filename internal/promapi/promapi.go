// Package promapi asks a Prometheus server, or one that speaks as it does, by its
// HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/). Values are
// those of prometheus/common/model, which reads them itself.
package promapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// Client asks one server.
type Client struct {
	// Server is its URL, with user and password where it wants them, without /api/v1.
	// A query of its own, such as Thanos's ?dedup=false, is sent along.
	Server url.URL
	// HTTP sends the requests, and bounds what comes back.
	HTTP *http.Client
}

// Answer is what the server said. Value is a *model.Scalar, a *model.String, a
// model.Vector or a model.Matrix; nil where the answer is an error.
type Answer struct {
	Value model.Value
	// Warnings tell what may be missing, Infos what may be meant otherwise.
	Warnings, Infos []string
}

// What an Error may be, as the API names it.
const (
	Timeout     = "timeout"      // not computed in time
	Canceled    = "canceled"     // given up
	BadData     = "bad_data"     // no such query, or parameter
	Execution   = "execution"    // the query cannot be computed
	BadResponse = "bad_response" // an answer, but none of this API; our own word
)

// Error is an answer that is an error, or none of the API's.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Type is one of the words above, another of the API's, or empty where the
	// status is all that is known.
	Type string
	// Text is what the server said, or what is wrong with its answer.
	Text string
}

// Error names the kind and the text.
func (e *Error) Error() string {
	if e.Type == "" {
		return e.Text
	}
	return e.Type + ": " + e.Text
}

// Query evaluates a query now; the server is to take no longer than within. A refusal
// is an *Error, any other error that of the connection.
func (c Client) Query(ctx context.Context, query string, within time.Duration) (Answer, error) {
	return c.ask(ctx, "query", url.Values{"query": {query}, "timeout": {within.String()}})
}

// Range evaluates a query at each step from one instant to another, both included.
// Errors are as Query's.
func (c Client) Range(ctx context.Context, query string, from, to time.Time, step, within time.Duration) (Answer, error) {
	return c.ask(ctx, "query_range", url.Values{
		"query": {query}, "timeout": {within.String()},
		"start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

// seconds is an instant as the API takes it, exactly.
func seconds(t time.Time) string {
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// ask gets one answer. It asks by GET, which every server and every proxy in front of
// one lets pass.
func (c Client) ask(ctx context.Context, page string, form url.Values) (Answer, error) {
	at := c.Server.JoinPath("api/v1", page)
	all := c.Server.Query()
	maps.Copy(all, form)
	at.RawQuery = all.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	return parse(response.StatusCode, text)
}

// envelope is what every answer is wrapped in.
type envelope struct {
	Status    string          `json:"status"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Infos     []string        `json:"infos"`
	Data      json.RawMessage `json:"data"`
}

// parse reads an answer.
func parse(status int, text []byte) (Answer, error) {
	var e envelope
	err := json.Unmarshal(text, &e)
	answer := Answer{Warnings: e.Warnings, Infos: e.Infos}
	good := status/100 == 2
	switch {
	case err == nil && e.ErrorType != "":
		return answer, &Error{Status: status, Type: e.ErrorType, Text: e.Error}
	case !good:
		return answer, &Error{Status: status, Text: fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))}
	case err != nil:
		return answer, &Error{Status: status, Type: BadResponse, Text: err.Error()}
	case e.Status != "success":
		return answer, &Error{Status: status, Type: BadResponse, Text: fmt.Sprintf("its status is %q", e.Status)}
	}
	if len(e.Data) == 0 {
		return answer, &Error{Status: status, Type: BadResponse, Text: "it has no data"}
	}
	if answer.Value, err = value(e.Data); err != nil {
		return answer, &Error{Status: status, Type: BadResponse, Text: err.Error()}
	}
	return answer, nil
}

// value reads the result of a query.
func value(text []byte) (model.Value, error) {
	var data struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(text, &data); err != nil {
		return nil, err
	}
	switch data.Type {
	case model.ValScalar.String():
		return read[*model.Scalar](data.Result)
	case model.ValString.String():
		return read[*model.String](data.Result)
	case model.ValVector.String():
		return read[model.Vector](data.Result)
	case model.ValMatrix.String():
		return read[model.Matrix](data.Result)
	}
	return nil, fmt.Errorf("a result of type %q", data.Type)
}

// read reads a result of one type. A null is a list without elements, and no number.
func read[V model.Value](text []byte) (model.Value, error) {
	var v V
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil() {
		return nil, errors.New("a number that is null")
	}
	return v, nil
}
