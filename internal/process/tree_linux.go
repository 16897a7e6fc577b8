package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
)

// clockTicks is the unit of times in /proc: USER_HZ, which is 100 on every Linux
// that Go runs on (proc(5), sysconf(_SC_CLK_TCK)).
const clockTicks = 100

// entry is what the kernel says of one process in /proc/<pid>/stat.
type entry struct {
	pid, parent int
	state       byte
	cpu         time.Duration // its own, and that of children it has collected
}

// processes are all there are, by their parents.
func processes() map[int][]entry {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil // then nothing is known
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	all := map[int][]entry{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it ended
		}
		if e, ok := parseStat(pid, text); ok {
			all[e.parent] = append(all[e.parent], e)
		}
	}
	return all
}

// parseStat reads a line of /proc/<pid>/stat, as proc(5) has it. The second field
// is a name in parentheses, and may hold any character.
func parseStat(pid int, text []byte) (entry, bool) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return entry{}, false
	}
	var failed error
	number := func(field int) int64 { // counted from 1, as in proc(5)
		n, err := strconv.ParseInt(string(fields[field-3]), 10, 64)
		if err != nil {
			failed = err
		}
		return n
	}
	e := entry{pid: pid, parent: int(number(4)), state: fields[0][0]}
	e.cpu = time.Duration(number(14)+number(15)+number(16)+number(17)) * time.Second / clockTicks
	return e, failed == nil
}

// below are the processes that descend from pid, in any depth.
func below(all map[int][]entry, pid int) (found []entry) {
	found = append(found, all[pid]...)
	for i := 0; i < len(found); i++ {
		found = append(found, all[found[i].pid]...)
	}
	return found
}

// descendants are those of pid that run.
func descendants(pid int) (found []int) {
	for _, e := range below(processes(), pid) {
		if e.state != 'Z' {
			found = append(found, e.pid)
		}
	}
	return found
}

// memory is what a process holds that is not a file's, in bytes: what it shares
// the kernel could mostly take back.
func memory(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0 // it ended
	}
	var size, resident, shared int64 // pages
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		return 0
	}
	return max(resident-shared, 0) * int64(os.Getpagesize())
}

// usages are what the programs of supervisors use, by the supervisors' IDs.
func usages(supervisors []int) map[int]autoscale.Usage {
	if len(supervisors) == 0 {
		return nil
	}
	now, all := time.Now(), processes()
	own := map[int]entry{}
	for _, e := range all[os.Getpid()] {
		own[e.pid] = e
	}
	usage := map[int]autoscale.Usage{}
	for _, pid := range supervisors {
		// What the supervisor has collected is part of its own time.
		u := autoscale.Usage{Time: now, CPU: own[pid].cpu}
		for _, e := range below(all, pid) {
			u.CPU += e.cpu
			u.Memory += memory(e.pid)
		}
		usage[pid] = u
	}
	return usage
}
