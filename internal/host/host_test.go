package host

import (
	"os"
	"path/filepath"
	"testing"
)

func files(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Both versions of control groups tell the same.
func TestGroups(t *testing.T) {
	two := group{unified: files(t, map[string]string{
		"cpu.stat":       "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
		"memory.current": "5000\n", "memory.stat": "anon 3000\ninactive_file 1200\n",
	})}
	one := group{
		cpu:    files(t, map[string]string{"cpuacct.usage": "1500000\n"}),
		memory: files(t, map[string]string{"memory.usage_in_bytes": "5000\n", "memory.stat": "cache 2000\ninactive_file 7\ntotal_inactive_file 1200\n"}),
		// A machine with both has the unified tree as well, without these.
		unified: t.TempDir(),
	}
	for _, g := range []group{one, two} {
		if n, ok := g.nanoseconds(); !ok || n != 1500000 || g.bytes() != 3800 {
			t.Errorf("%+v: %d (%t), %d bytes", g, n, ok, g.bytes())
		}
	}
	for _, g := range []group{{}, {unified: t.TempDir(), cpu: "/nowhere"}, {unified: files(t, map[string]string{"cpu.stat": "usage_usec many\n", "memory.current": "max\n"})}} {
		if n, ok := g.nanoseconds(); ok || g.bytes() != 0 {
			t.Errorf("%+v: %d, %d bytes", g, n, g.bytes())
		}
	}
	// The cache may have been given up between two readings.
	shrunk := group{unified: files(t, map[string]string{"memory.current": "1000\n", "memory.stat": "inactive_file 1200\n"})}
	if n := shrunk.bytes(); n != 0 {
		t.Errorf("%d bytes", n)
	}
}
