package autoscale

import (
	"fmt"
	"strconv"
)

// memoryReserve is the share of the host's memory that no new replica may take.
const memoryReserve = 0.1

// admit keeps replicas from being started that do not fit into the host's free
// memory, less a reserve: each is taken to need what the largest one that runs uses.
func (r *run) admit(o Observation) {
	each := uint64(0)
	for _, replica := range o.Replicas {
		each = max(each, uint64(max(replica.Usage.Memory, 0)))
	}
	if r.To <= r.From || each == 0 || o.Host.Memory == 0 {
		return
	}
	reserve := uint64(memoryReserve * float64(o.Host.Memory))
	room := 0
	if o.Host.Free > reserve {
		room = int(min((o.Host.Free-reserve)/each, unlimited))
	}
	asked := r.To
	if asked-r.From <= room {
		return
	}
	r.step(StageGuard, r.From+room, NoMemory, "the host has %s of memory to spare (%s less a reserve of %s), and a replica uses %s: room for %d more",
		bytes(o.Host.Free-min(reserve, o.Host.Free)), bytes(o.Host.Free), bytes(reserve), bytes(each), room)
	r.Warnings = append(r.Warnings, fmt.Sprintf("the host's memory takes %d of the %s that are wanted: give it more, let replicas use less, or set --max=%d", r.To, replicas(asked), max(r.To, 1)))
}

// crowd says that more replicas than there are cores for are to run.
func (r *run) crowd(s State, o Observation) {
	used, measured := 0.0, 0
	for _, replica := range o.Replicas {
		if cores, ok := replica.Usage.since(s.Used[replica.ID]); ok {
			used += cores
			measured++
		}
	}
	if measured == 0 || r.To <= r.From || o.Host.Cores == 0 {
		return
	}
	if need := used / float64(measured) * float64(r.To); need > o.Host.Cores {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s at %.2g cores each need %.2g, and the host has %.4g: they will slow each other down; a larger or a second machine would carry them",
			replicas(r.To), used/float64(measured), need, o.Host.Cores))
	}
}

// bytes writes a size the way people do: 310 MB, 2.1 GB.
func bytes(n uint64) string {
	if n < 1e9 {
		return strconv.FormatUint((n+5e5)/1e6, 10) + " MB"
	}
	return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + " GB"
}
