package history

import (
	"database/sql"
	"fmt"
	"os"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// gatherEvery and gatherAt are how often, and at how many, recent points are
	// sorted in.
	gatherEvery, gatherAt = 5 * time.Minute, 5000
	// rollEvery is how often old points are summed up, and those too old deleted.
	rollEvery = time.Hour
	// mostEvents is how many events are kept; of a small size, one for each page.
	mostEvents = 10_000
	// fullest and emptied are the shares of the pages, in per cent, above which the
	// oldest is deleted, and down to which.
	fullest, emptied = 90, 80
)

// widths are the stretches of time that a point may stand for, in seconds, and
// after what time it is summed up in one of the next.
var widths = []struct {
	seconds int64
	after   time.Duration
}{{1, 24 * time.Hour}, {60, 7 * 24 * time.Hour}, {600, 0}}

// settle writes what waits and keeps the file in order. What went wrong is in
// s.trouble, and tried again the next time.
func (s *Store) settle(now time.Time) {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.order(now)
	// Each time there is more room, and less to be written at a time.
	for n := 0; n < 8 && code(err) == sqlite3.SQLITE_FULL; n++ {
		if err = s.relieve(fullest); err == nil {
			err = s.order(now)
		}
	}
	if unusable(err) {
		err = s.renew(err)
	}
	s.mu.Lock()
	s.trouble = err
	s.mu.Unlock()
}

// order writes what waits, and does what is due. s.writing is held.
func (s *Store) order(now time.Time) error {
	if s.lost {
		if err := s.renew(nil); err != nil {
			return err
		}
	}
	if err := s.writeAll(); err != nil {
		return err
	}
	return s.tend(now)
}

// tend does what is due. s.writing is held.
func (s *Store) tend(now time.Time) error {
	if s.staged < gatherAt && now.Sub(s.gathered).Abs() < gatherEvery {
		return nil
	}
	if s.isGone() {
		return s.renew(nil)
	}
	if err := s.gather(); err != nil {
		return err
	}
	if _, err := s.writer.Exec("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", min(mostEvents, s.bounds.pages)); err != nil {
		return err
	}
	s.gathered = now
	if now.Sub(s.rolled).Abs() >= rollEvery {
		if err := s.roll(now); err != nil {
			return err
		}
		s.rolled = now
	}
	if err := s.relieve(fullest); err != nil {
		return err
	}
	return s.shrink()
}

// isGone reports whether somebody removed the file, or put another in its place.
func (s *Store) isGone() bool {
	now, err := os.Stat(s.path)
	return err != nil || !os.SameFile(now, s.file)
}

// renew begins a new file in the place of one that is gone or, for a reason, of no
// use.
func (s *Store) renew(why error) error {
	s.using.Lock()
	defer s.using.Unlock()
	s.lost = true
	// What a file that is of no use says when it is closed is of no use either.
	_, _ = s.writer.Close(), s.reader.Close()
	if why != nil {
		if err := s.replace(why); err != nil {
			return err
		}
	}
	err := s.begin()
	s.lost = err != nil
	return err
}

// merge is what becomes of two points that are one.
const merge = ` ON CONFLICT DO UPDATE SET rps = max(rps, excluded.rps), low = min(low, excluded.low),
	high = max(high, excluded.high), want = max(want, excluded.want), verdict = max(verdict, excluded.verdict),
	least = max(least, excluded.least), most = max(most, excluded.most)`

