package stress

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is what a report must keep to.
type Limit struct {
	Text    string // as it was given
	measure string
	op      string
	value   float64
	share   bool // value is a share of the requests, 0 to 1
}

// measures are what a limit may be about.
func measures() []string {
	return []string{"p50", "p90", "p99", "p999", "max", "mean", "errors", "dropped", "rate", "rps"}
}

// ParseLimits reads limits, separated by commas: "p99<300ms,errors<1%,rate>=0.99".
// p50 to p999, max and mean are response times (numbers are milliseconds);
// errors and dropped are counts, or with % shares of the requests; rate is the
// share of the asked rate that was sent; rps is requests/s that were answered.
func ParseLimits(text string) (limits []Limit, err error) {
	for part := range strings.SplitSeq(text, ",") {
		l, err := parseLimit(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		limits = append(limits, l)
	}
	return limits, nil
}

func parseLimit(text string) (Limit, error) {
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return Limit{}, fmt.Errorf("a limit has <, <=, > or >=, as in p99<300ms")
	}
	l := Limit{Text: text, measure: strings.ReplaceAll(strings.TrimSpace(text[:at]), "p99.9", "p999"), op: text[at : at+1]}
	value := text[at+1:]
	if strings.HasPrefix(value, "=") {
		l.op, value = l.op+"=", value[1:]
	}
	value = strings.TrimSpace(value)
	var err error
	switch l.measure {
	case "p50", "p90", "p99", "p999", "max", "mean":
		l.value, err = parseMilliseconds(value)
	case "errors", "dropped", "rate", "rps":
		number, percent := strings.CutSuffix(value, "%")
		l.value, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
		if percent {
			l.value, l.share = l.value/100, true
		}
	default:
		return l, fmt.Errorf("no measure %q; there are %s", l.measure, strings.Join(measures(), ", "))
	}
	if err != nil || !(l.value >= 0) {
		return l, fmt.Errorf("%q is no value for %s", value, l.measure)
	}
	return l, nil
}

func parseMilliseconds(text string) (float64, error) {
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return number, nil
	}
	d, err := time.ParseDuration(text)
	return float64(d) / float64(time.Millisecond), err
}

// Check says how a report breaks the limit; empty where it keeps to it.
func (l Limit) Check(r *Report) string {
	value := l.measured(r)
	order := cmp.Compare(value, l.value)
	kept := map[string]bool{"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[l.op]
	if kept {
		return ""
	}
	return fmt.Sprintf("%s: it is %s", l.Text, l.shown(value))
}

func (l Limit) measured(r *Report) float64 {
	all := float64(r.Requests + r.Dropped)
	counted := func(n int64) float64 {
		if !l.share || all == 0 {
			return float64(n)
		}
		return float64(n) / all
	}
	switch l.measure {
	case "p50":
		return r.Latency.P50
	case "p90":
		return r.Latency.P90
	case "p99":
		return r.Latency.P99
	case "p999":
		return r.Latency.P999
	case "max":
		return r.Latency.Max
	case "mean":
		return r.Latency.Mean
	case "errors":
		return counted(r.Failed())
	case "dropped":
		return counted(r.Dropped)
	case "rate":
		return r.Reached()
	}
	return r.RateGood
}

func (l Limit) shown(value float64) string {
	switch {
	case l.share:
		return fmt.Sprintf("%.4g%%", value*100)
	case l.measure[0] == 'p' || l.measure[0] == 'm':
		return fmt.Sprintf("%.4gms", value)
	}
	return fmt.Sprintf("%.4g", value)
}
