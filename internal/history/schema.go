package history

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/five-keys/autoscale/internal/replace"
)

// schema is what makes a database of the version before, or an empty one, into
// one of the version that is its number here, from 1. What was released is never
// changed: what is added comes at the end.
//
// Points come into recent, at its end, and are sorted in among those of their
// service some minutes later: so 500 services cost a page or two a second and not
// 33. least and most are the bounds; both are 0 where they are not known. Times of
// points are in seconds, those of records and events in milliseconds,
// since 1970.
var schema = []string{`
CREATE TABLE service (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE recent (
	service INTEGER NOT NULL, at INTEGER NOT NULL,
	rps REAL NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, want INTEGER NOT NULL, verdict INTEGER NOT NULL);
CREATE TABLE point (
	service INTEGER NOT NULL, width INTEGER NOT NULL, at INTEGER NOT NULL,
	rps REAL NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, want INTEGER NOT NULL, verdict INTEGER NOT NULL,
	PRIMARY KEY (service, width, at)) WITHOUT ROWID;
CREATE TABLE record (id INTEGER PRIMARY KEY, service INTEGER NOT NULL, at INTEGER NOT NULL, told INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX record_at ON record (service, at);
CREATE INDEX record_told ON record (service, at) WHERE told = 1;
CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, service TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, by TEXT NOT NULL);
`, `
ALTER TABLE recent ADD COLUMN least INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recent ADD COLUMN most INTEGER NOT NULL DEFAULT 0;
ALTER TABLE point ADD COLUMN least INTEGER NOT NULL DEFAULT 0;
ALTER TABLE point ADD COLUMN most INTEGER NOT NULL DEFAULT 0;
`}

// errNewer is of a database that a newer program has made.
var errNewer = errors.New("it was made by a newer version of this program")

// migrate brings a database to the last version of a schema.
func migrate(db *sql.DB, schema []string) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(schema) {
		return errNewer
	}
	for i, step := range schema[version:] {
		err := update(db, func(tx *sql.Tx) error {
			_, err := tx.Exec(step + fmt.Sprintf("; PRAGMA user_version = %d", version+i+1))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// update makes changes in one transaction.
func update(db *sql.DB, change func(tx *sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	// After a commit it does nothing; after some errors SQLite has done it already.
	defer func() { _ = tx.Rollback() }()
	if err := change(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// pageSize is SQLite's own, in bytes.
const pageSize = 4096

// bounds divide the size that a Store may have.
type bounds struct {
	pages int64 // of the database itself
	log   int64 // of the write-ahead log before it is written back, in bytes
}

// divide leaves room for the write-ahead log beside the database: four times what
// it has when it is written back, since one transaction may be larger.
func divide(size int64) bounds {
	room := min(size/4, 16<<20)
	return bounds{pages: (size - room - 64<<10) / pageSize, log: room / 4}
}

// openWriter opens a database to write to it, and makes it where there is none.
func openWriter(path string, b bounds) (*sql.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := replace.File(path, nil, replace.Perm(0o600)); err != nil {
			return nil, err
		}
	}
	db, err := open(path, "rw",
		"busy_timeout(5000)", "auto_vacuum(incremental)", "journal_mode(wal)", "synchronous(normal)",
		fmt.Sprintf("max_page_count(%d)", b.pages), fmt.Sprintf("journal_size_limit(%d)", b.log),
		fmt.Sprintf("wal_autocheckpoint(%d)", b.log/pageSize))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(db, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openReader opens a database that is there, to read alone.
func openReader(path string) (*sql.DB, error) {
	db, err := open(path, "ro", "busy_timeout(5000)", "query_only(on)")
	if err == nil {
		db.SetMaxOpenConns(2)
	}
	return db, err
}

func open(path, mode string, pragmas ...string) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: query.Encode()}).String())
}

// code is SQLite's code of an error; 0 where it has none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// unusable reports whether an error means that a file is no database of ours.
func unusable(err error) bool {
	return errors.Is(err, errNewer) || code(err) == sqlite3.SQLITE_CORRUPT || code(err) == sqlite3.SQLITE_NOTADB
}

// putAside renames a database that is of no use, and what SQLite has beside it. Of
// those that were put aside before, none stays, so that they do not fill the disk.
func putAside(path string, now time.Time) (aside string, err error) {
	before, _ := filepath.Glob(escape(path) + ".corrupt-*") // a pattern of ours cannot be wrong
	for _, old := range before {
		err = errors.Join(err, os.Remove(old))
	}
	aside = path + ".corrupt-" + now.UTC().Format("20060102T150405Z")
	err = errors.Join(err, os.Rename(path, aside))
	for _, beside := range []string{"-wal", "-shm"} {
		if rename := os.Rename(path+beside, aside+beside); !errors.Is(rename, os.ErrNotExist) {
			err = errors.Join(err, rename)
		}
	}
	return aside, err
}

// escape makes a pattern that is path alone.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
