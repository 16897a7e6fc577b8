package prometheus

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// silent opens connections to 10.0.0.9 only; every other address never answers,
// which no address of a test machine does for sure.
func silent(ctx context.Context, _, addr string) (net.Conn, error) {
	if strings.HasPrefix(addr, "10.0.0.9:") {
		client, server := net.Pipe()
		return client, server.Close()
	}
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

func hostPorts(ips ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(netip.MustParseAddr(ip), 80))
	}
	return out
}

// TestConnectLeavesTime: addresses that do not answer must leave most of the time
// limit to the page.
func TestConnectLeavesTime(t *testing.T) {
	for _, test := range []struct {
		hosts []netip.AddrPort
		most  time.Duration
	}{
		{hostPorts("10.0.0.9"), 0},
		{hostPorts("10.0.0.1", "10.0.0.9"), time.Second},
		{hostPorts("10.0.0.1", "10.0.0.2", "10.0.0.9"), 2 * time.Second},
		{hostPorts("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.9"), 4 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			d := &dialer{hosts: test.hosts, open: silent}
			host, err := d.connect(ctx)
			if err != nil || host != test.hosts[len(test.hosts)-1] || !d.connected.Load() {
				t.Fatalf("%v: %v, error %v", test.hosts, host, err)
			}
			if took := time.Since(start); took > test.most {
				t.Errorf("%d addresses took %v, more than %v", len(test.hosts), took, test.most)
			}
			if conn, err := d.dial(ctx, "tcp", "x:1"); err != nil || conn == nil || d.ready != nil {
				t.Errorf("the connection was not handed over: %v", err)
			}
			d.close()
		})
	}
}

func TestConnectNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d := &dialer{hosts: hostPorts("10.0.0.1", "10.0.0.2"), open: silent}
		if _, err := d.connect(ctx); err == nil || strings.Count(err.Error(), ", ") != 1 || d.connected.Load() {
			t.Errorf("error %v", err)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Error("the last address was not given all the time that was left")
		}
	})
}
