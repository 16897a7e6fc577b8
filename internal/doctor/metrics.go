package doctor

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// slow is how long a page may take: a fifth of what a decision waits for.
const slow = time.Second

// ailment is what a verdict on a page means to a person.
type ailment struct{ code, remedy string }

// ailments has what doctor says to each verdict but OK and warming.
func ailments(v autoscale.Verdict) ailment {
	switch v {
	case autoscale.Unreachable:
		return ailment{CodeUnreachable, "check the address with curl; pages that the replicas serve themselves are read with --metrics-url='http://{replica}:PORT/metrics', PORT being the one inside the container"}
	case autoscale.Late:
		return ailment{CodeLate, "a page must be complete within 5 s: find out what it computes, or serve fewer metrics"}
	case autoscale.TooLarge:
		return ailment{CodeTooLarge, "serve a page with the metrics of requests only"}
	case autoscale.Absent:
		return ailment{CodeAbsent, "name one that is there with --rps-metric"}
	case autoscale.NotFinite, autoscale.Negative:
		return ailment{CodeNoNumber, "mend what computes it, or name another metric with --rps-metric"}
	case autoscale.Stale:
		return ailment{CodeStale, "mend what writes it, or the clock of one of the machines"}
	case autoscale.OneOfSeveral:
		return ailment{CodeOneOfSeveral, "read every replica with {replica}"}
	}
	return ailment{CodeMalformed, "serve Prometheus's text format or OpenMetrics, complete to the last line feed"}
}

// ailmentOf is what a verdict on what the set-up reads means.
func (s Setup) ailmentOf(v autoscale.Verdict) ailment {
	if s.Instead == nil {
		return ailments(v)
	}
	type kind struct {
		log     bool
		verdict autoscale.Verdict
	}
	switch (kind{s.Log, v}) {
	case kind{true, autoscale.Unreachable}:
		return ailment{CodeLogMissing, "name a log that this user may read with --access-log"}
	case kind{true, autoscale.Malformed}:
		return ailment{CodeLogMalformed, "have the proxy write the combined format"}
	case kind{true, autoscale.Stale}:
		return ailment{CodeLogSilent, "find out whether the proxy still writes to it"}
	case kind{false, autoscale.Malformed}:
		return ailment{CodeQuery, "try it on the server's own page"}
	case kind{false, autoscale.Partial}:
		return ailment{CodePartial, "mend what the server warns of: while it does nothing is lowered"}
	case kind{false, autoscale.Unreachable}:
		return ailment{CodeUnreachable, "check --prometheus-url with curl"}
	}
	a := ailments(v)
	a.remedy = "mend the query, or what it asks for"
	if s.Log {
		a.remedy = "read it more often, or have it rotated more often"
	}
	return a
}

// metrics reads the page, or pages, as a decision would.
func (s Setup) metrics(ctx context.Context, r *Report, source Source, replicas []autoscale.Replica, ports []uint16) {
	start := time.Now()
	reading := source.Read(ctx, replicas)
	good, longest := 0, time.Duration(0)
	var sum float64
	for _, sample := range reading.Samples {
		took := sample.Time.Sub(start)
		switch sample.Verdict {
		case autoscale.OK, autoscale.Warming:
			good, longest, sum = good+1, max(longest, took), sum+sample.Value
			if took > slow {
				r.add(CodeSlow, fmt.Sprintf("reading %s took %.1f s", sample.Name, took.Seconds()), "make it faster: after 5 s a reading counts as none, and a busy machine is slower still")
			}
		default:
			r.ill(reading, sample, s.ailmentOf(sample.Verdict), ports)
		}
	}
	for _, note := range reading.Notes {
		r.fact("metrics: %s", note)
	}
	if good > 0 && reading.Metric != "" {
		r.fact("metrics: %s, in %d ms", s.measured(reading, good, sum), longest.Milliseconds())
	}
	if raw, ok := s.lone(reading, replicas); ok {
		s.ownPage(ctx, r, raw, reading.Samples[0], replicas, ports)
	}
}

