// Package prometheus reads one metric, a service's requests, from pages in
// Prometheus's text format 0.0.4 or in OpenMetrics 1.0, or asks a Prometheus server
// for it. It never fails: what is wrong is the verdict of a sample.
package prometheus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

// DefaultMetric is the metric that is read where none is stated.
const DefaultMetric = "http_requests_per_second"

// Fallbacks are the names that are tried in order where a metric is absent: those
// of DefaultMetric, and none of any other.
func Fallbacks(metric string) []string {
	if metric != DefaultMetric {
		return nil
	}
	return []string{"requests_per_second", "http_requests_rps", "rps"}
}

// Config says what to read and how.
type Config struct {
	// URLs are the pages; their values are added. The host of each may be
	// {replica}, which stands for every running replica. User and password in
	// them become basic authentication.
	URLs []string
	// Scope says what a URL speaks for: "service", "replica", or "auto" and "" to
	// settle it at each read.
	Scope string
	// Metric is the metric's name with an optional selector; "" is DefaultMetric.
	Metric string
	// Others are the names that are tried in order where Metric is absent, each with
	// its selector. nil are Fallbacks of Metric.
	Others []string
	// InFlight is the gauge of the requests that are being answered, with an optional
	// selector; "" for none.
	InFlight string
	// Type is "gauge", "counter", or "" for what the page or the name says.
	Type string
	// Headers are request headers as "Name: value". They are never printed.
	Headers []string
	// Timeout bounds the exchange with one page, from looking up the name to the
	// last byte; 0 is 5 s.
	Timeout time.Duration
	// MaxBytes bounds a page, counted after decompression; 0 is 64 MiB.
	MaxBytes int64
	// MaxAge is how old a sample may be by its own timestamp; 0 is 5 minutes.
	MaxAge time.Duration
	// TLS is for https; nil is Go's default.
	TLS *tls.Config
	// Relay reads a page of a replica that accepts no connection from here, by
	// some other way; nil where there is none. Host and port in u are the
	// replica's. Of a page longer than most bytes it reads so many and one more. It
	// is not used where headers, user or password belong to the request, since it
	// cannot carry them.
	Relay func(ctx context.Context, r autoscale.Replica, u url.URL, most int64) (string, error)
}

// Source reads the pages. Its methods may be called at the same time.
type Source struct {
	config    Config
	addresses []address
	wanted    []Selector // the metric and its fallbacks
	flight    []Selector // the requests that are being answered; none where not asked for
	header    http.Header
	secrets   []string // never to be printed
}

