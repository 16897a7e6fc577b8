package prometheus

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
)

// page is what one target gave.
type page struct {
	time time.Time // when it was complete, or given up
	// found has an entry for each wanted metric, then processStart and processCPU;
	// nil where the page was not read to its end.
	found []Found
	// before is the same of the reads over other connections just before.
	before [][]Found
	// owner is the replica whose own page this is, though it was to speak for the
	// service; empty where that is not known.
	owner   string
	verdict autoscale.Verdict
	detail  string
	media   string // the answer's media type
}

// fault is an error that is a verdict.
type fault struct {
	verdict autoscale.Verdict
	detail  string
}

func (f *fault) Error() string { return f.detail }

func faultf(v autoscale.Verdict, format string, args ...any) error {
	return &fault{v, fmt.Sprintf(format, args...)}
}

// The two metrics that tell one process from another.
const (
	processStart = "process_start_time_seconds"
	processCPU   = "process_cpu_seconds_total"
)

// readAll reads all targets at the same time, though no more than 64 of them.
func (s *Source) readAll(ctx context.Context, targets []target) []page {
	pages := make([]page, len(targets))
	slots := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for i, t := range targets {
		slots <- struct{}{}
		wg.Go(func() {
			pages[i] = s.readPage(ctx, t)
			<-slots
		})
	}
	wg.Wait()
	return pages
}

// readPage reads one target within the time limit.
func (s *Source) readPage(ctx context.Context, t target) page {
	if t.verdict != autoscale.OK {
		return page{time: time.Now(), verdict: t.verdict, detail: t.detail}
	}
	limited, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	p := s.exchange(limited, t)
	if len(t.several) == 0 {
		return p
	}
	// Two connections meet the same of two replicas every other time. More of
	// them leave less to luck, as long as the page is quick.
	quick := time.Now().Add(s.config.Timeout / 4)
	for len(p.before)+1 < connections && p.verdict == autoscale.OK && (len(p.before) == 0 || time.Now().Before(quick)) {
		next := s.exchange(limited, t)
		next.before = append(p.before, p.found)
		if p = next; p.verdict != autoscale.OK {
			p.detail = fmt.Sprintf("connection %d: %s", len(p.before)+1, p.detail)
		} else if differs(next.before[len(next.before)-1], p.found, 0, len(s.wanted), "") != "" {
			return p
		}
	}
	if p.verdict == autoscale.OK {
		p.owner = s.ownerOf(limited, t, p)
	}
	return p
}

// connections is over how many fresh connections a page is read that may be one
// replica's of several: all meet the same of two replicas once in 128 times.
const connections = 8

// exchange asks once, over a connection of its own.
func (s *Source) exchange(ctx context.Context, t target) page {
	d := &dialer{hosts: t.hosts, open: new(net.Dialer).DialContext}
	p := page{verdict: autoscale.OK}
	relayed := s.config.Relay != nil && t.perReplica && len(t.hosts) > 0 && t.user == nil && len(s.header) == 0
	if relayed {
		d.others = 1
	}
	err := s.fetch(ctx, t, d, &p)
	if err != nil && relayed && !d.connected.Load() && ctx.Err() == nil {
		err = s.relay(ctx, t, err, &p)
	}
	p.time = time.Now()
	if err == nil {
		return p
	}
	var known *fault
	var wrapped *url.Error // its text shows the URL
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.As(err, &known):
		p.verdict, p.detail = known.verdict, known.detail
	case errors.Is(ctx.Err(), context.Canceled):
		p.verdict, p.detail = autoscale.Unreachable, "interrupted"
	case ctx.Err() != nil && d.connected.Load():
		p.verdict, p.detail = autoscale.Late, fmt.Sprintf("the page was not complete within %v", s.config.Timeout)
	case ctx.Err() != nil:
		p.verdict, p.detail = autoscale.Unreachable, fmt.Sprintf("no connection within %v", s.config.Timeout)
	default:
		p.verdict, p.detail = autoscale.Unreachable, err.Error()+orElse(t.hint, unknownHost(t.address, err))
	}
	p.detail = s.hide(p.detail)
	return p
}

// fetch sends the request and reads the answer into p. What is wrong with the
// answer is a *fault; any other error is that of the connection.
func (s *Source) fetch(ctx context.Context, t target, d *dialer, p *page) error {
	defer d.close()
	req, err := s.request(ctx, t, d)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		// No proxy: the page stands on this machine or in its network, and a proxy
		// may answer from its cache.
		DialContext:         d.dial,
		TLSClientConfig:     s.config.TLS,
		DisableKeepAlives:   true, // each read shall meet any replica, and new addresses
		DisableCompression:  true, // so that the size is checked here
		ReadBufferSize:      firstBuffer,
		TLSHandshakeTimeout: s.config.Timeout,
	}
	client := &http.Client{Transport: transport, CheckRedirect: redirectRule(len(t.hosts) > 0)}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusFault(resp)
	}
	return unfit(ctx, s.scanBody(resp, p))
}

