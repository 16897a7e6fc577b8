package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/five-keys/autoscale/internal/adapter"
)

// defaultWindow is how long an autoscaler looks back before it goes down, where it
// does not say (the controller's own default).
const defaultWindow = 5 * time.Minute

// demand is what one autoscaler asks of pods.
type demand struct {
	metrics []adapter.Metric
	settled time.Duration
}

// demanded reads it. Of a metric that cannot be read, the rest is told.
func demanded(h *autoscalingv2.HorizontalPodAutoscaler) (demand, error) {
	d := demand{settled: defaultWindow}
	if b := h.Spec.Behavior; b != nil && b.ScaleDown != nil && b.ScaleDown.StabilizationWindowSeconds != nil {
		d.settled = time.Duration(*b.ScaleDown.StabilizationWindowSeconds) * time.Second
	}
	var failed error
	for _, spec := range h.Spec.Metrics {
		if spec.Type != autoscalingv2.PodsMetricSourceType || spec.Pods == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(spec.Pods.Metric.Selector)
		if spec.Pods.Metric.Selector == nil {
			selector = labels.Everything()
		}
		if err != nil {
			failed = fmt.Errorf("metric %s: %w", spec.Pods.Metric.Name, err)
			continue
		}
		d.metrics = append(d.metrics, adapter.Metric{Namespace: h.Namespace, Name: spec.Pods.Metric.Name, Matchers: matchers(selector)})
	}
	return d, failed
}

// matchers writes a selector of series, which Kubernetes has in its own syntax, in
// PromQL's. A series without the label counts as one whose label is empty.
func matchers(selector labels.Selector) string {
	requirements, _ := selector.Requirements()
	var all []string
	for _, r := range requirements {
		values := r.Values().List() // sorted
		op, value := "", ""
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			op, value = "=", strings.Join(values, "")
			if len(values) > 1 {
				op, value = "=~", oneOf(values)
			}
		case selection.NotEquals, selection.NotIn:
			op, value = "!=", strings.Join(values, "")
			if len(values) > 1 {
				op, value = "!~", oneOf(values)
			}
		case selection.Exists:
			op = "!="
		case selection.DoesNotExist:
			op = "="
		default: // greater and less than are not for series
			op, value = "=~", "^never$^"
		}
		all = append(all, fmt.Sprintf("%q%s%s", r.Key(), op, strconv.Quote(value)))
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return "{" + strings.Join(all, ",") + "}"
}

func oneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(quoted, "|")
}
