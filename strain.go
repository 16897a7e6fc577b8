package autoscale

import (
	"fmt"
	"time"
)

const (
	// saturatedCPU is the share of its limit, or of the host, from which on a service
	// is no measure of its load.
	saturatedCPU = 0.9
	// saturatedErrors is the share of requests answered with an error above which it
	// is none. saturatedFrom is the share of the target that must arrive for that:
	// errors without load come from elsewhere, and more replicas do not mend them.
	saturatedErrors = 0.05
	saturatedFrom   = 0.5
	// climb is how much a saturated service grows by in one raise, at least: its
	// completed requests do not tell how much more is wanted.
	climb = 0.5
)

// Usage is what one replica uses of the machine.
type Usage struct {
	// Time is when CPU was read; zero for never.
	Time time.Time `json:"t,omitzero"`
	// CPU is the processor time it has used since it started.
	CPU time.Duration `json:"cpu_ns"`
	// Cores is how many of them it may use; 0 for all.
	Cores float64 `json:"cores,omitempty"`
	// Memory is what it holds, without what the kernel could take back, in bytes; 0
	// where that is not known.
	Memory int64 `json:"memory_bytes"`
}

// Host is the machine that replicas share.
type Host struct {
	// Cores is how many processors it has; 0 where that is not known.
	Cores float64
	// Memory is what it has, and Free what new processes could have of it, in bytes;
	// 0 where that is not known.
	Memory, Free uint64
}

// strain is what shows that replicas complete what they can, and not what is asked
// of them.
type strain struct {
	// detail says it in words; empty where nothing shows it.
	detail string
	// more is how many replicas more it asks for; 0 while some are on their way.
	more int
}

// strained looks for signs that the replicas are saturated.
func strained(p Policy, s State, o Observation, l load) strain {
	cpu, host := cpuStrain(s.Used, o)
	found := strain{detail: cpu}
	for _, detail := range []string{host, errorStrain(p, s.Processes, o, l), flightStrain(p, o)} {
		if found.detail == "" {
			found.detail = detail
		}
	}
	if found.detail == "" || l.rps == 0 || o.Current == 0 {
		return strain{}
	}
	for _, replica := range o.Replicas {
		if !s.Known() || !replica.Started.Before(s.At.Time) {
			return found // it was not there to help in all of that time
		}
	}
	found.more = max(ceil(climb*float64(o.Current)), 1)
	if found.detail == host {
		found.more = 1 // more of them have to share what there is
	}
	return found
}

// cpuStrain compares what the replicas used since the last run with what they may
// use, each its limit and all together the host. A replica that is new or was not
// measured says nothing.
func cpuStrain(before map[string]Usage, o Observation) (limit, host string) {
	var used, limits float64 // cores
	limited := true
	for _, replica := range o.Replicas {
		cores, ok := replica.Usage.since(before[replica.ID])
		if !ok {
			continue
		}
		used += cores
		limits += replica.Usage.Cores
		limited = limited && replica.Usage.Cores > 0
	}
	if limited && limits > 0 && used >= saturatedCPU*limits {
		limit = fmt.Sprintf("the replicas use %s of the CPU that they may use", wholePercent(used/limits))
	}
	if o.Host.Cores > 0 && used >= saturatedCPU*o.Host.Cores {
		host = fmt.Sprintf("the replicas use %s of the host's CPU", wholePercent(used/o.Host.Cores))
	}
	return limit, host
}

// since is how many cores were busy on average between two readings; false where
// that is not known.
func (u Usage) since(before Usage) (cores float64, ok bool) {
	apart := u.Time.Sub(before.Time)
	if u.Time.IsZero() || before.Time.IsZero() || apart < shortestRate/2 || apart > longestRate || u.CPU < before.CPU {
		return 0, false
	}
	return (u.CPU - before.CPU).Seconds() / apart.Seconds(), true
}

// errorStrain looks at the share of requests that were answered with an error since
// the last run.
func errorStrain(p Policy, before map[string]Process, o Observation, l load) string {
	if l.rps < saturatedFrom*p.Target*float64(o.Current) {
		return ""
	}
	var failed, answered float64
	for process, s := range lastGood(o.Reading.Samples) {
		from := Process{}
		if o.Reading.Kind == Counter {
			from = before[process]
			if _, reset, ok := increase(from, s, shortestRate/2); !ok || reset {
				continue
			}
		}
		failed += max(s.Failed-from.Failed, 0)
		answered += max(s.Answered-from.Answered, 0)
	}
	if !(failed > saturatedErrors*answered) {
		return ""
	}
	return fmt.Sprintf("%s of the requests fail", wholePercent(min(failed/answered, 1)))
}

// flightStrain looks at how many requests are being answered.
func flightStrain(p Policy, o Observation) string {
	if p.InFlight <= 0 {
		return ""
	}
	flying := 0.0
	for _, s := range lastGood(o.Reading.Samples) {
		flying += s.InFlight
	}
	if !(flying > p.InFlight*float64(o.Current)) {
		return ""
	}
	return fmt.Sprintf("%.4g requests are in flight, more than %.4g for each of %s", flying, p.InFlight, replicas(o.Current))
}

// lastGood is each process's last sample that can be used.
func lastGood(samples []Sample) map[string]Sample {
	all := make(map[string]Sample, len(samples))
	for _, s := range samples {
		if s.Verdict == OK {
			all[s.Process] = s
		}
	}
	return all
}

func wholePercent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// saturate judges a reading anew that was taken while the replicas were saturated:
// it is a lower bound, from which nothing is learnt.
func (r *run) saturate(s State, o Observation, l *load) {
	l.strain = strained(r.p, s, o, *l)
	r.next.Used = usedBy(o.Replicas)
	if l.strain.detail == "" {
		return
	}
	if !l.verdict.Doubtful() {
		l.verdict, l.detail = Saturated, l.strain.detail
	}
	if each := l.rps / float64(o.Current); !r.p.overloads(l.rps, o.Current) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s at %s each, which --rps-target=%.4g takes for less than they manage; set it to %.2g or less, or look for what else they wait for",
			l.strain.detail, RPS(each), r.p.Target, 0.8*each))
	}
}

// usedBy is what must be remembered of what the replicas used.
func usedBy(replicas []Replica) map[string]Usage {
	var all map[string]Usage
	for _, replica := range replicas {
		if replica.Usage.Time.IsZero() {
			continue
		}
		if all == nil {
			all = make(map[string]Usage, len(replicas))
		}
		all[replica.ID] = Usage{Time: replica.Usage.Time, CPU: replica.Usage.CPU}
	}
	return all
}
