package adapter

import (
	"fmt"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/kubernetes"
)

// series is one metric of one pod.
type series struct {
	pod     Pod
	next    time.Time // when it is due
	reading bool
	rounds  int // how often it was read

	name string // of the metric that was found last
	kind autoscale.Kind
	// earlier and last are the counter's last two good readings.
	earlier autoscale.Process
	last    autoscale.Sample

	measured autoscale.Measured
	at       time.Time // when it was measured
	window   time.Duration
}

// be makes it the series of the pod as it is now.
func (s *series) be(pod Pod) {
	if s.pod.Page != pod.Page || s.pod.Addr != pod.Addr || s.pod.Fault != pod.Fault {
		*s = series{reading: s.reading}
	}
	if s.pod = pod; pod.Fault != "" {
		s.measured = autoscale.Measured{Verdict: autoscale.Unreachable, Detail: pod.Fault}
	}
}

// take judges what was read of the pod.
func (s *series) take(m Metric, r autoscale.Reading) {
	sample := r.Samples[0]
	s.rounds++
	s.at = sample.Time
	if sample.Started.IsZero() {
		sample.Started = s.pod.Started
	}
	if r.Metric != "" && (r.Metric != s.name || r.Kind != s.kind) {
		s.name, s.kind = r.Metric, r.Kind
		s.earlier, s.last = autoscale.Process{}, autoscale.Sample{}
	}
	sample.Verdict, sample.Detail = fit(m, r, sample)
	if sample.Verdict != autoscale.OK || r.Kind != autoscale.Counter {
		s.measured, s.window = autoscale.Measure(autoscale.Gauge, []autoscale.Sample{sample}, autoscale.Process{}), 0
		return
	}
	samples := []autoscale.Sample{sample}
	if !s.last.Time.IsZero() {
		samples = []autoscale.Sample{s.last, sample}
	}
	s.measured = autoscale.Measure(autoscale.Counter, samples, s.earlier)
	s.window = sample.Time.Sub(s.earlier.Time)
	s.earlier = autoscale.Process{Time: s.last.Time, Value: s.last.Value}
	if sample.Value < s.last.Value {
		s.earlier = autoscale.Process{} // it says nothing of the new process
	}
	s.last = sample
}

// fit is the verdict on a sample for the name that is asked for: a gauge under its
// own name, a counter as X_per_second.
func fit(m Metric, r autoscale.Reading, sample autoscale.Sample) (autoscale.Verdict, string) {
	bare := strings.TrimSuffix(m.Name, "_per_second")
	switch {
	case sample.Verdict != autoscale.OK:
		// What follows a semicolon is about flags that nobody stated here.
		detail, _, _ := strings.Cut(sample.Detail, "; ")
		return sample.Verdict, detail
	case r.Kind == autoscale.Counter && r.Metric == m.Name:
		return autoscale.Malformed, fmt.Sprintf("%s is a counter: let the HPA ask for its rate, %s", r.Metric, kubernetes.PerSecond(r.Metric))
	case r.Kind == autoscale.Gauge && r.Metric != m.Name && (r.Metric == bare || r.Metric == bare+"_total"):
		return autoscale.Absent, fmt.Sprintf("the page has no %s, and %s is no counter", m.Name, r.Metric)
	}
	return autoscale.OK, ""
}

// due is when the pod is to be read next.
func (s *series) due(phase, interval time.Duration) time.Time {
	step := interval
	if s.kind == autoscale.Counter {
		step /= 2
		if s.rounds < 3 {
			return s.at.Add(min(quick, step))
		}
	}
	// The first instant of its phase that is not too soon for a rate.
	from := time.Now().Add(min(step/4, quick))
	past := (time.Duration(from.UnixNano()) - phase) % step
	return from.Add(step - past)
}

// known tells whether there is something to say about the pod: not before its
// counter's first rate.
func (s *series) known() bool {
	return s.pod.Fault != "" || s.rounds >= 3 || s.rounds > 0 && s.measured.Verdict != autoscale.Warming
}

// Names are the names under which the metric may stand on a page besides its own,
// in the order in which they are tried: those of the counter whose rate it is, and
// others that mean the same.
func Names(metric string, fallbacks []string) []string {
	others := []string{}
	if bare, rate := strings.CutSuffix(metric, "_per_second"); rate && bare != "" {
		others = append(others, bare+"_total", bare)
	}
	return append(others, fallbacks...)
}
