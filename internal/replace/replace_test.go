package replace

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReplaceKeepsMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o644, 0o666, 0o755, 0o200, 0o644 | fs.ModeSetgid} {
		path := write(t, t.TempDir(), "file", "old")
		chmod(t, path, mode)
		before := stat(t, path)
		if err := File(path, []byte("new"), Perm(0o600)); err != nil {
			t.Fatal(err)
		}
		if got := stat(t, path); got.Mode() != before.Mode() || owner(got) != owner(before) {
			t.Errorf("now %s %v, was %s %v", got.Mode(), owner(got), before.Mode(), owner(before))
		}
		chmod(t, path, 0o600)
		holds(t, filepath.Dir(path), map[string]string{"file": "new"})
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]fs.FileMode{"a": 0o644, "b/c/d": 0o600} {
		path = filepath.Join(dir, path)
		if err := File(path, []byte("new"), Expect(nil), Perm(mode)); err != nil {
			t.Fatal(err)
		}
		if got := stat(t, path); got.Mode().Perm()&^mode != 0 || owner(got) != owner(stat(t, filepath.Dir(path))) {
			t.Errorf("%s: %s %v in a folder of %v, want at most %s", path, got.Mode(), owner(got), owner(stat(t, filepath.Dir(path))), mode)
		}
	}
	holds(t, dir, map[string]string{"a": "new", "b/c/d": "new"})
}

func TestCreateHere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, content := range []string{"one", "two", ""} {
		if err := File("file", []byte(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, ".", map[string]string{"file": content})
	}
}

func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "real/file", "old")
	for name, target := range map[string]string{"link": "real/file", "second": "link", "folder": "real"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "second", "folder/file"} {
		if err := File(filepath.Join(dir, name), []byte(name), Expect(read(t, path))); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); string(got) != name {
			t.Errorf("through %s: %q", name, got)
		}
	}
	for _, name := range []string{"link", "second", "folder"} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s is no link any more: %v, %v", name, info, err)
		}
	}
}

// What is refused leaves the folder as it was, for root as for anybody.
func TestRefused(t *testing.T) {
	tests := map[string]struct {
		make func(t *testing.T, dir string)
		path string
		want string
	}{
		"read-only file": {
			make: func(t *testing.T, dir string) { chmod(t, write(t, dir, "file", "old"), 0o444) },
			path: "file", want: "it is read-only (-r--r--r--); allow writing with chmod u+w",
		},
		"read-only folder": {
			make: func(t *testing.T, dir string) {
				write(t, dir, "sub/file", "old")
				readOnly(t, filepath.Join(dir, "sub"))
			},
			path: "sub/file", want: "its folder is read-only (dr-xr-xr-x)",
		},
		"new folder in a read-only one": {
			make: func(t *testing.T, dir string) {
				write(t, dir, "sub/file", "old")
				readOnly(t, filepath.Join(dir, "sub"))
			},
			path: "sub/new/file", want: "/sub is read-only (dr-xr-xr-x)",
		},
		"hard link": {
			make: func(t *testing.T, dir string) { link(t, write(t, dir, "file", "old"), filepath.Join(dir, "other")) },
			path: "file", want: "it has 2 names (hard links)",
		},
		"folder": {
			make: func(t *testing.T, dir string) { write(t, dir, "sub/file", "old") },
			path: "sub", want: "it is not a regular file (drwx",
		},
		"below a file": {
			make: func(t *testing.T, dir string) { write(t, dir, "file", "old") },
			path: "file/new", want: "not a directory",
		},
		"two below a file": {
			make: func(t *testing.T, dir string) { write(t, dir, "file", "old") },
			path: "file/new/newer", want: "not a directory",
		},
		"pipe": {
			make: func(t *testing.T, dir string) {
				if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			path: "pipe", want: "it is not a regular file (prw",
		},
		"link to nothing": {
			make: func(t *testing.T, dir string) { symlink(t, "nothing", filepath.Join(dir, "link")) },
			path: "link", want: "it is a symbolic link that leads nowhere",
		},
		"link to itself": {
			make: func(t *testing.T, dir string) { symlink(t, "link", filepath.Join(dir, "link")) },
			path: "link", want: "it is a symbolic link that leads nowhere",
		},
		"folder is a link to nothing": {
			make: func(t *testing.T, dir string) { symlink(t, "nothing", filepath.Join(dir, "link")) },
			path: "link/file", want: "file exists",
		},
		"name too long": {
			make: func(*testing.T, string) {},
			path: strings.Repeat("x", 300), want: "file name too long",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.make(t, dir)
			before := listing(t, dir)
			path := filepath.Join(dir, test.path)
			err := File(path, []byte("new"))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "replace "+path+": ") {
				t.Errorf("error %v\nwant %s", err, test.want)
			}
			if after := listing(t, dir); !slices.Equal(before, after) {
				t.Errorf("now %q, was %q", after, before)
			}
		})
	}
}

