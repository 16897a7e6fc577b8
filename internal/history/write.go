package history

import (
	"database/sql"
	"maps"
	"slices"

	"github.com/five-keys/autoscale"
)

// flush writes what waits.
func (s *Store) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writeAll()
}

// writeAll writes what waits. s.writing is held.
func (s *Store) writeAll() error {
	for {
		s.mu.Lock()
		batch := s.queue[:min(len(s.queue), s.batch)]
		s.queue = s.queue[len(batch):]
		s.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		err := s.write(batch)
		s.batch = min(2*s.batch, longestBatch)
		s.mu.Lock()
		s.trouble = err
		if err != nil {
			s.batch = max(len(batch)/2, 1)
			s.queue = slices.Concat(batch, s.queue)
			s.trim()
		} else {
			clear(batch) // what is behind it is not kept from being collected
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// write writes a batch, all of it or nothing.
func (s *Store) write(batch []entry) error {
	b := batchWriter{pack: &s.pack, services: maps.Clone(s.services)}
	err := update(s.writer, func(tx *sql.Tx) error {
		b.tx = tx
		for _, e := range batch {
			if err := b.add(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.services, s.staged = b.services, s.staged+b.points
	}
	return err
}

// batchWriter writes entries in one transaction.
type batchWriter struct {
	tx       *sql.Tx
	pack     *packer
	services map[string]int64
	points   int
	toPoint  *sql.Stmt
	toRecord *sql.Stmt
}

func (b *batchWriter) add(e entry) error {
	if e.event != nil {
		return b.event(*e.event)
	}
	id, err := b.id(e.service)
	if err != nil {
		return err
	}
	if err := b.point(id, e); err != nil || !e.full {
		return err
	}
	body, err := b.pack.pack(e.record)
	if err != nil {
		return nil // it has no text, and will not have one: it has its numbers
	}
	if err := b.prepare(&b.toRecord, "INSERT INTO record (service, at, told, body) VALUES (?, ?, ?, ?)"); err != nil {
		return err
	}
	_, err = b.toRecord.Exec(id, e.at.UnixMilli(), Told(e.record), body)
	return err
}

func (b *batchWriter) prepare(to **sql.Stmt, query string) (err error) {
	if *to == nil {
		*to, err = b.tx.Prepare(query)
	}
	return err
}

// id is the number of a service, which it gets where it has none.
func (b *batchWriter) id(service string) (id int64, err error) {
	if id, known := b.services[service]; known {
		return id, nil
	}
	// Another process may have numbered it.
	err = b.tx.QueryRow("INSERT INTO service (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id", service).Scan(&id)
	b.services[service] = id
	return id, err
}

// point writes the numbers of a step, if it came to a decision.
func (b *batchWriter) point(service int64, e entry) error {
	d, o := e.record.Decision, e.record.Outcome
	if d.At.IsZero() {
		return nil
	}
	low, high := d.From, d.From
	if o.Result != "" {
		low, high = min(low, o.Count), max(high, o.Count)
	}
	if err := b.prepare(&b.toPoint, "INSERT INTO recent (service, at, rps, low, high, want, verdict, least, most) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"); err != nil {
		return err
	}
	_, err := b.toPoint.Exec(service, d.At.Unix(), finite(d.Load), low, high, d.Want, badness(d.Verdict), d.Min, d.Max)
	b.points++
	return err
}

func (b *batchWriter) event(e Event) error {
	// Another process may have given the ID away.
	_, err := b.tx.Exec(`INSERT INTO event (id, at, service, kind, text, by)
		VALUES (CASE WHEN ?1 IN (SELECT id FROM event) THEN NULL ELSE ?1 END, ?2, ?3, ?4, ?5, ?6)`,
		e.ID, e.Time.UnixMilli(), e.Service, e.Kind, e.Text, e.By)
	return err
}

// verdicts are in the order of how bad they are; a database has their places, so
// that what is added comes at the end.
var verdicts = []autoscale.Verdict{
	autoscale.OK, autoscale.Warming, autoscale.Stale, autoscale.Partial, autoscale.OneOfSeveral, autoscale.Saturated,
	autoscale.NotFinite, autoscale.Negative, autoscale.Malformed, autoscale.TooLarge, autoscale.Late, autoscale.Absent, autoscale.Unreachable,
}

// badness is the place of a verdict; one that is not known has that of Partial: it
// may not lower.
func badness(v autoscale.Verdict) int {
	partial := 0
	for i, one := range verdicts {
		if one == v {
			return i
		}
		if one == autoscale.Partial {
			partial = i
		}
	}
	return partial
}
