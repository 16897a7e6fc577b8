package bench

import (
	"net/http"
	"net/http/httptest"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// TestGoClient reads pages of the Go client library, in the format it picks for
// us and with all the metrics it adds by itself.
func TestGoClient(t *testing.T) {
	registry := client.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	requests := client.NewCounterVec(client.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"code"})
	bare := client.NewCounter(client.CounterOpts{Name: "http_requests", Help: "A counter without _total."})
	rate := client.NewGauge(client.GaugeOpts{Name: "http_requests_per_second", Help: "Now."})
	took := client.NewHistogram(client.HistogramOpts{Name: "request_seconds", Help: "Time."})
	dotted := client.NewCounter(client.CounterOpts{Name: "app.requests", Help: "With a dot."})
	registry.MustRegister(requests, bare, rate, took, dotted)
	requests.WithLabelValues("200").Add(40)
	requests.WithLabelValues("500").Add(2)
	bare.Add(7)
	rate.Set(12.5)
	took.Observe(0.1)
	dotted.Add(9)

	for _, openMetrics := range []bool{false, true} {
		server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, EnableOpenMetrics: openMetrics}))
		for metric, want := range map[string]struct {
			value float64
			kind  autoscale.Kind
		}{
			"":                                {12.5, autoscale.Gauge},
			"http_requests_total":             {42, autoscale.Counter},
			`http_requests_total{code="200"}`: {40, autoscale.Counter},
			"http_requests":                   {7, autoscale.Counter},
			"request_seconds_count":           {1, autoscale.Counter},
			`{"app.requests"}`:                {9, autoscale.Counter},
		} {
			source, err := prometheus.New(prometheus.Config{URLs: []string{server.URL}, Metric: metric})
			if err != nil {
				t.Fatal(err)
			}
			r := source.Read(t.Context(), nil)
			s := r.Samples[0]
			if s.Verdict != autoscale.OK || s.Value != want.value || r.Kind != want.kind || s.Started.IsZero() {
				t.Errorf("%q: %+v, want %v, a %s", metric, r, want.value, want.kind)
			}
		}
		server.Close()
	}
}

// TestGoClientOpenMetrics reads the same library's OpenMetrics, which a server
// gives that has nothing else.
func TestGoClientOpenMetrics(t *testing.T) {
	registry := client.NewRegistry()
	requests := client.NewCounter(client.CounterOpts{Name: "http_requests_total", Help: "Requests."})
	registry.MustRegister(requests)
	requests.(client.ExemplarAdder).AddWithExemplar(5, client.Labels{"trace_id": "a \"b\" } # {"})
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	source, err := prometheus.New(prometheus.Config{URLs: []string{server.URL}, Metric: "http_requests_total"})
	if err != nil {
		t.Fatal(err)
	}
	r := source.Read(t.Context(), nil)
	if s := r.Samples[0]; s.Verdict != autoscale.OK || s.Value != 5 || r.Kind != autoscale.Counter {
		t.Errorf("%+v", r)
	}
}
