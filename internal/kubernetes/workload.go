package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/five-keys/autoscale"
)

// Lock keeps others away, in a file that commands inherit.
type Lock interface{ File() *os.File }

// ErrNotRunning is wrapped by the error of a Deployment that asks for no
// replica.
var ErrNotRunning = errors.New("no replica runs")

// Workload is one Deployment.
type Workload struct {
	cfg     Config
	kubectl *kubectl // nil: only the manifest is written
	id      string   // the cluster's
	first   bool     // no earlier run is remembered
	keep    func()   // on a first run, to be called before anything is written
	seen    view
}

// view is what the last look saw.
type view struct {
	deployment *deployment
	hpa        *autoscaler // ours; nil where there is none
	pods       []pod       // those that run, ready or not
	podsDenied bool        // nobody may list them
}

// ready is how many pods are.
func (v *view) ready() (n int) {
	for i := range v.pods {
		if v.pods[i].ready() {
			n++
		}
	}
	return n
}

// Find asks kubectl which cluster is meant. Where kubectl is not to be called
// (ApplyNever, or none there with ApplyAuto), the Workload writes the manifest
// only.
func Find(ctx context.Context, cfg Config) (*Workload, error) {
	w := &Workload{cfg: cfg}
	if cfg.Apply == ApplyNever {
		return w, nil
	}
	if _, err := exec.LookPath(cfg.Kubectl); err != nil {
		if cfg.Apply == ApplyAlways {
			return nil, fmt.Errorf("kubernetes: --apply=always, but %w: %q is not on the PATH (%s); install it, or name it with --kubectl", ErrNoKubectl, cfg.Kubectl, os.Getenv("PATH"))
		}
		return w, nil
	}
	k, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	w.kubectl, w.cfg.resolved = k, k.name
	w.id, err = k.identity(ctx)
	return w, err
}

// identity tells one cluster from another: by the namespace that each has and
// none shares, or where that may not be read by the server's address.
func (k *kubectl) identity(ctx context.Context) (string, error) {
	var system struct{ Metadata metadata }
	err := k.get(ctx, &system, "/api/v1/namespaces/kube-system")
	if refused, ok := errors.AsType[*apiError](err); ok && (refused.fault == faultDenied || refused.fault == faultNotFound) {
		return k.server, nil
	}
	return system.Metadata.UID, k.wrap("the cluster", err)
}

// wrap makes a Problem of what the API server said no to, when a thing was read
// or changed.
func (k *kubectl) wrap(thing string, err error) error {
	if is(err, faultDenied) {
		thing += " may not be read or changed"
	}
	return k.failure(thing, err)
}

// failure is wrap of something that could not be done, in a sentence.
func (k *kubectl) failure(sentence string, err error) error {
	refused, ok := errors.AsType[*apiError](err)
	if !ok {
		return err
	}
	p := &Problem{Code: CodeFailed, Fact: fmt.Sprintf("%s (%s): %s", sentence, k.place(), refused.text), Remedy: k.unchanged("mend that, then run this again")}
	if refused.fault == faultDenied {
		p.Code, p.Remedy = CodeRights, k.unchanged("have the rights granted that docs/kubernetes.md lists, or name another user with --context or --kubeconfig")
	}
	return p
}

// Hold has the commands that change something keep that lock: where this process
// is killed they may still be at work.
func (w *Workload) Hold(l Lock) {
	if w.kubectl != nil {
		w.kubectl.held = append(w.kubectl.held, l.File())
	}
}

// Engine identifies the cluster; empty where none is asked.
func (w *Workload) Engine() string { return w.id }

// Project is the namespace; the one that was stated where no cluster is asked.
func (w *Workload) Project() string {
	if w.kubectl == nil {
		return w.cfg.Namespace
	}
	return w.kubectl.name
}

// Dir is the folder that paths count from, absolute.
func (w *Workload) Dir() string { return w.cfg.Dir }

// Moves reports whether a cluster is there to be changed.
func (w *Workload) Moves() bool { return w.kubectl != nil }

