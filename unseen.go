package autoscale

import (
	"fmt"
	"time"
)

const (
	// unseenAge is how old a replica is at least when it is missed among those that
	// get traffic: metrics and proxies take their time.
	unseenAge = 30 * time.Second
	// unseenShare is what an equal share of the load must come to, in requests/s,
	// for none at all to mean something.
	unseenShare = 1
)

// judgeUnseen names the replicas that get nothing while others do: they run and
// are paid for, and carry nothing. It changes no rate, so that they are never a
// reason not to add one.
func judgeUnseen(p Policy, o Observation, all []rate) (warnings []string) {
	total := sum(all)
	if total < unseenShare*float64(len(all)) {
		return nil
	}
	for _, r := range all {
		replica, known := find(o.Replicas, r.process)
		well := replica.Health == Healthy || replica.Health == HealthNone
		if r.verdict != OK || r.long > 0 || r.short > 0 || !known || !well || o.At.Time.Sub(replica.Started) < max(p.Cooldown, unseenAge) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("replica %s gets 0 of %s: the proxy in front does not see it%s", r.name, RPS(total), o.remedy()))
	}
	return warnings
}

// remedy is Front behind another text.
func (o Observation) remedy() string {
	if o.Front == "" {
		return ""
	}
	return "; " + o.Front
}

// find is the replica with that ID, and whether there is one: a process may also be
// a page that speaks for the whole service.
func find(replicas []Replica, id string) (Replica, bool) {
	for _, r := range replicas {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}
