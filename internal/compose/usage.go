package compose

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

// stats is what the engine measures of one container
// (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerStats).
type stats struct {
	Read     time.Time
	CPUStats struct {
		CPUUsage struct {
			TotalUsage uint64 `json:"total_usage"` // nanoseconds
		} `json:"cpu_usage"`
		OnlineCPUs float64 `json:"online_cpus"`
	} `json:"cpu_stats"`
	MemoryStats struct {
		Usage uint64 // bytes
		Stats struct {
			InactiveFile      uint64 `json:"inactive_file"`       // cgroup v2
			TotalInactiveFile uint64 `json:"total_inactive_file"` // cgroup v1
		}
	} `json:"memory_stats"`
}

// memory is what the container uses without the page cache that the kernel would
// give up first, as docker stats shows it.
func (s stats) memory() int64 {
	cache := max(s.MemoryStats.Stats.InactiveFile, s.MemoryStats.Stats.TotalInactiveFile)
	return int64(s.MemoryStats.Usage - min(cache, s.MemoryStats.Usage))
}

// use adds what the replicas and the host use. What cannot be measured stays
// unknown, and then decides nothing: not every engine measures, and a run must not
// fail for it.
func (w *Workload) use(ctx context.Context, r *autoscale.Replicas) {
	for i, one := range w.seen.replicas {
		var s stats
		query := url.Values{"stream": {"false"}, "one-shot": {"true"}}
		if err := w.engine.get(ctx, "/containers/"+one.ID+"/stats", query, &s); err != nil || s.Read.IsZero() {
			continue
		}
		r.Running[i].Usage = autoscale.Usage{Time: s.Read, CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Cores: one.found.cores(), Memory: s.memory()}
		r.Host.Cores = s.CPUStats.OnlineCPUs
	}
	for _, one := range w.seen.replicas {
		if runsHere(one.found.State.Pid, one.ID) {
			r.Host.Memory, r.Host.Free = memory()
			return
		}
	}
}

// toldKilled is how long a replica's end for want of memory is told.
const toldKilled = time.Hour

// outOfMemory names the replicas that were killed for want of memory not long ago,
// those that run again included.
func (w *Workload) outOfMemory(ctx context.Context, now time.Time) (warnings []string) {
	var all []details
	for _, one := range w.seen.replicas {
		all = append(all, one.found)
	}
	for _, c := range w.seen.leftovers {
		if d, err := w.engine.inspect(ctx, c.ID); err == nil { // one that went meanwhile has nothing to tell
			all = append(all, d)
		}
	}
	for _, d := range all {
		at := d.State.FinishedAt
		if !d.State.OOMKilled || now.Sub(at) > toldKilled {
			continue
		}
		allowed := "as much as there was"
		if d.HostConfig.Memory > 0 {
			allowed = strconv.FormatInt(d.HostConfig.Memory/1e6, 10) + " MB"
		}
		warnings = append(warnings, fmt.Sprintf("compose: %s was killed at %s for want of memory: it used all that it may, %s; allow it more (mem_limit), or let it use less",
			strings.TrimPrefix(d.Name, "/"), at.In(now.Location()).Format(time.TimeOnly), allowed))
	}
	return warnings
}

// cores is how many cores the container may use; 0 for all of them.
func (d details) cores() float64 {
	h := d.HostConfig
	switch {
	case h.NanoCpus > 0:
		return float64(h.NanoCpus) / 1e9
	case h.CpuQuota > 0 && h.CpuPeriod > 0:
		return float64(h.CpuQuota) / float64(h.CpuPeriod)
	}
	return 0
}

// runsHere reports whether a container's process is one of this machine, whose
// memory can be looked at: the engine may be another machine's.
func runsHere(pid int, id string) bool {
	if pid <= 0 {
		return false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	return err == nil && bytes.Contains(text, []byte(id))
}

// memory is what this machine has, and what new processes could have of it, in
// bytes (proc_meminfo(5)); 0 and 0 where that is not known.
func memory() (total, free uint64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kilobytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
		switch {
		case err != nil:
		case name == "MemTotal":
			total = kilobytes << 10
		case name == "MemAvailable":
			free = kilobytes << 10
		}
	}
	if total == 0 || free == 0 {
		return 0, 0
	}
	return total, free
}