// Place names the cluster and namespace, for people; empty where none is asked.
func (w *Workload) Place() string {
	if w.kubectl == nil {
		return ""
	}
	return w.kubectl.place()
}

// Observe asks the cluster for the Deployment, its pods and what scales it. It is
// an error where something else scales it too.
func (w *Workload) Observe(ctx context.Context) (autoscale.Replicas, error) {
	if err := w.look(ctx); err != nil {
		return autoscale.Replicas{}, err
	}
	name := "HPA " + w.cfg.hpa()
	r := autoscale.Replicas{
		Current: w.seen.deployment.count(), Running: []autoscale.Replica{},
		Delegate: &autoscale.Delegate{Name: name, Acts: w.seen.hpa != nil && w.seen.hpa.acts()},
	}
	if r.Current == 0 {
		r.Stopped = w.stopped()
	}
	for i := range w.seen.pods {
		r.Running = append(r.Running, replica(&w.seen.pods[i]))
	}
	if w.seen.podsDenied {
		r.Warnings = append(r.Warnings, fmt.Sprintf("kubernetes: pods may not be listed (%s), so {replica} stands for none; have the Role applied that docs/kubernetes.md shows", w.kubectl.place()))
	}
	if drift := w.drift(); drift != "" {
		r.Warnings = append(r.Warnings, drift)
	}
	problems, unknown := w.foresee(ctx)
	for _, p := range problems {
		r.Warnings = append(r.Warnings, p.Error())
	}
	for _, text := range unknown {
		r.Warnings = append(r.Warnings, "kubernetes: "+text)
	}
	return r, ctx.Err()
}

// Unready says why replicas may be missing in what was read of the load; empty
// where all that were asked for are ready. It must follow Observe.
func (w *Workload) Unready() string {
	switch missing := w.seen.deployment.count() - w.seen.ready(); {
	case w.seen.podsDenied:
		return "whether all replicas are ready is not known, since pods may not be listed"
	case missing > 0:
		return fmt.Sprintf("%d of %d replicas are not ready", missing, w.seen.deployment.count())
	}
	return ""
}

// stopped is the problem of a Deployment that was scaled to nothing: an HPA does
// not act on it, and to start it is for a person to decide.
func (w *Workload) stopped() error {
	return fmt.Errorf("kubernetes: %w of Deployment %q (%s), and scaling does not start one; start it with: %s, or with --start",
		ErrNotRunning, w.cfg.Service, w.kubectl.place(), w.kubectl.text(w.scaleArgs(w.cfg.Min)...))
}

// replica is what a decision must know of a pod.
func replica(p *pod) autoscale.Replica {
	r := autoscale.Replica{ID: p.Metadata.UID, Name: p.Metadata.Name, Started: p.started(), Health: p.health()}
	for _, ip := range p.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			r.Addrs = append(r.Addrs, addr)
		}
	}
	return r
}

