package host

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/five-keys/autoscale"
)

// Machine is what this machine has; what is not known is 0.
func Machine() (h autoscale.Host) {
	fs, err := procfs.NewFS(procfs.DefaultMountPoint)
	if err != nil {
		return h
	}
	if stat, err := fs.Stat(); err == nil {
		h.Cores = float64(len(stat.CPU))
	}
	memory, err := fs.Meminfo()
	if err != nil || memory.MemTotalBytes == nil || memory.MemAvailableBytes == nil {
		return h
	}
	h.Memory, h.Free = *memory.MemTotalBytes, *memory.MemAvailableBytes
	return h
}

// Container is what the container with that ID uses, of which pid is a process;
// false where that is no process of this machine, or not of that container.
func Container(pid int, id string) (u autoscale.Usage, here bool) {
	g, here := groupOf(pid, id)
	if !here {
		return u, false
	}
	if n, ok := g.nanoseconds(); ok {
		u.Time, u.CPU = time.Now(), time.Duration(n)
	}
	u.Memory = g.bytes()
	return u, true
}

// groupOf finds a container's control groups by one of its processes.
func groupOf(pid int, id string) (g group, found bool) {
	fs, err := procfs.NewFS(procfs.DefaultMountPoint)
	if err != nil || pid <= 0 || id == "" {
		return g, false
	}
	process, err := fs.Proc(pid)
	if err != nil {
		return g, false
	}
	all, err := process.Cgroups()
	if err != nil {
		return g, false
	}
	for _, one := range all {
		if !strings.Contains(one.Path, id) {
			continue
		}
		found = true
		switch {
		case len(one.Controllers) == 0 || one.Controllers[0] == "":
			g.unified = filepath.Join(groups, one.Path)
		case slices.Contains(one.Controllers, "cpuacct"):
			g.cpu = filepath.Join(groupsCPU, one.Path)
		case slices.Contains(one.Controllers, "memory"):
			g.memory = filepath.Join(groupsBytes, one.Path)
		}
	}
	return g, found
}
