package trace

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"
)

// Rate is the mean load over a stretch of time.
type Rate struct {
	// At is when it begins, since the beginning of the load, and For how long it
	// lasts.
	At, For time.Duration
	// RPS is in requests/s.
	RPS float64
}

// Rates are stretches, each of which begins where the one before it ends. After an
// error, which tells the place in the trace, none follows.
type Rates = iter.Seq2[Rate, error]

// Rates are the recorded load as rates, read as they are asked for, so that a trace
// may be longer than memory. Single requests are counted over stretches of that
// length. Told, where set, is told of each byte that was read.
func (r Recording) Rates(step time.Duration, told func(bytes int)) Rates {
	return func(yield func(Rate, error) bool) {
		file, err := os.Open(r.path)
		if err != nil {
			yield(Rate{}, fmt.Errorf("trace: %w", err))
			return
		}
		defer file.Close()
		var from io.Reader = file
		if told != nil {
			from = tellingReader{file, told}
		}
		all := counted(paced(r.requests(from), r.speed, r.scale), step)
		if r.rates != nil {
			all = quickened(r.rates(skipMark(from)), r.speed, r.scale)
		}
		for one, err := range all {
			if err != nil {
				err = fmt.Errorf("trace %s: %w", r.path, err)
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

// Exact reports whether the recording has each request, not just rates.
func (r Recording) Exact() bool { return r.rates == nil }

// requests are those of a file that gives requests.
func (r Recording) requests(from io.Reader) Arrivals {
	if r.open == nil {
		return func(func(Arrival, error) bool) {}
	}
	return r.open(skipMark(from))
}

// tellingReader tells of what is read.
type tellingReader struct {
	io.Reader
	told func(int)
}

// Read reads, and tells how much.
func (t tellingReader) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	t.told(n)
	return n, err
}

// quickened is load at speed times its pace, with scale times the requests.
func quickened(all Rates, speed, scale float64) Rates {
	return func(yield func(Rate, error) bool) {
		for r, err := range all {
			r = Rate{At: time.Duration(float64(r.At) / speed), For: time.Duration(float64(r.For) / speed), RPS: r.RPS * speed * scale}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// counted are the requests of each stretch of that length. The last one may end
// before the stretch does: what its rate is, nobody knows, so it is left away,
// unless it is the only one.
func counted(all Arrivals, step time.Duration) Rates {
	return func(yield func(Rate, error) bool) {
		at, n := time.Duration(0), 0
		for a, err := range all {
			if err != nil {
				yield(Rate{}, err)
				return
			}
			for a.At >= at+step {
				if !yield(Rate{At: at, For: step, RPS: float64(n) / step.Seconds()}, nil) {
					return
				}
				at, n = at+step, 0
			}
			n++
		}
		if at == 0 && n > 0 {
			yield(Rate{For: step, RPS: float64(n) / step.Seconds()}, nil)
		}
	}
}

// Stretches makes rates of values that are each in force from an instant on, to
// the next one's. The last one lasts as long as the one before it. Instants are
// since any beginning.
func Stretches(all iter.Seq2[Rate, error]) Rates {
	return func(yield func(Rate, error) bool) {
		var held Rate
		var first, step time.Duration
		n := 0
		for next, err := range all {
			if err != nil {
				yield(Rate{}, err)
				return
			}
			if n == 0 {
				first = next.At
			}
			next.At -= first
			if n > 0 {
				step = next.At - held.At
				held.For = step
				if !yield(held, nil) {
					return
				}
			}
			held = next
			n++
		}
		if n < 2 {
			yield(Rate{}, errors.New("two rates are needed at least: one lasts to the next"))
			return
		}
		held.For = step
		yield(held, nil)
	}
}

// csvRates reads a CSV of rates.
func csvRates(from io.Reader) Rates {
	return Stretches(func(yield func(Rate, error) bool) {
		rows := csv.NewReader(from)
		rows.ReuseRecord = true
		header, err := rows.Read()
		if err != nil {
			yield(Rate{}, err)
			return
		}
		at, rps := column(header, "seconds_since_start"), column(header, "rps")
		if at < 0 {
			at = column(header, "time")
		}
		if at < 0 {
			yield(Rate{}, errors.New(`line 1: the column "seconds_since_start" is missing beside "rps"`))
			return
		}
		var last instant
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var r Rate
			if err == nil {
				line, _ := rows.FieldPos(0)
				r, err = last.rate(line, row[at], row[rps])
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	})
}

// jsonRates reads NDJSON of rates.
func jsonRates(from io.Reader) Rates {
	return Stretches(func(yield func(Rate, error) bool) {
		var last instant
		for n, text := range jsonLines(from) {
			var row struct {
				Time  json.RawMessage
				Since json.RawMessage `json:"seconds_since_start"`
				RPS   json.Number
			}
			err := text.err
			if err == nil {
				if err = json.Unmarshal(text.line, &row); err != nil {
					err = fmt.Errorf("line %d: %w", n, err)
				}
			}
			var r Rate
			if err == nil {
				at := row.Time
				if len(row.Since) > 0 {
					at = row.Since
				}
				r, err = last.rate(n, strings.Trim(string(at), `"`), row.RPS.String())
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	})
}

// instant is that of the line before.
type instant struct {
	clock
	at time.Duration
	n  int
}

// rate is what one line says.
func (i *instant) rate(line int, at, rps string) (Rate, error) {
	since, errTime := i.since(at)
	rate, errRate := parseRate(rps)
	if err := errors.Join(errTime, errRate); err != nil {
		return Rate{}, fmt.Errorf("line %d: %w", line, err)
	}
	if i.n > 0 && since <= i.at {
		return Rate{}, fmt.Errorf("line %d: its time %s is not after that of the line before", line, at)
	}
	i.at, i.n = since, i.n+1
	return Rate{At: since, RPS: rate}, nil
}

// isRates reports whether the first line of a file is of rates, in NDJSON.
func isRates(line string) bool {
	var row map[string]json.RawMessage
	return json.Unmarshal([]byte(line), &row) == nil && row["rps"] != nil
}
