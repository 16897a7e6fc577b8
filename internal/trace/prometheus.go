package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/five-keys/autoscale/internal/promapi"
)

// Range is what a Prometheus server knows of a stretch of time.
type Range struct {
	// URL is the server's, with name and password where it wants them.
	URL string
	// Headers are "Name: value", sent with each request.
	Headers []string
	// Query gives requests/s; its series are added up.
	Query string
	// From, To and Step say for which instants it is evaluated.
	From, To time.Time
	Step     time.Duration

	within time.Duration // 0 is pageWithin
}

// pagePoints is how many instants are asked for at a time; a server gives at most
// 11,000 (https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries).
const pagePoints = 10_000

// Rates are the values, each in force until the next one. An instant without a
// value is passed over.
func (r Range) Rates(ctx context.Context) Rates {
	return Stretches(func(yield func(Rate, error) bool) {
		server, err := r.client()
		if err != nil {
			yield(Rate{}, err)
			return
		}
		found := false
		for from := r.From; !from.After(r.To); from = from.Add(pagePoints * r.Step) {
			to := from.Add((pagePoints - 1) * r.Step)
			if to.After(r.To) {
				to = r.To
			}
			page, err := r.page(ctx, server, from, to)
			if err != nil {
				yield(Rate{}, err)
				return
			}
			for _, one := range page {
				found = true
				if !yield(Rate{At: one.at.Sub(r.From), RPS: one.rps}, nil) {
					return
				}
			}
		}
		if !found {
			yield(Rate{}, fmt.Errorf("prometheus: query %s has no value from %s to %s; try it on the server's own page", r.Query, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339)))
		}
	})
}

// client asks with the headers.
func (r Range) client() (promapi.Client, error) {
	headers := http.Header{}
	for _, header := range r.Headers {
		name, value, ok := strings.Cut(header, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return promapi.Client{}, errors.New("prometheus: a header is not 'Name: value'")
		}
		headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	address, err := url.Parse(r.URL)
	if err != nil || address.Host == "" {
		return promapi.Client{}, errors.New("prometheus: the server's address is no URL (it is not shown, as it may hold a password)")
	}
	return promapi.Client{Server: *address, HTTP: &http.Client{Transport: sending{headers, address.Scheme, address.Host}}}, nil
}

// maxPage bounds a server's answer, in bytes: 10,000 instants of some hundred series.
const maxPage = 256 << 20

// sending sends headers with each request to a host. They may be secret, so that no
// other host is asked, whatever that one says, nor the same without TLS.
type sending struct {
	headers      http.Header
	scheme, host string
}

// RoundTrip sends a request with the headers.
func (s sending) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != s.host || r.URL.Scheme != s.scheme {
		return nil, fmt.Errorf("the server leads elsewhere, to %s://%s; if that is right, name it instead", r.URL.Scheme, r.URL.Host)
	}
	r = r.Clone(r.Context())
	maps.Copy(r.Header, s.headers)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxPage)
	}
	return response, err
}

// at is a value at an instant.
type at struct {
	at  time.Time
	rps float64
}

// pageWithin is how long a server may take for one page.
const pageWithin = time.Minute

// page asks for some of the instants.
func (r Range) page(ctx context.Context, server promapi.Client, from, to time.Time) ([]at, error) {
	within := cmp.Or(r.within, pageWithin)
	limited, cancel := context.WithTimeout(ctx, 2*within) // as long again to send what it found
	defer cancel()
	answer, err := server.Range(limited, r.Query, from, to, r.Step, within)
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // its text shows the URL
		err = wrapped.Err
	}
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return nil, fmt.Errorf("prometheus: query %s: no whole answer within %s; ask for a shorter time, or for larger steps", r.Query, 2*within)
	case err != nil:
		return nil, fmt.Errorf("prometheus: query %s: %w", r.Query, err)
	case len(answer.Warnings) > 0:
		return nil, fmt.Errorf("prometheus: query %s: the answer is not whole: %s", r.Query, strings.Join(answer.Warnings, "; "))
	}
	matrix, ok := answer.Value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("prometheus: query %s gives a %s; ask for a rate: sum(rate(http_requests_total[1m]))", r.Query, answer.Value.Type())
	}
	sums := map[model.Time]float64{}
	for _, series := range matrix {
		for _, pair := range series.Values {
			sums[pair.Timestamp] += float64(pair.Value)
		}
	}
	all := make([]at, 0, len(sums))
	for when, rps := range sums {
		if math.IsNaN(rps) {
			continue
		}
		if !(rps >= 0 && rps <= MaxRate) {
			return nil, fmt.Errorf("prometheus: query %s gives %v at %s: no rate of 0 to %.0f requests/s", r.Query, rps, when.Time().Format(time.RFC3339), MaxRate)
		}
		all = append(all, at{when.Time(), rps})
	}
	slices.SortFunc(all, func(a, b at) int { return a.at.Compare(b.at) })
	return all, nil
}
