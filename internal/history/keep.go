package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/store"
)

const (
	// smallest is the least size that a Store may be given, in bytes.
	smallest = 1 << 20
	// longestQueue is how many entries wait to be written at most: two minutes of
	// 500 services.
	longestQueue = 4096
	// longestBatch is how many entries are written in one transaction at most.
	longestBatch = 1024
	// longestText is what is kept of an event's text, in bytes.
	longestText = 1000
	// steadyEvery is how often a record is kept of a service that does not change.
	steadyEvery = time.Minute
)

// Event is something that happened beside the steps: a pause, a reload, an engine
// that was gone.
type Event struct {
	// ID grows from event to event.
	ID int64
	// Time is when it happened.
	Time time.Time
	// Service is whom it befell; empty for the daemon as a whole.
	Service string
	// Kind is a stable name, Text says it in words.
	Kind, Text string
	// By is whose doing it was; empty for nobody's.
	By string
}

// Store keeps what happened to many services, for charts and for people: a file of
// a size that is bounded. No decision reads it.
//
// What is appended is written within a second or so, and never waited for. Of a
// step that changed nothing it keeps the numbers, for charts, and once a minute the
// record.
type Store struct {
	path     string
	keep     time.Duration
	bounds   bounds
	readOnly bool

	mu      sync.Mutex // of what follows
	queue   []entry
	dropped uint64
	trouble error // of the last write; nil where it went well
	opening []string
	kept    map[string]store.Record // the last record kept of each service
	lastID  int64
	closed  bool

	writing  sync.Mutex // held while something is written
	services map[string]int64
	staged   int // rows of recent
	batch    int // entries written at a time: fewer where many do not find room
	gathered time.Time
	rolled   time.Time
	pack     packer
	file     os.FileInfo // what path was when it was opened
	lost     bool        // neither writer nor reader is open

	using          sync.RWMutex // held to exchange these
	writer, reader *sql.DB

	stop        context.CancelFunc
	doneWriting chan struct{}
}

// entry is what waits to be written: one step or one event.
type entry struct {
	service string
	record  store.Record
	at      time.Time
	full    bool // the record is kept, not its numbers alone
	event   *Event
}

// OpenStore opens the history in a file, which is made, with its folder, where
// there is none. It keeps what is younger than keep, as far as it fits into size
// bytes, the files that SQLite has beside it included. A file that is damaged, or
// of a newer version, is put aside, and a new one begun; Warnings says so.
func OpenStore(path string, keep time.Duration, size int64) (*Store, error) {
	s, err := openStore(path, keep, size)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.doneWriting = stop, make(chan struct{})
	go s.run(ctx)
	return s, nil
}

// openStore is OpenStore without the goroutine that writes.
func openStore(path string, keep time.Duration, size int64) (*Store, error) {
	switch {
	case keep <= 0:
		return nil, fmt.Errorf("history: keep: %s: give a time above 0, such as 30d", keep)
	case size < smallest:
		return nil, fmt.Errorf("history: size: %d bytes are too few; give at least 1MiB", size)
	}
	s := &Store{path: path, keep: keep, bounds: divide(size), batch: longestBatch, kept: map[string]store.Record{}}
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("history: %s cannot be opened: %w; mend that, or name another history file", path, err)
	}
	return s, nil
}

