package main

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/five-keys/autoscale/internal/adapter"
)

const (
	// gather is how long changes are gathered before the plan is made anew.
	gather = 200 * time.Millisecond
	// retry is when what could not be seen is looked at again.
	retry = failureFor
	// review is how often everything is looked at, whether or not it changed.
	review = time.Minute
)

// planner tells the adapter what the autoscalers of the cluster ask, and of which
// pods.
type planner struct {
	adapter *adapter.Adapter
	targets *targets
	log     *slog.Logger

	hpas     autoscalinglisters.HorizontalPodAutoscalerLister
	pods     corelisters.PodLister
	informer informers.SharedInformerFactory

	mu      sync.Mutex
	changed map[string]bool // namespaces
	wake    chan struct{}
	planned bool // once all namespaces were

	asked map[string][]adapter.Metric // by namespace; of run alone
	told  map[string]string           // what was logged of an autoscaler, by its name; of run alone
}

func newPlanner(client kubernetes.Interface, a *adapter.Adapter, log *slog.Logger) (*planner, error) {
	f := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	p := &planner{
		adapter: a, targets: newTargets(client.Discovery()), log: log, informer: f,
		hpas: f.Autoscaling().V2().HorizontalPodAutoscalers().Lister(), pods: f.Core().V1().Pods().Lister(),
		changed: map[string]bool{}, wake: make(chan struct{}, 1), asked: map[string][]adapter.Metric{}, told: map[string]string{},
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: p.notice, DeleteFunc: p.notice, UpdateFunc: func(before, after any) {
		if differs(before, after) {
			p.notice(after)
		}
	}}
	for _, informer := range []cache.SharedIndexInformer{f.Autoscaling().V2().HorizontalPodAutoscalers().Informer(), f.Core().V1().Pods().Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// differs tells whether an update is one that matters: the status of each
// autoscaler changes all the time.
func differs(before, after any) bool {
	switch was := before.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		return !reflect.DeepEqual(was.Spec, after.(*autoscalingv2.HorizontalPodAutoscaler).Spec)
	case *corev1.Pod:
		is := after.(*corev1.Pod)
		return was.UID != is.UID || runs(was) != runs(is) || !reflect.DeepEqual(was.Labels, is.Labels) || runs(is) && seen(was) != seen(is)
	}
	return true
}

// notice notes the namespace of an object that changed.
func (p *planner) notice(object any) {
	key, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return // nothing that is watched
	}
	p.note(key.Namespace)
}

func (p *planner) note(namespace string) {
	p.mu.Lock()
	p.changed[namespace] = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run plans until the context ends.
func (p *planner) run(ctx context.Context) {
	p.informer.Start(ctx.Done())
	p.informer.WaitForCacheSync(ctx.Done())
	again := time.NewTicker(retry)
	defer again.Stop()
	p.noteAll()
	reviewed := time.Now()
	failed := map[string]bool{}
	for ctx.Err() == nil {
		for _, namespace := range p.take() {
			failed[namespace] = !p.plan(ctx, namespace)
		}
		p.mu.Lock()
		p.planned = true
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-p.wake:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		case <-again.C:
			for namespace, bad := range failed {
				if bad {
					p.note(namespace)
				}
			}
			if time.Since(reviewed) >= review {
				p.noteAll()
				p.prune()
				reviewed = time.Now()
			}
		}
	}
	p.informer.Shutdown()
}

// take are the namespaces that changed since it was asked last.
func (p *planner) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for namespace := range p.changed {
		all = append(all, namespace)
	}
	clear(p.changed)
	return all
}

// noteAll notes all namespaces that have an autoscaler, or had one.
func (p *planner) noteAll() {
	all, err := p.hpas.List(labels.Everything())
	if err != nil {
		p.log.Error("the autoscalers cannot be listed", "err", err)
	}
	for _, h := range all {
		p.note(h.Namespace)
	}
	for namespace := range p.asked {
		p.note(namespace)
	}
}

// prune forgets targets of autoscalers that are gone.
func (p *planner) prune() {
	all, err := p.hpas.List(labels.Everything())
	if err != nil {
		return // noteAll tells
	}
	keep := map[target]bool{}
	names := map[string]bool{}
	for _, h := range all {
		keep[target{h.Namespace, h.Spec.ScaleTargetRef}] = true
		names[h.Namespace+"/"+h.Name] = true
	}
	p.targets.forget(func(t target) bool { return keep[t] })
	for name := range p.told {
		if !names[name] {
			delete(p.told, name)
		}
	}
}

// ask is one metric with the pods that it is asked of.
type ask struct {
	pods    map[string]adapter.Pod
	settled time.Duration
}

// plan tells the adapter what is asked in a namespace, and whether all of it could
// be seen.
func (p *planner) plan(ctx context.Context, namespace string) bool {
	all, err := p.hpas.HorizontalPodAutoscalers(namespace).List(labels.Everything())
	if err != nil {
		p.log.Error("the autoscalers cannot be listed", "namespace", namespace, "err", err)
		return false
	}
	complete := true
	asks := map[adapter.Metric]*ask{}
	for _, h := range all {
		err := p.add(ctx, asks, h)
		p.tell(h, err)
		complete = complete && err == nil
	}
	var names []adapter.Metric
	for metric, a := range asks {
		pods := make([]adapter.Pod, 0, len(a.pods))
		for _, pod := range a.pods {
			pods = append(pods, pod)
		}
		p.adapter.Ask(metric, a.settled, pods)
		names = append(names, metric)
	}
	for _, metric := range p.asked[namespace] {
		if !slices.Contains(names, metric) {
			p.adapter.Drop(metric)
		}
	}
	if p.asked[namespace] = names; len(names) == 0 {
		delete(p.asked, namespace)
	}
	return complete
}

// add adds what one autoscaler asks.
func (p *planner) add(ctx context.Context, asks map[adapter.Metric]*ask, h *autoscalingv2.HorizontalPodAutoscaler) error {
	d, err := demanded(h)
	if len(d.metrics) == 0 {
		return err
	}
	selector, failed := p.targets.selector(ctx, h)
	if failed != nil {
		err = failed
	}
	var pods []*corev1.Pod
	if selector != nil {
		var listing error
		if pods, listing = p.pods.Pods(h.Namespace).List(selector); listing != nil {
			err = listing
		}
	}
	for _, metric := range d.metrics {
		a := asks[metric]
		if a == nil {
			a = &ask{pods: map[string]adapter.Pod{}}
			asks[metric] = a
		}
		a.settled = max(a.settled, d.settled)
		for _, pod := range pods {
			if runs(pod) {
				a.pods[string(pod.UID)] = seen(pod)
			}
		}
	}
	return err
}

// tell logs what keeps an autoscaler's pods from being read, once.
func (p *planner) tell(h *autoscalingv2.HorizontalPodAutoscaler, err error) {
	name, text := h.Namespace+"/"+h.Name, ""
	if err != nil {
		text = err.Error()
	}
	if p.told[name] == text {
		return
	}
	if p.told[name] = text; err == nil {
		p.log.Info("an autoscaler's pods are known again", "hpa", name)
		return
	}
	p.log.Warn("which pods an autoscaler scales cannot be told", "hpa", name, "target", h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name, "err", err)
}

// ready is nil once the cluster was looked at.
func (p *planner) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.planned
}
