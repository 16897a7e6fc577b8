package compose

import (
	"errors"
	"fmt"
	"os"

	"github.com/five-keys/autoscale/internal/replace"
	"github.com/five-keys/autoscale/internal/splice"
)

// override is the file that carries the count, as it was read.
type override struct {
	path string
	text []byte // nil where there is no file
}

func (w *Workload) overridePath() string { return resolve(w.project.dir, w.cfg.OverrideFile) }

// countPath is where the count stands in a Compose file
// (https://docs.docker.com/reference/compose-file/deploy/#replicas).
func (w *Workload) countPath() []string {
	return []string{"services", w.cfg.Service, "deploy", "replicas"}
}

func (w *Workload) readOverride() (override, error) {
	path := w.overridePath()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return override{path: path}, nil
	}
	if err != nil {
		return override{}, fmt.Errorf("compose: the override file cannot be read: %w", err)
	}
	if text == nil {
		text = []byte{}
	}
	return override{path: path, text: text}, nil
}

// declared is the count that the override file carries.
func (w *Workload) declared() (count int, found bool, err error) {
	o, err := w.readOverride()
	if err != nil || o.text == nil {
		return 0, false, err
	}
	count, found, err = splice.Get(o.text, w.countPath())
	if err != nil {
		return 0, false, fmt.Errorf("compose: %s: %w; it was left alone", o.path, err)
	}
	return count, found, nil
}

// edited is the override file's text with another count; text is nil where
// nothing would change.
func (w *Workload) edited(count int) (o override, text []byte, err error) {
	o, err = w.readOverride()
	if err != nil {
		return o, nil, err
	}
	text, err = splice.Set(o.text, w.countPath(), count)
	if err != nil {
		return o, nil, fmt.Errorf("compose: %s: %w; it was left alone", o.path, err)
	}
	if o.text != nil && string(text) == string(o.text) {
		text = nil
	}
	return o, text, nil
}

// declare makes the override file say count. It changes that one number, and
// refuses where somebody else changed the file meanwhile.
func (w *Workload) declare(count int) error {
	o, text, err := w.edited(count)
	if err != nil || text == nil {
		return err
	}
	if w.cfg.DryRun {
		return nil
	}
	if err := replace.File(o.path, text, replace.Expect(o.text)); err != nil {
		return fmt.Errorf("compose: the override file could not be made to say replicas: %d: %w", count, err)
	}
	return nil
}

// withoutCount is the override file's text without the count, for comparing
// what else is in it.
func (w *Workload) withoutCount(text []byte) []byte {
	if same, err := splice.Set(text, w.countPath(), 0); err == nil {
		return same
	}
	return text
}
