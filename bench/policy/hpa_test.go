package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	scaling "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	scalefake "k8s.io/client-go/scale/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// TestHPA holds ours against the whole real controller, which runs by the clock of
// a bubble: on random walks of the load both must set the same count at each step.
func TestHPA(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { alike(t, seed) })
		})
	}
}

const testSteps = 400

// real is the world that the real controller sees.
type real struct {
	t      *testing.T
	random *rand.Rand
	ours   *hpa
	pods   cache.Indexer
	load   float64
	count  int // that the controller has set
	ready  int
	want   int // ours
	steps  int
	moves  int
}

// alike runs both until they differ, or for long.
func alike(t *testing.T, seed uint64) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := &real{t: t, random: rand.New(rand.NewPCG(seed, 0)), ours: newHPA(35, 60), count: 4, ready: 4, want: 4, load: 100}
	target := resource.NewMilliQuantity(r.ours.target, resource.DecimalSI)
	least := int32(r.ours.min)
	client := fake.NewClientset(&autoscaling.HorizontalPodAutoscaler{
		ObjectMeta: meta.ObjectMeta{Name: "app", Namespace: "ns"},
		Spec: autoscaling.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscaling.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "app"},
			MinReplicas:    &least, MaxReplicas: int32(r.ours.max),
			Metrics: []autoscaling.MetricSpec{{Type: autoscaling.PodsMetricSourceType, Pods: &autoscaling.PodsMetricSource{
				Metric: autoscaling.MetricIdentifier{Name: "rps"}, Target: autoscaling.MetricTarget{Type: autoscaling.AverageValueMetricType, AverageValue: target},
			}}},
			Behavior: usualBehavior(),
		},
	})
	factory := informers.NewSharedInformerFactory(client, 24*time.Hour) // without a time it waits for a channel outside of the bubble
	r.pods = factory.Core().V1().Pods().Informer().GetIndexer()
	mapper := apimeta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, apimeta.RESTScopeNamespace)
	controller := podautoscaler.NewHorizontalController(ctx, client.CoreV1(), r.scales(), client.AutoscalingV2(), mapper, r,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(), hpaEvery, hpaWindow, hpaTolerance, 5*time.Minute, 30*time.Second)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go controller.Run(ctx, 1)
	time.Sleep((testSteps + 2) * hpaEvery)
	if r.steps < testSteps || r.moves < 20 {
		t.Errorf("%d steps, %d of which moved the count: that shows little", r.steps, r.moves)
	}
	stop()
	time.Sleep(time.Hour) // everything that it started ends
}

// usualBehavior is what the API server fills in where nothing is said.
func usualBehavior() *autoscaling.HorizontalPodAutoscalerBehavior {
	highest := autoscaling.MaxChangePolicySelect
	none, window := int32(0), int32(hpaWindow.Seconds())
	all := autoscaling.HPAScalingPolicy{Type: autoscaling.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
	return &autoscaling.HorizontalPodAutoscalerBehavior{
		ScaleUp: &autoscaling.HPAScalingRules{StabilizationWindowSeconds: &none, SelectPolicy: &highest, Policies: []autoscaling.HPAScalingPolicy{
			{Type: autoscaling.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}, all,
		}},
		ScaleDown: &autoscaling.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &highest, Policies: []autoscaling.HPAScalingPolicy{all}},
	}
}

// scales is where the controller reads and sets the count.
func (r *real) scales() *scalefake.FakeScaleClient {
	c := &scalefake.FakeScaleClient{}
	scale := func() *scaling.Scale {
		return &scaling.Scale{
			ObjectMeta: meta.ObjectMeta{Name: "app", Namespace: "ns"}, Spec: scaling.ScaleSpec{Replicas: int32(r.count)},
			Status: scaling.ScaleStatus{Replicas: int32(r.count), Selector: "app=app"},
		}
	}
	c.AddReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, scale(), nil })
	c.AddReactor("update", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		n := int(a.(clienttesting.UpdateAction).GetObject().(*scaling.Scale).Spec.Replicas)
		r.moves++
		r.count, r.ready = n, min(r.ready, n)
		return true, scale(), nil
	})
	return c
}

// GetRawMetric is where each step of the controller begins: the last one's outcome
// is compared, the load walks on, and some of the pods that start are ready.
func (r *real) GetRawMetric(string, string, labels.Selector, labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	now := time.Now()
	if r.count != r.want {
		r.t.Errorf("step %d: the controller sets %d, ours %d", r.steps, r.count, r.want)
		r.want = r.count
	}
	r.steps++
	switch r.random.IntN(12) {
	case 0:
		r.load *= 0.3 + 2*r.random.Float64()
	case 1:
		r.load /= 0.3 + 2*r.random.Float64()
	default:
		r.load *= 0.95 + 0.1*r.random.Float64()
	}
	r.load = min(max(r.load, 20), 1900)
	r.ready = min(r.count, max(1, r.ready+r.random.IntN(r.count-r.ready+1)))
	each := int64(r.load * 1000 / float64(r.ready))
	info := metrics.PodMetricsInfo{}
	pods := make([]any, r.count)
	for i := range pods {
		p := &core.Pod{ObjectMeta: meta.ObjectMeta{Name: fmt.Sprint("pod-", i), Namespace: "ns", Labels: map[string]string{"app": "app"}}}
		p.Status.Phase = core.PodPending
		if i < r.ready {
			p.Status.Phase = core.PodRunning
			info[p.Name] = metrics.PodMetric{Timestamp: now, Window: hpaEvery, Value: each}
		}
		pods[i] = p
	}
	if err := r.pods.Replace(pods, ""); err != nil {
		r.t.Error(err)
	}
	r.want = r.ours.next(now, r.count, r.ready, each)
	return info, now, nil
}

var errNotAsked = errors.New("only a Pods metric is there")

func (r *real) GetResourceMetric(context.Context, core.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, errNotAsked
}

func (r *real) GetObjectMetric(string, string, *autoscaling.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, errNotAsked
}

func (r *real) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	return nil, time.Time{}, errNotAsked
}
