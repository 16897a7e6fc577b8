package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/five-keys/autoscale/internal/replace"
	"github.com/five-keys/autoscale/internal/splice"
)

// maxKept bounds the text of a manifest that is kept, in bytes.
const maxKept = 64 << 10

// Before is what stood before the first run, so that it can be restored.
type Before struct {
	// Replicas is how many the Deployment asked for.
	Replicas int `json:"replicas"`
	// HPA tells that the HPA of our name was there.
	HPA bool `json:"hpa,omitempty"`
	// Text is the manifest's; nil where there was none, or a longer one than is
	// kept.
	Text *string `json:"text,omitempty"`
	// Absent tells that there was no manifest.
	Absent bool `json:"absent,omitempty"`
	// Folder is the one that the manifest lies in, where that was made with it.
	Folder string `json:"folder,omitempty"`
}

// Before is what there is now. It must follow Observe.
func (w *Workload) Before() (Before, error) {
	b := Before{Replicas: w.seen.deployment.count(), HPA: w.seen.hpa != nil}
	m, err := w.cfg.readManifest()
	switch {
	case err != nil:
		return b, err
	case m.text == nil:
		b.Absent = true
		if _, err := os.Stat(filepath.Dir(m.path)); errors.Is(err, fs.ErrNotExist) {
			b.Folder = filepath.Dir(m.path)
		}
	case len(m.text) <= maxKept:
		text := string(m.text)
		b.Text = &text
	}
	return b, nil
}

// Standing is what of ours there is to be undone.
type Standing struct {
	// HPA tells that our HPA is in the cluster.
	HPA bool
	// Kept says why an HPA of our name stays: it is somebody else's.
	Kept string
	// File is the manifest's path; empty where there is none, or one that stays.
	File string
	// Ours tells that the manifest is as this program begins it.
	Ours bool
	// Left says why a manifest stays that is not our one document.
	Left string
}

// Standing looks at what there is to be undone, the Deployment itself aside.
func (w *Workload) Standing(ctx context.Context) (Standing, error) {
	var s Standing
	m, err := w.cfg.readManifest()
	if err != nil {
		return s, err
	}
	if m.text != nil {
		if err := w.cfg.alone(m.text); err != nil {
			s.Left = fmt.Sprintf("%s stays: %v; look whether anything in it is still needed, and name our own manifest with --hpa-file where that is another", w.shown(), err)
		} else {
			s.File, s.Ours = m.path, strings.HasPrefix(string(m.text), w.cfg.heading())
		}
	}
	if w.kubectl == nil {
		return s, nil
	}
	var a autoscaler
	err = w.kubectl.get(ctx, &a, w.hpaPath())
	if is(err, faultNotFound) {
		return s, nil
	}
	if err != nil {
		return s, w.kubectl.wrap("HPA "+w.cfg.hpa(), err)
	}
	if err := w.adopt(&a); err != nil {
		s.Kept = FindProblem(err).Fact + "; it stays"
	} else {
		s.HPA = true
	}
	return s, nil
}

func (w *Workload) hpaPath() string {
	return w.kubectl.path("/apis/autoscaling/v2", "horizontalpodautoscalers", w.cfg.hpa())
}

// alone checks that a file holds our HPA and nothing else: what kubectl delete is
// given it deletes, whatever it is.
func (c Config) alone(text []byte) error {
	if _, _, err := splice.Get(text, []string{"spec", "minReplicas"}); err != nil {
		return err
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return err
	}
	return c.ours(d)
}

// Count is how many replicas the Deployment asks for now; 0 where there is no
// such Deployment.
func (w *Workload) Count(ctx context.Context) (int, error) {
	if w.kubectl == nil {
		return 0, nil
	}
	var d deployment
	err := w.kubectl.get(ctx, &d, w.kubectl.path("/apis/apps/v1", "deployments", w.cfg.Service))
	if is(err, faultNotFound) {
		return 0, nil
	}
	return d.count(), w.kubectl.wrap(fmt.Sprintf("Deployment %q", w.cfg.Service), err)
}

// DeleteText is the command that Delete runs, and where.
func (w *Workload) DeleteText(s Standing) string {
	return fmt.Sprintf("%s (%s)", w.kubectl.text(w.deleteArgs(s.File != "")...), w.kubectl.place())
}

func (w *Workload) deleteArgs(file bool) []string {
	what := []string{"delete", "hpa/" + w.cfg.hpa()}
	if file {
		what = []string{"delete", "-f", w.shown()}
	}
	return append(what, "--ignore-not-found", w.kubectl.namespaced())
}