func TestExpect(t *testing.T) {
	tests := map[string]struct {
		is, expect []byte
		refused    bool
	}{
		"as expected":     {[]byte("old"), []byte("old"), false},
		"empty":           {[]byte{}, []byte{}, false},
		"changed":         {[]byte("else"), []byte("old"), true},
		"grown":           {[]byte("old\n"), []byte("old"), true},
		"emptied":         {[]byte{}, []byte("old"), true},
		"removed":         {nil, []byte("old"), true},
		"removed, empty":  {nil, []byte{}, true},
		"appeared":        {[]byte("else"), nil, true},
		"appeared, empty": {[]byte{}, nil, true},
		"none":            {nil, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sub")
			if test.is != nil {
				write(t, dir, "file", string(test.is))
			}
			before := listing(t, filepath.Dir(dir))
			err := File(filepath.Join(dir, "file"), []byte("new"), Expect(test.expect))
			if errors.Is(err, ErrChanged) != test.refused || (err != nil) != test.refused {
				t.Fatalf("error %v, want refused %v", err, test.refused)
			}
			if !test.refused {
				holds(t, dir, map[string]string{"file": "new"})
			} else if after := listing(t, filepath.Dir(dir)); !slices.Equal(before, after) {
				t.Errorf("now %q, was %q", after, before)
			}
		})
	}
}

func TestLeftovers(t *testing.T) {
	const ours = ".autoscale-ABCDEFGHIJKLMNOPQRSTUVWX27.tmp"
	dir := t.TempDir()
	want := map[string]string{"file": "new"}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{
		".autoscale-ABCDEFGHIJKLMNOPQRSTUVWX27.tmp~", "autoscale-ABCDEFGHIJKLMNOPQRSTUVWX27.tmp",
		".autoscale-ABCDEFGHIJKLMNOPQRSTUVWX2.tmp", ".autoscale-ABCDEFGHIJKLMNOPQRSTUVWX12.tmp",
		".autoscale-abcdefghijklmnopqrstuvwx27.tmp", ".autoscale-.tmp", ".autoscale-state.json",
		".autoscale-FOLDERFOLDERFOLDERFOLDER22.tmp/inside",
	} {
		age(t, write(t, dir, name, "theirs"), old)
		want[name] = "theirs"
	}
	age(t, filepath.Join(dir, ".autoscale-FOLDERFOLDERFOLDERFOLDER22.tmp"), old)
	const living = ".autoscale-LIVINGLIVINGLIVINGLIVING22.tmp"
	age(t, write(t, dir, living, "half"), time.Now().Add(-10*time.Minute))
	want[living] = "half"
	age(t, write(t, dir, ours, "half"), old)
	if err := File(filepath.Join(dir, "file"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, want)
}

func TestExplain(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EBUSY, syscall.EXDEV} {
		err := explain(&os.LinkError{Op: "rename", Old: "a", New: "b", Err: errno})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "mount its folder instead") {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := explain(syscall.EIO); err != syscall.EIO {
		t.Errorf("%v, want %v", err, syscall.EIO)
	}
}

// A temporary file that takes no data is an error at whichever step it fails.
func TestFillFails(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "file", "old")
	folder, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	j := &job{path: path, old: stat(t, path), folder: folder}
	readable, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.fill(readable, []byte("new")); !errors.Is(err, syscall.EBADF) {
		t.Errorf("writing a file open for reading: %v, want %v", err, syscall.EBADF)
	}
	if err := readable.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.fill(readable, []byte("new")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("writing a closed file: %v, want %v", err, fs.ErrClosed)
	}
	holds(t, dir, map[string]string{"file": "old"})
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// readOnly takes writing from a folder until the test ends.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	chmod(t, dir, 0o555)
	t.Cleanup(func() { chmod(t, dir, 0o755) })
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, path string, to time.Time) {
	t.Helper()
	if err := os.Chtimes(path, to, to); err != nil {
		t.Fatal(err)
	}
}

// holds checks that dir has these files and no others.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		got[name] = string(read(t, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s holds %q, want %q", name, got[name], content)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("there is also %q", got)
	}
}

// listing describes everything in dir: names, modes, owners, contents, times.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := bytes.NewBufferString(path + " " + info.Mode().String())
		if info.Mode().IsRegular() {
			line.WriteString(" " + info.ModTime().String() + " " + string(read(t, path)))
		}
		all = append(all, line.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
