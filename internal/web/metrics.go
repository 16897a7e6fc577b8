package web

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/five-keys/autoscale/internal/control"
)

// maxScrapes bounds the scrapes that are answered at the same time.
const maxScrapes = 8

// metrics serves the metrics. They are made of the snapshots at each scrape, so
// that the age of a step grows also where no step ends any more.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}

// gatherer gathers the process's metrics through a registry and those of the
// services without: a registry proves at each scrape what the tests prove once,
// and takes twice as long over 500 services.
func (s *Server) gatherer() prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.build(), daemonCollector{s},
	)
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		all, err := registry.Gather()
		all = append(all, gather(s.daemon.Snapshots(), time.Now())...)
		slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
		return all, err
	})
}

// build says what runs.
func (s *Server) build() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "autoscale_build_info", Help: "Always 1; its labels say what runs, and on which machine.",
		ConstLabels: prometheus.Labels{"version": s.config.Version, "goversion": runtime.Version(), "host": s.config.Host},
	})
	info.Set(1)
	return info
}

// The metrics of the daemon as a whole.
var (
	descServices = prometheus.NewDesc("autoscale_services", "Services that are looked after.", nil, nil)
	descReloaded = prometheus.NewDesc("autoscale_config_last_reload_successful", "1 where the configuration was last read and taken over, else 0: then the one before is in force.", nil, nil)
	descGood     = prometheus.NewDesc("autoscale_config_last_reload_success_timestamp_seconds", "When a configuration was last taken over; absent before.", nil, nil)
	descReaders  = prometheus.NewDesc("autoscale_stream_readers", "Streams of the API that are open.", nil, nil)
	descDropped  = prometheus.NewDesc("autoscale_stream_readers_dropped_total", "Streams that were ended because their readers were too slow.", nil, nil)
)

// daemonCollector makes the metrics of the daemon as a whole.
type daemonCollector struct{ *Server }

// Describe names them.
func (daemonCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descServices, descReloaded, descGood, descReaders, descDropped} {
		ch <- d
	}
}

// Collect makes them.
func (c daemonCollector) Collect(ch chan<- prometheus.Metric) {
	give := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
		ch <- prometheus.MustNewConstMetric(d, kind, value)
	}
	good, err := c.reload.get()
	readers, dropped := c.stream.counts()
	give(descServices, prometheus.GaugeValue, float64(len(c.daemon.Snapshots())))
	give(descReloaded, prometheus.GaugeValue, truth(err == nil && !good.IsZero()))
	if !good.IsZero() {
		give(descGood, prometheus.GaugeValue, seconds(good))
	}
	give(descReaders, prometheus.GaugeValue, float64(readers))
	give(descDropped, prometheus.CounterValue, float64(dropped))
}

// family is one metric of every service. One whose value is not known has no
// sample: none is better than a wrong one.
type family struct {
	name, help string
	kind       dto.MetricType
	labels     []string // beside the service's name
	// of gives the values at now, with their labels.
	of func(s *control.Snapshot, now time.Time, give func(value float64, labels ...string))
}

// summary is how often something was done and how long that took, of every
// service.
type summary struct {
	name, help string
	of         func(*control.Snapshot) control.Spent
}

func gauge(name, help string, of func(s *control.Snapshot, now time.Time) (float64, bool)) family {
	return family{name, help, dto.MetricType_GAUGE, nil, func(s *control.Snapshot, now time.Time, give func(float64, ...string)) {
		if v, ok := of(s, now); ok {
			give(v)
		}
	}}
}

func counter(name, help string, of func(*control.Snapshot) uint64) family {
	return family{name, help, dto.MetricType_COUNTER, nil, func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
		give(float64(of(s)))
	}}
}

// gather makes the metrics of all services at now.
func gather(shots []control.Snapshot, now time.Time) []*dto.MetricFamily {
	names := make([]*dto.LabelPair, len(shots))
	for i := range shots {
		names[i] = label("service", shots[i].Name)
	}
	all := make([]*dto.MetricFamily, 0, len(families)+len(summaries))
	for _, f := range families {
		all = append(all, f.gather(shots, names, now))
	}
	for _, f := range summaries {
		all = append(all, f.gather(shots, names))
	}
	// What no service has is not named either.
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return len(f.Metric) == 0 })
}

func (f family) gather(shots []control.Snapshot, names []*dto.LabelPair, now time.Time) *dto.MetricFamily {
	metrics := make([]*dto.Metric, 0, len(shots))
	for i := range shots {
		f.of(&shots[i], now, func(value float64, labels ...string) {
			m := &dto.Metric{Label: append(make([]*dto.LabelPair, 0, 1+len(labels)), names[i])}
			for j, value := range labels {
				m.Label = append(m.Label, label(f.labels[j], value))
			}
			if f.kind == dto.MetricType_COUNTER {
				m.Counter = &dto.Counter{Value: &value}
			} else {
				m.Gauge = &dto.Gauge{Value: &value}
			}
			metrics = append(metrics, m)
		})
	}
	return named(f.name, f.help, f.kind, metrics)
}

func (f summary) gather(shots []control.Snapshot, names []*dto.LabelPair) *dto.MetricFamily {
	metrics := make([]*dto.Metric, 0, len(shots))
	for i := range shots {
		spent := f.of(&shots[i])
		count, sum := spent.Count, spent.Took.Seconds()
		metrics = append(metrics, &dto.Metric{Label: names[i : i+1], Summary: &dto.Summary{SampleCount: &count, SampleSum: &sum}})
	}
	return named(f.name, f.help, dto.MetricType_SUMMARY, metrics)
}

func named(name, help string, kind dto.MetricType, metrics []*dto.Metric) *dto.MetricFamily {
	name = "autoscale_" + name
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: metrics}
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
