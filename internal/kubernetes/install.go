package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/command"
)

// Installation is a metrics adapter in a cluster: what runs it in a namespace of its
// own, and the APIs that the cluster calls it for, of which there is one each.
type Installation struct {
	// Namespace and Name are those of its Service and Deployment.
	Namespace, Name string
	// Space and Workload are the manifests of the namespace and of what is in it.
	Space, Workload string
	// APIs are the names of its APIServices, and APIManifests their manifests.
	APIs, APIManifests []string
	// Wait is how long it may take to be up, and then to answer; 0 does not wait.
	Wait time.Duration
	// Tell is where each step is said.
	Tell io.Writer
}

// CodeForeignAPI and CodeForeignAdapter are of what belongs to another.
const (
	CodeForeignAPI     = "api-not-ours"
	CodeForeignAdapter = "adapter-not-ours"
)

// apiService is what is looked at of an APIService.
type apiService struct {
	Metadata objectMeta
	Spec     struct {
		Group, Version string
		Service        *struct{ Namespace, Name string }
	}
}

// objectMeta is what is looked at of any object here.
type objectMeta struct {
	Name                string
	Labels, Annotations map[string]string
}

func (a apiService) servedBy() string {
	if a.Spec.Service == nil {
		return "the API server itself"
	}
	return "Service " + a.Spec.Service.Namespace + "/" + a.Spec.Service.Name
}

func (a apiService) of(i Installation) bool {
	return a.Spec.Service != nil && a.Spec.Service.Namespace == i.Namespace && a.Spec.Service.Name == i.Name
}

// known are the APIServices of the groups that the adapter serves: those that are
// its own, and those of others.
func (i Installation) known(ctx context.Context, k *kubectl) (own []string, others []apiService, err error) {
	var all list[apiService]
	if err := k.get(ctx, &all, "/apis/apiregistration.k8s.io/v1/apiservices"); err != nil {
		return nil, nil, i.unseen(k, "which APIs the cluster has", err)
	}
	for _, api := range all.Items {
		switch {
		case !i.serves(api.Spec.Group):
		case api.of(i):
			own = append(own, api.Metadata.Name)
		default:
			others = append(others, api)
		}
	}
	return own, others, nil
}

// serves tells whether the adapter serves something of an API group.
func (i Installation) serves(group string) bool {
	for _, name := range i.APIs {
		if _, own, _ := strings.Cut(name, "."); own == group {
			return true
		}
	}
	return false
}

func (i Installation) unseen(k *kubectl, what string, err error) error {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return fmt.Errorf("%s cannot be seen, so nothing was changed (%s): %w", what, k.place(), err)
}

// Install applies all of it, unless a part belongs to another. The APIs come last,
// once there is somebody who answers for them: an API that nobody serves has the
// cluster's other clients wait.
func (i Installation) Install(ctx context.Context, c Config) error {
	c.Namespace = i.Namespace
	k, err := connect(ctx, c)
	if err != nil {
		return err
	}
	own, err := i.free(ctx, k)
	if err != nil {
		return err
	}
	fmt.Fprintf(i.Tell, "installing %s (%s)\n", i.Name, k.place())
	if err := i.apply(ctx, k, "apply", i.Space); err != nil {
		return err
	}
	if err := i.apply(ctx, k, "apply", i.Workload); err != nil {
		return err
	}
	if err := i.await(ctx, k, "rollout", "status", "deployment/"+i.Name, "--timeout="+i.Wait.String()); err != nil {
		return fmt.Errorf("the adapter does not come up, so its APIs were not registered; look with: %s: %w", k.text("describe", "pods", k.namespaced()), err)
	}
	for n, name := range i.APIs {
		// What is not there is created, which fails where another was faster.
		verb := "create"
		if slices.Contains(own, name) {
			verb = "apply"
		}
		if err := i.apply(ctx, k, verb, i.APIManifests[n]); err != nil {
			return err
		}
	}
	args := []string{"wait", "--for=condition=Available", "--timeout=" + i.Wait.String()}
	for _, name := range i.APIs {
		args = append(args, "apiservice/"+name)
	}
	if err := i.await(ctx, k, args...); err != nil {
		return fmt.Errorf("it is installed, and does not answer yet; look with: %s: %w", k.text("describe", "apiservices"), err)
	}
	return nil
}

