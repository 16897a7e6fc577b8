package stress

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms hold microseconds, up to an hour, exact to three digits.
const (
	histogramMost   = int64(time.Hour / time.Microsecond)
	histogramDigits = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, histogramMost, histogramDigits)
}

// record puts a time into a histogram; longer than an hour counts as an hour.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d/time.Microsecond), 1), histogramMost)) // it is within the bounds
}

// result is what became of one request.
type result struct {
	response time.Duration // from the instant it was due
	service  time.Duration // from when it was sent; 0 where it never was
	late     time.Duration // of the generator; below 0 where it waited for a connection
	bytes    int64
	kind     string // of error; empty for a success
	err      error  // behind kind; nil for a status
	// timed tells that the times count: a response came, or was waited for in
	// full. One that was refused at once would make the rest look fast.
	timed bool
	// after tells that it ended when the time for sending was over.
	after bool
}

// tally counts what became of the requests of a run. Its memory does not grow
// with their number.
type tally struct {
	sent     atomic.Int64
	tooLate  atomic.Int64 // of these, when the time was over
	inFlight atomic.Int64

	mu       sync.Mutex
	done     int64
	failed   int64
	inTime   int64 // of done
	good     int64 // of inTime, those that did not fail
	bytes    int64
	kinds    map[string]int64
	examples map[string]string // of each kind, the first one's text
	response *hdrhistogram.Histogram
	service  *hdrhistogram.Histogram
	late     *hdrhistogram.Histogram
	second   *hdrhistogram.Histogram // response times since the last look
}

func newTally() *tally {
	return &tally{
		kinds: map[string]int64{}, examples: map[string]string{},
		response: newHistogram(), service: newHistogram(), late: newHistogram(), second: newHistogram(),
	}
}

// add counts one request.
func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	if !r.after {
		t.inTime++
		if r.kind == "" {
			t.good++
		}
	}
	t.bytes += r.bytes
	if r.kind != "" {
		t.failed++
		t.kinds[r.kind]++
		if t.examples[r.kind] == "" && r.err != nil {
			t.examples[r.kind] = r.err.Error()
		}
	}
	if r.timed {
		record(t.response, r.response)
		record(t.second, r.response)
		record(t.service, r.service)
	}
	if r.late >= 0 {
		record(t.late, r.late)
	}
}

// Second is what went on in one second of a run, or in more of them where a run
// is very long.
type Second struct {
	At       float64  `json:"at_s"`            // when it ended, seconds since the beginning
	Length   float64  `json:"length_s"`        // seconds
	Asked    *float64 `json:"asked,omitempty"` // requests/s; nil in a closed loop
	Sent     float64  `json:"sent"`            // requests/s
	Done     float64  `json:"done"`            // requests/s, failed ones included
	Failed   float64  `json:"failed"`          // requests/s
	InFlight int64    `json:"in_flight"`
	P50      float64  `json:"p50_ms"`
	P90      float64  `json:"p90_ms"`
	P99      float64  `json:"p99_ms"`
	Max      float64  `json:"max_ms"`
	Replicas *float64 `json:"replicas,omitempty"` // nil where nobody watches
}

// counted are the sums at the last look.
type counted struct {
	at                 time.Duration
	sent, done, failed int64
}

// look gives what went on since the last look, and the sums for the next one.
func (t *tally) look(now time.Duration, last counted) (Second, counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := counted{now, t.sent.Load(), t.done, t.failed}
	length := (now - last.at).Seconds()
	s := Second{
		At: now.Seconds(), Length: length, InFlight: t.inFlight.Load(),
		P50: milliseconds(t.second.ValueAtQuantile(50)), P90: milliseconds(t.second.ValueAtQuantile(90)),
		P99: milliseconds(t.second.ValueAtQuantile(99)), Max: milliseconds(t.second.Max()),
	}
	if length > 0 {
		s.Sent, s.Done, s.Failed = float64(next.sent-last.sent)/length, float64(next.done-last.done)/length, float64(next.failed-last.failed)/length
	}
	t.second.Reset()
	return s, next
}

func milliseconds(microseconds int64) float64 { return float64(microseconds) / 1000 }
