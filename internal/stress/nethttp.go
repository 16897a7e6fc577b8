package stress

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// netHTTP asks through net/http, for what http1 does not speak: HTTP/2, and
// redirects. Each worker has one, so that connections are spread as they are
// without.
type netHTTP struct {
	target     Target
	addresses  *addresses
	client     *http.Client
	transport  *http.Transport
	generation atomic.Uint64
}

func newNetHTTP(t Target, a *addresses, number int) *netHTTP {
	c := &netHTTP{target: t, addresses: a}
	secure := t.tls()
	if t.Host == "" {
		secure.ServerName = "" // a redirect may lead to another host
	}
	own := net.JoinHostPort(t.URL.Hostname(), t.port())
	c.transport = &http.Transport{
		DisableKeepAlives: t.Close, DisableCompression: true, TLSClientConfig: secure,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != own {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			conn, generation, err := a.connect(ctx, number)
			if err != nil {
				return nil, connecting{err}
			}
			c.generation.Store(generation)
			return conn, nil
		},
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!t.HTTP2)
	protocols.SetHTTP2(t.HTTP2)
	protocols.SetUnencryptedHTTP2(t.HTTP2)
	c.transport.Protocols = protocols
	c.client = &http.Client{Transport: c.transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		switch {
		case t.Follow == 0:
			return http.ErrUseLastResponse
		case len(via) > t.Follow:
			return fmt.Errorf("more than %d redirects", t.Follow)
		}
		return nil
	}}
	return c
}

func (c *netHTTP) ask(ctx context.Context, a trace.Arrival, now time.Time, sending func()) (got response, sent time.Time, err error) {
	sent = now
	request, err := c.target.request(a)
	if err != nil {
		return got, sent, unaskable{err}
	}
	if c.generation.Load() != c.addresses.generation.Load() {
		c.transport.CloseIdleConnections() // the name stands for others now
	}
	ctx, cancel := context.WithTimeout(ctx, c.target.Timeout)
	defer cancel()
	var once sync.Once
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		once.Do(func() { // not once more for each redirect
			sending()
			sent = time.Now()
		})
	}})
	response, err := c.client.Do(request.WithContext(ctx))
	if err != nil {
		return got, sent, err
	}
	defer response.Body.Close()
	got.status = response.StatusCode
	got.bytes, err = io.Copy(io.Discard, response.Body)
	return got, sent, err
}

func (c *netHTTP) stale()     { c.transport.CloseIdleConnections() }
func (c *netHTTP) interrupt() {}                                     // its requests have the context
func (c *netHTTP) close()     { c.transport.CloseIdleConnections() } // the last worker's closes all
