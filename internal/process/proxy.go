package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// headersWithin is how long a client may take to send a request's head. There
	// is no such bound for bodies and answers: streams take as long as they take.
	headersWithin = 10 * time.Second
	// idleClient is how long a client's connection is kept without a request.
	idleClient = 2 * time.Minute
	// mostWaiting bounds the requests that wait for a replica.
	mostWaiting = 1024
	// remarkEvery is the shortest time between two remarks about requests that failed.
	remarkEvery = time.Second
)

// serve serves the proxy.
func (w *Workload) serve() {
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: headersWithin, IdleTimeout: idleClient, ErrorLog: log.New(remarks{w}, "", 0)}
	go func() {
		defer close(w.stopped)
		if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
			w.config().Tell(fmt.Sprintf("the proxy of service %s has stopped: %v", w.config().Service, err))
		}
	}()
}

// quiesce accepts no more connections, and waits for so long at most until the
// requests under way are answered.
func (w *Workload) quiesce(ctx context.Context, drain time.Duration) error {
	if w.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(drain, 0))
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// cut ends what connections are left.
func (w *Workload) cut() error {
	if w.server == nil {
		return nil
	}
	err := w.server.Close()
	<-w.stopped
	return err
}

// errNone is why a request got no replica.
var errNone = errors.New("no replica takes requests")

// take gives one more request to a replica's process: the one with the fewest
// under way, less those that were tried already. Where there is none it waits.
// First tells that the request has just arrived.
func (w *Workload) take(ctx context.Context, tried []*backend, first bool) (*backend, error) {
	b, changed, err := w.takeNow(tried, first)
	if b != nil || err != nil {
		return b, err
	}
	if !w.queue() {
		return nil, fmt.Errorf("%w, and %d requests wait already", errNone, mostWaiting)
	}
	defer w.unqueue()
	timeout := time.NewTimer(w.config().Wait)
	defer timeout.Stop()
	for b == nil && err == nil {
		select {
		case <-changed:
			b, changed, err = w.takeNow(tried, false)
		case <-ctx.Done():
			err = ctx.Err()
		case <-timeout.C:
			err = fmt.Errorf("%w within %s", errNone, w.config().Wait)
		}
	}
	return b, err
}

// queue has a request wait, unless too many do.
func (w *Workload) queue() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == mostWaiting {
		return false
	}
	w.waiting++
	return true
}

func (w *Workload) unqueue() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
}

// takeNow is take without waiting; changed is closed when it may be tried again.
func (w *Workload) takeNow(tried []*backend, first bool) (b *backend, changed <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b = w.least(tried)
	switch {
	case b == nil && first:
		w.meter.others.arrived++
	case first:
		b.replica.counts.arrived++
	}
	switch {
	case b != nil:
		b.inflight++
	case w.closed:
		err = errClosed
	}
	return b, w.changed, err
}

// least is the process with the fewest requests under way; of several each in its
// turn; nil for none. The caller holds w.mu.
func (w *Workload) least(tried []*backend) (best *backend) {
	w.turn++
	for i := range w.replicas {
		r := w.replicas[(w.turn+i)%len(w.replicas)]
		if r.takes() && !slices.Contains(tried, r.backend) && (best == nil || r.backend.inflight < best.inflight) {
			best = r.backend
		}
	}
	return best
}

// give ends a request at a process.
func (w *Workload) give(b *backend) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.inflight--
	if b.inflight == 0 && (b.replica.leaving || b.replica.sick) {
		b.replica.stir()
	}
}

// announce wakes those up who wait for a replica. The caller holds w.mu.
func (w *Workload) announce() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// trip is a request on its way to a replica.
type trip struct {
	w *Workload
	b *backend // which has it
}

// tripKey is the key of a trip in a request's context.
type tripKey struct{}

// ServeHTTP passes a request on to a replica.
func (w *Workload) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodConnect {
		http.Error(rw, "this is a reverse proxy", http.StatusMethodNotAllowed)
		return
	}
	b, err := w.take(req.Context(), nil, true)
	if err != nil {
		w.refuse(rw, req, err)
		return
	}
	t := &trip{w: w, b: b}
	defer func() { w.give(t.b) }()
	w.proxy.ServeHTTP(rw, req.WithContext(context.WithValue(req.Context(), tripKey{}, t)))
}

