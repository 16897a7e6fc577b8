package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/five-keys/autoscale/internal/splice"
)

// The marks by which the metrics that this program wrote are known again, when
// another one is asked for. They stand as comments behind the metric's type.
const (
	markPods = "# autoscale: --rps-metric, --rps-target"
	markCPU  = "# autoscale: --cpu-target"
	// markLabels stands before the labels that were asked for, so that those which
	// somebody adds can be told from them.
	markLabels = "# autoscale: --rps-metric with "
)

// ownMark reports whether a comment is one of those.
func ownMark(comment string) bool {
	return comment == markPods || comment == markCPU || strings.HasPrefix(comment, markLabels)
}

// document is what is looked at of a manifest.
type document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"metadata"`
	Spec struct {
		ScaleTargetRef struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
			Name       string `yaml:"name"`
		} `yaml:"scaleTargetRef"`
		Metrics []yaml.Node `yaml:"metrics"`
	} `yaml:"spec"`
}

// metric is one of spec.metrics.
type metric struct {
	Type string `yaml:"type"`
	Pods struct {
		Metric struct {
			Name     string `yaml:"name"`
			Selector struct {
				MatchLabels      map[string]string `yaml:"matchLabels"`
				MatchExpressions []any             `yaml:"matchExpressions"`
			} `yaml:"selector"`
		} `yaml:"metric"`
		Target struct {
			Type         string `yaml:"type"`
			AverageValue string `yaml:"averageValue"`
		} `yaml:"target"`
	} `yaml:"pods"`
	Resource struct {
		Name   string `yaml:"name"`
		Target struct {
			Type               string `yaml:"type"`
			AverageUtilization int    `yaml:"averageUtilization"`
		} `yaml:"target"`
	} `yaml:"resource"`
}

// manifest is the file, as it was read.
type manifest struct {
	path string
	text []byte // nil where there is no file
}

func (c Config) manifestPath() string {
	if filepath.IsAbs(c.File) {
		return c.File
	}
	return filepath.Join(c.Dir, c.File)
}

func (c Config) readManifest() (manifest, error) {
	m := manifest{path: c.manifestPath()}
	text, err := os.ReadFile(m.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return m, nil
	case err != nil:
		return m, fmt.Errorf("kubernetes: the manifest cannot be read: %w", err)
	}
	m.text = append([]byte{}, text...)
	return m, nil
}

// wanted is the text that the manifest should have: the one that was read, with
// our own fields changed and every other byte as it was.
func (c Config) wanted(m manifest) ([]byte, error) {
	if m.text == nil {
		return c.fresh(), nil
	}
	text, err := c.edited(m.text)
	if err != nil {
		return nil, &Problem{Code: CodeManifest, Fact: fmt.Sprintf("%s: %v", m.path, err), Remedy: "it was left alone; mend it, or name another file with --hpa-file"}
	}
	return text, nil
}

// fresh is a new manifest.
func (c Config) fresh() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `%s
# sets the numbers that it names below; whatever else you change or add here stays.
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: %s
`, c.heading(), c.hpa())
	if c.Namespace != "" {
		fmt.Fprintf(&b, "  namespace: %s\n", quoted(c.Namespace))
	}
	fmt.Fprintf(&b, `spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: %s
  minReplicas: %d # --min
  maxReplicas: %d # --max
  metrics:
`, quoted(c.Service), c.Min, c.Max)
	items := []string{podsItem(c.Metric, quantity(c.Target))}
	if c.CPUTarget > 0 {
		items = append(items, cpuItem(c.CPUTarget))
	}
	for _, item := range items {
		lead := "    - "
		for line := range strings.Lines(item) {
			b.WriteString(lead + line)
			lead = "      "
		}
	}
	fmt.Fprintf(&b, `  behavior:
    scaleDown:
      stabilizationWindowSeconds: %d # --cooldown
