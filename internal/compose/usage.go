package compose

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/host"
)

// use adds what the replicas and the host use, where the engine is this machine's.
// What cannot be measured stays unknown, and then decides nothing.
func (w *Workload) use(r *autoscale.Replicas) {
	for i, one := range w.seen.replicas {
		used, here := host.Container(one.found.State.Pid, one.ID)
		if !here {
			continue
		}
		used.Cores = one.found.cores()
		r.Running[i].Usage = used
		if r.Host.Cores == 0 {
			r.Host = host.Machine()
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
