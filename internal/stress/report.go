package stress

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Times are percentiles of times, in milliseconds; zeros where nothing was
// timed.
type Times struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func timesOf(h *hdrhistogram.Histogram) Times {
	at := func(q float64) float64 { return milliseconds(h.ValueAtQuantile(q)) }
	if h.TotalCount() == 0 {
		return Times{}
	}
	return Times{at(50), at(90), at(99), at(99.9), milliseconds(h.Max()), math.Round(h.Mean()) / 1000}
}

// Point is one point of a latency spectrum: so large a share of the requests
// took at most so long.
type Point struct {
	Quantile float64 `json:"quantile"` // 0 to 1
	MS       float64 `json:"ms"`
}

// Report is what a run came to; docs/stress.md has its fields.
type Report struct {
	Version int    `json:"version"`
	URL     string `json:"url"`
	// Requests is how many ended, failed ones included.
	Requests int64 `json:"requests"`
	// Errors counts the failed ones by kind.
	Errors map[string]int64 `json:"errors"`
	// Examples has of each kind of error the first one's text.
	Examples map[string]string `json:"error_examples,omitempty"`
	// Dropped were due and never sent, since no connection was free.
	Dropped int64 `json:"dropped"`
	// Duration is for how long requests were sent, in seconds.
	Duration float64 `json:"duration_s"`
	// RateAsked, RateSent and RateDone are requests/s over the duration; RateAsked
	// is nil in a closed loop, which asks for none.
	RateAsked *float64 `json:"rate_asked"`
	RateSent  float64  `json:"rate_sent"`
	RateDone  float64  `json:"rate_done"`
	// RateGood is that of the ones that were done in that time and did not fail.
	RateGood float64 `json:"rate_succeeded"`
	// busy tells that requests waited for a connection until the time was over.
	busy bool
	// Bytes are the responses' bodies.
	Bytes int64 `json:"bytes"`
	// Latency counts from the instant at which a request was due, Service from
	// when it was sent. Late is by how much the generator itself was late, which is
	// in neither.
	Latency Times `json:"latency_ms"`
	Service Times `json:"service_ms"`
	Late    Times `json:"late_ms"`
	// CPU is what the generator itself used, in seconds of CPU time.
	CPU float64 `json:"cpu_s"`
	// Ended tells that the run was ended early.
	Ended bool `json:"ended_early,omitempty"`
	// Seconds is what went on, second by second.
	Seconds []Second `json:"seconds,omitempty"`
	// Spectrum is the distribution of Latency.
	Spectrum []Point `json:"spectrum,omitempty"`

	latency *hdrhistogram.Histogram
}

// reportVersion grows when a field of the report changes its meaning.
const reportVersion = 1

// report is the Report of a run that is over.
func (r *run) report(sentFor time.Duration, line *timeline, began time.Duration, ended bool) *Report {
	t := r.tally
	out := &Report{
		Version: reportVersion, URL: r.Target.URL.Redacted(), Requests: t.done, Errors: t.kinds, Examples: t.examples, Bytes: t.bytes,
		Ended: ended, Duration: sentFor.Seconds(), Latency: timesOf(t.response), Service: timesOf(t.service), Late: timesOf(t.late),
		CPU: (usage() - began).Seconds(), Seconds: line.points, Spectrum: spectrum(t.response), latency: t.response,
	}
	if r.queue != nil {
		r.queue.end(ended)
		out.Dropped = r.queue.dropped
		asked := perSecond(r.queue.taken, sentFor)
		out.RateAsked = &asked
	}
	out.RateSent, out.RateDone = perSecond(t.sent.Load()-t.tooLate.Load(), sentFor), perSecond(t.inTime, sentFor)
	out.RateGood, out.busy = perSecond(t.good, sentFor), out.Dropped > 0 || t.tooLate.Load() > 0
	return out
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// spectrum are the points of a histogram, closer and closer to its end.
func spectrum(h *hdrhistogram.Histogram) (points []Point) {
	if h.TotalCount() == 0 {
		return nil
	}
	for _, b := range h.CumulativeDistributionWithTicks(5) {
		points = append(points, Point{b.Quantile / 100, milliseconds(b.ValueAt)})
	}
	return points
}

// Failed is how many requests ended with an error.
func (r *Report) Failed() (n int64) {
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// Later is how many requests took longer than d from the instant they were due, of
// those whose times count.
func (r *Report) Later(d time.Duration) (n int64) {
	for _, bar := range r.latency.Distribution() {
		if bar.From > int64(d/time.Microsecond) {
			n += bar.Count
		}
	}
	return n
}

// Reached is the share of the asked rate that was sent, 0 to 1; 1 in a closed
// loop.
func (r *Report) Reached() float64 {
	if r.RateAsked == nil || *r.RateAsked == 0 {
		return 1
	}
	return min(1, r.RateSent / *r.RateAsked)
}
