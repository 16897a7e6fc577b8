package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/kubernetes"
	"github.com/five-keys/autoscale/internal/schedule"
)

// examineCluster is Examine of a Deployment.
func (s Setup) examineCluster(ctx context.Context) (Report, error) {
	c := *s.Kubernetes
	r := Report{Project: orElse(c.Namespace, c.Dir)}
	w, seen, err := deployment(ctx, &r, c, slices.ContainsFunc(s.Metrics.URLs, func(u string) bool { return strings.Contains(u, "{replica}") }))
	if err != nil {
		return r, err
	}
	metrics := s.Metrics
	if w != nil && w.Moves() {
		metrics.Relay = w.Page
	}
	source, err := s.source(c.Dir, metrics)
	if err != nil {
		return r, err
	}
	s.metrics(ctx, &r, source, seen.Running, nil)
	return r, s.scheduled(ctx, &r, schedule.Workload{Service: c.Service, Dir: c.Dir, Provider: "k8s"})
}

// deployment finds the Deployment and what speaks against scaling it. It is nil
// where it cannot be found.
func deployment(ctx context.Context, r *Report, c kubernetes.Config, perPod bool) (*kubernetes.Workload, autoscale.Replicas, error) {
	problem := func(err error) {
		p := kubernetes.FindProblem(err)
		r.add(p.Code, p.Fact, p.Remedy)
	}
	w, err := kubernetes.Find(ctx, c)
	if ctx.Err() != nil {
		return nil, autoscale.Replicas{}, context.Cause(ctx)
	}
	if err != nil {
		problem(err)
		return nil, autoscale.Replicas{}, nil
	}
	if !w.Moves() {
		r.add(kubernetes.CodeNoKubectl, "no cluster is asked: kubectl is not on the PATH, or --apply=never", "install kubectl, or name it with --kubectl; without it only the manifest is written")
		return w, autoscale.Replicas{}, nil
	}
	r.Project = w.Project()
	seen, err := w.Observe(ctx)
	if ctx.Err() != nil {
		return w, seen, context.Cause(ctx)
	}
	if err != nil {
		problem(err)
		return w, seen, nil
	}
	if seen.Stopped != nil {
		problem(seen.Stopped)
	}
	survey, err := w.Survey(ctx, perPod)
	r.Facts = append(r.Facts, survey.Facts...)
	for _, p := range survey.Problems {
		r.add(p.Code, p.Fact, p.Remedy)
	}
	return w, seen, err
}