// reverseProxy passes requests on as they are.
func (w *Workload) reverseProxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:      rewrite,
		Transport:    carrier{},
		ErrorHandler: w.refuse,
		ErrorLog:     log.New(remarks{w}, "", 0),
	}
}

// rewrite leaves everything as the client sent it, and says who that is. What a
// client claims in X-Forwarded-For and the like is believed where it speaks from
// this machine, as another proxy in front does, and dropped elsewhere.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "replica" // which one it is, the trip says
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it is, also where Go's rules are others than the replica's
	if !local(r.In.RemoteAddr) {
		r.SetXForwarded()
		return
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = slices.Clone(values)
		}
	}
	host, proto := r.Out.Header["X-Forwarded-Host"], r.Out.Header["X-Forwarded-Proto"]
	r.SetXForwarded() // adds to X-Forwarded-For
	if host != nil {
		r.Out.Header["X-Forwarded-Host"] = host
	}
	if proto != nil {
		r.Out.Header["X-Forwarded-Proto"] = proto
	}
}

// local reports whether an address is one of this machine's own.
func local(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// carrier sends a request to the replica that has it. Where that accepts no
// connection, nothing of the request was sent, so that another may have it.
type carrier struct{}

// RoundTrip implements http.RoundTripper.
func (carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	t, ok := req.Context().Value(tripKey{}).(*trip)
	if !ok {
		return nil, errors.New("process: a request without a replica")
	}
	out := req
	var body *unread
	if req.Body != nil && req.Body != http.NoBody {
		body = &unread{ReadCloser: req.Body}
		out = req.Clone(req.Context())
		out.Body = body
	}
	var tried []*backend
	for {
		resp, err := t.b.trip.RoundTrip(out)
		var failed *net.OpError
		if err == nil || req.Context().Err() != nil || !errors.As(err, &failed) || failed.Op != "dial" || body != nil && body.begun.Load() {
			t.w.answered(t.b, err != nil || resp.StatusCode >= http.StatusInternalServerError)
			return resp, err
		}
		tried = append(tried, t.b)
		next, none := t.w.take(req.Context(), tried, false)
		if none != nil {
			return nil, errors.Join(err, none)
		}
		t.w.give(t.b)
		t.b = next
	}
}

// answered counts an answer of a replica, or that there was none.
func (w *Workload) answered(b *backend, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.replica.counts.answered++
	if failed {
		b.replica.counts.failed++
	}
}

// unread is a request's body of which it is known whether any of it was read. It
// stays open when a transport is done with it, since another may be given it.
type unread struct {
	io.ReadCloser
	begun atomic.Bool
}

// Read reads.
func (u *unread) Read(p []byte) (int, error) {
	u.begun.Store(true)
	return u.ReadCloser.Read(p)
}

// Close leaves it open; who made the request closes it.
func (u *unread) Close() error { return nil }

// refuse answers a request that came to nothing.
func (w *Workload) refuse(rw http.ResponseWriter, req *http.Request, err error) {
	switch {
	case req.Context().Err() != nil:
		// The client has gone. Nobody reads this.
		rw.WriteHeader(http.StatusBadGateway)
	case errors.Is(err, errNone) || errors.Is(err, errClosed):
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "no replica of the service takes requests at the moment", http.StatusServiceUnavailable)
		w.mu.Lock()
		w.meter.others.answered++
		w.meter.others.failed++
		w.mu.Unlock()
		w.remark("a request was answered with 503: %v", err)
	default:
		http.Error(rw, "the replica did not answer", http.StatusBadGateway)
		name := "a replica"
		if t, ok := req.Context().Value(tripKey{}).(*trip); ok {
			name = t.b.replica.name
		}
		w.remark("a request to %s was answered with 502: %v", name, err)
	}
}

// remark tells of a request that failed; of many in a short time, how many.
func (w *Workload) remark(format string, args ...any) {
	w.mu.Lock()
	now := time.Now()
	if now.Sub(w.remarked) < remarkEvery {
		w.unremarked++
		w.mu.Unlock()
		return
	}
	more := ""
	if w.unremarked > 0 {
		more = fmt.Sprintf(" (and %d more since the last remark)", w.unremarked)
	}
	w.remarked, w.unremarked = now, 0
	w.mu.Unlock()
	w.config().Tell(fmt.Sprintf(format, args...) + more)
}

// remarks takes the words of net/http.
type remarks struct{ w *Workload }

// Write tells p.
func (r remarks) Write(p []byte) (int, error) {
	r.w.remark("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}
