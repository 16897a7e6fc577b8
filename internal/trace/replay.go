package trace

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	open  func(io.Reader) Arrivals
	speed float64
	scale float64
}

// Open looks into a trace file, at speed times its pace and with scale times
// its requests. Its format is told from its first line:
//
//	seconds_since_start,rps          CSV of rates; each lasts to the next one
//	time[,method][,path][,body]      CSV of requests, columns in any order
//	{"time": 1.5, "path": "/x", …}   NDJSON of requests
//	host - - [date] "GET /x …" …     access log, common or combined format
//
// Times are seconds (of any beginning: the first request comes at once) or RFC
// 3339.
func Open(path string, speed, scale float64) (Recording, error) {
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
		c, err := readRates(path)
		if err != nil {
			return r, fmt.Errorf("trace %s: %w", path, err)
		}
		c = c.Scaled(speed, scale)
		r.Curve = &c
	case slices.Contains(columns, "time"):
		r.open = csvRequests
	case strings.HasPrefix(first, "{"):
		r.open = jsonRequests
	case accessLine.MatchString(first):
		r.open = accessLog
	default:
		return r, fmt.Errorf("trace %s: its first line %.60q is of none of the known formats: CSV with seconds_since_start,rps or time,method,path,body; NDJSON with \"time\"; an access log in common or combined format", path, first)
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

// readRates reads a CSV of rates into a Curve. The last rate lasts as long as
// the one before it.
func readRates(path string) (Curve, error) {
	file, err := os.Open(path)
	if err != nil {
		return Curve{}, err
	}
	defer file.Close()
	rows := csv.NewReader(skipMark(file))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return Curve{}, err
	}
	at, rps := column(header, "seconds_since_start"), column(header, "rps")
	if at < 0 {
		return Curve{}, errors.New(`line 1: the column "seconds_since_start" is missing beside "rps"`)
	}
	var c Curve
	var last, rate, step float64
	for n := 0; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Curve{}, err
		}
		line, _ := rows.FieldPos(0)
		now, errTime := strconv.ParseFloat(row[at], 64)
		next, errRate := parseRate(row[rps])
		if err := errors.Join(errTime, errRate); err != nil {
			return Curve{}, fmt.Errorf("line %d: %w", line, err)
		}
		if n > 0 {
			if step = now - last; !(step > 0) {
				return Curve{}, fmt.Errorf("line %d: its time %s is not after that of the line before", line, row[at])
			}
			c.add(flat(rate), step)
		}
		last, rate = now, next
	}
	if step == 0 {
		return Curve{}, errors.New("it needs two lines of rates at least: one lasts to the next")
	}
	c.add(flat(rate), step)
	return c, nil
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
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		var clock clock
		for n := 1; lines.Scan(); n++ {
			if len(strings.TrimSpace(lines.Text())) == 0 {
				continue
			}
			var row struct {
				Time               json.RawMessage
				Method, Path, Body string
			}
			err := json.Unmarshal(lines.Bytes(), &row)
			a := Arrival{Method: row.Method, Path: row.Path, Body: row.Body}
			if err == nil {
				a.At, err = clock.since(strings.Trim(string(row.Time), `"`))
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Arrival{}, err)
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
	return c.sinceTime(at), nil
}

func (c *clock) sinceTime(at time.Time) time.Duration {
	if !c.started {
		c.started, c.first = true, at
	}
	return max(0, at.Sub(c.first))
}
