package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	slot  = 250 * time.Millisecond
	slots = 20 // the gauge's window: 5 s
)

// meter counts answered requests.
type meter struct {
	started time.Time

	mu       sync.Mutex
	recent   [slots + 1]struct{ index, count int64 } // a ring: the window and the slot that fills now
	total    map[int]int64                           // by status
	inFlight int64
}

func newMeter(now time.Time) *meter {
	// A counter starts at 0 where it can: a series that appears with its first
	// event hides that event from a rate.
	return &meter{started: now, total: map[int]int64{200: 0, 503: 0}}
}

func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight++
}

func (m *meter) end(now time.Time, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
	m.total[status]++
	index := int64(now.Sub(m.started) / slot)
	s := &m.recent[index%int64(len(m.recent))]
	if s.index != index {
		s.index, s.count = index, 0
	}
	s.count++
}

// rate is the mean of the last full slots, in requests/s: over 5 s, or over
// the time since the start while that is less.
func (m *meter) rate(now time.Time) float64 {
	index := int64(now.Sub(m.started) / slot) // fills now, so it does not count
	first := max(index-slots, 0)
	var sum int64
	for _, s := range m.recent {
		if s.index >= first && s.index < index {
			sum += s.count
		}
	}
	if index == 0 {
		return 0
	}
	return float64(sum) / (time.Duration(index-first) * slot).Seconds()
}

// page is the metrics page, in the Prometheus text format 0.0.4. A fixed gauge
// stands in for the measured one where it is not nil.
func (m *meter) page(now time.Time, fixed *float64) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	rate := m.rate(now)
	if fixed != nil {
		rate = *fixed
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# HELP http_requests_per_second Requests answered per second, over the last 5 s.\n"+
		"# TYPE http_requests_per_second gauge\nhttp_requests_per_second %g\n", rate)
	b.WriteString("# HELP http_requests_total Requests answered, by status.\n# TYPE http_requests_total counter\n")
	for _, code := range slices.Sorted(maps.Keys(m.total)) {
		fmt.Fprintf(&b, "http_requests_total{code=\"%d\"} %d\n", code, m.total[code])
	}
	fmt.Fprintf(&b, "# HELP http_requests_in_flight Requests waiting or being answered.\n"+
		"# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight %d\n", m.inFlight)
	fmt.Fprintf(&b, "# HELP process_start_time_seconds Start of the process, in seconds since 1970.\n"+
		"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n",
		float64(m.started.UnixMilli())/1000)
	return b.String()
}