// New checks the configuration. Its errors name the flag that is wrong, and what
// would be right.
func New(c Config) (*Source, error) {
	c.Timeout = orElse(c.Timeout, 5*time.Second)
	c.MaxBytes = orElse(c.MaxBytes, 64<<20)
	c.MaxAge = orElse(c.MaxAge, 5*time.Minute)
	c.Scope = orElse(c.Scope, "auto")
	s := &Source{config: c}
	for _, check := range []func() error{s.checkFlags, s.setAddresses, s.setMetric, s.setInFlight, s.setHeaders} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

func (s *Source) checkFlags() error {
	if !slices.Contains([]string{"auto", "service", "replica"}, s.config.Scope) {
		return fmt.Errorf("--metrics-scope=%s: it has to be auto, service or replica", s.config.Scope)
	}
	if !slices.Contains([]string{"", "gauge", "counter"}, s.config.Type) {
		return fmt.Errorf("--rps-metric-type=%s: it has to be gauge or counter", s.config.Type)
	}
	if s.config.Timeout < 0 || s.config.MaxBytes < 0 || s.config.MaxAge < 0 {
		return errors.New("timeout, size limit and age limit of a reading have to be above 0")
	}
	return nil
}

func (s *Source) setAddresses() error {
	if len(s.config.URLs) == 0 {
		return errors.New("--metrics-url: at least one is needed, such as http://localhost:8000/metrics")
	}
	seen := map[url.URL]bool{}
	for _, raw := range s.config.URLs {
		a, err := parseAddress(raw)
		if err != nil {
			return err
		}
		if a.perReplica && s.config.Scope == "service" {
			return fmt.Errorf("--metrics-url=%s: {replica} speaks for one replica, which --metrics-scope=service denies; leave one of them out", a)
		}
		if seen[a.url] {
			return fmt.Errorf("--metrics-url=%s: stated twice; as the values are added, its load would count twice", a)
		}
		seen[a.url] = true
		s.addresses = append(s.addresses, a)
		s.secrets = append(s.secrets, a.secrets()...)
	}
	return nil
}

func (s *Source) setMetric() error {
	selector, err := ParseSelector(orElse(s.config.Metric, DefaultMetric))
	if err != nil {
		return fmt.Errorf("--rps-metric: %w", err)
	}
	s.wanted = []Selector{selector}
	others := s.config.Others
	if others == nil {
		others = Fallbacks(selector.String())
	}
	most := maxWanted - 3 // the metric itself and the process's two
	if s.config.InFlight != "" {
		most--
	}
	if len(others) > most {
		return fmt.Errorf("%d other names for %s; at most %d can be tried", len(others), selector, most)
	}
	for _, name := range others {
		other := selector
		other.Name = name
		s.wanted = append(s.wanted, other)
	}
	return nil
}

func (s *Source) setInFlight() error {
	if s.config.InFlight == "" {
		return nil
	}
	selector, err := ParseSelector(s.config.InFlight)
	if err != nil {
		return fmt.Errorf("--inflight-metric: %w", err)
	}
	s.flight = []Selector{selector}
	return nil
}

func (s *Source) setHeaders() (err error) {
	var secrets []string
	s.header, secrets, err = parseHeaders(s.config.Headers)
	s.secrets = append(s.secrets, secrets...)
	return err
}

// parseHeaders reads request headers, and gives what of them is never to be printed.
func parseHeaders(all []string) (header http.Header, secrets []string, err error) {
	header = http.Header{}
	for i, h := range all {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }) {
			return nil, nil, fmt.Errorf("--metrics-header number %d: it has to read \"Name: value\" (it is not shown, as it may be secret)", i+1)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, nil, fmt.Errorf("--metrics-header %s: its value holds a line break", name)
		}
		header.Add(name, value)
		secrets = append(secrets, value)
	}
	return header, secrets, nil
}

// tokenRune reports whether r may stand in the name of a header (RFC 9110, 5.6.2).
func tokenRune(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// Identity names what is read: the same for equal metric, selector, type, scope
// and URLs, whatever their order, user, password or headers. Readings of two
// sources with different identities must not be compared.
func (s *Source) Identity() string {
	urls := make([]string, len(s.addresses))
	for i, a := range s.addresses {
		urls[i] = a.String()
	}
	slices.Sort(urls)
	return fmt.Sprintf("%s type=%s scope=%s %s", s.wanted[0], orElse(s.config.Type, "auto"), s.config.Scope, strings.Join(urls, " "))
}

// Read reads every page once, all at the same time; only where a page that is to
// speak for the whole service may be one replica's, it is read twice. The replicas
// are those that run; none means that there are none or that they cannot be seen.
// Notes say what was settled about the URLs and the metric.
func (s *Source) Read(ctx context.Context, replicas []autoscale.Replica) autoscale.Reading {
	lookup, cancel := context.WithTimeout(ctx, s.config.Timeout)
	targets, notes := s.targets(lookup, replicas)
	cancel()
	pages := s.readAll(ctx, targets)
	reading := s.judge(targets, pages)
	reading.Notes = append(notes, reading.Notes...)
	return reading
}

// hide takes user's secrets out of a text, should a server have sent them back.
func (s *Source) hide(text string) string { return hide(text, s.secrets) }

func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 { // shorter ones would tear common words apart
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
