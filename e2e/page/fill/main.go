//go:build e2e

// Command fill makes a history with a week of a hundred services, a step every 15 s
// on the last day and one a minute before, in the file that it is given. The steps
// are put in as they would stand there: made one by one they would take minutes.
// Tests run it, since the race detector makes SQLite twenty times as slow.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	_ "modernc.org/sqlite" // the history's own

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

func main() {
	if err := fill(os.Args[1], time.Now()); err != nil {
		log.Fatal(err)
	}
}

func fill(path string, now time.Time) error {
	if err := number(path, now); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1) // the table of numbers is this connection's
	_, err = db.Exec(`CREATE TEMP TABLE n AS WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < 8639) SELECT value FROM n;
		INSERT INTO point (service, width, at, rps, low, high, want, verdict, least, most)
			SELECT id, 1, ?1 + 15 * value, id + abs(value % 2880 - 1440) / 12.0, 1 + abs(value % 2880 - 1440) / 480, 2 + abs(value % 2880 - 1440) / 480, 2, 0, 1, 8 FROM service, n WHERE value < 5760;
		INSERT INTO point (service, width, at, rps, low, high, want, verdict, least, most)
			SELECT id, 60, ?2 + 60 * value, id + abs(value % 720 - 360) / 3.0, 1 + abs(value % 720 - 360) / 120, 2 + abs(value % 720 - 360) / 120, 2, 0, 1, 8 FROM service, n`,
		now.Unix()-86400, (now.Unix()-7*86400)/60*60)
	return errors.Join(err, db.Close())
}

// number has the history number its services.
func number(path string, now time.Time) error {
	past, err := history.OpenStore(path, 30*24*time.Hour, 1<<30)
	if err != nil {
		return err
	}
	for i := range 100 {
		record := store.Record{Time: now, Decision: autoscale.Decision{At: now, From: 2, To: 2, Want: 2, Min: 1, Max: 8, Verdict: autoscale.OK}}
		if err := past.Append(fmt.Sprintf("service-%02d", i), record); err != nil {
			return errors.Join(err, past.Close())
		}
	}
	return past.Close()
}
