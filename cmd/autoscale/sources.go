package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/accesslog"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// defaultURL is the page that is read where nothing is said.
const defaultURL = "http://localhost:8000/metrics"

// reader is where the load is read, and what identifies that.
type reader interface {
	control.Source
	Identity() string
}

// relay reads the page of a replica by another way than a connection.
type relay func(ctx context.Context, r autoscale.Replica, u url.URL, most int64) (string, error)

// reader is the source that the flags name. Relative paths count from dir; other is
// nil where there is no other way.
func (c *flags) reader(dir string, other relay) (reader, error) {
	switch {
	case c.asks():
		return prometheus.NewQuery(prometheus.QueryConfig{URL: c.PrometheusURL, Query: c.PrometheusQuery, Headers: c.MetricsHeader})
	case c.AccessLog != "":
		return c.logReader(dir)
	}
	config := c.source()
	config.Relay = other
	return prometheus.New(config)
}

// logReader is the access log as a source.
func (c *flags) logReader(dir string) (reader, error) {
	config := accesslog.Config{Path: c.AccessLog}
	if !filepath.IsAbs(config.Path) {
		config.Path = filepath.Join(dir, config.Path)
	}
	if c.RPSMetric != prometheus.DefaultMetric && c.RPSMetric != accesslog.Metric {
		selector, err := prometheus.ParseSelector(c.RPSMetric)
		if err != nil {
			return nil, fmt.Errorf("--rps-metric: %w", err)
		}
		if err := pickable(selector); err != nil {
			return nil, err
		}
		config.Takes, config.Selector = selector.Selects, selector.String()
	}
	return accesslog.New(config)
}

// pickable reports what keeps a selector from picking lines of a log.
func pickable(selector prometheus.Selector) error {
	const example = `such as --rps-metric='requests{path!="/healthz"}'`
	if selector.Name != accesslog.Metric {
		return fmt.Errorf("--rps-metric=%s: of an access log it picks %s, %s", selector, accesslog.Metric, example)
	}
	for _, label := range selector.Labels() {
		if !slices.Contains(accesslog.Labels(), label) {
			return fmt.Errorf("--rps-metric=%s: of a request in a log %s are known, not %s; %s", selector, strings.Join(accesslog.Labels(), ", "), label, example)
		}
	}
	return nil
}

// asks reports whether a Prometheus server is asked.
func (c *flags) asks() bool { return c.PrometheusURL != "" || c.PrometheusQuery != "" }

// instead is the flag that takes the place of --metrics-url; empty where none does.
func (c *flags) instead() string {
	switch {
	case c.asks():
		return "--prometheus-url"
	case c.AccessLog != "":
		return "--access-log"
	}
	return ""
}

// proxyCounts reports whether the requests are those at the processes' own proxy.
func (c *flags) proxyCounts() bool {
	return c.Provider == processes && len(c.MetricsURL) == 0 && c.instead() == ""
}

// seesNoReplica reports whether the load is seen where no replica runs.
func (c *flags) seesNoReplica() bool {
	each := slices.ContainsFunc(c.MetricsURL, func(u string) bool { return strings.Contains(u, "{replica}") })
	return c.instead() != "" || c.proxyCounts() || c.MetricsScope == "service" && !each
}

// urls are the pages to read.
func (c *flags) urls() []string {
	if len(c.MetricsURL) == 0 {
		return []string{defaultURL}
	}
	return c.MetricsURL
}

// source is the flags' part of reading pages.
func (c *flags) source() prometheus.Config {
	return prometheus.Config{
		URLs: c.urls(), Scope: c.MetricsScope, Metric: c.RPSMetric, Type: c.RPSMetricType, InFlight: c.InFlightMetric, Headers: c.MetricsHeader,
	}
}

// checkSource looks for what is wrong with where the load is read.
func (c *flags) checkSource() error {
	errs := []error{c.checkInstead()}
	if c.Provider == k8s && c.AccessLog != "" {
		errs = append(errs, errors.New("--access-log: on Kubernetes the HPA reads a metric of the pods, and no file of this machine; give --metrics-url, or --prometheus-url for the start"))
	}
	if (c.InFlight > 0) != (c.InFlightMetric != "") {
		errs = append(errs, errors.New("--inflight-metric and --inflight-target belong together: the gauge, and how much of it one replica may have"))
	}
	if (c.PrometheusURL == "") != (c.PrometheusQuery == "") {
		return errors.Join(append(errs, errors.New("--prometheus-url and --prometheus-query belong together: the server, and what to ask it, such as 'sum(rate(http_requests_total[1m]))'"))...)
	}
	_, err := c.reader("/", nil)
	return errors.Join(append(errs, err)...)
}

// checkInstead looks for flags that contradict another source than metrics pages.
func (c *flags) checkInstead() error {
	instead := c.instead()
	if instead == "" {
		return nil
	}
	var errs []error
	both := func(flag string) {
		errs = append(errs, fmt.Errorf("%s and %s both say where the load is read; leave one of them away (the daemon's file can have several, under sources:)", instead, flag))
	}
	if len(c.MetricsURL) > 0 {
		both("--metrics-url")
	}
	if c.asks() && c.AccessLog != "" {
		both("--access-log")
	}
	hpa := c.Provider == k8s // which reads what these name
	for _, page := range []struct {
		flag   string
		stated bool
	}{
		{"--metrics-scope", c.MetricsScope != "auto"},
		{"--rps-metric", c.asks() && c.RPSMetric != prometheus.DefaultMetric && !hpa},
		{"--rps-metric-type", c.RPSMetricType != "" && !hpa},
		{"--inflight-metric", c.InFlightMetric != ""},
		{"--metrics-header", !c.asks() && len(c.MetricsHeader) > 0},
	} {
		if page.stated {
			errs = append(errs, fmt.Errorf("%s is about a metrics page, and %s is read; leave it away", page.flag, instead))
		}
	}
	return errors.Join(errs...)
}
