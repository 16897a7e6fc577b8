package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// First tells that no earlier run is remembered: an HPA that is there is then
// somebody else's until its manifest shows otherwise. keep is called before
// anything is written.
func (w *Workload) First(keep func()) { w.first, w.keep = true, keep }

// Keep has what stood before the first run kept, where this is one.
func (w *Workload) Keep() {
	if w.keep != nil {
		w.keep()
	}
}

// takesAway refuses to apply a manifest over an HPA that was applied from another
// one, where that would take something away, or on a first run change the
// numbers that somebody chose. A file that was there is the user's own: what was
// applied has to be in it, apart from what this program sets.
func (w *Workload) takesAway(m manifest, text []byte) error {
	if w.seen.hpa == nil || m.text != nil && !w.first {
		return nil
	}
	file := text
	if m.text != nil {
		file = m.text
	}
	before, after, err := w.seen.hpa.against(file)
	if err != nil {
		return fmt.Errorf("kubernetes: HPA %s, which is there already, cannot be compared with %s: %w", w.cfg.hpa(), w.shown(), err)
	}
	gone := missing("", before, after)
	if m.text == nil && w.first {
		gone = append(gone, differing(before, after)...)
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	k := w.kubectl
	return &Problem{Code: CodeForeignHPA, Fact: fmt.Sprintf("HPA %s was applied from another file (%s), and %s would take away or change %s", w.cfg.hpa(), k.place(), w.shown(), strings.Join(slices.Compact(gone), ", ")),
		Remedy: fmt.Sprintf("nothing was changed; put that file at %s, or name it with --hpa-file; or delete the HPA: %s", w.shown(), k.text("delete", "hpa/"+w.cfg.hpa(), k.namespaced()))}
}

// holds reports whether the manifest is what was applied last.
func (a *autoscaler) holds(text []byte) bool {
	before, after, err := a.against(text)
	return err == nil && len(missing("", before, after)) == 0 && len(missing("", after, before)) == 0 && len(differing(before, after)) == 0
}

// against are what was applied last and a manifest, each as JSON has it.
func (a *autoscaler) against(text []byte) (applied, file any, err error) {
	if err := json.Unmarshal(a.Metadata.lastApplied(), &applied); err != nil {
		return nil, nil, fmt.Errorf("what was applied last: %w", err)
	}
	var parsed any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, nil, err
	}
	again, err := json.Marshal(parsed) // numbers and times as JSON has them
	if err == nil {
		err = json.Unmarshal(again, &file)
	}
	return applied, file, err
}

// missing lists the paths of what before has and after has not.
func missing(path string, before, after any) (gone []string) {
	name := strings.TrimPrefix(path, ".")
	switch b := before.(type) {
	case map[string]any:
		a, _ := after.(map[string]any)
		for key, value := range b {
			if value == nil || path == "" && key == "status" || path == ".metadata" && (key == "annotations" && len(asMap(value)) == 0 || key == "namespace") {
				continue
			}
			if _, ok := a[key]; !ok {
				gone = append(gone, strings.TrimPrefix(path+"."+key, "."))
				continue
			}
			gone = append(gone, missing(path+"."+key, value, a[key])...)
		}
	case []any:
		a, _ := after.([]any)
		if path == ".spec.metrics" {
			for _, one := range slices.Sorted(maps.Keys(metricNames(b))) {
				if !metricNames(a)[one] {
					gone = append(gone, fmt.Sprintf("%s: %s", name, one))
				}
			}
		} else if len(b) > len(a) {
			gone = append(gone, fmt.Sprintf("%d of %s", len(b)-len(a), name))
		}
	}
	return gone
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// metricNames are the metrics of an HPA, each as its type with everything but its
// target: "Resource cpu".
func metricNames(metrics []any) map[string]bool {
	names := map[string]bool{}
	for _, one := range metrics {
		kind, _ := asMap(one)["type"].(string)
		source := maps.Clone(asMap(asMap(one)[strings.ToLower(kind[:min(1, len(kind))])+kind[min(1, len(kind)):]]))
		delete(source, "target")
		name, plain := source["name"].(string)
		if metric := asMap(source["metric"]); len(source) == 1 && len(metric) == 1 {
			name, plain = metric["name"].(string)
		} else if len(source) != 1 {
			plain = false
		}
		if text, err := json.Marshal(source); err == nil && !plain {
			name = string(text)
		}
		names[strings.TrimSpace(kind+" "+name)] = true
	}
	return names
}

// differing lists what this program sets and somebody else set otherwise.
func differing(before, after any) (all []string) {
	for _, path := range []string{"spec.minReplicas", "spec.maxReplicas", "spec.metrics", "spec.behavior.scaleDown.stabilizationWindowSeconds"} {
		was, is := before, after
		for key := range strings.SplitSeq(path, ".") {
			was, is = asMap(was)[key], asMap(is)[key]
		}
		if reflect.DeepEqual(was, is) {
			continue
		}
		if text, err := json.Marshal(was); err == nil && was != nil && path != "spec.metrics" {
			path += ": " + string(text)
		}
		all = append(all, path)
	}
	return all
}

// drift tells of bounds that somebody set since the HPA was applied last: the next
// apply sets them again. It is empty where there are none.
func (w *Workload) drift() string {
	if w.seen.hpa == nil {
		return ""
	}
	var last struct {
		Spec struct {
			Min int `json:"minReplicas"`
			Max int `json:"maxReplicas"`
		}
	}
	if json.Unmarshal(w.seen.hpa.Metadata.lastApplied(), &last) != nil {
		return "" // takesAway says so, where that matters
	}
	least, most := 1, w.seen.hpa.Spec.MaxReplicas
	if w.seen.hpa.Spec.MinReplicas != nil {
		least = *w.seen.hpa.Spec.MinReplicas
	}
	if least == max(last.Spec.Min, 1) && most == last.Spec.Max {
		return ""
	}
	return fmt.Sprintf("kubernetes: HPA %s has %d to %d replicas, which somebody set since it was applied with %d to %d; to apply it makes them %d to %d. To keep others for a while, take the schedule away meanwhile", w.cfg.hpa(), least, most, max(last.Spec.Min, 1), last.Spec.Max, w.cfg.Min, w.cfg.Max)
}