// free gives those of the APIs that are there and our own; its error names whoever
// has one.
func (i Installation) free(ctx context.Context, k *kubectl) (own []string, err error) {
	own, others, err := i.known(ctx, k)
	if err != nil {
		return nil, err
	}
	if len(others) > 0 {
		api := others[0]
		return nil, &Problem{Code: CodeForeignAPI,
			Fact:   fmt.Sprintf("APIService %s is served by %s, and a cluster has one %s only", api.Metadata.Name, api.servedBy(), api.Spec.Group),
			Remedy: "nothing was changed; have that one serve the metric, as docs/kubernetes.md says, or remove it first: HPAs that use it then lose their metrics"}
	}
	var standing struct{ Metadata objectMeta }
	err = k.get(ctx, &standing, k.path("/apis/apps/v1", "deployments", i.Name))
	switch {
	case is(err, faultNotFound):
		return own, nil
	case err != nil:
		return nil, i.unseen(k, "whether it is installed", err)
	}
	if release := standing.Metadata.Annotations["meta.helm.sh/release-name"]; release != "" {
		return nil, &Problem{Code: CodeForeignAdapter, Fact: fmt.Sprintf("Deployment %s in %s is kept by the Helm release %q", i.Name, i.Namespace, release),
			Remedy: "nothing was changed; use helm upgrade or helm uninstall"}
	}
	return own, nil
}

// apply has kubectl apply or create the manifest.
func (i Installation) apply(ctx context.Context, k *kubectl, verb, manifest string) error {
	args := []string{verb, "--filename=-"}
	if verb == "create" {
		args = append(args, "--save-config") // so that it can be applied later
	}
	k.changed = true
	out, _, err := k.run(ctx, command.Call{Words: args, Input: manifest})
	fmt.Fprint(i.Tell, out)
	if err != nil {
		return fmt.Errorf("kubectl %s failed (%s); what was said above is done, and uninstall undoes it: %w", verb, k.place(), err)
	}
	return nil
}

// await runs a command that waits, unless nothing is waited for.
func (i Installation) await(ctx context.Context, k *kubectl, args ...string) error {
	if i.Wait <= 0 {
		return nil
	}
	if args[0] == "rollout" {
		args = append(args, k.namespaced())
	}
	_, _, err := k.run(ctx, command.Call{Words: args, Limit: i.Wait + answerTime})
	return err
}

// Losing tells who loses metrics by an Uninstall: the autoscalers that ask for
// metrics of pods, as NAMESPACE/NAME.
func (i Installation) Losing(ctx context.Context, c Config) (losing []string, err error) {
	c.Namespace = i.Namespace
	k, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	own, _, err := i.known(ctx, k)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	var all list[struct {
		Metadata struct{ Namespace, Name string }
		Spec     struct{ Metrics []struct{ Type string } }
	}]
	if err := k.get(ctx, &all, "/apis/autoscaling/v2/horizontalpodautoscalers"); err != nil {
		return nil, i.unseen(k, "which HPAs use the adapter", err)
	}
	for _, h := range all.Items {
		if slices.ContainsFunc(h.Spec.Metrics, func(m struct{ Type string }) bool { return m.Type == "Pods" }) {
			losing = append(losing, h.Metadata.Namespace+"/"+h.Metadata.Name)
		}
	}
	return losing, nil
}

// Uninstall removes what Install made and nothing of another's: the APIs first, so
// that none is left without a server. The namespace stays, with whatever else is in
// it.
func (i Installation) Uninstall(ctx context.Context, c Config) error {
	c.Namespace = i.Namespace
	k, err := connect(ctx, c)
	if err != nil {
		return err
	}
	own, others, err := i.known(ctx, k)
	if err != nil {
		return err
	}
	for _, api := range others {
		fmt.Fprintf(i.Tell, "APIService %s stays: it is served by %s\n", api.Metadata.Name, api.servedBy())
	}
	remove := func(input string, args ...string) error {
		k.changed = true
		out, _, err := k.run(ctx, command.Call{Words: append(append([]string{"delete"}, args...), "--ignore-not-found"), Input: input})
		fmt.Fprint(i.Tell, out)
		if err != nil {
			return fmt.Errorf("kubectl delete failed (%s); it can be run again: %w", k.place(), err)
		}
		return nil
	}
	if len(own) > 0 {
		if err := remove("", append([]string{"apiservice"}, own...)...); err != nil {
			return err
		}
	}
	if err := remove(i.Workload, "--filename=-"); err != nil {
		return err
	}
	if err := remove("", "secret", i.Name+"-tls", k.namespaced()); err != nil {
		return err
	}
	fmt.Fprintf(i.Tell, "namespace %s stays; with all that is in it, it goes by: %s\n", i.Namespace, k.text("delete", "namespace", i.Namespace))
	return nil
}
