package main

import (
	"context"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/metrics/pkg/apis/custom_metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/five-keys/autoscale/internal/adapter"
)

// podMetrics answers for custom.metrics.k8s.io.
type podMetrics struct {
	adapter *adapter.Adapter
	pods    corelisters.PodLister
}

var ofPods = schema.GroupResource{Resource: "pods"}

// GetMetricByName answers for one pod.
func (p *podMetrics) GetMetricByName(ctx context.Context, name types.NamespacedName, info provider.CustomMetricInfo, selector labels.Selector) (*custom_metrics.MetricValue, error) {
	absent := provider.NewMetricNotFoundForError(info.GroupResource, info.Metric, name.Name)
	if info.GroupResource != ofPods || !info.Namespaced {
		return nil, absent
	}
	pod, err := p.pods.Pods(name.Namespace).Get(name.Name)
	if err != nil {
		return nil, absent
	}
	items, known := p.values(ctx, name.Namespace, info.Metric, selector, []*corev1.Pod{pod})
	if !known || len(items) == 0 {
		return nil, absent
	}
	return &items[0], nil
}

// GetMetricBySelector answers for all pods with the labels that have a value.
func (p *podMetrics) GetMetricBySelector(ctx context.Context, namespace string, selector labels.Selector, info provider.CustomMetricInfo, metricSelector labels.Selector) (*custom_metrics.MetricValueList, error) {
	if info.GroupResource != ofPods || !info.Namespaced {
		return nil, provider.NewMetricNotFoundError(info.GroupResource, info.Metric)
	}
	pods, err := p.pods.Pods(namespace).List(selector)
	if err != nil {
		return nil, err
	}
	items, known := p.values(ctx, namespace, info.Metric, metricSelector, pods)
	if !known {
		return nil, provider.NewMetricNotFoundError(info.GroupResource, info.Metric)
	}
	return &custom_metrics.MetricValueList{Items: items}, nil
}

// ListAllMetrics are the metrics that autoscalers ask for.
func (p *podMetrics) ListAllMetrics() []provider.CustomMetricInfo {
	var all []provider.CustomMetricInfo
	for _, name := range p.adapter.Metrics() {
		all = append(all, provider.CustomMetricInfo{GroupResource: ofPods, Namespaced: true, Metric: name})
	}
	return all
}

// values are those of the pods, and whether anybody asks for the metric.
func (p *podMetrics) values(ctx context.Context, namespace, name string, selector labels.Selector, pods []*corev1.Pod) ([]custom_metrics.MetricValue, bool) {
	m := adapter.Metric{Namespace: namespace, Name: name, Matchers: matchers(selector)}
	identifier := custom_metrics.MetricIdentifier{Name: name}
	if !selector.Empty() {
		identifier.Selector, _ = metav1.ParseToLabelSelector(selector.String()) // it was one
	}
	p.adapter.Wait(ctx, m)
	names := make(map[string]string, len(pods))
	uids := make([]string, 0, len(pods))
	for _, pod := range pods {
		names[string(pod.UID)] = pod.Name
		uids = append(uids, string(pod.UID))
	}
	values, known := p.adapter.Values(m, uids)
	items := make([]custom_metrics.MetricValue, 0, len(values))
	for _, v := range values {
		item := custom_metrics.MetricValue{
			DescribedObject: custom_metrics.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: names[v.UID]},
			Metric:          identifier,
			Timestamp:       metav1.NewTime(v.Time),
			Value:           quantity(v.RPS),
		}
		if v.Window > 0 {
			seconds := int64(max(v.Window.Round(time.Second).Seconds(), 1))
			item.WindowSeconds = &seconds
		}
		items = append(items, item)
	}
	return items, known
}

// quantity writes requests/s as Kubernetes does, to the thousandth above.
func quantity(rps float64) resource.Quantity {
	if milli := math.Ceil(rps*1000 - 1e-6); milli < math.MaxInt64/2 {
		return *resource.NewMilliQuantity(int64(milli), resource.DecimalSI)
	}
	return *resource.NewQuantity(int64(min(rps, math.MaxInt64/2)), resource.DecimalSI)
}
