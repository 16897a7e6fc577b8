package web

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/control"
)

const (
	// maxReaders bounds the streams that are open at the same time.
	maxReaders = 100
	// backlog is how many messages a reader may be behind before it is dropped.
	backlog = 256
	// beat is the time between signs of life on a stream.
	beat = 15 * time.Second
	// writeWithin is how long a reader may take nothing.
	writeWithin = 10 * time.Second
)

// stream passes on what happens as it happens. Nobody waits for a reader: one
// that is too slow is dropped, and asks anew.
type stream struct {
	mu      sync.Mutex
	readers map[*reader]bool
	dropped uint64
}

// reader is one who listens.
type reader struct {
	service  string      // empty for all
	messages chan []byte // closed once the reader is dropped
}

// join makes a reader, or nil where there are too many.
func (s *stream) join(service string) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.readers) >= maxReaders {
		return nil
	}
	r := &reader{service: service, messages: make(chan []byte, backlog)}
	s.readers[r] = true
	return r
}

func (s *stream) leave(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
}

// counts are how many read now, and how many were dropped.
func (s *stream) counts() (readers int, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.readers), s.dropped
}

// tell sends a message about a service (empty: about all) to those who want it.
// It is made only where somebody does.
func (s *stream) tell(kind, service string, make func() any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var message []byte
	for r := range s.readers {
		if r.service != "" && service != "" && r.service != service {
			continue
		}
		if message == nil {
			text, err := marshal(make())
			if err != nil {
				return // nothing we show is beyond JSON: see clean
			}
			message = fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, text)
		}
		select {
		case r.messages <- message:
		default:
			close(r.messages)
			delete(s.readers, r)
			s.dropped++
		}
	}
}

// Stepped tells those who listen of a step; it is made to be a Daemon's Stepped,
// and never waits.
func (s *Server) Stepped(_, after control.Snapshot) {
	s.stream.tell("step", after.Name, func() any { return shown(after, time.Now()) })
}

// Happened tells those who listen of an event, and never waits.
func (s *Server) Happened(e Event) {
	s.stream.tell("event", e.Service, func() any { return e })
}

// getStream answers with what happens, until one side has enough.
func (s *Server) getStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	reader := s.stream.join(r.URL.Query().Get("service"))
	if reader == nil {
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%d streams are open already: close one, or ask again later", maxReaders))
		return
	}
	defer s.stream.leave(reader)
	out := http.NewResponseController(w)
	write := func(text []byte) error {
		_ = out.SetWriteDeadline(time.Now().Add(writeWithin))
		_, err := w.Write(text)
		return err
	}
	// Browsers come back after so many milliseconds.
	err := write([]byte("retry: 3000\n\n"))
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for err == nil && out.Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			err = write([]byte(": beat\n\n"))
		case message, open := <-reader.messages:
			if !open {
				return
			}
			err = write(message)
		}
	}
}
