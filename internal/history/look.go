package history

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

const (
	// mostPoints is how many points one answer has.
	mostPoints = 4000
	// pageRows is how many records are read at a time: nobody who stops in the
	// middle must keep the file from being tidied up.
	pageRows = 200
)

// Point sums up the steps of a stretch of time.
type Point struct {
	// Time is when the stretch begins.
	Time time.Time
	// RPS is the highest load in requests/s.
	RPS float64
	// MinReplicas and MaxReplicas are the fewest and the most there were.
	MinReplicas, MaxReplicas int
	// Want is the most that was wanted.
	Want int
	// Verdict is the worst of the readings.
	Verdict autoscale.Verdict
	// Min and Max are the bounds in force, the highest of each; both are 0 where they
	// are not known.
	Min, Max int
}

// Points sum up a service's steps from one moment up to another, one each step of
// time in which there were any, oldest first. The step is made as much longer as is
// needed for at most 4,000 of them. What is older than a day is known by the
// minute, older than a week by ten minutes.
func (s *Store) Points(service string, from, to time.Time, step time.Duration) ([]Point, error) {
	begin, end := from.Unix(), to.Unix()
	if to.Nanosecond() > 0 {
		end++
	}
	if end <= begin {
		return nil, nil
	}
	width := max(int64(step/time.Second), (end-begin)/mostPoints+1, 1)
	if step > 0 && width > int64(step/time.Second) && step >= time.Second {
		// A multiple, so that it is still the step that was asked for.
		width = (width + int64(step/time.Second) - 1) / int64(step/time.Second) * int64(step/time.Second)
	}
	var all []Point
	err := s.look(func(db *sql.DB) error {
		// One statement sees one moment, in which nothing is twice or in neither.
		rows, err := db.Query(`WITH here AS (SELECT id FROM service WHERE name = ?1)
			SELECT at - at % ?4, max(rps), min(low), max(high), max(want), max(verdict), max(least), max(most) FROM (
				SELECT at, rps, low, high, want, verdict, least, most FROM point WHERE service = (SELECT id FROM here) AND width = 1 AND at >= ?2 AND at < ?3
				UNION ALL
				SELECT at, rps, low, high, want, verdict, least, most FROM point WHERE service = (SELECT id FROM here) AND width = 60 AND at >= ?2 AND at < ?3
				UNION ALL
				SELECT at, rps, low, high, want, verdict, least, most FROM point WHERE service = (SELECT id FROM here) AND width = 600 AND at >= ?2 AND at < ?3
				UNION ALL
				SELECT at, rps, low, high, want, verdict, least, most FROM recent WHERE service = (SELECT id FROM here) AND at >= ?2 AND at < ?3
			) GROUP BY 1 ORDER BY 1`, service, begin, end, width)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p Point
			var at int64
			var verdict int
			if err := rows.Scan(&at, &p.RPS, &p.MinReplicas, &p.MaxReplicas, &p.Want, &verdict, &p.Min, &p.Max); err != nil {
				return err
			}
			p.Time = time.Unix(at, 0).In(from.Location())
			p.Verdict = verdicts[min(max(verdict, 0), len(verdicts)-1)]
			all = append(all, p)
		}
		return rows.Err()
	})
	return all, err
}

// Records yields the records of a service, from one moment up to another, newest
// first; a zero time bounds nothing. There are at most limit of them; 0 is no limit.
// With changes it yields those alone that tell something. An error ends them. Where
// service is empty, those of all come in the order in which they were appended.
func (s *Store) Records(service string, from, to time.Time, limit int, changes bool) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		page := page{service: service, from: math.MinInt64, at: math.MaxInt64, id: math.MaxInt64, changes: changes, size: pageRows}
		if !from.IsZero() {
			page.from = milli(from)
		}
		if !to.IsZero() {
			page.at = milli(to)
			if service != "" {
				page.id = math.MinInt64
			}
		}
		for left := limit; limit <= 0 || left > 0; left -= page.size {
			if limit > 0 {
				page.size = min(left, pageRows)
			}
			var records []store.Record
			err := s.look(func(db *sql.DB) (err error) {
				records, err = page.next(db)
				return err
			})
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			if len(records) < page.size {
				return
			}
		}
	}
}

// milli is t in milliseconds since 1970, rounded up: what is earlier than t is
// below it.
func milli(t time.Time) int64 {
	n := t.UnixMilli()
	if t.After(time.UnixMilli(n)) {
		n++
	}
	return n
}

// page is where the next records come from: before at, and of those at the same
// time before id; where service is empty, before at and before id.
type page struct {
	service      string
	from, at, id int64
	changes      bool
	size         int
	unpacker
}

// next reads a page of records, and goes on to the one after.
func (p *page) next(db *sql.DB) (records []store.Record, err error) {
	rows, err := db.Query(p.query(), p.from, p.at, p.id, p.size, p.service)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body sql.RawBytes
		var at int64
		if err := rows.Scan(&at, &p.id, &body); err != nil {
			return records, err
		}
		if p.service != "" {
			p.at = at
		}
		r, err := p.unpack(body)
		if err != nil {
			return records, fmt.Errorf("record %d: %w", p.id, err)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

func (p *page) query() string {
	told := ""
	if p.changes {
		told = " AND told = 1"
	}
	if p.service == "" {
		return "SELECT at, id, body FROM record WHERE ?5 = ''" + told + " AND at >= ?1 AND at < ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
	}
	return "SELECT at, id, body FROM record WHERE service = (SELECT id FROM service WHERE name = ?5)" + told +
		" AND at >= ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4"
}

// Events are at most limit of a service, or of all where it is empty, that are not
// before since, newest first; 0 is no limit.
func (s *Store) Events(service string, since time.Time, limit int) ([]Event, error) {
	if limit <= 0 {
		limit = -1
	}
	from := int64(math.MinInt64)
	if !since.IsZero() {
		from = milli(since)
	}
	var all []Event
	err := s.look(func(db *sql.DB) error {
		rows, err := db.Query(`SELECT id, at, service, kind, text, by FROM event
			WHERE (?1 = '' OR service = ?1) AND at >= ?2 ORDER BY id DESC LIMIT ?3`, service, from, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e Event
			var at int64
			if err := rows.Scan(&e.ID, &at, &e.Service, &e.Kind, &e.Text, &e.By); err != nil {
				return err
			}
			e.Time = time.UnixMilli(at)
			all = append(all, e)
		}
		return rows.Err()
	})
	return all, err
}

// look reads what was written, and what waits to be: unless that cannot be written,
// of which Warnings tells, or the file is being tidied up, which may take seconds.
func (s *Store) look(read func(db *sql.DB) error) error {
	if s.writing.TryLock() {
		_ = s.writeAll()
		s.writing.Unlock()
	}
	s.using.RLock()
	defer s.using.RUnlock()
	if err := read(s.reader); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("history: %s cannot be read: %w", s.path, err)
	}
	return nil
}
