package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/five-keys/autoscale/internal/adapter"
)

// The annotations by which pods have said where their metrics are since before
// there was anything else (https://github.com/prometheus/prometheus, in its example
// configuration for Kubernetes).
const (
	annotationScrape = "prometheus.io/scrape"
	annotationPort   = "prometheus.io/port"
	annotationPath   = "prometheus.io/path"
	annotationScheme = "prometheus.io/scheme"
)

// kept are the annotations that are looked at.
var kept = [...]string{annotationScrape, annotationPort, annotationPath, annotationScheme}

// slim leaves of a pod what is looked at: an informer holds all pods of the cluster.
func slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil // a tombstone, or another kind
	}
	s := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		Labels: pod.Labels, DeletionTimestamp: pod.DeletionTimestamp,
	}}
	for _, name := range kept {
		if value, has := pod.Annotations[name]; has {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, name, value)
		}
	}
	s.Status.Phase, s.Status.PodIP, s.Status.StartTime = pod.Status.Phase, pod.Status.PodIP, pod.Status.StartTime
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Running != nil {
			s.Status.ContainerStatuses = append(s.Status.ContainerStatuses, corev1.ContainerStatus{State: corev1.ContainerState{Running: status.State.Running}})
		}
	}
	for _, c := range ported(pod) {
		if len(c.Ports) > 0 {
			s.Spec.Containers = append(s.Spec.Containers, corev1.Container{Name: c.Name, Ports: c.Ports})
		}
	}
	return s, nil
}

// ported are the containers that run beside each other, sidecars included.
func ported(pod *corev1.Pod) []corev1.Container {
	all := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}

// runs tells whether a pod can be read, and counts for an autoscaler.
func runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && pod.Status.PodIP != ""
}

// seen is a pod as the adapter knows it.
func seen(pod *corev1.Pod) adapter.Pod {
	p := adapter.Pod{UID: string(pod.UID), Name: pod.Name, Started: started(pod)}
	var err error
	if p.Addr, err = netip.ParseAddr(pod.Status.PodIP); err != nil {
		p.Fault = fmt.Sprintf("its address %q is none", pod.Status.PodIP)
		return p
	}
	if p.Page, err = page(pod); err != nil {
		p.Page, p.Fault = adapter.Page{}, err.Error()
	}
	return p
}

// started is when the youngest container did: its counters began then.
func started(pod *corev1.Pod) time.Time {
	var at time.Time
	if pod.Status.StartTime != nil {
		at = pod.Status.StartTime.Time
	}
	for _, status := range pod.Status.ContainerStatuses {
		if running := status.State.Running; running != nil && running.StartedAt.After(at) {
			at = running.StartedAt.Time
		}
	}
	return at
}

// page is where the pod's metrics are: where its annotations say, else at a port
// named for them, else at the only port it has.
func page(pod *corev1.Pod) (adapter.Page, error) {
	if scrape := pod.Annotations[annotationScrape]; scrape == "false" {
		return adapter.Page{}, fmt.Errorf("its annotation %s says false", annotationScrape)
	}
	p := adapter.Page{Scheme: cmp.Or(strings.ToLower(pod.Annotations[annotationScheme]), "http"), Path: cmp.Or(pod.Annotations[annotationPath], "/metrics")}
	if p.Scheme != "http" && p.Scheme != "https" {
		return p, fmt.Errorf("its annotation %s is neither http nor https", annotationScheme)
	}
	if !strings.HasPrefix(p.Path, "/") {
		p.Path = "/" + p.Path
	}
	port, err := port(pod)
	p.Port = port
	return p, err
}

// port is the port of the pod's metrics.
func port(pod *corev1.Pod) (uint16, error) {
	named, only := map[string]int32{}, map[int32]bool{}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
				continue
			}
			named[p.Name], only[p.ContainerPort] = p.ContainerPort, true
		}
	}
	if stated := pod.Annotations[annotationPort]; stated != "" {
		if n, err := strconv.ParseUint(stated, 10, 16); err == nil && n > 0 {
			return uint16(n), nil
		}
		if n := named[stated]; n > 0 {
			return uint16(n), nil
		}
		return 0, fmt.Errorf("its annotation %s is no port, nor the name of one it has", annotationPort)
	}
	for _, name := range []string{"metrics", "http-metrics"} {
		if n := named[name]; n > 0 {
			return uint16(n), nil
		}
	}
	if len(only) == 1 {
		for n := range only {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("it has %d ports, none of them named metrics or http-metrics: its annotation %s has to say which", len(only), annotationPort)
}
