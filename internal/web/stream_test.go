package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale/internal/control"
)

// listens is one who reads a stream within a test's bubble.
type listens struct {
	w    *httptest.ResponseRecorder
	stop context.CancelFunc
	done chan struct{}
}

func listen(t *testing.T, s *Server, path string) *listens {
	ctx, stop := context.WithCancel(t.Context())
	l := &listens{w: httptest.NewRecorder(), stop: stop, done: make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+path, nil)
	go func() {
		defer close(l.done)
		s.Handler().ServeHTTP(l.w, r)
	}()
	synctest.Wait()
	return l
}

// end ends the stream and returns what came.
func (l *listens) end() string {
	l.stop()
	<-l.done
	return l.w.Body.String()
}

// Whoever listens hears of every step and event, or those of one service.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, &known{}, nil)
		s.Stepped(control.Snapshot{}, sound("shop", time.Now())) // nobody listens
		all, one := listen(t, s, "/api/v1/stream"), listen(t, s, "/api/v1/stream?service=shop")
		s.Stepped(control.Snapshot{}, sound("shop", time.Now()))
		s.Stepped(control.Snapshot{}, sound("blog", time.Now()))
		s.Happened(Event{ID: 1, Kind: "reload", Text: "the configuration was read"})
		s.Happened(Event{ID: 2, Kind: "paused", Service: "blog", Text: "paused"})
		synctest.Wait()
		if readers, _ := s.stream.counts(); readers != 2 {
			t.Errorf("%d readers", readers)
		}
		text := all.end()
		if strings.Count(text, "event: step\ndata: {\"name\":\"") != 2 || strings.Count(text, "event: event\ndata: {\"id\":") != 2 || !strings.HasPrefix(text, "retry: ") {
			t.Errorf("%s", text)
		}
		for message := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
			if lines := strings.Count(message, "\n"); lines > 1 {
				t.Errorf("a message of %d lines: %s", lines+1, message)
			}
		}
		text = one.end()
		if strings.Count(text, "event: step") != 1 || strings.Count(text, "event: event") != 1 || strings.Contains(text, "blog") {
			t.Errorf("%s", text)
		}
		if got := all.w.Header().Get("Content-Type"); got != "text/event-stream" || !all.w.Flushed {
			t.Error(got)
		}
		if readers, dropped := s.stream.counts(); readers != 0 || dropped != 0 {
			t.Errorf("%d readers stay, %d were dropped", readers, dropped)
		}
	})
}

func TestStreamBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, served(t, &known{}, nil), "/api/v1/stream")
		time.Sleep(time.Minute + time.Second)
		if text := l.end(); strings.Count(text, ": beat\n\n") != 4 {
			t.Errorf("%s", text)
		}
	})
}

// A stream outlives the bounds of a request.
func TestStreamLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, &known{}, nil)
		listener := newPiped()
		s.doors[0].listener = listener
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		client := listener.dial()
		fmt.Fprint(client, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.AfterFunc(5*time.Minute+time.Second, stop)
		text, _ := io.ReadAll(client) // until the server ends
		if n := strings.Count(string(text), ": beat"); n != 20 {
			t.Errorf("%d beats in five minutes", n)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestStreamBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, &known{}, nil)
		var all []*listens
		for range maxReaders {
			all = append(all, listen(t, s, "/api/v1/stream"))
		}
		w := ask(s.Handler(), "GET", "/api/v1/stream", "")
		if w.Code != 503 || !strings.Contains(w.Body.String(), "100 streams") || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		all[0].end()
		all = append(all[1:], listen(t, s, "/api/v1/stream"))
		for _, l := range all {
			if l.end(); l.w.Code != 200 {
				t.Errorf("%d %s", l.w.Code, l.w.Body)
			}
		}
		if w := ask(s.Handler(), "HEAD", "/api/v1/stream", ""); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
	})
}

// piped is a listener whose connections are in memory: their time is a bubble's.
type piped struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPiped() *piped { return &piped{conns: make(chan net.Conn), ended: make(chan struct{})} }

// dial is the client's end of a new connection.
func (p *piped) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error {
	p.once.Do(func() { close(p.ended) })
	return nil
}

func (p *piped) Addr() net.Addr { return &net.TCPAddr{} }

// Nobody waits for a reader that takes nothing: it is dropped, its connection
// ends, and the others hear everything.
func TestStreamSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, &known{}, nil)
		listener := newPiped()
		s.doors[0].listener = listener
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		slow := listener.dial()
		fmt.Fprint(slow, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
		in := bufio.NewReader(slow)
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatal(line, err)
		}
		quick := listen(t, s, "/api/v1/stream")
		const steps = 2000
		for range steps {
			before := time.Now()
			s.Stepped(control.Snapshot{}, sound("shop", time.Now()))
			if time.Since(before) > 0 {
				t.Fatal("a step waited for a reader")
			}
			synctest.Wait()
		}
		if readers, dropped := s.stream.counts(); readers != 1 || dropped != 1 {
			t.Errorf("%d readers, %d dropped", readers, dropped)
		}
		time.Sleep(writeWithin + time.Second)
		// The connection has ended meanwhile; no more is there than was read ahead.
		if n, _ := io.Copy(io.Discard, in); n > 8<<10 {
			t.Errorf("%d bytes were still to be had", n)
		}
		if text := quick.end(); strings.Count(text, "event: step") != steps {
			t.Errorf("the quick one heard of %d steps", strings.Count(text, "event: step"))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
