package store

import (
	"errors"
	"path/filepath"
)

// Keys are the entries of that service of the project in folder dir: one, or
// several where it ran in several engines. It serves where the engine does not
// answer and the key is not known in full. A file that Load takes as a first
// run has none, and neither has an entry that cannot be read.
func (f *File) Keys(dir, service string) ([]Key, error) {
	doc, err := f.read(f.path)
	if _, ok := errors.AsType[*strange](err); ok {
		return nil, nil // Load warns of it
	}
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, m := range doc.entries {
		e, err := decode(m.value)
		if err == nil && e.Service == service && filepath.Clean(e.Dir) == filepath.Clean(dir) {
			keys = append(keys, e.Key)
		}
	}
	return keys, nil
}

// All are the keys of every entry that can be read, in the file's order. A file
// that Load takes as a first run has none.
func (f *File) All() (keys []Key, err error) {
	doc, err := f.read(f.path)
	if _, ok := errors.AsType[*strange](err); ok {
		return nil, nil
	}
	for _, m := range doc.entries {
		if e, err := decode(m.value); err == nil {
			keys = append(keys, e.Key)
		}
	}
	return keys, err
}