`, c.window())
	return []byte(b.String())
}

// heading is how a manifest begins that this program wrote.
func (c Config) heading() string {
	return fmt.Sprintf("# The HorizontalPodAutoscaler of Deployment %s, written by autoscale, which", c.Service)
}

// podsItem is the metric that counts requests, as an item of spec.metrics.
func podsItem(m Metric, target string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "type: Pods %s\npods:\n  metric:\n    name: %s\n", markPods, quoted(m.Name))
	if len(m.Labels) > 0 {
		fmt.Fprintf(&b, "    selector: %s%s\n      matchLabels:\n", markLabels, labels(m.Labels))
		for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
			fmt.Fprintf(&b, "        %s: %s\n", quoted(name), strconv.Quote(m.Labels[name]))
		}
	}
	fmt.Fprintf(&b, "  target:\n    type: AverageValue\n    averageValue: %q\n", target)
	return b.String()
}

// cpuItem is the metric that looks at the CPU.
func cpuItem(target int) string {
	return fmt.Sprintf("type: Resource %s\nresource:\n  name: cpu\n  target:\n    type: Utilization\n    averageUtilization: %d\n", markCPU, target)
}

// quoted writes a name as YAML, in quotes where it could be read as anything
// else.
func quoted(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil { // a string always can
		return strconv.Quote(name)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// edited is text with our own fields as c has them.
func (c Config) edited(text []byte) ([]byte, error) {
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		if _, told := splice.Set(text, []string{"spec", "minReplicas"}, c.Min); told != nil {
			return nil, told // with the line, and what to do
		}
		return nil, err
	}
	if err := c.ours(d); err != nil {
		return nil, err
	}
	if err := c.checkGoing(text, d.Spec.Metrics); err != nil {
		return nil, err
	}
	text, err := c.editNumbers(text)
	if err != nil {
		return nil, err
	}
	if text, err = c.editPods(text, d.Spec.Metrics); err != nil {
		return nil, err
	}
	return c.editCPU(text)
}

// editNumbers sets the bounds and the window.
func (c Config) editNumbers(text []byte) ([]byte, error) {
	var err error
	for _, number := range []struct {
		path  string
		value int
	}{
		{"spec.minReplicas", c.Min}, {"spec.maxReplicas", c.Max}, {"spec.behavior.scaleDown.stabilizationWindowSeconds", c.window()},
	} {
		if text, err = splice.Set(text, strings.Split(number.path, "."), number.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// ours checks that a manifest is that of c's Deployment.
func (c Config) ours(d document) error {
	target, namespace := d.Spec.ScaleTargetRef, cmp.Or(c.resolved, c.Namespace)
	switch {
	case d.Kind != "HorizontalPodAutoscaler" || d.APIVersion != "autoscaling/v2":
		return fmt.Errorf("it holds %s, not an autoscaling/v2 HorizontalPodAutoscaler", orNothing(strings.TrimSpace(d.APIVersion+" "+d.Kind)))
	case target.Kind != "Deployment" || target.Name != c.Service:
		return fmt.Errorf("it scales %s, not Deployment %s", orNothing(strings.TrimSpace(target.Kind+" "+target.Name)), c.Service)
	case d.Metadata.Name != c.hpa():
		return fmt.Errorf("its name is %q, and ours is %q", d.Metadata.Name, c.hpa())
	case d.Metadata.Namespace != "" && namespace != "" && d.Metadata.Namespace != namespace:
		return fmt.Errorf("it is for namespace %s, not %s, which is meant here", d.Metadata.Namespace, namespace)
	}
	return nil
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// findPods finds the metric that is asked for, and one that was written before; -1
// where there is none.
func (c Config) findPods(metrics []yaml.Node) (same, before int) {
	same, before = -1, -1
	for i := range metrics {
		var m metric
		if err := metrics[i].Decode(&m); err != nil || m.Type != "Pods" {
			continue
		}
		if m.Pods.Metric.Name == c.Metric.Name && len(m.Pods.Metric.Selector.MatchExpressions) == 0 && maps.Equal(m.Pods.Metric.Selector.MatchLabels, c.Metric.Labels) {
			same = i
		} else if marked(&metrics[i], markPods) {
			before = i
		}
	}
	return same, before
}

// checkGoing checks that nothing of a person's goes with a metric of ours.
func (c Config) checkGoing(text []byte, metrics []yaml.Node) error {
	same, before := c.findPods(metrics)
	for i := range metrics {
		if same < 0 && i == before || c.CPUTarget == 0 && marked(&metrics[i], markCPU) {
			if err := onlyOurs(text, &metrics[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// editPods sets the target of the metric that counts requests. Where another
// metric is asked for than the one that was written before, it takes that one's
// place.
func (c Config) editPods(text []byte, metrics []yaml.Node) ([]byte, error) {
	same, before := c.findPods(metrics)
	if same >= 0 {
		item := []string{"spec", "metrics", strconv.Itoa(same), "pods", "target"}
		text, err := splice.SetText(text, append(item, "type"), "AverageValue")
		if err == nil {
			text, err = splice.SetText(text, append(item, "averageValue"), quantity(c.Target))
		}
		return text, err
	}
	text, err := splice.Append(text, []string{"spec", "metrics"}, podsItem(c.Metric, quantity(c.Target)))
	if err != nil || before < 0 {
		return text, err
	}
	return splice.Remove(text, []string{"spec", "metrics", strconv.Itoa(before)}, ownMark)
}

// editCPU sets, adds or takes away the metric that looks at the CPU. One that a
// person wrote is not taken away.
func (c Config) editCPU(text []byte) ([]byte, error) {
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	for i := range d.Spec.Metrics {
		var m metric
		if err := d.Spec.Metrics[i].Decode(&m); err != nil || m.Type != "Resource" || m.Resource.Name != "cpu" {
			continue
		}
		item := []string{"spec", "metrics", strconv.Itoa(i)}
		switch {
		case c.CPUTarget > 0 && m.Resource.Target.Type != "Utilization":
			return nil, fmt.Errorf("line %d: its cpu metric is an %s, not a Utilization; take it out, or say --cpu-target=0", d.Spec.Metrics[i].Line, m.Resource.Target.Type)
		case c.CPUTarget > 0:
			return splice.Set(text, append(item, "resource", "target", "averageUtilization"), c.CPUTarget)
		case marked(&d.Spec.Metrics[i], markCPU):
			return splice.Remove(text, item, ownMark)
		}
		return text, nil
	}
	if c.CPUTarget == 0 {
		return text, nil
	}
	return splice.Append(text, []string{"spec", "metrics"}, cpuItem(c.CPUTarget))
}

// onlyOurs checks that an item which is marked as ours, and is to go, holds what
// this program writes and nothing else.
func onlyOurs(text []byte, item *yaml.Node) error {
	var m metric
	if err := item.Decode(&m); err != nil {
		return err
	}
	want := cpuItem(m.Resource.Target.AverageUtilization)
	if m.Type == "Pods" {
		want = podsItem(Metric{Name: m.Pods.Metric.Name, Labels: m.Pods.Metric.Selector.MatchLabels}, m.Pods.Target.AverageValue)
	}
	lines := strings.Split(string(text), "\n")
	if lastLine(item) > len(lines) || item.Column > len(lines[item.Line-1]) { // YAML has line ends besides this one
		return fmt.Errorf("line %d: the metric that is to go stands between line ends that are none here; take it out yourself", item.Line)
	}
	there := lines[item.Line-1 : lastLine(item)]
	there[0] = there[0][item.Column-1:]
	wanted := strings.Split(strings.TrimSuffix(want, "\n"), "\n")
	for i, line := range there {
		if i >= len(wanted) || strings.TrimSpace(line) != strings.TrimSpace(wanted[i]) {
			return fmt.Errorf("line %d: the metric that is to go is marked as autoscale's, but autoscale did not write this line; take the metric out yourself, or its mark, and it stays", item.Line+i)
		}
	}
	return nil
}

// lastLine is the line that n ends on.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, inner := range n.Content {
		last = max(last, lastLine(inner))
	}
	return last
}

// marked reports whether a mark stands somewhere in n.
func marked(n *yaml.Node, mark string) bool {
	if strings.Contains(n.LineComment, mark) || strings.Contains(n.HeadComment, mark) || strings.Contains(n.FootComment, mark) {
		return true
	}
	return slices.ContainsFunc(n.Content, func(inner *yaml.Node) bool { return marked(inner, mark) })
}
