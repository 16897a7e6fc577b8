package config

import (
	"path/filepath"
	"reflect"
	"slices"
)

// way is one of the ways to read the load.
type way struct {
	name string // as a sentence has it
	// keys state it, any of them; others belong to it as well.
	keys, others []string
}

// The ways there are.
const (
	byPage = iota
	byQuery
	byLog
)

// ways are all of them, by these numbers.
func ways() []way {
	return []way{
		byPage:  {"a metrics page", []string{"metrics-url"}, []string{"metrics-scope", "rps-metric", "rps-metric-type", "inflight-metric", "metrics-header"}},
		byQuery: {"a Prometheus server", []string{"prometheus-query", "prometheus-url"}, []string{"metrics-header"}},
		byLog:   {"an access log", []string{"access-log"}, []string{"rps-metric"}},
	}
}

// requests is what an access log has, and so its rps-metric.
const requests = "requests"

// Instead reports whether something is read in place of metrics pages.
func (s Source) Instead() bool {
	return s.PrometheusURL.Reveal() != "" || s.PrometheusQuery != "" || s.AccessLog != ""
}

// OfProxy reports whether nothing is read but the count of the proxy in front of
// processes.
func (s Source) OfProxy() bool { return len(s.MetricsURL) == 0 && !s.Instead() }

// usual is what a source without a name is called.
func (s Source) usual() string {
	switch {
	case s.PrometheusQuery != "":
		return s.PrometheusQuery
	case s.AccessLog != "":
		return filepath.Base(s.AccessLog)
	case s.OfProxy():
		return "proxy"
	}
	return s.RPSMetric
}

// tells reports whether a key says anything about a source, for Effective.
func (s Source) tells(key string) bool {
	switch {
	case len(s.MetricsURL) > 0 || key == "name" || key == "rps-target":
		return true
	case s.AccessLog != "":
		return key == "access-log" || key == "rps-metric"
	case s.OfProxy():
		return false
	case key == "rps-metric": // the HPA's
		return s.RPSMetric != plainSource().RPSMetric
	case key == "rps-metric-type":
		return s.RPSMetricType != ""
	}
	return slices.Contains([]string{"prometheus-url", "prometheus-query", "metrics-header"}, key)
}

// plainSource is one of which nothing is stated.
func plainSource() (s Source) {
	fill(reflect.ValueOf(&s).Elem())
	return s
}

// wayOf is the way that a part of the file states; -1 for none. In defaults: a server
// alone states none, since each service may have a query of its own for it.
func (r *reader) wayOf(at string) int {
	found, first := -1, ""
	for i, w := range ways() {
		keys := w.keys
		if at == "defaults" {
			keys = keys[:1]
		}
		k := slices.IndexFunc(keys, func(key string) bool { return r.spots[join(at, key)] != nil })
		switch {
		case k < 0:
		case found >= 0:
			r.add(join(at, keys[k]), "says where the load is read, as %s does; leave one of the two away, or list both under sources:", first)
		default:
			found, first = i, keys[k]
		}
	}
	return found
}

// settle has a source read in one way: that which the part of the file at which it
// stands states, else that of the defaults. What belongs to the others goes.
func (r *reader) settle(s *Source, provider, at string) {
	i := r.wayOf(at)
	if i < 0 {
		i = r.wayOf("defaults")
	}
	if i != byQuery {
		s.PrometheusURL, s.PrometheusQuery = Secret{}, ""
	}
	if i != byLog {
		s.AccessLog = ""
	}
	if i == byQuery || i == byLog {
		r.settleInstead(s, i, provider, at)
	} else if i < 0 && provider == "process" {
		s.MetricsURL = nil // the proxy counts
	}
}

// settleInstead is settle of a source that reads no page.
func (r *reader) settleInstead(s *Source, i int, provider, at string) {
	page, plain := *s, plainSource()
	s.MetricsURL, s.MetricsScope, s.RPSMetric, s.RPSMetricType, s.InFlightMetric = nil, plain.MetricsScope, plain.RPSMetric, "", ""
	mine := ways()[i].others
	switch {
	case i == byLog && r.spots[join(at, "rps-metric")] != nil:
		s.RPSMetric = page.RPSMetric
	case i == byLog:
		s.RPSMetric = requests
	case provider == "k8s": // the HPA reads them
		s.RPSMetric, s.RPSMetricType = page.RPSMetric, page.RPSMetricType
		mine = append(mine, "rps-metric", "rps-metric-type")
	}
	if i == byLog {
		s.MetricsHeader = nil
	}
	for _, key := range ways()[byPage].others {
		if path := join(at, key); r.spots[path] != nil && !slices.Contains(mine, key) {
			r.add(path, "is about a metrics page, and %s is read; leave it away", ways()[i].name)
		}
	}
	switch asks, server := s.PrometheusQuery != "", s.PrometheusURL.Reveal() != ""; {
	case i == byLog && provider == "k8s":
		r.add(r.from(at, "access-log"), "on Kubernetes the HPA reads a metric of the pods, and no file of this machine; write metrics-url, or for the start prometheus-url and prometheus-query")
	case asks && !server:
		r.add(r.from(at, "prometheus-query"), "prometheus-url is missing beside it; write the server to ask, such as prometheus-url: http://localhost:9090")
	case server && !asks:
		r.add(r.from(at, "prometheus-url"), "prometheus-query is missing beside it; write what to ask, such as prometheus-query: sum(rate(http_requests_total[1m]))")
	}
}
