package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Survey is what speaks against scaling the Deployment, now or later.
type Survey struct {
	// Server is the cluster's version, "v1.36.3".
	Server   string
	Problems []Problem
	// Facts are what is so, in short lines.
	Facts []string
}

// FindProblem is the Problem in err, or one made of it.
func FindProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	code := CodeFailed
	switch {
	case errors.Is(err, ErrNoKubectl):
		code = CodeNoKubectl
	case errors.Is(err, ErrNotRunning):
		code = CodeStopped
	}
	fact, remedy, _ := strings.Cut(strings.TrimPrefix(err.Error(), "kubernetes: "), "; ")
	return &Problem{Code: code, Fact: fact, Remedy: remedy}
}

// Survey looks at everything that will matter, and changes nothing. It must
// follow Observe. perPod tells that each pod's own page is read.
func (w *Workload) Survey(ctx context.Context, perPod bool) (Survey, error) {
	var s Survey
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := w.kubectl.get(ctx, &version, "/version"); err != nil {
		return s, w.kubectl.wrap("the cluster's version", err)
	}
	s.Server = version.GitVersion
	s.Facts = append(s.Facts, fmt.Sprintf("cluster: Kubernetes %s (%s)", s.Server, w.kubectl.place()),
		fmt.Sprintf("replicas: %d asked for, %d ready, of at most %d", w.seen.deployment.count(), w.seen.ready(), w.cfg.Max))
	problems, unknown := w.foresee(ctx)
	for _, p := range problems {
		s.Problems = append(s.Problems, *p)
	}
	s.Facts = append(s.Facts, unknown...)
	if err := ctx.Err(); err != nil {
		return s, context.Cause(ctx)
	}
	if p := w.manifestProblem(ctx); p != nil {
		s.Problems = append(s.Problems, *p)
	}
	if w.Lowers() {
		s.Problems = append(s.Problems, *w.aboveMax("a run looks at that"))
	}
	if err := w.rights(ctx, &s, perPod); err != nil {
		return s, err
	}
	return s, w.disruption(ctx, &s)
}

// manifestProblem is that of a manifest which cannot be kept, or which the
// cluster would not take.
func (w *Workload) manifestProblem(ctx context.Context) *Problem {
	m, err := w.cfg.readManifest()
	if err != nil {
		return &Problem{Code: CodeManifest, Fact: err.Error(), Remedy: "make it readable, or name another file with --hpa-file"}
	}
	text, err := w.cfg.wanted(m)
	if err == nil {
		err = w.takesAway(m, text)
	}
	if err == nil {
		err = w.rehearse(ctx, text)
	}
	if p, ok := errors.AsType[*Problem](err); ok && p.Code != CodeRights { // those are looked at by themselves
		return p
	}
	return nil
}

// right is what a run must be allowed to do.
type right struct{ verb, resource, subresource string }

// rights looks whether a run may do what it has to.
func (w *Workload) rights(ctx context.Context, s *Survey, perPod bool) error {
	needed := []right{
		{"get", "deployments.apps/" + w.cfg.Service, ""}, {"update", "deployments.apps/" + w.cfg.Service, "scale"},
		{"list", "horizontalpodautoscalers.autoscaling", ""}, {"create", "horizontalpodautoscalers.autoscaling", ""},
		{"get", "horizontalpodautoscalers.autoscaling/" + w.cfg.hpa(), ""}, {"patch", "horizontalpodautoscalers.autoscaling/" + w.cfg.hpa(), ""},
		{"delete", "horizontalpodautoscalers.autoscaling/" + w.cfg.hpa(), ""}, {"list", "pods", ""},
	}
	if perPod {
		needed = append(needed, right{"get", "pods", "proxy"})
	}
	missing, failed := make([]string, len(needed)), make([]error, len(needed))
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, r := range needed {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			args := []string{"auth", "can-i", r.verb, r.resource, w.kubectl.namespaced()}
			if r.subresource != "" {
				args = append(args, "--subresource="+r.subresource)
			}
			// It ends with 1 for "no" too.
			out, told, err := w.kubectl.call(ctx, "", nil, args...)
			switch answer := strings.Fields(out); {
			case len(answer) > 0 && answer[0] == "no":
				missing[i] = strings.TrimSuffix(fmt.Sprintf("%s %s/%s", r.verb, r.resource, r.subresource), "/")
			case err != nil:
				failed[i] = w.kubectl.wrap("your rights", w.kubectl.failed(ctx, told, err))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if names := slices.DeleteFunc(missing, func(m string) bool { return m == "" }); len(names) > 0 {
		s.Problems = append(s.Problems, Problem{Code: CodeRights, Fact: fmt.Sprintf("you may not %s (%s)", strings.Join(names, ", "), w.kubectl.place()), Remedy: "have the Role applied that docs/kubernetes.md shows"})
	}
	return nil
}

// budget is a PodDisruptionBudget.
type budget struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		MinAvailable   any `json:"minAvailable"`
		MaxUnavailable any `json:"maxUnavailable"`
		Selector       struct {
			MatchLabels      map[string]string `json:"matchLabels"`
			MatchExpressions []any             `json:"matchExpressions"`
		} `json:"selector"`
	} `json:"spec"`
}

// covers reports whether the budget is surely for pods with those labels.
func (b *budget) covers(podLabels map[string]string) bool {
	for key, value := range b.Spec.Selector.MatchLabels {
		if podLabels[key] != value {
			return false
		}
	}
	return len(b.Spec.Selector.MatchExpressions) == 0
}

// disruption looks for budgets that the least count leaves no room in: nodes
// could not be drained then.
func (w *Workload) disruption(ctx context.Context, s *Survey) error {
	var all list[budget]
	err := w.kubectl.get(ctx, &all, w.kubectl.path("/apis/policy/v1", "poddisruptionbudgets"))
	if is(err, faultDenied) || is(err, faultNotFound) {
		s.Facts = append(s.Facts, "whether a PodDisruptionBudget stands in the way is not known: they may not be listed")
		return nil
	}
	if err != nil {
		return w.kubectl.wrap("the PodDisruptionBudgets", err)
	}
	for _, b := range all.Items {
		if !b.covers(w.seen.deployment.Spec.Selector.MatchLabels) {
			continue
		}
		if room(b, w.cfg.Min) < 1 {
			s.Problems = append(s.Problems, Problem{Code: CodeDisruption, Fact: fmt.Sprintf("with --min=%d PodDisruptionBudget %s lets no pod of Deployment %q go, so a node it runs on cannot be drained", w.cfg.Min, b.Metadata.Name, w.cfg.Service),
				Remedy: "raise --min above its minAvailable, or write the budget as maxUnavailable: 1"})
		}
	}
	return nil
}

// room is how many of count pods a budget lets go.
func room(b budget, count int) int {
	if b.Spec.MaxUnavailable != nil {
		return amount(b.Spec.MaxUnavailable, count)
	}
	return count - amount(b.Spec.MinAvailable, count)
}

// amount is a number of pods, or a share of count, rounded up.
func amount(v any, count int) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		if percent, err := strconv.Atoi(strings.TrimSuffix(v, "%")); err == nil {
			return (percent*count + 99) / 100
		}
	}
	return 0
}
