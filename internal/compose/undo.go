package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/replace"
	"github.com/five-keys/autoscale/internal/splice"
)

// maxKept bounds the text of an override file that is kept, in bytes.
const maxKept = 64 << 10

// Before is what stood before the first run, so that it can be restored.
type Before struct {
	// Replicas is how many ran, or where no engine was asked what the file said.
	Replicas int `json:"replicas"`
	// Text is the override file's; nil where there was no file, or a longer one
	// than is kept.
	Text *string `json:"text,omitempty"`
	// Absent tells that there was no override file.
	Absent bool `json:"absent,omitempty"`
	// Folder is the one that the override file lies in, where that was made with
	// it.
	Folder string `json:"folder,omitempty"`
}

// Before is what there is now. It must follow Observe.
func (w *Workload) Before() (Before, error) {
	b := Before{Replicas: len(w.seen.replicas)}
	o, err := w.readOverride()
	if err != nil {
		return b, err
	}
	if w.engine == nil {
		seen, err := w.observeFile()
		if err != nil {
			return b, err
		}
		b.Replicas = seen.Current
	}
	switch {
	case o.text == nil:
		b.Absent = true
		if _, err := os.Stat(filepath.Dir(o.path)); errors.Is(err, fs.ErrNotExist) {
			b.Folder = filepath.Dir(o.path)
		}
	case len(o.text) <= maxKept:
		text := string(o.text)
		b.Text = &text
	}
	return b, nil
}

// Untouched reports whether there are as many replicas as before the first run,
// and the override file is as it was.
func (w *Workload) Untouched(b Before) (bool, error) {
	o, err := w.readOverride()
	if err != nil || w.engine != nil && len(w.seen.replicas) != b.Replicas {
		return false, err
	}
	if b.Text == nil {
		return b.Absent && o.text == nil, nil
	}
	return string(o.text) == *b.Text, nil
}

// OverridePath is where the override file lies.
func (w *Workload) OverridePath() string { return w.overridePath() }

// Declared is the count that the override file carries.
func (w *Workload) Declared() (count int, found bool, err error) { return w.declared() }

// Declare makes the override file say count, and moves nothing.
func (w *Workload) Declare(ctx context.Context, count int) error {
	if w.engine == nil || len(w.seen.all) == 0 {
		return w.declare(count)
	}
	m := &move{w: w}
	return m.declareChecked(ctx, count)
}

// Undo brings the service to count replicas. Where none runs, only the file is
// made to say so: undoing is not starting.
func (w *Workload) Undo(ctx context.Context, count int) (autoscale.Outcome, error) {
	if w.engine != nil && len(w.seen.replicas) == 0 {
		return autoscale.Outcome{}, w.Declare(ctx, count)
	}
	out, err := w.Set(ctx, count)
	if err == nil && out.Count != count {
		err = fmt.Errorf("compose: %d replicas of service %q run, not %d yet: those that are to stay must be healthy first; look at docker compose ps, then run this again", out.Count, w.cfg.Service, count)
	}
	return out, err
}

// RestoreFile puts the override file back as it was, where nothing but the count
// was changed in it since; restored is false where something else was, and then
// it stays as it is.
func (w *Workload) RestoreFile(b Before) (restored bool, err error) {
	if b.Text == nil && !b.Absent {
		return false, nil
	}
	o, err := w.readOverride()
	if err != nil {
		return false, err
	}
	var was []byte
	if b.Text != nil {
		was = []byte(*b.Text)
	}
	if o.text == nil || string(o.text) == string(was) {
		return b.Absent == (o.text == nil), nil
	}
	count, found, err := w.declared()
	if err != nil || !found {
		return false, err
	}
	ours, err := splice.Set(was, w.countPath(), count)
	if err != nil || string(ours) != string(o.text) {
		return false, nil // somebody else's change is not to be lost
	}
	if b.Absent {
		files, err := composeFile(w.project.dir, w.project.envFiles)
		if err != nil || containsPath(files, o.path) {
			return false, err // Compose would miss it
		}
	}
	if w.cfg.DryRun {
		return true, nil
	}
	if !b.Absent {
		return true, replace.File(o.path, was, replace.Expect(o.text))
	}
	if err := os.Remove(o.path); err != nil {
		return false, fmt.Errorf("compose: the override file could not be removed: %w", err)
	}
	if b.Folder != "" {
		_ = os.Remove(b.Folder) // stays where something else lies in it
	}
	return true, nil
}
