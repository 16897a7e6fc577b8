package autoscale

import (
	"fmt"
	"time"
)

// Pause is a person's word to leave a workload alone, or to hold it at a count,
// for a time. It is obeyed whatever the readings say, and ends by itself.
type Pause struct {
	// Replicas is the count to hold; 0 leaves whatever count there is.
	Replicas int `json:"replicas,omitempty"`
	// Since and Until bound it: from the one, up to the other.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// By is who said so: "deploy@web1".
	By string `json:"by"`
	// Reason is what for; may be empty.
	Reason string `json:"reason,omitempty"`
}

// InForce reports whether p binds a run at now. None binds none.
func (p *Pause) InForce(now time.Time) bool { return p != nil && now.Before(p.Until) }

// String says who asked for what, and until when: "paused by deploy@web1 until
// 14:05:10 (database migration)".
func (p *Pause) String() string {
	text := "paused"
	if p.Replicas > 0 {
		text = "held at " + replicas(p.Replicas)
	}
	text += fmt.Sprintf(" by %s until %s", p.By, clock(p.Until))
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

// pause obeys a person: it comes after everything that wants a count, and before
// what may not be done at all.
func (r *run) pause() {
	p := r.next.Pause
	if !p.InForce(r.now) {
		r.next.Pause = nil
		return
	}
	shown := *p
	shown.Until = shown.Until.In(r.now.Location())
	if p.Replicas == 0 {
		r.step(StageGuard, r.From, Paused, "%s", shown.String())
		return
	}
	r.step(StageGuard, p.Replicas, HeldAt, "%s", shown.String())
}