// relay reads the page of a replica by the other way; direct is why it could not
// be read without.
func (s *Source) relay(ctx context.Context, t target, direct error, p *page) error {
	u := t.url
	u.Host = t.hosts[0].String()
	text, err := s.config.Relay(ctx, t.replica, u, s.config.MaxBytes)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return faultf(autoscale.Late, "%v; and by another way the page was not complete within %v", direct, s.config.Timeout)
	}
	if err != nil {
		return fmt.Errorf("%w; nor by another way: %w", direct, err)
	}
	return unfit(ctx, s.scanBody(&http.Response{Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}}, p))
}

// unfit is the verdict on a body that could not be read.
func unfit(ctx context.Context, err error) error {
	var known *fault
	var bad *BadPage
	switch {
	case err == nil || errors.As(err, &known) || ctx.Err() != nil:
		return err
	case errors.As(err, &bad):
		return faultf(autoscale.Malformed, "%v", bad)
	}
	return faultf(autoscale.Malformed, "the page was cut short: %v", err)
}

// request makes the request; of a replica it finds the address first.
func (s *Source) request(ctx context.Context, t target, d *dialer) (*http.Request, error) {
	u := t.url
	if len(t.hosts) > 0 {
		host, err := d.connect(ctx)
		if err != nil {
			return nil, err
		}
		// A published port's URL keeps its host, for the Host header and TLS.
		if t.perReplica {
			u.Host = host.String()
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", s.accept())
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "autoscale")
	if t.user != nil {
		password, _ := t.user.Password()
		req.SetBasicAuth(t.user.Username(), password)
	}
	maps.Copy(req.Header, s.header)
	if host := s.header.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}

// accept prefers the text format, since it is what a person sees who looks at the
// page: in OpenMetrics some exporters append _total to the names of counters.
// Names that need quotes are asked for as they are where one is wanted; else
// exporters write them with underscores, which again is what a person sees.
func (s *Source) accept() string {
	const plain = "text/plain;version=0.0.4;q=0.8,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1"
	if s.wanted[0].legacy() {
		return plain
	}
	// Exporters differ in which version has the parameter.
	return "text/plain;version=0.0.4;escaping=allow-utf-8,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.95," +
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.9," + plain
}

// redirectRule lets redirects go on within the same host name; of a replica
// within the same port too, since another port may be another replica's.
func redirectRule(samePort bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		from, to := via[0].URL, req.URL
		switch {
		case len(via) > 5:
			return faultf(autoscale.Unreachable, "more than 5 redirects")
		case !strings.EqualFold(from.Hostname(), to.Hostname()) || samePort && from.Host != to.Host:
			return faultf(autoscale.Unreachable, "it redirects to another host, %s; where that is right, state its URL", to.Host)
		case via[len(via)-1].URL.Scheme == "https" && to.Scheme != "https":
			return faultf(autoscale.Unreachable, "it redirects from https to http")
		}
		return nil
	}
}

func statusFault(resp *http.Response) error {
	hint := ""
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "; user:password@ in the URL or --metrics-header give access"
	case http.StatusNotFound:
		hint = "; is the path of --metrics-url right?"
	}
	return faultf(autoscale.Unreachable, "it answered with HTTP %d %s%s", resp.StatusCode, http.StatusText(resp.StatusCode), hint)
}

// scanBody reads the answer's body.
func (s *Source) scanBody(resp *http.Response, p *page) error {
	// A header that cannot be read leaves the media type empty, and so the text
	// format, which is what hand-written exporters mean.
	p.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.Contains(p.media, "protobuf") {
		return faultf(autoscale.Malformed, "it answered in %s, which was not asked for", p.media)
	}
	var body io.Reader = &limitedReader{r: resp.Body, left: s.config.MaxBytes}
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = &limitedReader{r: unzipped, left: s.config.MaxBytes}
	default:
		return faultf(autoscale.Malformed, "it is encoded as %q, which was not asked for", encoding)
	}
	wanted := append(s.wanted[:len(s.wanted):len(s.wanted)], Selector{Name: processStart}, Selector{Name: processCPU})
	wanted = append(wanted, s.flight...)
	var err error
	p.found, err = Scan(body, p.media == "application/openmetrics-text", wanted...)
	var over errTooLarge
	if errors.As(err, &over) {
		return faultf(autoscale.TooLarge, "the page is larger than %d bytes", s.config.MaxBytes)
	}
	return err
}

// errTooLarge is the error of a limitedReader.
type errTooLarge struct{}

func (errTooLarge) Error() string { return "larger than the limit" }

// limitedReader is io.LimitedReader with an error of its own past the limit.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(b []byte) (int, error) {
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1]
	}
	n, err := l.r.Read(b)
	if int64(n) > l.left {
		n, l.left = int(l.left), 0
		return n, errTooLarge{}
	}
	l.left -= int64(n)
	return n, err
}
