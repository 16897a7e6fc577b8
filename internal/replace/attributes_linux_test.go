package replace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestAttributesKept(t *testing.T) {
	// An access control list as Linux keeps it, version 2: owner rw, user 7 r,
	// group r, mask r, others none.
	list := binary.LittleEndian.AppendUint32(nil, 2)
	for _, entry := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 4, 7}, {4, 4, ^uint32(0)}, {16, 4, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.perm)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	for name, value := range map[string][]byte{"user.note": []byte("mine"), "user.empty": {}, accessList: list} {
		path := write(t, t.TempDir(), "file", "old")
		set := syscall.Setxattr(path, name, value, 0)
		before := stat(t, path).Mode()
		if err := File(path, []byte("new")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := attribute(path, name)
		if set == nil && (err != nil || !bytes.Equal(got, value)) {
			t.Errorf("%s is %q (%v), want %q", name, got, err, value)
		}
		// Where the file system has no such attributes, there is none to lose.
		if set != nil && (!errors.Is(set, syscall.ENOTSUP) || !errors.Is(err, syscall.ENOTSUP)) {
			t.Errorf("%s cannot be set (%v), and is read as %v", name, set, err)
		}
		if after := stat(t, path).Mode(); after != before {
			t.Errorf("%s: mode %s, was %s", name, after, before)
		}
	}
}

// A list that new files take from their folder is none of the old file's.
func TestFolderListNotTaken(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "file", "old")
	list := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255,
		2, 0, 6, 0, 7, 0, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255,
		32, 0, 4, 0, 255, 255, 255, 255,
	}
	if err := syscall.Setxattr(dir, "system.posix_acl_default", list, 0); err != nil && !errors.Is(err, syscall.ENOTSUP) {
		t.Fatal(err)
	}
	before := stat(t, path).Mode()
	for _, name := range []string{"file", "created"} {
		if err := File(filepath.Join(dir, name), []byte("new")); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := attributes(path); err != nil || slices.Contains(names, accessList) {
		t.Errorf("attributes %q (%v), want no %s", names, err, accessList)
	}
	if after := stat(t, path).Mode(); after != before {
		t.Errorf("mode %s, was %s", after, before)
	}
}
