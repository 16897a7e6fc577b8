package stress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// client asks for one thing after another. One goroutine owns it.
type client interface {
	// ask sends one request, now, and reads its response. sending is called as it
	// begins to be sent, once, and sent is when that was; where no connection could
	// be opened, when that was tried.
	ask(ctx context.Context, a trace.Arrival, now time.Time, sending func()) (got response, sent time.Time, err error)
	// stale has the next request open a new connection.
	stale()
	// interrupt ends what is under way, from another goroutine.
	interrupt()
	close()
}

// http1 speaks HTTP/1.1 over one connection at a time, with the system calls and
// little else: what it costs falsifies what it measures.
type http1 struct {
	target    Target
	addresses *addresses
	number    int // of this client, for spreading
	prepared  prepared

	mu         sync.Mutex // for wire.Conn, which interrupt closes
	wire       wire
	in         *bufio.Reader
	open       bool
	used       bool // a response came over this connection
	deadline   time.Time
	generation uint64
}

func newHTTP1(t Target, a *addresses, number int) (*http1, error) {
	p, err := t.prepare(trace.Arrival{})
	return &http1{target: t, addresses: a, number: number, prepared: p}, err
}

func (c *http1) ask(ctx context.Context, a trace.Arrival, now time.Time, sending func()) (got response, sent time.Time, err error) {
	p := c.prepared
	sent = now
	deadline := now.Add(c.target.Timeout)
	if a.Path != "" || a.Method != "" || a.Body != "" {
		if p, err = c.target.prepare(a); err != nil {
			return got, sent, unaskable{err}
		}
	}
	if c.open && c.generation != c.addresses.generation.Load() {
		c.close() // the name stands for others now
	}
	told := false
	for {
		if !c.open {
			if err := c.connect(ctx, deadline); err != nil {
				return got, sent, err
			}
			if !told {
				sent = time.Now()
			}
		}
		if !told {
			told = true
			sending()
		}
		got, err = c.exchange(p, deadline)
		// Whatever came beyond the response is none to the next request.
		if err != nil || got.close || c.target.Close || c.in.Buffered() > 0 {
			c.close()
		}
		if c.used && err == nil && got.status == http.StatusRequestTimeout && got.close {
			err = nothing{io.EOF} // some say so of a connection that nobody used, and close it
		}
		if err == nil {
			c.used = c.open
			return got, sent, nil
		}
		if n := (nothing{}); errors.As(err, &n) {
			if c.used && ctx.Err() == nil {
				// The server had closed it while nobody used it. It is no new
				// request: the time goes on.
				c.used = false
				continue
			}
			err = n.error
		}
		c.used = c.open
		return got, sent, err
	}
}

// nothing is the error of an exchange in which nothing was received, and so
// maybe nothing was read by the server.
type nothing struct{ error }

// exchange sends a request over the open connection and reads the response.
func (c *http1) exchange(p prepared, deadline time.Time) (response, error) {
	// Setting a deadline costs, so that it is set a little later than it need be,
	// and then holds for the next requests as well.
	if c.deadline.Before(deadline) {
		c.deadline = deadline.Add(c.target.Timeout / 64)
		if err := c.wire.SetDeadline(c.deadline); err != nil {
			return response{}, nothing{err}
		}
	}
	c.wire.some = false
	if _, err := c.wire.Write(p.text); err != nil {
		// It may have answered and closed before it had read all.
		if got, answered := c.answered(p.request); answered {
			return got, nil
		}
		if c.wire.some {
			return response{}, err
		}
		return response{}, c.silent(err)
	}
	// With others waiting to run, the response is likely there after them: a read
	// that finds nothing costs two system calls.
	runtime.Gosched()
	got, err := readResponse(&c.wire, c.in, p.request)
	if err == nil {
		return got, nil
	}
	if !c.wire.some {
		return got, c.silent(err)
	}
	return got, err
}

// answered reads what a server said that would not take the whole request.
func (c *http1) answered(r *http.Request) (response, bool) {
	got, err := readResponse(&c.wire, c.in, r)
	got.close = true
	return got, err == nil
}

// silent is err of an exchange in which nothing was received, unless that was
// waited for in full.
func (c *http1) silent(err error) error {
	if kindOf(err) == kindTimeout {
		return err
	}
	return nothing{err}
}

// connect opens a connection, with TLS where the URL has it.
func (c *http1) connect(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, generation, err := c.addresses.connect(ctx, c.number)
	if err != nil {
		return connecting{err}
	}
	if c.target.URL.Scheme == "https" {
		secure := tls.Client(conn, c.target.tls())
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return handshake{err}
		}
		conn = secure
	}
	c.mu.Lock()
	c.wire = wire{Conn: conn}
	c.mu.Unlock()
	if ctx.Err() != nil { // it may have been too early to be interrupted
		conn.Close()
		return connecting{context.Cause(ctx)}
	}
	if c.in == nil {
		c.in = bufio.NewReaderSize(&c.wire, readBuffer)
	} else {
		c.in.Reset(&c.wire)
	}
	c.open, c.used, c.generation, c.deadline = true, false, generation, time.Time{}
	return nil
}

func (c *http1) stale() { c.close() }

func (c *http1) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire.Conn != nil {
		c.wire.Conn.Close() // a second time does no harm
	}
}

func (c *http1) close() {
	if c.open {
		c.wire.Close()
	}
	c.open = false
}

// connecting is the error of a connection that could not be opened.
type connecting struct{ error }

func (e connecting) Error() string { return fmt.Sprintf("connecting: %v", e.error) }
func (e connecting) Unwrap() error { return e.error }

// unaskable is the error of a recorded request that cannot be sent.
type unaskable struct{ error }

func (e unaskable) Unwrap() error { return e.error }

// handshake is the error of a TLS handshake.
type handshake struct{ error }

func (e handshake) Error() string { return fmt.Sprintf("TLS handshake: %v", e.error) }
func (e handshake) Unwrap() error { return e.error }