// ReadStore opens the history in a file that is there, to read: also while another
// process writes it.
func ReadStore(path string) (*Store, error) {
	reader, err := openReader(path)
	if err == nil {
		err = reader.Ping()
		if err != nil {
			err = errors.Join(err, reader.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("history: %s cannot be read: %w", path, err)
	}
	return &Store{path: path, reader: reader, readOnly: true}, nil
}

// begin opens the file, and puts it aside if it must.
func (s *Store) begin() error {
	err := s.connect()
	if unusable(err) {
		if err = s.replace(err); err == nil {
			err = s.connect()
		}
	}
	return err
}

// connect opens the file, and learns what it needs of it.
func (s *Store) connect() error {
	writer, err := openWriter(s.path, s.bounds)
	if err != nil {
		return err
	}
	reader, err := openReader(s.path)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	s.writer, s.reader, s.services = writer, reader, map[string]int64{}
	if s.file, err = os.Stat(s.path); err == nil {
		err = s.learn()
	}
	if err != nil {
		return errors.Join(err, writer.Close(), reader.Close())
	}
	return nil
}

// replace puts the file aside, and notes why.
func (s *Store) replace(why error) error {
	aside, err := putAside(s.path, time.Now())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening = append(s.opening, fmt.Sprintf("history: %s could not be used (%v); it was put aside as %s, and a new one begun", s.path, why, aside))
	return nil
}

// learn reads what is remembered between writes.
func (s *Store) learn() error {
	var lastID int64
	if err := s.writer.QueryRow("SELECT coalesce(max(id), 0), (SELECT count(*) FROM recent) FROM event").Scan(&lastID, &s.staged); err != nil {
		return err
	}
	s.mu.Lock()
	s.lastID = max(s.lastID, lastID)
	s.mu.Unlock()
	rows, err := s.writer.Query("SELECT name, id FROM service")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var id int64
		if err := rows.Scan(&name, &id); err != nil {
			return err
		}
		s.services[name] = id
	}
	return rows.Err()
}

// errClosed is of a Store that takes nothing.
var errClosed = errors.New("history: it is closed, or was opened to be read")

// Append keeps a step of a service. r is not to be changed afterwards.
//
// It does not wait for the disk: what cannot be written for a while is dropped, the
// oldest first, and Warnings says so.
func (s *Store) Append(service string, r store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.worth(service, r)
	err := s.put(entry{service: service, record: r, at: when(r), full: full})
	if err == nil && full {
		s.kept[service] = r
	}
	return err
}

// when is the time of a record: that of its decision, if it came to one.
func when(r store.Record) time.Time {
	if r.Decision.At.IsZero() {
		return r.Time
	}
	return r.Decision.At
}

// AddEvent keeps an event, and returns it with its ID.
func (s *Store) AddEvent(e Event) (Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	e.ID = s.lastID
	if len(e.Text) > longestText {
		e.Text = strings.ToValidUTF8(e.Text[:longestText], "") + " …"
	}
	return e, s.put(entry{event: &e})
}

// worth reports whether a record is kept: it tells something, differs from the one
// before, or that is a minute old. s.mu is held.
func (s *Store) worth(service string, r store.Record) bool {
	before, known := s.kept[service]
	return !known || Told(r) ||
		r.Decision.Reason != before.Decision.Reason || r.Decision.To != before.Decision.To ||
		r.Decision.Verdict != before.Decision.Verdict || r.Outcome.Result != before.Outcome.Result ||
		when(r).Sub(when(before)).Abs() >= steadyEvery
}

// put lets an entry wait. s.mu is held.
func (s *Store) put(e entry) error {
	if s.closed || s.readOnly {
		return errClosed
	}
	s.queue = append(s.queue, e)
	s.trim()
	return nil
}

// trim drops the oldest of a queue that is too long. s.mu is held.
func (s *Store) trim() {
	if over := len(s.queue) - longestQueue; over > 0 {
		s.dropped += uint64(over)
		clear(s.queue[:over])
		s.queue = s.queue[over:]
	}
}

// Warnings are what a person should know: what was put aside, what is not written
// now, and how much was lost by that.
func (s *Store) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.opening)
	if s.trouble != nil {
		all = append(all, fmt.Sprintf("history: %s cannot be written: %v; decisions are made all the same, and it goes on once that is mended", s.path, s.trouble))
	}
	if s.dropped > 0 {
		all = append(all, fmt.Sprintf("history: %d steps or events are missing in %s: they could not be written in time", s.dropped, s.path))
	}
	return all
}

// run writes what waits, once a second, until ctx ends.
func (s *Store) run(ctx context.Context) {
	defer close(s.doneWriting)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			s.settle(now)
		}
	}
}

// Close writes what waits, and ends it.
func (s *Store) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	if s.stop != nil {
		s.stop()
		<-s.doneWriting
	}
	err := s.flush()
	s.using.Lock()
	defer s.using.Unlock()
	if !s.readOnly {
		err = errors.Join(err, s.writer.Close())
	}
	return errors.Join(err, s.reader.Close())
}
