package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// dialWithin is how long a connection to a replica may take: it is on this
	// machine, so that only one whose queue is full takes any time.
	dialWithin = 2 * time.Second
	// idleConnection is how long a connection to a replica is kept without a
	// request. It is shorter than servers keep theirs (Node 5 s, gunicorn 2 s): a
	// request that is sent while they close is lost.
	idleConnection = time.Second
	// probeWithin is how long a health check may take.
	probeWithin = 5 * time.Second
)

// backend is where requests to one process of a replica go. Its fields but for
// the constant ones are guarded by Workload.mu.
type backend struct {
	replica *replica
	program *program
	address string            // host:port
	trip    http.RoundTripper // pools connections to that process alone
	probe   func(context.Context) error

	started  time.Time
	ready    bool // its health check passes
	inflight int  // requests
}

// close gives back what it keeps, once its process is gone.
func (b *backend) close() {
	if t, ok := b.trip.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// transport sends requests to one address.
func transport(address string) *http.Transport {
	dialer := &net.Dialer{Timeout: dialWithin}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
		MaxIdleConnsPerHost: 1024, IdleConnTimeout: idleConnection,
		DisableCompression:    true, // what is compressed is between client and replica
		ExpectContinueTimeout: time.Second,
	}
}

// probeOf is the health check of a replica at an address: a path that is asked
// for, or a connection.
func probeOf(address, path string) func(context.Context) error {
	if path == "" {
		dialer := &net.Dialer{Timeout: dialWithin}
		return func(ctx context.Context) error {
			c, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return c.Close()
		}
	}
	client := &http.Client{
		Timeout: probeWithin,
		// Each check makes a connection of its own: one that is kept says nothing
		// of whether new ones are accepted.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 200 && resp.StatusCode < 400 { // as Kubernetes has it
			return nil
		}
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status alone says enough
		return fmt.Errorf("%s answers %s: %s", path, resp.Status, strings.TrimSpace(string(said)))
	}
}
