package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ownership refuses a Deployment that something else scales, and an HPA of our
// name that is not ours. It finds ours.
func (w *Workload) ownership(all []autoscaler, scaled []scaledObject) error {
	for _, s := range scaled {
		ref := s.Spec.ScaleTargetRef
		if ref.Name == w.cfg.Service && (ref.Kind == "" || ref.Kind == "Deployment") {
			return w.conflict(fmt.Sprintf("KEDA's ScaledObject %s", s.Metadata.Name), "scaledobject/"+s.Metadata.Name)
		}
	}
	for i, a := range all {
		for _, owner := range a.Metadata.OwnerReferences {
			if owner.Kind == "ScaledObject" && a.scales(w.cfg.Service) {
				return w.conflict(fmt.Sprintf("KEDA's ScaledObject %s (through HPA %s)", owner.Name, a.Metadata.Name), "scaledobject/"+owner.Name)
			}
		}
		switch {
		case a.Metadata.Name == w.cfg.hpa():
			if err := w.adopt(&a); err != nil {
				return err
			}
			w.seen.hpa = &all[i]
		case a.scales(w.cfg.Service):
			return w.conflict(fmt.Sprintf("HorizontalPodAutoscaler %s", a.Metadata.Name), "hpa/"+a.Metadata.Name)
		}
	}
	return nil
}

func (w *Workload) conflict(other, object string) error {
	remove := w.kubectl.text("delete", object, w.kubectl.namespaced())
	return &Problem{Code: CodeConflict,
		Fact:   fmt.Sprintf("%s scales Deployment %q already (%s), and two autoscalers on one Deployment fight", other, w.cfg.Service, w.kubectl.place()),
		Remedy: fmt.Sprintf("nothing was changed; keep that one, or take it away first (%s) and run this again", remove)}
}

// adopt checks that the HPA of our name is one that this program applied, or a
// person with the same manifest.
func (w *Workload) adopt(a *autoscaler) error {
	not := func(why, remedy string) error {
		return &Problem{Code: CodeForeignHPA, Fact: fmt.Sprintf("HorizontalPodAutoscaler %s is there already (%s), and %s", w.cfg.hpa(), w.kubectl.place(), why), Remedy: "nothing was changed; " + remedy}
	}
	if !a.scales(w.cfg.Service) {
		return not(fmt.Sprintf("it scales %s %s, not Deployment %s", a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name, w.cfg.Service), "give it another name")
	}
	if keeper := a.Metadata.keeper(); keeper != "" {
		return not("it is kept by "+keeper, "change it there, or take it out there and run this again")
	}
	if a.Metadata.lastApplied() == nil {
		return not("it was not made by kubectl apply", w.toAdopt())
	}
	return nil
}

// toAdopt says how an HPA that was not applied becomes one that is.
func (w *Workload) toAdopt() string {
	k, hpa := w.kubectl, "hpa/"+w.cfg.hpa()
	remedy := fmt.Sprintf("delete it (%s)", k.text("delete", hpa, k.namespaced()))
	if _, err := os.Lstat(w.cfg.manifestPath()); err == nil {
		return remedy + fmt.Sprintf(", or have %s say what it says and apply that with kubectl", w.shown())
	}
	return remedy + fmt.Sprintf(", or make it yours: %s > %s && %s", k.text("get", hpa, k.namespaced(), "-o", "yaml"), w.shown(), k.text("replace", "--save-config", "-f", w.shown(), k.namespaced()))
}

// keeper names what sets an object again and again, or with each release, as far
// as the object shows it; empty for none.
func (m metadata) keeper() string {
	for _, mark := range []struct{ name, key string }{
		{"Argo CD (%s)", "argocd.argoproj.io/tracking-id"},
		{"Argo CD (%s)", "argocd.argoproj.io/instance"},
		{"Flux (Kustomization %s)", "kustomize.toolkit.fluxcd.io/name"},
		{"Flux (HelmRelease %s)", "helm.toolkit.fluxcd.io/name"},
		{"Helm (release %s)", "meta.helm.sh/release-name"},
	} {
		for _, marks := range []map[string]string{m.Annotations, m.Labels} {
			if value, ok := marks[mark.key]; ok {
				return fmt.Sprintf(mark.name, value)
			}
		}
	}
	if m.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		return "Helm"
	}
	for _, f := range m.ManagedFields {
		if f.Operation == "Apply" && f.Subresource == "" {
			return fmt.Sprintf("%s (by server-side apply)", f.Manager)
		}
	}
	return ""
}

// replicasOwner is the problem of a Deployment whose count somebody else sets
// with each deploy or sync, as far as the object shows it; nil for none.
func (w *Workload) replicasOwner() *Problem {
	m := w.seen.deployment.Metadata
	owned := func(who, remedy string) *Problem {
		return &Problem{Code: CodeReplicasOwned, Fact: fmt.Sprintf("%s sets the replicas of Deployment %q, which undoes the scaling each time", who, w.cfg.Service), Remedy: remedy}
	}
	keeper := m.keeper()
	for _, f := range m.ManagedFields {
		if f.Subresource != "" || !setsReplicas(f.Fields) {
			continue
		}
		switch {
		case keeper != "" && (f.Operation == "Apply" || slices.ContainsFunc([]string{"helm", "argocd", "kustomize-controller"}, func(name string) bool { return strings.Contains(f.Manager, name) })):
			return owned(keeper, "leave replicas out of what it applies (many charts do with autoscaling.enabled=true; Argo CD can ignore /spec/replicas with ignoreDifferences)")
		case f.Operation == "Apply":
			return owned(f.Manager+" (by server-side apply)", "leave replicas out of what it applies")
		}
	}
	var last struct{ Spec struct{ Replicas *int } }
	if text := m.lastApplied(); text != nil && json.Unmarshal(text, &last) == nil && last.Spec.Replicas != nil {
		return &Problem{Code: CodeReplicasOwned, Fact: fmt.Sprintf("replicas: %d stands in what was applied last to Deployment %q, so the next kubectl apply of that file undoes the scaling", *last.Spec.Replicas, w.cfg.Service),
			Remedy: fmt.Sprintf("take the line out of what was applied last (%s) and then out of the file; without the first step the count falls to 1 once", w.kubectl.text("apply", "edit-last-applied", "deployment/"+w.cfg.Service, w.kubectl.namespaced()))}
	}
	return nil
}

// setsReplicas reports whether managed fields hold spec.replicas.
func setsReplicas(fields json.RawMessage) bool {
	var f struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	if err := json.Unmarshal(fields, &f); err != nil {
		return false // of a form that is none of ours
	}
	_, ok := f.Spec["f:replicas"]
	return ok
}
