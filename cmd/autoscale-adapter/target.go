package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

const (
	// selectorFor is how long a target's selector is taken to be the same: of most
	// kinds it cannot change at all.
	selectorFor = 5 * time.Minute
	// failureFor is how long after a failure it is not asked for again.
	failureFor = 5 * time.Second
	lookTime   = 5 * time.Second
)

// targets knows which pods autoscalers scale: those that the scale of their target
// selects, as the autoscaler itself finds them.
type targets struct {
	client discovery.DiscoveryInterface

	mu    sync.Mutex
	known map[target]selected
	kinds map[schema.GroupVersionKind]string // the plural name
}

type target struct {
	namespace string
	ref       autoscalingv2.CrossVersionObjectReference
}

type selected struct {
	selector labels.Selector // nil where none was ever had
	err      error
	until    time.Time
}

func newTargets(client discovery.DiscoveryInterface) *targets {
	return &targets{client: client, known: map[target]selected{}, kinds: map[schema.GroupVersionKind]string{}}
}

// selector is that of the autoscaler's pods. With an error it may still be the last
// one known.
func (t *targets) selector(ctx context.Context, h *autoscalingv2.HorizontalPodAutoscaler) (labels.Selector, error) {
	key := target{h.Namespace, h.Spec.ScaleTargetRef}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, s := time.Now(), t.known[key]
	if now.Before(s.until) {
		return s.selector, s.err
	}
	found, err := t.look(ctx, key)
	switch {
	case err == nil:
		s = selected{found, nil, now.Add(selectorFor)}
	case apierrors.IsNotFound(err):
		s = selected{nil, err, now.Add(failureFor)}
	default: // that it cannot be seen says nothing about the pods
		s = selected{s.selector, err, now.Add(failureFor)}
	}
	t.known[key] = s
	return s.selector, s.err
}

// forget drops what is known of targets that no autoscaler has any more.
func (t *targets) forget(keep func(target) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.known {
		if !keep(key) {
			delete(t.known, key)
		}
	}
}

func (t *targets) look(ctx context.Context, key target) (labels.Selector, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	kind := schema.FromAPIVersionAndKind(key.ref.APIVersion, key.ref.Kind)
	plural, err := t.plural(kind)
	if err != nil {
		return nil, err
	}
	root := "/apis/" + kind.Group
	if kind.Group == "" {
		root = "/api"
	}
	path := strings.Join([]string{root, kind.Version, "namespaces", url.PathEscape(key.namespace), plural, url.PathEscape(key.ref.Name), "scale"}, "/")
	// Some kinds answer with the scale of another version; the field is the same.
	answer, err := t.client.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var scale autoscalingv1.Scale
	if err := json.Unmarshal(answer, &scale); err != nil {
		return nil, fmt.Errorf("the scale of %s %s cannot be read: %w", kind.Kind, key.ref.Name, err)
	}
	if scale.Status.Selector == "" {
		return nil, fmt.Errorf("the scale of %s %s does not say which pods are its own", kind.Kind, key.ref.Name)
	}
	return labels.Parse(scale.Status.Selector)
}

// plural is how a kind is called in paths.
func (t *targets) plural(kind schema.GroupVersionKind) (string, error) {
	if plural := t.kinds[kind]; plural != "" {
		return plural, nil
	}
	list, err := t.client.ServerResourcesForGroupVersion(kind.GroupVersion().String())
	if err != nil {
		return "", err
	}
	for _, r := range list.APIResources {
		if r.Kind == kind.Kind && !strings.Contains(r.Name, "/") {
			t.kinds[kind] = r.Name
			return r.Name, nil
		}
	}
	return "", fmt.Errorf("the cluster knows no kind %s in %s", kind.Kind, kind.GroupVersion())
}
