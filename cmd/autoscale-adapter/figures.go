package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/five-keys/autoscale/internal/adapter"
)

// figures are the adapter's own metrics, beside those of the server's library.
type figures struct {
	adapter                          *adapter.Adapter
	asked, pods, reads, oldest, busy *prometheus.Desc
}

func newFigures(a *adapter.Adapter) *figures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("autoscale_adapter_"+name, help, labels, nil)
	}
	return &figures{
		adapter: a,
		asked:   desc("metrics", "Metrics that HorizontalPodAutoscalers ask of pods, by namespace, name and selector."),
		pods:    desc("pods", "Pods by the verdict on their last reading; those that are not ok have no value.", "verdict"),
		reads:   desc("reads_total", "Readings of pods' pages by verdict.", "verdict"),
		oldest:  desc("oldest_value_seconds", "Age of the oldest value that is served."),
		busy:    desc("reading", "Pages that are being read."),
	}
}

// Describe is for the registry.
func (f *figures) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.asked, f.pods, f.reads, f.oldest, f.busy} {
		descs <- d
	}
}

// Collect is for the registry.
func (f *figures) Collect(metrics chan<- prometheus.Metric) {
	now := f.adapter.Figures()
	metrics <- prometheus.MustNewConstMetric(f.asked, prometheus.GaugeValue, float64(now.Asked))
	for verdict, n := range now.Pods {
		metrics <- prometheus.MustNewConstMetric(f.pods, prometheus.GaugeValue, float64(n), string(verdict))
	}
	for verdict, n := range now.Reads {
		metrics <- prometheus.MustNewConstMetric(f.reads, prometheus.CounterValue, float64(n), string(verdict))
	}
	metrics <- prometheus.MustNewConstMetric(f.oldest, prometheus.GaugeValue, now.Oldest.Seconds())
	metrics <- prometheus.MustNewConstMetric(f.busy, prometheus.GaugeValue, float64(now.Busy))
}
