package prometheus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/promapi"
)

// QueryConfig says what to ask of which Prometheus server, and how.
type QueryConfig struct {
	// URL is the server's, as its own page has it. User and password in it become
	// basic authentication.
	URL string
	// Query gives requests/s in PromQL; its series are added.
	Query string
	// Headers are request headers as "Name: value". They are never printed.
	Headers []string
	// Timeout bounds one answer, from looking up the name to the last byte; 0 is 5 s.
	Timeout time.Duration
	// MaxBytes bounds an answer, counted after decompression; 0 is 64 MiB.
	MaxBytes int64
	// MaxAge is how old a value may be by the server's clock; 0 is 5 minutes.
	MaxAge time.Duration
	// TLS is for https; nil is Go's default.
	TLS *tls.Config
}

// Query asks a Prometheus server for the load of a service. Its methods may be
// called at the same time.
type Query struct {
	config  QueryConfig
	address address
	header  http.Header
	secrets []string // never to be printed
}

// NewQuery checks the configuration. Its errors name the flag that is wrong, and
// what would be right.
func NewQuery(c QueryConfig) (*Query, error) {
	c.Timeout = orElse(c.Timeout, 5*time.Second)
	c.MaxBytes = orElse(c.MaxBytes, 64<<20)
	c.MaxAge = orElse(c.MaxAge, 5*time.Minute)
	c.Query = strings.TrimSpace(c.Query)
	q := &Query{config: c}
	var errs [3]error
	q.address, errs[0] = parseServer(c.URL)
	errs[1] = checkQuery(c.Query)
	var secrets []string
	q.header, secrets, errs[2] = parseHeaders(c.Headers)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	q.secrets = append(q.address.secrets(), secrets...)
	return q, nil
}

// parseServer reads a server's URL. The errors never repeat a password.
func parseServer(raw string) (address, error) {
	const example = "such as http://localhost:9090"
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return address{}, fmt.Errorf("--prometheus-url: it has to be the server's URL, %s%s", example, hideText(raw))
	}
	a := address{url: *u, user: u.User}
	a.url.User, a.url.Fragment, a.url.RawFragment = nil, "", ""
	path := strings.TrimRight(u.Path, "/")
	for _, page := range []string{"/api/v1/query", "/api/v1", "/graph"} {
		path = strings.TrimSuffix(path, page)
	}
	if path != strings.TrimRight(u.Path, "/") || u.RawQuery != "" {
		a.url.Path, a.url.RawPath, a.url.RawQuery = path, "", ""
		return address{}, fmt.Errorf("--prometheus-url: give the server's URL alone, %s, and what to ask in --prometheus-query", a)
	}
	if _, err := a.port(); err != nil {
		return address{}, fmt.Errorf("--prometheus-url=%s: the port has to be between 1 and 65535", a)
	}
	return a, nil
}

// counterName matches those that exporters give. What follows a colon is a recording rule's.
var counterName = regexp.MustCompile(`\b[a-zA-Z_:]\w*(?:_total|_count|_sum|_bucket)(?:[^\w:]|$)`)

// quotedText matches the values of labels.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)

// checkQuery looks for what is wrong with a query in itself, as far as that can be
// told without the server.
func checkQuery(query string) error {
	if query == "" {
		return errors.New("--prometheus-query is empty; give one for requests/s, such as 'sum(rate(http_requests_total[1m]))'")
	}
	if found := counterName.FindString(quotedText.ReplaceAllString(query, `""`)); found != "" && !strings.Contains(query, "[") {
		name := strings.TrimRightFunc(found, func(r rune) bool { return !(r == '_' || r >= 'a' && r <= 'z') })
		return fmt.Errorf("--prometheus-query=%s: %s is a counter, which only grows; ask how fast: 'sum(rate(%s[1m]))'", query, name, name)
	}
	return nil
}

// Identity names what is asked: server and query, without user, password and headers.
func (q *Query) Identity() string { return fmt.Sprintf("prometheus %s %s", q.address, q.config.Query) }

