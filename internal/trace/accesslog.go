package trace

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/five-keys/autoscale/internal/accesslog"
)

// accessLog reads an access log. Its times are taken for whole seconds, so the requests of
// one second are spread evenly over it. Lines of another form, and requests
// that are none (a TLS hello on a plain port, say), are passed over, but a log
// of nothing else is an error.
func accessLog(from io.Reader) Arrivals {
	return func(yield func(Arrival, error) bool) {
		var second []Arrival // those of one second
		var at time.Duration
		flush := func() bool {
			for i, a := range second {
				a.At = at + time.Duration(i)*time.Second/time.Duration(len(second))
				if !yield(a, nil) {
					return false
				}
			}
			second = second[:0]
			return true
		}
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		var clock clock
		read := 0
		for lines.Scan() {
			when, a, ok := accessArrival(lines.Bytes())
			if !ok {
				continue
			}
			read++
			since, err := clock.sinceTime(when)
			if err != nil {
				if flush() {
					yield(Arrival{}, err)
				}
				return
			}
			if since > at { // a request that took longer stands behind later ones
				if !flush() {
					return
				}
				at = since
			}
			second = append(second, a)
		}
		err := lines.Err()
		if err == nil && read == 0 {
			err = fmt.Errorf("no request in it")
		}
		if flush() && err != nil {
			yield(Arrival{}, err)
		}
	}
}

// isAccessLog reports whether a line is one of an access log's.
func isAccessLog(line string) bool {
	_, kind := accesslog.Parse([]byte(line))
	return kind != accesslog.Unknown
}

func accessArrival(line []byte) (when time.Time, a Arrival, ok bool) {
	r, kind := accesslog.Parse(line)
	if kind != accesslog.HTTP || r.Time.IsZero() {
		return when, a, false
	}
	return r.Time.Truncate(time.Second), Arrival{Method: r.Method, Path: r.Target}, true
}
