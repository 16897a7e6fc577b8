package prometheus

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dialer makes the connections of one exchange: to the URL's own host, or to the
// first of the given addresses that accepts one.
type dialer struct {
	hosts     []netip.AddrPort
	others    int // ways besides hosts that are tried after them
	open      func(ctx context.Context, network, addr string) (net.Conn, error)
	connected atomic.Bool // once any connection stood

	mu     sync.Mutex
	chosen netip.AddrPort
	ready  net.Conn // to chosen, not yet handed out
}

// connect tries the addresses in order. One that does not answer at all must not
// use up the time of those after it, nor that of the page.
func (d *dialer) connect(ctx context.Context) (netip.AddrPort, error) {
	var failed []error
	for i, host := range d.hosts {
		conn, err := d.try(ctx, host, len(d.hosts)-i-1+d.others)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		d.connected.Store(true)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.chosen, d.ready = host, conn
		return host, nil
	}
	return netip.AddrPort{}, joined(failed)
}

func (d *dialer) try(ctx context.Context, host netip.AddrPort, after int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && after > 0 {
		share := min(time.Second, time.Until(deadline)/time.Duration(after+2))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	return d.open(ctx, "tcp", host.String())
}

// dial is for http.Transport.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if len(d.hosts) > 0 {
		d.mu.Lock()
		conn := d.ready
		d.ready = nil
		addr = d.chosen.String()
		d.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
	}
	conn, err := d.open(ctx, network, addr)
	if err == nil {
		d.connected.Store(true)
	}
	return conn, err
}

// close ends a connection that was not used.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready != nil {
		_ = d.ready.Close() // nothing was sent over it
		d.ready = nil
	}
}

// joined is errors.Join on one line.
func joined(errs []error) error {
	var text strings.Builder
	for i, err := range errs {
		if i > 0 {
			text.WriteString(", ") // a semicolon comes before what is to be done
		}
		text.WriteString(err.Error())
	}
	return errors.New(text.String())
}
