package kubernetes

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

// What is read of the API's objects
// (https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/).

type metadata struct {
	Name              string            `json:"name"`
	UID               string            `json:"uid"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
	OwnerReferences   []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"ownerReferences"`
	ManagedFields []struct {
		Manager     string          `json:"manager"`
		Operation   string          `json:"operation"`
		Subresource string          `json:"subresource"`
		Fields      json.RawMessage `json:"fieldsV1"`
	} `json:"managedFields"`
}

// lastApplied is what "kubectl apply" was given last; nil where it never was.
func (m metadata) lastApplied() json.RawMessage {
	text, ok := m.Annotations["kubectl.kubernetes.io/last-applied-configuration"]
	if !ok {
		return nil
	}
	return json.RawMessage(text)
}

type deployment struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Replicas *int `json:"replicas"`
		Selector struct {
			MatchLabels      map[string]string `json:"matchLabels"`
			MatchExpressions []struct {
				Key      string   `json:"key"`
				Operator string   `json:"operator"`
				Values   []string `json:"values"`
			} `json:"matchExpressions"`
		} `json:"selector"`
		Template struct {
			Spec podSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

// count is how many replicas the Deployment asks for; one where it says none.
func (d *deployment) count() int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// selector is the Deployment's label selector as the API takes it in a query.
func (d *deployment) selector() string {
	var terms []string
	for _, key := range slices.Sorted(maps.Keys(d.Spec.Selector.MatchLabels)) {
		terms = append(terms, key+"="+d.Spec.Selector.MatchLabels[key])
	}
	for _, e := range d.Spec.Selector.MatchExpressions {
		switch e.Operator {
		case "In":
			terms = append(terms, e.Key+" in ("+strings.Join(e.Values, ",")+")")
		case "NotIn":
			terms = append(terms, e.Key+" notin ("+strings.Join(e.Values, ",")+")")
		case "Exists":
			terms = append(terms, e.Key)
		case "DoesNotExist":
			terms = append(terms, "!"+e.Key)
		}
	}
	return url.QueryEscape(strings.Join(terms, ","))
}

type container struct {
	Name      string `json:"name"`
	Resources struct {
		Requests map[string]string `json:"requests"`
	} `json:"resources"`
	RestartPolicy string `json:"restartPolicy"`
}

type podSpec struct {
	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
}

// withoutCPU are the containers that ask for no CPU, of which the HPA then
// cannot tell how much is used.
func (s podSpec) withoutCPU() (names []string) {
	for _, c := range s.Containers {
		if _, ok := c.Resources.Requests["cpu"]; !ok {
			names = append(names, c.Name)
		}
	}
	for _, c := range s.InitContainers {
		if _, ok := c.Resources.Requests["cpu"]; !ok && c.RestartPolicy == "Always" { // a sidecar
			names = append(names, c.Name)
		}
	}
	return names
}

type containerStatus struct {
	Started *bool `json:"started"`
	State   struct {
		Running struct {
			StartedAt time.Time `json:"startedAt"`
		} `json:"running"`
	} `json:"state"`
}

type pod struct {
	Metadata metadata `json:"metadata"`
	Spec     podSpec  `json:"spec"`
	Status   struct {
		Phase  string `json:"phase"`
		PodIPs []struct {
			IP string `json:"ip"`
		} `json:"podIPs"`
		StartTime         time.Time         `json:"startTime"`
		ContainerStatuses []containerStatus `json:"containerStatuses"`
		Conditions        []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

// runs reports whether the pod may carry load: one that is on its way out, or
// has no container yet, does not.
func (p *pod) runs() bool { return p.Status.Phase == "Running" && p.Metadata.DeletionTimestamp == nil }

func (p *pod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True" && p.runs()
		}
	}
	return false
}

// health is what the pod's own checks say. One whose containers have not all
// started, or passed their start-up check, is starting.
func (p *pod) health() autoscale.Health {
	switch {
	case p.ready():
		return autoscale.Healthy
	case slices.ContainsFunc(p.Status.ContainerStatuses, func(c containerStatus) bool { return c.Started != nil && !*c.Started }):
		return autoscale.HealthStarting
	}
	return autoscale.Unhealthy
}

// started is when the pod's newest container did.
func (p *pod) started() time.Time {
	started := p.Status.StartTime
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running.StartedAt.After(started) {
			started = c.State.Running.StartedAt
		}
	}
	return started
}

type autoscaler struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		MinReplicas    *int `json:"minReplicas"`
		MaxReplicas    int  `json:"maxReplicas"`
		ScaleTargetRef struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// scales reports whether the HPA's Deployment is the one of that name.
func (a *autoscaler) scales(deployment string) bool {
	return a.Spec.ScaleTargetRef.Kind == "Deployment" && a.Spec.ScaleTargetRef.Name == deployment
}

// acts reports whether the HPA says that it can scale.
func (a *autoscaler) acts() bool {
	for _, c := range a.Status.Conditions {
		if c.Type == "ScalingActive" {
			return c.Status == "True"
		}
	}
	return false
}

// inactive is why the HPA says that it cannot scale; empty where it can, or has
// not said yet.
func (a *autoscaler) inactive() string {
	for _, c := range a.Status.Conditions {
		if (c.Type == "ScalingActive" || c.Type == "AbleToScale") && c.Status == "False" {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

// scaledObject is KEDA's (https://keda.sh/docs/2.17/reference/scaledobject-spec/).
type scaledObject struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		ScaleTargetRef struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
	} `json:"spec"`
}

type list[T any] struct {
	Items []T `json:"items"`
}
