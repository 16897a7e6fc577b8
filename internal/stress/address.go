package stress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// resolver turns a name into all of its addresses.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// addresses are those that a target's name stands for now. Connections are
// spread over them, and look again where they belong when they change.
type addresses struct {
	resolver resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	target   Target

	mu   sync.Mutex
	list []string // host:port, in order
	err  error    // of the last look-up, where that failed
	// generation grows with each change of list.
	generation atomic.Uint64
}

func newAddresses(t Target) *addresses {
	return &addresses{resolver: net.DefaultResolver, dial: (&net.Dialer{}).DialContext, target: t}
}

// fixed reports whether there is nothing to look up.
func (a *addresses) fixed() bool {
	_, err := netip.ParseAddr(a.target.URL.Hostname())
	return err == nil || a.target.Socket != ""
}

// look resolves the name. Where that fails the addresses of before stay.
func (a *addresses) look(ctx context.Context) {
	var found []string
	host := a.target.URL.Hostname()
	switch addr, err := netip.ParseAddr(host); {
	case a.target.Socket != "":
		found = []string{a.target.Socket}
	case err == nil:
		found = []string{net.JoinHostPort(addr.String(), a.target.port())}
	default:
		ctx, cancel := context.WithTimeout(ctx, a.target.Timeout)
		defer cancel()
		all, err := a.resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			a.mu.Lock()
			a.err = err
			a.mu.Unlock()
			return
		}
		for _, addr := range all {
			found = append(found, net.JoinHostPort(addr.Unmap().String(), a.target.port()))
		}
		slices.Sort(found)
		found = slices.Compact(found)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.list, found) {
		a.list = found
		a.generation.Add(1)
	}
	a.err = nil
}

// again resolves the name every so often, until ctx ends.
func (a *addresses) again(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.look(ctx)
		}
	}
}

// dialWithin dials one of so many addresses that are left: it has that share of
// the time, so that one that does not answer leaves some to the others.
func (a *addresses) dialWithin(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return a.dial(ctx, network, address)
}

// connect opens the connection of the n-th client, to the address that falls to
// it; where nothing listens there, to the next one that does. A name often has
// an address of each family, and the server only one.
func (a *addresses) connect(ctx context.Context, n int) (net.Conn, uint64, error) {
	a.mu.Lock()
	list, generation, err := a.list, a.generation.Load(), a.err // a list never changes, it is replaced
	a.mu.Unlock()
	network := "tcp"
	if a.target.Socket != "" {
		network = "unix"
	}
	var errs []error
	for i := range list {
		address := list[(n+i)%len(list)]
		conn, err := a.dialWithin(ctx, network, address, len(list)-i)
		if err == nil {
			return conn, generation, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return nil, generation, errs[0]
	}
	return nil, generation, cmp.Or(err, errors.New("no address"))
}