// Delete takes our HPA out of the cluster. The Deployment keeps its count.
func (w *Workload) Delete(ctx context.Context, s Standing) error {
	file := s.File != ""
	if file { // somebody may have written to it while a person was asked
		m, err := w.cfg.readManifest()
		file = err == nil && m.text != nil && w.cfg.alone(m.text) == nil
	}
	_, told, err := w.kubectl.change(ctx, w.deleteArgs(file)...)
	if err != nil {
		return w.kubectl.failure("HPA "+w.cfg.hpa()+" was not deleted", w.kubectl.failed(ctx, told, err))
	}
	// That it ended with 0 does not say so.
	var a autoscaler
	switch err := w.kubectl.get(ctx, &a, w.hpaPath()); {
	case is(err, faultNotFound):
		return nil
	case err != nil:
		return w.kubectl.failure("whether HPA "+w.cfg.hpa()+" was deleted is not known", err)
	}
	return &Problem{Code: CodeFailed, Fact: fmt.Sprintf("kubectl delete ended well, but HPA %s is still there (%s)", w.cfg.hpa(), w.kubectl.place()),
		Remedy: w.toLook("get", "hpa/"+w.cfg.hpa(), "-o", "yaml")}
}

// RemoveFile removes the manifest, and its folder where that was made with it
// and holds nothing else.
func (w *Workload) RemoveFile(folder string) error {
	m, err := w.cfg.readManifest()
	if err == nil && m.text != nil {
		err = w.cfg.alone(m.text)
	}
	if err != nil {
		return fmt.Errorf("kubernetes: %s stays, it was changed meanwhile: %w", w.shown(), err)
	}
	if err := os.Remove(w.cfg.manifestPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kubernetes: the manifest could not be removed: %w", err)
	}
	if folder != "" {
		_ = os.Remove(folder) // stays where something else lies in it
	}
	return nil
}

// Max is the maximum of the manifest that stood; 0 where it says none.
func (b Before) Max() int {
	if b.Text == nil {
		return 0
	}
	most, _, err := splice.Get([]byte(*b.Text), []string{"spec", "maxReplicas"})
	if err != nil {
		return 0
	}
	return most
}

// Restorable reports whether nothing but our own fields was changed in the
// manifest since the first run.
func (w *Workload) Restorable(b Before) (bool, error) {
	m, err := w.cfg.readManifest()
	if err != nil || b.Text == nil || m.text == nil {
		return false, err
	}
	was, errWas := w.cfg.without([]byte(*b.Text))
	is, errIs := w.cfg.without(m.text)
	return errWas == nil && errIs == nil && string(was) == string(is), nil
}

// without is a manifest with our metrics taken out of it and any numbers in our
// other fields, for comparing what else is in it.
func (c Config) without(text []byte) ([]byte, error) {
	c.Min, c.Max, c.Cooldown = 1, 1, 0
	text, err := c.editNumbers(text)
	if err == nil { // a list is there then, of which no item is the only one
		text, err = splice.Append(text, []string{"spec", "metrics"}, "type: End\n")
	}
	for err == nil {
		var d document
		if err := yaml.Unmarshal(text, &d); err != nil {
			return nil, err
		}
		ours := slices.IndexFunc(d.Spec.Metrics, func(n yaml.Node) bool { return marked(&n, markPods) || marked(&n, markCPU) })
		if ours < 0 {
			return c.evened(text, d.Spec.Metrics)
		}
		text, err = splice.Remove(text, []string{"spec", "metrics", strconv.Itoa(ours)}, ownMark)
	}
	return nil, err
}

// evened is a manifest with any number in those metrics of a person's of which
// this program sets the target.
func (c Config) evened(text []byte, metrics []yaml.Node) (_ []byte, err error) {
	for i := range metrics {
		var m metric
		if metrics[i].Decode(&m) != nil {
			continue // of a form that no run changes
		}
		item := []string{"spec", "metrics", strconv.Itoa(i)}
		switch {
		case m.Type == "Resource" && m.Resource.Name == "cpu" && m.Resource.Target.Type == "Utilization":
			text, err = splice.Set(text, append(item, "resource", "target", "averageUtilization"), 1)
		case m.Type == "Pods" && m.Pods.Metric.Name == c.Metric.Name && m.Pods.Target.Type == "AverageValue":
			text, err = splice.SetText(text, append(item, "pods", "target", "averageValue"), "1")
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}

// RestoreFile puts the manifest back as it was.
func (w *Workload) RestoreFile(b Before) error {
	m, err := w.cfg.readManifest()
	if err != nil {
		return err
	}
	if ok, err := w.Restorable(b); !ok {
		return errors.Join(fmt.Errorf("kubernetes: %s stays, it was changed meanwhile", w.shown()), err)
	}
	return replace.File(m.path, []byte(*b.Text), replace.Expect(m.text))
}

// Reapply applies the manifest as it is.
func (w *Workload) Reapply(ctx context.Context) error {
	args := w.applyArgs()
	w.tell(args)
	_, told, err := w.kubectl.change(ctx, args...)
	if err != nil {
		return w.kubectl.failure(w.shown()+" was not applied", w.kubectl.failed(ctx, told, err))
	}
	return nil
}
