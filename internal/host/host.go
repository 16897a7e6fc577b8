// Package host tells what this machine has, and what a container on it uses of
// that: from the kernel, since an engine that is asked takes a second to measure
// one container. On other systems than Linux nothing is known.
package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The places of the kernel's control groups: version 2 has one tree, version 1 one
// for each controller.
const (
	groups      = "/sys/fs/cgroup"
	groupsCPU   = groups + "/cpuacct"
	groupsBytes = groups + "/memory"
)

// group is where a container's control groups lie, absolute; empty where there is
// none of that kind.
type group struct{ unified, cpu, memory string }

// number reads a file with one number in it.
func number(dir, file string) (uint64, bool) {
	if dir == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// entry reads one number out of a file of names and numbers, a line each.
func entry(dir, file, name string) (uint64, bool) {
	if dir == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == name {
			n, err := strconv.ParseUint(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// nanoseconds is the processor time that a group has used
// (https://docs.kernel.org/admin-guide/cgroup-v2.html, cpu.stat).
func (g group) nanoseconds() (uint64, bool) {
	if n, ok := number(g.cpu, "cpuacct.usage"); ok {
		return n, true
	}
	n, ok := entry(g.unified, "cpu.stat", "usage_usec")
	return 1000 * n, ok
}

// bytes is the memory that a group uses, without the page cache that the kernel
// would give up first, as docker stats shows it; 0 where that is not known.
func (g group) bytes() int64 {
	used, ok := number(g.unified, "memory.current")
	cache, _ := entry(g.unified, "memory.stat", "inactive_file")
	if !ok {
		used, ok = number(g.memory, "memory.usage_in_bytes")
		cache, _ = entry(g.memory, "memory.stat", "total_inactive_file")
	}
	if !ok {
		return 0
	}
	return int64(used - min(cache, used))
}
