package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/five-keys/autoscale/internal/replace"
)

// Carry is the line that makes a plain "docker compose up" read the override
// file too, and the .env that it belongs at the end of. It is not ok where
// something else says already which files are read.
func (w *Workload) Carry() (path, line string, ok bool) {
	path = filepath.Join(w.project.dir, ".env")
	if w.project.carried || len(w.project.envFiles) > 1 || len(w.project.envFiles) == 1 && !samePath(w.project.envFiles[0], path) {
		return path, "", false
	}
	if files, err := composeFile(w.project.dir, w.project.envFiles); err != nil || files != nil {
		return path, "", false
	}
	return path, w.project.remedy(), true
}

// CarryOverride appends the line that Carry gives. The override file is made
// where it is missing, since Compose misses a file that is named. Compose has to
// accept the outcome, or everything is put back.
func (w *Workload) CarryOverride(ctx context.Context) error {
	path, line, ok := w.Carry()
	if !ok {
		return fmt.Errorf("compose: %s cannot say which files are read: something else does already", path)
	}
	o, err := w.readOverride()
	if err != nil {
		return err
	}
	if o.text == nil || saysNothing(string(o.text)) {
		if err := w.declare(max(len(w.seen.replicas), 1)); err != nil {
			return err
		}
	}
	was, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("compose: %w", err)
	}
	text := slices.Clone(was)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	expect := was
	if missing {
		expect = nil
	} else if expect == nil {
		expect = []byte{}
	}
	if err := replace.File(path, append(text, line+"\n"...), replace.Expect(expect)); err != nil {
		return fmt.Errorf("compose: %s could not be written: %w", path, err)
	}
	_, rejected := run(ctx, w.project.dir, slices.Concat(w.compose.words, []string{"config", "--quiet"}))
	if rejected == nil {
		return nil
	}
	back := os.Remove
	if !missing {
		back = func(path string) error { return replace.File(path, was) }
	}
	return errors.Join(fmt.Errorf("compose: with %s in %s Docker Compose rejects the project, so that was put back: %w", line, path, rejected), back(path))
}