// Read asks once. Replicas do not matter: the answer speaks for the whole service.
func (q *Query) Read(ctx context.Context, _ []autoscale.Replica) autoscale.Reading {
	limited, cancel := context.WithTimeout(ctx, q.config.Timeout)
	defer cancel()
	r := autoscale.Reading{Metric: q.config.Query, Kind: autoscale.Gauge, Scope: autoscale.ScopeService}
	s := autoscale.Sample{Process: q.address.String(), Name: q.address.String(), Verdict: autoscale.OK}
	a, err := q.ask(limited, q.config.Query)
	if err == nil {
		s.Value, err = q.sum(a)
	}
	if err == nil {
		err = q.old(limited)
	}
	s.Time = time.Now()
	if err != nil {
		s.Verdict, s.Detail = autoscale.Unreachable, err.Error()
		if known, ok := errors.AsType[*fault](err); ok {
			s.Verdict, s.Detail = known.verdict, known.detail
		}
		s.Detail = hide(s.Detail, q.secrets)
	}
	r.Samples = []autoscale.Sample{s}
	for _, info := range a.infos {
		r.Notes = append(r.Notes, hide(info, q.secrets))
	}
	if len(a.warnings) > 0 && s.Verdict == autoscale.OK {
		// What there is may raise; what is missing keeps it from lowering.
		r.Samples = append(r.Samples, autoscale.Sample{
			Process: s.Process + "#missing", Name: s.Name, Time: s.Time, Verdict: autoscale.Partial,
			Detail: hide("the answer may not be whole: "+strings.Join(a.warnings, ", "), q.secrets),
		})
	}
	return r
}

// reply is what the server said.
type reply struct {
	value           model.Value
	warnings, infos []string
}

// infoMark is what Prometheus before 3.0 puts in front of remarks among its warnings.
const infoMark = "PromQL info:"

// ask puts one query. What is wrong with the answer is a *fault; any other error is
// that of the connection.
func (q *Query) ask(ctx context.Context, query string) (reply, error) {
	d := &dialer{open: new(net.Dialer).DialContext}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.dial, TLSClientConfig: q.config.TLS,
		DisableKeepAlives: true, TLSHandshakeTimeout: q.config.Timeout, ForceAttemptHTTP2: true,
	}
	guarded := &asking{query: q, transport: transport}
	address := q.address.url
	address.User = q.address.user
	client := promapi.Client{Server: address, HTTP: &http.Client{Transport: guarded, CheckRedirect: noRedirect}}
	answer, err := client.Query(ctx, query, q.config.Timeout)
	a := reply{value: answer.Value, infos: answer.Infos}
	for _, text := range answer.Warnings {
		if strings.HasPrefix(text, infoMark) {
			a.infos = append(a.infos, text)
			continue
		}
		a.warnings = append(a.warnings, text)
	}
	return a, q.fault(ctx, err, guarded, d)
}

// noRedirect ends a request that is redirected: its headers may be secret, and who is
// asked is the user's to say.
func noRedirect(r *http.Request, _ []*http.Request) error {
	return faultf(autoscale.Unreachable, "it redirects to %s://%s; name that with --prometheus-url where it is right", r.URL.Scheme, r.URL.Host)
}

// asking sends the headers along, and no more than MaxBytes come back.
type asking struct {
	query     *Query
	transport http.RoundTripper
	over      bool
}

// RoundTrip sends one request.
func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "autoscale")
	maps.Copy(r.Header, a.query.header)
	if host := a.query.header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := a.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &limitedBody{limitedReader{r: response.Body, left: a.query.config.MaxBytes}, response.Body, a}
	return response, nil
}

// limitedBody is the body of an answer up to a limit.
type limitedBody struct {
	limitedReader
	io.Closer
	of *asking
}

// Read fails past the limit.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.limitedReader.Read(p)
	if _, ok := errors.AsType[errTooLarge](err); ok {
		b.of.over = true
	}
	return n, err
}

// fault is the verdict on a query that failed.
func (q *Query) fault(ctx context.Context, err error, a *asking, d *dialer) error {
	if err == nil {
		return nil
	}
	if redirected, ok := errors.AsType[*fault](err); ok {
		return redirected
	}
	failed, answered := errors.AsType[*promapi.Error](err)
	switch {
	case a.over:
		return faultf(autoscale.TooLarge, "the answer is larger than %d bytes; ask for a sum", q.config.MaxBytes)
	case errors.Is(ctx.Err(), context.Canceled):
		return faultf(autoscale.Unreachable, "interrupted")
	case ctx.Err() != nil && d.connected.Load():
		return faultf(autoscale.Late, "the answer was not complete within %v; ask for less, or have a recording rule compute it", q.config.Timeout)
	case ctx.Err() != nil:
		return faultf(autoscale.Unreachable, "no connection within %v", q.config.Timeout)
	case !answered:
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // its text shows the URL
			err = wrapped.Err
		}
		return faultf(autoscale.Unreachable, "%v%s", err, unknownHost(q.address, err))
	}
	return q.refusal(failed)
}

