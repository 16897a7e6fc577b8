package kubernetes

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// foresee tells what will keep the HPA from scaling as it should, before the
// night in which it must, and what of that is not known.
func (w *Workload) foresee(ctx context.Context) (found []*Problem, unknown []string) {
	names := []string{w.cfg.Metric.Name, "cpu"}
	var served [2]*Problem
	var failed [2]error
	var wg sync.WaitGroup
	for i, look := range []func(context.Context) (*Problem, error){w.servesRequests, w.servesCPU} {
		wg.Go(func() { served[i], failed[i] = look(ctx) })
	}
	wg.Wait()
	for i, err := range failed {
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("whether the cluster serves %s is not known: %v", names[i], err))
		}
	}
	found = []*Problem{w.replicasOwner(), served[0], served[1], w.cpuRequests()}
	if w.seen.hpa != nil && served[0] == nil && served[1] == nil {
		if why := w.seen.hpa.inactive(); why != "" && w.seen.deployment.count() > 0 {
			found = append(found, &Problem{Code: CodeHPAInactive, Fact: fmt.Sprintf("HPA %s says that it cannot scale: %s", w.cfg.hpa(), why), Remedy: w.toLook("describe", "hpa/"+w.cfg.hpa())})
		}
	}
	return slices.DeleteFunc(found, func(p *Problem) bool { return p == nil }), unknown
}

func (w *Workload) toLook(args ...string) string {
	return "look with: " + w.kubectl.text(append(args, w.kubectl.namespaced())...)
}

// What an HPA does without one of its metrics
// (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details).
const blind = "an HPA that lacks one of its metrics may raise by the others, and never lowers"

// servesRequests looks whether the cluster serves the metric that counts
// requests, for the pods that are ready. The error says why that is not known.
func (w *Workload) servesRequests(ctx context.Context) (*Problem, error) {
	k, name := w.kubectl, w.cfg.Metric.Name
	unserved := func(why string) *Problem {
		return &Problem{Code: CodeMetricUnserved, Fact: why + ": " + blind,
			Remedy: "have it served: autoscale adapter install, or prometheus-adapter, as docs/kubernetes.md says"}
	}
	var group struct {
		Preferred struct{ Version string } `json:"preferredVersion"`
	}
	const api = "/apis/custom.metrics.k8s.io"
	err := k.get(ctx, &group, api)
	if is(err, faultNotFound) {
		return unserved(fmt.Sprintf("nothing in the cluster serves %s, or any other metric of pods (custom.metrics.k8s.io)", name)), nil
	}
	if err != nil {
		return nil, err
	}
	path := k.path(api+"/"+url.PathEscape(group.Preferred.Version), "pods") + "/*/" + url.PathEscape(name) + "?labelSelector=" + w.seen.deployment.selector()
	if len(w.cfg.Metric.Labels) > 0 {
		path += "&metricLabelSelector=" + url.QueryEscape(labels(w.cfg.Metric.Labels))
	}
	var values list[struct {
		Timestamp time.Time `json:"timestamp"`
	}]
	err = k.get(ctx, &values, path)
	switch {
	case is(err, faultUnavailable):
		return unserved("what should serve metrics of pods (custom.metrics.k8s.io) does not answer"), nil
	case is(err, faultNotFound):
		return unserved(fmt.Sprintf("nothing in the cluster serves %s for the pods of Deployment %q", name, w.cfg.Service)), nil
	case err != nil:
		return nil, err
	case len(values.Items) == 0 && w.seen.ready() > 0:
		return unserved(fmt.Sprintf("the cluster has no value of %s for any pod of Deployment %q", name, w.cfg.Service)), nil
	}
	for _, v := range values.Items {
		if age := time.Since(v.Timestamp); !v.Timestamp.IsZero() && age > maxAge {
			return &Problem{Code: CodeMetricStale, Fact: fmt.Sprintf("the cluster serves %s as it was %s ago, and the HPA takes it for the load of now", name, age.Round(time.Second)),
				Remedy: "find out why what serves it reads no newer one"}, nil
		}
	}
	return nil, nil
}

// maxAge is how old a value may be before it is no measure of now.
const maxAge = 5 * time.Minute

func labels(all map[string]string) string {
	var terms []string
	for key, value := range all {
		terms = append(terms, key+"="+value)
	}
	slices.Sort(terms)
	return strings.Join(terms, ",")
}

// servesCPU looks whether the cluster tells how much CPU the pods use.
func (w *Workload) servesCPU(ctx context.Context) (*Problem, error) {
	if w.cfg.CPUTarget == 0 {
		return nil, nil
	}
	k := w.kubectl
	unserved := func(why string) *Problem {
		return &Problem{Code: CodeCPUUnserved, Fact: why + ": " + blind, Remedy: "install metrics-server, or leave CPU out with --cpu-target=0"}
	}
	var values list[struct{}]
	err := k.get(ctx, &values, k.path("/apis/metrics.k8s.io/v1beta1", "pods")+"?labelSelector="+w.seen.deployment.selector())
	switch {
	case is(err, faultNotFound):
		return unserved("nothing in the cluster tells how much CPU pods use (metrics.k8s.io)"), nil
	case is(err, faultUnavailable):
		return unserved("what should tell how much CPU pods use (metrics.k8s.io) does not answer"), nil
	case err != nil:
		return nil, err
	case len(values.Items) == 0 && w.seen.ready() > 0:
		return unserved(fmt.Sprintf("the cluster does not tell how much CPU the pods of Deployment %q use", w.cfg.Service)), nil
	}
	return nil, nil
}

// cpuRequests is the problem of containers that ask for no CPU: of what they use
// no share can be told. Pods are looked at first, since a namespace may have
// defaults.
func (w *Workload) cpuRequests() *Problem {
	if w.cfg.CPUTarget == 0 {
		return nil
	}
	names := w.seen.deployment.Spec.Template.Spec.withoutCPU()
	if len(w.seen.pods) > 0 {
		names = w.seen.pods[0].Spec.withoutCPU()
	}
	if len(names) == 0 {
		return nil
	}
	plural := ""
	if len(names) > 1 {
		plural = "s"
	}
	return &Problem{Code: CodeNoCPURequest, Fact: fmt.Sprintf("container%s %s of Deployment %q asks for no CPU, so its utilisation cannot be told: %s", plural, strings.Join(names, ", "), w.cfg.Service, blind),
		Remedy: "set resources.requests.cpu, or leave CPU out with --cpu-target=0"}
}
