package trace

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds a line of a trace, in bytes; a request's body is in it.
const maxLine = 16 << 20

// Recording is a trace file that can be played.
type Recording struct {
	// Curve is the load of a file that gives rates; nil of one that gives
	// requests.
	Curve *Curve
	path  string
	open  func(io.Reader) Arrivals // nil of a file that gives rates
	rates func(io.Reader) Rates    // nil of one that gives requests
	speed float64
	scale float64
}

// Open looks into a trace file as Find does, and reads the Curve of one that gives
// rates.
func Open(path string, speed, scale float64) (Recording, error) {
	r, err := Find(path, speed, scale)
	if err != nil || r.rates == nil {
		return r, err
	}
	var c Curve
	for rate, err := range r.Rates(time.Second, nil) {
		if err != nil {
			return r, err
		}
		c.add(flat(rate.RPS), rate.For.Seconds())
	}
	r.Curve = &c
	return r, nil
}

// Find looks into a trace file, at speed times its pace and with scale times its
// requests. Its format is told from its first line:
//
//	seconds_since_start,rps          CSV of rates; each lasts to the next one
//	{"time": 1.5, "rps": 20}         NDJSON of rates
//	time[,method][,path][,body]      CSV of requests, columns in any order
//	{"time": 1.5, "path": "/x", …}   NDJSON of requests
//	host - - [date] "GET /x …" …     access log: common, combined, HAProxy's
//
// Times are seconds (of any beginning: the first request comes at once) or RFC
// 3339.
func Find(path string, speed, scale float64) (Recording, error) {
	r := Recording{path: path, speed: speed, scale: scale}
	file, err := os.Open(path)
	if err != nil {
		return r, fmt.Errorf("trace: %w", err)
	}
	defer file.Close()
	first, err := bufio.NewReaderSize(file, 64<<10).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return r, fmt.Errorf("trace %s: %w", path, err)
	}
	first = strings.TrimPrefix(first, "\ufeff")
	columns := strings.Split(strings.ToLower(strings.TrimSpace(first)), ",")
	switch {
	case slices.Contains(columns, "rps"):
		r.rates = csvRates
	case slices.Contains(columns, "time"):
		r.open = csvRequests
	case strings.HasPrefix(first, "{") && isRates(first):
		r.rates = jsonRates
	case strings.HasPrefix(first, "{"):
		r.open = jsonRequests
	case isAccessLog(first):
		r.open = accessLog
	default:
		return r, fmt.Errorf("trace %s: its first line %.60q is of none of the known formats: CSV with seconds_since_start,rps or time,method,path,body; NDJSON with \"time\", and \"rps\" where it is of rates; an access log in common, combined or HAProxy's format", path, first)
	}
	return r, nil
}

// Arrivals are the recorded requests, read as they are asked for. The file is
// opened anew each time.
func (r Recording) Arrivals() Arrivals {
	if r.Curve != nil {
		return At(r.Curve.Uniform())
	}
	return func(yield func(Arrival, error) bool) {
		file, err := os.Open(r.path)
		if err != nil {
			yield(Arrival{}, fmt.Errorf("trace: %w", err))
			return
		}
		defer file.Close()
		for a, err := range paced(r.open(skipMark(file)), r.speed, r.scale) {
			if err != nil {
				err = fmt.Errorf("trace %s: %w", r.path, err)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// skipMark passes over a byte-order mark.
func skipMark(from io.Reader) io.Reader {
	b := bufio.NewReaderSize(from, 64<<10)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = b.Discard(3) // they are there
	}
	return b
}

// column is the place of the column with that name; -1 where there is none.
func column(header []string, name string) int {
	return slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) })
}

// csvRequests reads a CSV of requests.
func csvRequests(from io.Reader) Arrivals {
	return func(yield func(Arrival, error) bool) {
		rows := csv.NewReader(from)
		rows.FieldsPerRecord = -1 // the body may be left away
		header, err := rows.Read()
		if err != nil {
			yield(Arrival{}, err)
			return
		}
		get := func(row []string, name string) string {
			if i := column(header, name); i >= 0 && i < len(row) {
				return row[i]
			}
			return ""
		}
		var clock clock
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			a := Arrival{}
			if err == nil {
				a = Arrival{Method: get(row, "method"), Path: get(row, "path"), Body: get(row, "body")}
				if a.At, err = clock.since(get(row, "time")); err != nil {
					line, _ := rows.FieldPos(0)
					err = fmt.Errorf("line %d: %w", line, err)
				}
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// jsonRequests reads NDJSON of requests.
func jsonRequests(from io.Reader) Arrivals {
	return func(yield func(Arrival, error) bool) {
		var clock clock
		for n, text := range jsonLines(from) {
			var row struct {
				Time               json.RawMessage
				Method, Path, Body string
			}
			a, err := Arrival{}, text.err
			if err == nil {
				err = json.Unmarshal(text.line, &row)
				a = Arrival{Method: row.Method, Path: row.Path, Body: row.Body}
				if err == nil {
					a.At, err = clock.since(strings.Trim(string(row.Time), `"`))
				}
				if err != nil {
					err = fmt.Errorf("line %d: %w", n, err)
				}
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// jsonLine is a line of NDJSON, or what kept it from being read.
type jsonLine struct {
	line []byte
	err  error
}

// jsonLines are the lines that are not empty, with their numbers.
func jsonLines(from io.Reader) iter.Seq2[int, jsonLine] {
	return func(yield func(int, jsonLine) bool) {
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		n := 1
		for ; lines.Scan(); n++ {
			if len(bytes.TrimSpace(lines.Bytes())) > 0 && !yield(n, jsonLine{line: lines.Bytes()}) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(n, jsonLine{err: err})
		}
	}
}

// clock counts times from the first one.
type clock struct {
	started bool
	first   time.Time
}

// since reads a time: seconds, or RFC 3339.
func (c *clock) since(text string) (time.Duration, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if seconds, errNumber := strconv.ParseFloat(text, 64); errNumber == nil && seconds >= -1e10 && seconds <= 1e10 {
		whole := int64(seconds)
		at, err = time.Unix(whole, int64((seconds-float64(whole))*1e9)), nil
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no time: seconds, or RFC 3339 as in 2026-11-24T10:05:00Z", text)
	}
	return c.sinceTime(at)
}

// longest is how long a trace may be; twice that can still be counted.
const longest = 100 * 365 * 24 * time.Hour

func (c *clock) sinceTime(at time.Time) (time.Duration, error) {
	if !c.started {
		c.started, c.first = true, at
	}
	since := max(0, at.Sub(c.first))
	if since > longest {
		return 0, fmt.Errorf("%s lies more than a hundred years after the first time", at.Format(time.RFC3339))
	}
	return since, nil
}