// refusal is the verdict on an answer that is an error.
func (q *Query) refusal(failed *promapi.Error) error {
	said, status := failed.Text, failed.Status
	switch {
	case failed.Type == promapi.Timeout || failed.Type == promapi.Canceled:
		return faultf(autoscale.Late, "the server did not compute it within %v; ask for less, or have a recording rule compute it", q.config.Timeout)
	case failed.Type == promapi.BadData:
		return faultf(autoscale.Malformed, "the server rejects the query (%s); try --prometheus-query on its own page", said)
	case failed.Type == promapi.Execution:
		return faultf(autoscale.Malformed, "the server cannot compute the query (%s); try --prometheus-query on its own page", said)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return faultf(autoscale.Unreachable, "it answered with HTTP %d %s; user:password@ in the URL or --metrics-header give access", status, http.StatusText(status))
	case status == http.StatusNotFound:
		return faultf(autoscale.Unreachable, "it answered with HTTP 404 Not Found; is %s a Prometheus server, and does its URL end with a path?", q.address)
	case failed.Type == promapi.BadResponse:
		return faultf(autoscale.Malformed, "its answer is none of Prometheus's API (%s); is %s a Prometheus server?", said, q.address)
	}
	return faultf(autoscale.Unreachable, "it answered with HTTP %d %s", status, http.StatusText(status))
}

// sum adds the values of an answer up.
func (q *Query) sum(a reply) (float64, error) {
	var at model.Time
	var values []model.SampleValue
	switch v := a.value.(type) {
	case *model.Scalar:
		at, values = v.Timestamp, append(values, v.Value)
	case model.Vector:
		for _, s := range v {
			if s.Histogram != nil {
				return 0, faultf(autoscale.Malformed, "%s is a histogram; ask for histogram_count(…)", s.Metric)
			}
			at, values = s.Timestamp, append(values, s.Value)
		}
	default:
		return 0, faultf(autoscale.Malformed, "the query gives a %s; ask for a number or a vector, such as 'sum(rate(http_requests_total[1m]))'", kindOfValue(a.value))
	}
	if len(values) == 0 {
		return 0, faultf(autoscale.Absent, "the query gives nothing; try --prometheus-query on the server's own page: is the metric scraped, and is the range at least four scrapes long?")
	}
	if age := time.Since(at.Time()); age > q.config.MaxAge {
		return 0, faultf(autoscale.Stale, "the server computed it for %s, %v ago; look for a cache in between, and at both clocks", at.Time().Format(time.RFC3339), age.Round(time.Second))
	}
	// In an order of their own, since floating-point sums depend on it.
	slices.Sort(values)
	total := 0.0
	for _, v := range values {
		f := float64(v)
		switch {
		case math.IsNaN(f) || math.IsInf(f, 0):
			return 0, faultf(autoscale.NotFinite, "one of %d values is %v", len(values), f)
		case f < 0:
			return 0, faultf(autoscale.Negative, "one of %d values is %v", len(values), f)
		}
		total += f
	}
	if math.IsInf(total, 0) {
		return 0, faultf(autoscale.NotFinite, "the sum of %d values is %v", len(values), total)
	}
	return total, nil
}

func kindOfValue(v model.Value) string {
	if v == nil {
		return "nothing"
	}
	return v.Type().String()
}

// old is the verdict on a query for series as they were scraped, the last sample of
// one of which is too old: only then does the server tell. It gives each for five
// minutes, unless it was told to look back for longer.
func (q *Query) old(ctx context.Context) error {
	selector, err := ParseSelector(q.config.Query)
	if err != nil {
		return nil // a query of another kind
	}
	a, err := q.ask(ctx, fmt.Sprintf("min(timestamp(%s))", selector))
	vector, ok := a.value.(model.Vector)
	if err != nil || !ok || len(vector) != 1 {
		return nil // a server that does not know timestamp
	}
	at := time.UnixMilli(int64(float64(vector[0].Value) * 1000))
	if age := time.Since(at); age > q.config.MaxAge {
		return faultf(autoscale.Stale, "the last sample of one of its series is %v old; is it still scraped?", age.Round(time.Second))
	}
	return nil
}