// gather sorts the recent points in among those of their services.
func (s *Store) gather() error {
	err := update(s.writer, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO point (service, width, at, rps, low, high, want, verdict, least, most)
			SELECT service, 1, at, rps, low, high, want, verdict, least, most FROM recent WHERE true ORDER BY service, at` + merge + `;
			DELETE FROM recent`)
		return err
	})
	if err == nil {
		s.staged = 0
	}
	return err
}

// roll sums up what is old, and deletes what is too old, service by service: no
// transaction is larger than one of them needs.
func (s *Store) roll(now time.Time) error {
	oldest := now.Add(-s.keep)
	for _, id := range s.services {
		err := update(s.writer, func(tx *sql.Tx) error {
			if err := deletePoints(tx, id, oldest.Unix()); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM record WHERE service = ? AND at < ?", id, oldest.UnixMilli()); err != nil {
				return err
			}
			for i := range len(widths) - 1 {
				if err := sumUp(tx, id, widths[i].seconds, widths[i+1].seconds, now.Add(-widths[i].after).Unix()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := s.writer.Exec("DELETE FROM event WHERE at < ?", oldest.UnixMilli())
	return err
}

// sumUp makes wider points of those that are before a moment.
func sumUp(tx *sql.Tx, service, width, wider, before int64) error {
	_, err := tx.Exec(`INSERT INTO point (service, width, at, rps, low, high, want, verdict, least, most)
		SELECT service, ?3, at - at % ?3, max(rps), min(low), max(high), max(want), max(verdict), max(least), max(most)
		FROM point WHERE service = ?1 AND width = ?2 AND at < ?4 GROUP BY 3`+merge+`;
		DELETE FROM point WHERE service = ?1 AND width = ?2 AND at < ?4`, service, width, wider, before-before%wider)
	return err
}

// pages are how many the file has, and how many of them are free.
func (s *Store) pages() (all, free int64, err error) {
	err = s.writer.QueryRow("SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count").Scan(&all, &free)
	return all, free, err
}

// relieve deletes the oldest where more pages are in use than a share of what is
// allowed, in per cent: records and points by turns, so that points, which are
// small, reach back four times as far.
func (s *Store) relieve(above int64) error {
	for range 500 {
		all, free, err := s.pages()
		if err != nil || (all-free)*100 <= s.bounds.pages*above {
			return err
		}
		above = emptied
		record, err := s.recordSpan()
		if err != nil {
			return err
		}
		from, to, err := s.pointSpan()
		if err != nil {
			return err
		}
		switch {
		case record > 0 && record*4 >= to-from:
			_, err = s.writer.Exec("DELETE FROM record WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 50 FROM record)")
		case to > from:
			err = s.deletePoints(from + (to-from)/50 + 1)
		default:
			return nil // what is left is little, or of one moment
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recordSpan is the time between the first and the last record, in seconds, at
// least 1; 0 where there are none.
func (s *Store) recordSpan() (seconds int64, err error) {
	err = s.writer.QueryRow(`SELECT coalesce(max(1, abs(
		(SELECT at FROM record ORDER BY id DESC LIMIT 1) - (SELECT at FROM record ORDER BY id LIMIT 1)) / 1000), 0)`).Scan(&seconds)
	return seconds, err
}

// pointSpan is when the first and the last point is; both are 0 where there are
// none.
func (s *Store) pointSpan() (from, to int64, err error) {
	err = s.writer.QueryRow(`SELECT coalesce(min(first), 0), coalesce(max(last), 0) FROM (
		SELECT (SELECT min(at) FROM point WHERE service = s.id AND width = w.column1) AS first,
			(SELECT max(at) FROM point WHERE service = s.id AND width = w.column1) AS last
		FROM service AS s, (VALUES (1), (60), (600)) AS w)`).Scan(&from, &to)
	return from, to, err
}

// deletePoints deletes all points before a moment.
func (s *Store) deletePoints(before int64) error {
	return update(s.writer, func(tx *sql.Tx) error {
		for _, id := range s.services {
			if err := deletePoints(tx, id, before); err != nil {
				return err
			}
		}
		return nil
	})
}

// deletePoints deletes a service's points before a moment, of whatever width.
func deletePoints(tx *sql.Tx, service, before int64) error {
	for _, w := range widths {
		if _, err := tx.Exec("DELETE FROM point WHERE service = ? AND width = ? AND at < ?", service, w.seconds, before); err != nil {
			return err
		}
	}
	return nil
}

// shrink gives free pages back, so many at a time as the log has room for, where a
// good part of the file is free, or it is larger than is allowed.
func (s *Store) shrink() error {
	for range 64 { // the rest comes next time
		all, free, err := s.pages()
		if err != nil || free == 0 || free < all/4 && all <= s.bounds.pages {
			return err
		}
		// The file itself becomes shorter once the log is written back.
		if _, err := s.writer.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d); PRAGMA wal_checkpoint", min(free, s.bounds.log/pageSize))); err != nil {
			return err
		}
	}
	return nil
}
