package compose

import (
	"bytes"
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
// something else says already which files are read, and where there is no Compose
// file to be read beside it.
func (w *Workload) Carry() (path, line string, ok bool) {
	path = filepath.Join(w.project.dir, ".env")
	if w.project.carried || !w.based() || len(w.project.envFiles) > 1 || len(w.project.envFiles) == 1 && !samePath(w.project.envFiles[0], path) {
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
	if w.compose == nil { // without it nobody could tell whether the outcome is good
		var err error
		if w.compose, err = findCompose(ctx, w.engine.docker); err != nil {
			return err
		}
	}
	o, err := w.readOverride()
	if err != nil {
		return err
	}
	var done []*swap
	if o.text == nil || saysNothing(string(o.text)) {
		made, err := w.declareFirst()
		if err != nil {
			return err
		}
		done = append(done, made)
	}
	appended, err := appendLine(path, line)
	if err != nil {
		return errors.Join(err, putBack(done))
	}
	done = append(done, appended)
	_, rejected := run(ctx, w.project.dir, slices.Concat(w.compose.words, []string{"config", "--quiet"}))
	if rejected == nil {
		return nil
	}
	if left := putBack(done); left != nil {
		return errors.Join(fmt.Errorf("compose: with %s in %s Docker Compose rejects the project: %w", line, path, rejected), left)
	}
	return fmt.Errorf("compose: with %s in %s Docker Compose rejects the project, so everything was put back: %w", line, path, rejected)
}

// declareFirst makes an override file that says nothing yet say the count that
// runs.
func (w *Workload) declareFirst() (*swap, error) {
	count := max(len(w.seen.replicas), 1)
	o, text, err := w.edited(count)
	if err != nil {
		return nil, err
	}
	s, err := swapFile(o.path, o.text, text)
	if err != nil {
		return nil, fmt.Errorf("compose: the override file could not be made to say replicas: %d: %w", count, err)
	}
	return s, nil
}

// appendLine puts a line at the end of the file at path, which is made where it
// is missing.
func appendLine(path, line string) (*swap, error) {
	was, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		was = nil
	case err != nil:
		return nil, fmt.Errorf("compose: %w", err)
	case was == nil:
		was = []byte{}
	}
	is := slices.Clone(was)
	if len(is) > 0 && is[len(is)-1] != '\n' {
		is = append(is, '\n')
	}
	s, err := swapFile(path, was, append(is, line+"\n"...))
	if err != nil {
		return nil, fmt.Errorf("compose: %s could not be written: %w", path, err)
	}
	return s, nil
}

// swap is a file that was given another content, and what it takes to give it
// its own back.
type swap struct {
	path    string
	was     []byte // nil where there was no file
	is      []byte
	folders []string // that were made for it, the innermost first
}

// swapFile replaces a file that holds was; nil means that there is none.
func swapFile(path string, was, is []byte) (*swap, error) {
	s := &swap{path: path, was: was, is: is}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.folders = append(s.folders, folder)
	}
	return s, replace.File(path, is, replace.Expect(was))
}

// putBack undoes swaps, the last one first. What somebody else changed meanwhile
// stays, with what was done before it: a .env that goes on naming the override
// file needs that file.
func putBack(done []*swap) error {
	for i, s := range slices.Backward(done) {
		if err := s.back(); err != nil {
			err = fmt.Errorf("compose: %s was not put back as it was: %w", s.path, err)
			for _, rest := range done[:i] {
				err = fmt.Errorf("%w; %s stays with it", err, rest.path)
			}
			return err
		}
	}
	return nil
}

func (s *swap) back() error {
	if s.was != nil {
		return replace.File(s.path, s.was, replace.Expect(s.is))
	}
	now, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, s.is) {
		return errors.New("somebody else changed it meanwhile; look what is in it, then remove it or keep it")
	}
	if err := os.Remove(s.path); err != nil {
		return err
	}
	for _, folder := range s.folders {
		_ = os.Remove(folder) // stays where something else lies in it
	}
	return nil
}
