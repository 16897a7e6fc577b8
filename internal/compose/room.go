package compose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// machine is what matters of where the engine runs.
type machine struct {
	MemTotal int64 // bytes
	NCPU     int
}

// fit is whether --max replicas find room on the engine's machine.
func (w *Workload) fit(ctx context.Context, service service) (problems []*Problem, err error) {
	var host machine
	if err := w.engine.get(ctx, "/info", nil, &host); err != nil {
		return nil, err
	}
	if each := service.cpus(); each > 0 && host.NCPU > 0 && each*float64(w.cfg.Max) > float64(host.NCPU)+1e-9 {
		problems = append(problems, &Problem{
			CodeCPU,
			fmt.Sprintf("%d replicas of service %q with %.3g CPUs each may use %.3g, and the engine's machine has %d", w.cfg.Max, w.cfg.Service, each, each*float64(w.cfg.Max), host.NCPU),
			fmt.Sprintf("lower --max to %d, or the CPUs of one replica: beyond that, more replicas carry no more load", max(1, int(float64(host.NCPU)/each))),
		})
	}
	memory, err := w.memory(ctx, service, host)
	return append(problems, memory), err
}

// memory is whether the memory will do for --max replicas: by the limit of one,
// else by what the largest one uses now.
func (w *Workload) memory(ctx context.Context, service service, host machine) (*Problem, error) {
	each, how := service.memory(), "by its limit"
	if each == 0 {
		how = "as the largest uses now"
		for _, r := range w.seen.replicas {
			used, err := w.engine.memory(ctx, r.ID)
			if err != nil {
				return nil, err
			}
			each = max(each, used)
		}
	}
	have := host.MemTotal
	if each == 0 || have == 0 || each <= have/int64(w.cfg.Max) {
		return nil, nil
	}
	return &Problem{
		CodeMemory,
		fmt.Sprintf("%d replicas of service %q with %s each (%s) need %s of memory, and the engine's machine has %s", w.cfg.Max, w.cfg.Service, mebibytes(each), how, mebibytes(each*int64(w.cfg.Max)), mebibytes(have)),
		fmt.Sprintf("lower --max to %d or less: what does not fit is killed by the kernel", max(1, have/each)),
	}, nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// memory is what a container uses, without what the kernel could drop, in
// bytes; 0 where the engine does not say or the container went.
func (e *engine) memory(ctx context.Context, id string) (int64, error) {
	var stats struct {
		MemoryStats struct {
			Usage int64            `json:"usage"`
			Stats map[string]int64 `json:"stats"`
		} `json:"memory_stats"`
	}
	err := e.get(ctx, "/containers/"+id+"/stats", url.Values{"stream": {"false"}, "one-shot": {"true"}}, &stats)
	if errors.Is(err, errGone) {
		return 0, nil
	}
	of := stats.MemoryStats
	// As docker stats counts it, on cgroup v1 and v2.
	idle := max(of.Stats["total_inactive_file"], of.Stats["inactive_file"])
	return max(0, of.Usage-idle), err
}