// look fills w.seen.
func (w *Workload) look(ctx context.Context) error {
	k := w.kubectl
	d := &deployment{}
	if err := k.get(ctx, d, k.path("/apis/apps/v1", "deployments", w.cfg.Service)); err != nil {
		if is(err, faultNotFound) {
			return w.unknownDeployment(ctx)
		}
		return k.wrap(fmt.Sprintf("Deployment %q", w.cfg.Service), err)
	}
	w.seen = view{deployment: d}
	var all list[autoscaler]
	var scaled list[scaledObject]
	var pods list[pod]
	var failed [3]error
	var wg sync.WaitGroup
	for i, one := range []struct {
		into any
		path string
	}{
		{&all, k.path("/apis/autoscaling/v2", "horizontalpodautoscalers")},
		{&scaled, k.path("/apis/keda.sh/v1alpha1", "scaledobjects")},
		{&pods, k.path("/api/v1", "pods") + "?labelSelector=" + d.selector()},
	} {
		wg.Go(func() { failed[i] = k.get(ctx, one.into, one.path) })
	}
	wg.Wait()
	if is(failed[0], faultNotFound) {
		return &Problem{Code: CodeRejected, Fact: fmt.Sprintf("the cluster does not have autoscaling/v2 (%s)", k.place()), Remedy: "Kubernetes 1.23 or later is needed"}
	}
	if failed[0] != nil {
		return k.wrap("the HorizontalPodAutoscalers", failed[0])
	}
	// Without KEDA there is no such thing, and one that may not be seen shows by
	// the HPA that KEDA makes for it.
	if failed[1] != nil && !is(failed[1], faultNotFound) && !is(failed[1], faultDenied) && !is(failed[1], faultUnavailable) {
		return k.wrap("KEDA's ScaledObjects", failed[1])
	}
	if w.seen.podsDenied = is(failed[2], faultDenied); failed[2] != nil && !w.seen.podsDenied {
		return k.wrap("the pods", failed[2])
	}
	for _, p := range pods.Items {
		if p.runs() {
			w.seen.pods = append(w.seen.pods, p)
		}
	}
	return w.ownership(all.Items, scaled.Items)
}

// unknownDeployment is the problem of a name that no Deployment has; it lists
// those that there are.
func (w *Workload) unknownDeployment(ctx context.Context) error {
	k := w.kubectl
	var all list[deployment]
	remedy := "name the Deployment with --service and its namespace with --namespace"
	if err := k.get(ctx, &all, k.path("/apis/apps/v1", "deployments")); err == nil {
		var names []string
		for _, d := range all.Items {
			names = append(names, d.Metadata.Name)
		}
		switch {
		case len(names) > 0:
			remedy = fmt.Sprintf("there are %s; %s", strings.Join(names, ", "), remedy)
		default:
			remedy = "that namespace has none, or does not exist; " + remedy
		}
	}
	return &Problem{Code: CodeNoDeployment, Fact: fmt.Sprintf("there is no Deployment %q (%s)", w.cfg.Service, k.place()), Remedy: remedy}
}

// scaleArgs sets the count, where it is still what was seen.
func (w *Workload) scaleArgs(count int) []string {
	args := append([]string{"scale", "deployment/" + w.cfg.Service, fmt.Sprintf("--replicas=%d", count)}, w.kubectl.namespaced())
	if w.seen.deployment != nil {
		args = append(args, fmt.Sprintf("--current-replicas=%d", w.seen.deployment.count()))
	}
	return args
}

// Set raises the Deployment to count replicas, where that is more than there are
// and no HPA is at work. It lowers nothing: that is the HPA's.
func (w *Workload) Set(ctx context.Context, count int) (autoscale.Outcome, error) {
	now := w.seen.deployment.count()
	out := autoscale.Outcome{Count: now}
	if count <= now || now == 0 || w.seen.hpa != nil && w.seen.hpa.acts() {
		return out, nil
	}
	return w.scale(ctx, count)
}

// StartMin starts a Deployment that was scaled to nothing.
func (w *Workload) StartMin(ctx context.Context, count int) (autoscale.Outcome, error) {
	return w.scale(ctx, count)
}

func (w *Workload) scale(ctx context.Context, count int) (autoscale.Outcome, error) {
	out := autoscale.Outcome{Count: w.seen.deployment.count()}
	args := w.scaleArgs(count)
	out.Commands = append(out.Commands, w.kubectl.text(args...))
	if w.cfg.DryRun {
		return out, nil
	}
	w.tell(args)
	_, told, err := w.kubectl.change(ctx, args...)
	if err != nil {
		return out, w.kubectl.failure(fmt.Sprintf("Deployment %q could not be scaled to %d", w.cfg.Service, count), w.kubectl.failed(ctx, told, err))
	}
	out.Count = count
	return out, nil
}

// tell says what is about to be run, and on which cluster.
func (w *Workload) tell(args []string) {
	w.cfg.Tell(fmt.Sprintf("runs %s (%s)", w.kubectl.text(args...), w.kubectl.place()))
}
