package trace

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"time"
)

// accessLine is a line in the common or the combined log format
// (https://httpd.apache.org/docs/2.4/logs.html#accesslog): the time, and of the
// request its method and target. A quote within the request is escaped.
var accessLine = regexp.MustCompile(`^\S+ \S+ .*?\[(\d{2}/\w{3}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "((?:[^"\\]|\\.)*)" `)

// accessRequest is the request of a line; what is not HTTP has none.
var accessRequest = regexp.MustCompile(`^([A-Z]+) (\S+) HTTP/`)

// accessLog reads an access log. Its times are whole seconds, so the requests of
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
			when, a, ok := accessArrival(lines.Text())
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

func accessArrival(line string) (when time.Time, a Arrival, ok bool) {
	found := accessLine.FindStringSubmatch(line)
	if found == nil {
		return when, a, false
	}
	when, err := time.Parse("02/Jan/2006:15:04:05 -0700", found[1])
	request := accessRequest.FindStringSubmatch(found[2])
	if err != nil || request == nil {
		return when, a, false
	}
	return when, Arrival{Method: request[1], Path: request[2]}, true
}