// measured says what was read, in a few words.
func (s Setup) measured(reading autoscale.Reading, pages int, sum float64) string {
	from := "1 page"
	switch {
	case s.Log:
		return fmt.Sprintf("%s, counted in %s", reading.Metric, reading.Samples[0].Name)
	case s.Instead != nil:
		from = reading.Samples[0].Name
	case pages > 1:
		from = fmt.Sprintf("%d pages", pages)
	}
	switch reading.Kind {
	case autoscale.Gauge:
		return fmt.Sprintf("%s, a gauge, says %.3g rps on %s", reading.Metric, sum, from)
	case autoscale.Counter:
		return fmt.Sprintf("%s, a counter, on %s", reading.Metric, from)
	}
	return fmt.Sprintf("%s on %s", reading.Metric, from)
}

// ill adds the finding for a page that is not trusted; pages with the same fault
// are told of once. ports are those that the replicas' containers expose.
func (r *Report) ill(reading autoscale.Reading, sample autoscale.Sample, a ailment, ports []uint16) {
	if sample.Verdict == autoscale.Malformed && reading.Kind == "" && reading.Metric != "" && strings.Contains(sample.Detail, "--rps-metric-type") {
		a = ailment{CodeKindUnknown, "say which with --rps-metric-type=gauge or --rps-metric-type=counter"}
	}
	if sample.Verdict == autoscale.Unreachable && strings.Contains(sample.Name, "{replica}") {
		// A replica that is there is called by its name.
		a.remedy = "this follows from the finding before it: once that is mended, run doctor again"
	}
	text, remedy := sample.Detail, a.remedy
	if fact, own, ok := strings.Cut(sample.Detail, "; "); ok {
		text, remedy = fact, own
		if sample.Verdict == autoscale.Absent && !strings.HasPrefix(own, a.remedy) { // a guess at the name
			remedy = a.remedy + ": " + own
		}
	}
	if strings.Contains(sample.Detail, "inside the container: ") && len(ports) > 0 {
		remedy += " The container exposes " + strings.ReplaceAll(strings.Trim(fmt.Sprint(ports), "[]"), " ", ", ")
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Code == a.code && strings.HasSuffix(f.Text, text) {
			f.Text = sample.Name + ", " + f.Text
			return
		}
	}
	r.add(a.code, sample.Name+": "+text, remedy)
}

// lone is the URL whose page may be the only running replica's own, through a
// proxy: what will be one of several once there are more.
func (s Setup) lone(reading autoscale.Reading, replicas []autoscale.Replica) (raw string, ok bool) {
	if s.Instead != nil || len(replicas) != 1 || s.Compose.Max < 2 || s.Metrics.Scope == "service" || reading.Scope != autoscale.ScopeService {
		return "", false
	}
	if len(s.Metrics.URLs) != 1 || len(reading.Samples) != 1 {
		return "", false
	}
	sample := reading.Samples[0]
	return s.Metrics.URLs[0], sample.Verdict == autoscale.OK && !sample.Started.IsZero()
}

// usualPorts are where programs in containers listen whose images don't say it.
func usualPorts() []uint16 { return []uint16{80, 3000, 5000, 8000, 8080, 9090} }

// ownPage asks the one replica itself for the page: where the same process
// answers, the URL leads to one replica, not to something that knows them all.
func (s Setup) ownPage(ctx context.Context, r *Report, raw string, page autoscale.Sample, replicas []autoscale.Replica, ports []uint16) {
	u, err := url.Parse(raw)
	if err != nil {
		return // read a moment ago
	}
	ports = append(ports, usualPorts()...)
	if said, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		ports = append(ports, uint16(said))
	}
	slices.Sort(ports)
	for _, port := range slices.Compact(ports) {
		each := strings.Replace(raw, u.Host, fmt.Sprintf("{replica}:%d", port), 1)
		config := s.Metrics
		config.URLs, config.Timeout = []string{each}, slow
		source, err := prometheus.New(config)
		if err != nil {
			continue
		}
		own := source.Read(ctx, replicas)
		if len(own.Samples) == 1 && own.Samples[0].Verdict == autoscale.OK && own.Samples[0].Started.Equal(page.Started) {
			r.add(CodeOneOfSeveral, fmt.Sprintf("%s shows the page of %s itself: with more replicas each request would meet another one, and a page would show a part of the load", page.Name, replicas[0].Name),
				fmt.Sprintf("read every replica: --metrics-url='%s'", redacted(u, port)))
			return
		}
	}
}

// redacted is the URL for every replica, without what may be secret.
func redacted(u *url.URL, port uint16) string {
	return fmt.Sprintf("%s://{replica}:%d%s", u.Scheme, port, u.EscapedPath())
}
