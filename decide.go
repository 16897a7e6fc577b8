package autoscale

import (
	"fmt"
	"time"
)

// Observation is everything one run saw.
type Observation struct {
	// At is when the run took place.
	At Instant
	// Signal identifies where the load is read: addresses, metric, selector.
	Signal string
	// Current is how many replicas run or restart, whatever their health.
	Current int
	// Replicas are those replicas; nil where no engine can be asked and Current
	// is what the user's file says.
	Replicas []Replica
	// Host is the machine that they share, as far as it is known.
	Host Host
	// Settings identifies the image and settings that new replicas would have;
	// empty where unknown.
	Settings string
	// Front says how a person has the proxy in front see a replica that gets no
	// traffic; empty where nothing is known of one.
	Front string
	// Delegate is what else sets the count; nil where nothing does.
	Delegate *Delegate
	// Reading is what was read of the load.
	Reading Reading
}

// Stage is the part of a decision that a Step belongs to, in this order.
type Stage string

const (
	StageJudge     Stage = "judge"     // how far the reading is trusted
	StageRecommend Stage = "recommend" // what the load asks for
	StageStabilize Stage = "stabilize" // what the past asks to keep
	StageLimit     Stage = "limit"     // --max-up, --max-down, --on-doubt
	StageBound     Stage = "bound"     // --min and --max
	StageGuard     Stage = "guard"     // failed starts, --mode
)

// Reason is a stable name for why a number came out as it did. Names are the
// HorizontalPodAutoscaler's where the meaning is the same.
type Reason string

const (
	// How the reading was judged.
	ReadingTrusted  Reason = "ReadingTrusted"
	ReadingWarming  Reason = "ReadingWarming"
	ReadingLimited  Reason = "ReadingSaturated"
	ReadingDoubtful Reason = "ReadingDoubtful"

	// Why nothing remembered is believed at this run.
	FirstRun        Reason = "FirstRun"
	SignalChanged   Reason = "SignalChanged"
	Rebooted        Reason = "Rebooted"
	ClockMoved      Reason = "ClockMoved"
	AllReplicasNew  Reason = "AllReplicasNew"
	ReadingsMissing Reason = "ReadingsMissing"

	// What the load asks for.
	LoadAboveTarget    Reason = "LoadAboveTarget"
	ReplicasSaturated  Reason = "ReplicasSaturated"
	LoadBelowTarget    Reason = "LoadBelowTarget"
	DesiredWithinRange Reason = "DesiredWithinRange"

	// What keeps a count from going down.
	ScaleDownStabilized Reason = "ScaleDownStabilized"
	HeldOnDoubt         Reason = "HeldOnDoubt"
	KeptByHand          Reason = "KeptByHand"
	HeldAfterCliff      Reason = "HeldAfterCliff"

	// Limits, bounds and guards.
	RaisedOnDoubt   Reason = "RaisedOnDoubt"
	ScaleUpLimit    Reason = "ScaleUpLimit"
	ScaleDownLimit  Reason = "ScaleDownLimit"
	TooFewReplicas  Reason = "TooFewReplicas"
	TooManyReplicas Reason = "TooManyReplicas"
	Paused          Reason = "Paused"
	HeldAt          Reason = "HeldAt"
	NoMemory        Reason = "NotEnoughMemory"
	FailedScaleUp   Reason = "BackoffAfterFailedStart"
	LeftToDelegate  Reason = "LeftToDelegate"
	RaiseOnlyMode   Reason = "RaiseOnlyMode"
	ObserveMode     Reason = "ObserveMode"
)

// Step is one change of mind on the way to the number, or one rule that was
// looked at and kept it.
type Step struct {
	Stage Stage `json:"stage"`
	// To is the replica count after this step.
	To int `json:"to"`
	// Reason is the step's stable name.
	Reason Reason `json:"reason"`
	// Detail says it in words.
	Detail string `json:"detail"`
}

// Decision is what one run came to, and why.
type Decision struct {
	// At is when it was made.
	At time.Time `json:"at"`
	// From is how many replicas there were; To is how many there shall be.
	From int `json:"from"`
	To   int `json:"to"`
	// Want is the count before Mode and failed starts were looked at: what
	// would be done if nothing stood in its way.
	Want int `json:"want"`
	// Min and Max are the bounds in force, schedules applied; both are 0 where an
	// earlier version decided.
	Min int `json:"min"`
	Max int `json:"max"`
	// Load is in requests/s; a lower bound unless Verdict is OK.
	Load float64 `json:"rps"`
	// Verdict is how far Load may be trusted.
	Verdict Verdict `json:"verdict"`
	// Reason is the reason of the step that settled the number.
	Reason Reason `json:"reason"`
	// Steps are all rules that moved or kept the number, in order.
	Steps []Step `json:"steps"`
	// Next is what would change the number next.
	Next Next `json:"next"`
	// Warnings are for a person to look into; they changed nothing.
	Warnings []string `json:"warnings,omitempty"`
}

// Next says what would change the number next.
type Next struct {
	Up   *Change `json:"up,omitempty"`   // nil at the maximum
	Down *Change `json:"down,omitempty"` // nil at the minimum
}

// Change is a replica count and the load that leads to it.
type Change struct {
	// To is the count in replicas.
	To int `json:"to"`
	// RPS is in requests/s: an Up comes above it, a Down at it or below.
	RPS float64 `json:"rps"`
	// HeldUntil is the earliest moment of a Down whose load is already that
	// low; zero where the load is not.
	HeldUntil time.Time `json:"held_until,omitzero"`
}

// Decide computes how many replicas a workload should have. It is pure: equal
// arguments give equal results, s is left as it is, and the returned State is
// what the next call for the same workload must be given.
//
// Doubt never lowers: whatever is not known to be true, a reading, the past, a
// clock, may hold or raise the count and no more. See the package documentation
// for the rules.
func Decide(p Policy, s State, o Observation) (Decision, State) {
	now := o.At.Time
	r := run{p: p, now: now, next: s.clone(), Decision: Decision{At: now, From: o.Current, To: o.Current, Min: p.Min, Max: p.Max}}

	fresh, why := anew(p, s, o)
	r.adapt(s)
	r.forget(fresh, s)
	l := r.judge(s, o)
	if r.chosen != "" {
		r.step(StageRecommend, r.From, EnoughLearned, "%s", r.chosen)
	}
	r.uncap(l, o)
	r.calm()
	r.learn(p, s, o, l, fresh)
	r.observe(s, o, fresh)
	r.notice(s, o, fresh)
	r.fall(l)
	r.record(l)

	switch {
	case r.recommend(l):
		r.limitUp()
	case fresh != "":
		r.keep(hold{to: o.Current, reason: fresh, detail: why}, l)
	default:
		r.lower(l)
	}
	r.raiseOnDoubt()
	r.bound()
	r.Want = r.To
	r.pause()
	r.admit(o)
	r.guard(s, o)
	r.crowd(s, o)
	r.finish(o.Delegate != nil && o.Delegate.Acts)
	return r.Decision, r.next
}

// run is one call of Decide on its way.
type run struct {
	Decision
	p    Policy
	now  time.Time
	next State
	// chosen says what settings were learned; empty where the user's are in force.
	chosen string
}

// step records a rule's word and moves the number to where it says.
func (r *run) step(stage Stage, to int, reason Reason, format string, args ...any) {
	r.To, r.Reason = to, reason
	r.Steps = append(r.Steps, Step{Stage: stage, To: to, Reason: reason, Detail: fmt.Sprintf(format, args...)})
}

// forget drops what is not to be believed any more.
func (r *run) forget(fresh Reason, s State) {
	switch fresh {
	case "":
		return
	case FirstRun, SignalChanged, Rebooted, ClockMoved:
		r.next.Processes = nil
	}
	if fresh == ClockMoved || r.now.Before(s.At.Time) {
		// Instants from before the move cannot be compared with those after it.
		r.next.Lowered, r.next.Turns, r.next.Cliff, r.next.Kept = nil, nil, nil, time.Time{}
		if s.Failure != nil {
			r.next.Failure.Until = r.now.Add(max(s.Failure.Until.Sub(s.At.Time), 0))
		}
	}
	r.next.History = nil
}

// judge says how far the reading is trusted.
func (r *run) judge(s State, o Observation) load {
	l := judge(r.p, o, r.next.Processes)
	r.saturate(s, o, &l)
	r.next.Processes = remember(o.Reading.Kind, o.Reading.Samples, r.next.Processes, r.now)
	r.Load, r.Verdict = l.rps, l.verdict
	r.Warnings = append(r.Warnings, l.warnings...)
	switch {
	case l.verdict == OK:
		r.next.Doubts = 0
		r.step(StageJudge, r.From, ReadingTrusted, "%s", RPS(l.rps))
	case l.verdict == Warming:
		r.next.Doubts = 0
		r.step(StageJudge, r.From, ReadingWarming, "at least %s (%s)", RPS(l.rps), l.detail)
	case l.verdict == Saturated:
		r.next.Doubts = 0
		r.step(StageJudge, r.From, ReadingLimited, "at least %s (%s)", RPS(l.rps), l.detail)
	default:
		r.next.Doubts++
		if l.rps > 0 {
			r.step(StageJudge, r.From, ReadingDoubtful, "at least %s, %s (%s)", RPS(l.rps), l.verdict, l.detail)
		} else {
			r.step(StageJudge, r.From, ReadingDoubtful, "reading is %s (%s)", l.verdict, l.detail)
		}
	}
	return l
}

// observe brings the state to this run.
func (r *run) observe(s State, o Observation, fresh Reason) {
	r.next.Gap = 0
	if r.next.Known() && fresh != ClockMoved {
		r.next.Gap = max(r.now.Sub(r.next.At.Time), 0)
	}
	r.next.Signal = o.Signal
	r.next.At = o.At
	r.next.Count = o.Current
	r.next.Moving = nil
	r.next.Zeroed = s.AtZero() && o.Current == 0
	r.next.Applied = r.next.Applied || o.Replicas != nil
}

// notice reports what somebody else did to the count.
func (r *run) notice(s State, o Observation, fresh Reason) {
	delta := hands(s, o.Current)
	if o.Delegate != nil {
		delta = 0 // that was its work, or may have been
	}
	switch {
	case delta > 0:
		r.next.Kept = r.now
		r.Warnings = append(r.Warnings, fmt.Sprintf("somebody else raised the count from %d to %d; kept for one cooldown", o.Current-delta, o.Current))
	case delta < 0:
		r.Warnings = append(r.Warnings, fmt.Sprintf("somebody else lowered the count from %d to %d, or replicas ended", o.Current-delta, o.Current))
	}
	if fresh == ClockMoved {
		r.Warnings = append(r.Warnings, "the clock was moved since the last run; nothing goes down for one cooldown")
	}
}

// record appends the reading of this run to the history.
func (r *run) record(l load) {
	r.next.read(Point{Time: r.now, Load: l.atMost, Verdict: l.verdict})
	r.next.prune(r.now, r.p.Cooldown)
}

// recommend raises the number where the load asks for it, and reports whether
// it did. A reading that is not trusted is a lower bound: what it asks for at
// least is given.
func (r *run) recommend(l load) bool {
	want := r.p.ReplicasFor(l.rps)
	if more := r.From + l.strain.more; l.strain.more > 0 && r.From < r.p.Max && (more > want || !r.p.overloads(l.rps, r.From)) {
		r.step(StageRecommend, more, ReplicasSaturated, "saturated replicas do not show how much is asked of them, so %d more", l.strain.more)
		return true
	}
	if r.From > r.p.Max || want <= r.From || !r.p.overloads(l.rps, r.From) {
		return false
	}
	r.step(StageRecommend, want, LoadAboveTarget, "more than the %s that %s may carry, so %s",
		RPS(r.p.raiseAbove(r.From)), replicas(r.From), replicas(want))
	return true
}

// lower takes the number down to what was enough for the whole last cooldown.
func (r *run) lower(l load) {
	h := stabilize(r.p, r.next, r.From, r.now)
	low := r.p.replicasLow(l.atMost)
	if h.to >= r.From {
		r.keep(h, l)
		return
	}
	r.suffices(low)
	switch {
	case low > h.to:
		r.step(StageBound, h.to, TooManyReplicas, "the maximum is %d%s", r.p.Max, r.bounded())
	case low < h.to:
		r.step(StageStabilize, h.to, h.reason, "%s in the last %s asks for %s%s", h.detail, short(r.p.Cooldown), replicas(h.to), until(h.until))
	}
	if to := r.p.limitDown(r.next.Lowered, r.From, r.To, r.now); to > r.To {
		r.step(StageLimit, to, ScaleDownLimit, "no more than %s may go in one cooldown", r.p.MaxDown)
	}
}

// suffices says how few replicas the load of this run needs.
func (r *run) suffices(low int) {
	if low < r.From {
		r.step(StageRecommend, low, LoadBelowTarget, "%s would do with %s to spare", replicas(low), percent(r.p.Tolerance))
	}
}

// keep leaves the number as it is, and says why.
func (r *run) keep(h hold, l load) {
	low := r.p.replicasLow(l.atMost)
	switch {
	case l.verdict.Doubtful():
		r.step(StageStabilize, r.From, HeldOnDoubt, "doubt never lowers")
	case l.verdict == Warming:
		r.step(StageStabilize, r.From, ReadingWarming, "not lowered before all are measured")
	case l.verdict == Saturated:
		r.step(StageStabilize, r.From, ReadingLimited, "%s", limitedBy(r.From, r.p.Max))
	case low < r.From || r.From > r.p.Max:
		r.suffices(low)
		r.step(StageStabilize, r.From, h.reason, "%s%s", h.detail, until(h.until))
	default:
		r.step(StageRecommend, r.From, DesiredWithinRange, "within range")
	}
}

// limitedBy says why a saturated workload gets no more replicas.
func limitedBy(count, most int) string {
	if count >= most {
		return "no more are allowed"
	}
	return "the newest have not been there for a whole reading yet"
}

// limitUp cuts a raise to what one raise may add.
func (r *run) limitUp() {
	if to := r.p.limitUp(r.From, r.To); to < r.To {
		r.step(StageLimit, to, ScaleUpLimit, "no more than %s may come in one raise", r.p.MaxUp)
	}
}

// raiseOnDoubt goes to the user's own safe count after three doubtful runs.
func (r *run) raiseOnDoubt() {
	if r.p.OnDoubt > r.To && r.next.Doubts >= 3 {
		r.step(StageLimit, r.p.OnDoubt, RaisedOnDoubt, "%d doubtful runs in a row", r.next.Doubts)
	}
}

// bound applies --min and --max. A count above --max is lowered like any
// surplus: a hold keeps it, so only a raise is cut here.
func (r *run) bound() {
	switch {
	case r.To > r.p.Max && r.To > r.From:
		r.step(StageBound, max(r.p.Max, r.From), TooManyReplicas, "the maximum is %d%s", r.p.Max, r.bounded())
	case r.To < r.p.Min:
		r.step(StageBound, r.p.Min, TooFewReplicas, "the minimum is %d%s", r.p.Min, r.bounded())
	}
}

// bounded says why the bounds are not the user's own; empty where they are.
func (r *run) bounded() string {
	if r.p.Bounded == "" {
		return ""
	}
	return " (" + r.p.Bounded + ")"
}

// guard takes back what may not be done now.
func (r *run) guard(s State, o Observation) {
	f := r.next.Failure
	if f != nil && (f.Settings != o.Settings && o.Settings != "" || !r.now.Before(f.Until.Add(time.Hour))) {
		f, r.next.Failure = nil, nil
	}
	switch {
	case r.To > r.From && f != nil && r.now.Before(f.Until):
		r.step(StageGuard, r.From, FailedScaleUp, "%s failed; the next attempt comes after %s, or once image or settings change",
			plural(f.Count, "raise"), clock(f.Until.In(r.now.Location())))
	case o.Delegate != nil && o.Delegate.Acts && r.To != r.From:
		r.step(StageGuard, r.From, LeftToDelegate, "%s decides", o.Delegate.Name)
	case o.Delegate != nil && r.To < r.From:
		r.step(StageGuard, r.From, LeftToDelegate, "only %s lowers", o.Delegate.Name)
	case r.p.Mode == RaiseOnly && r.To < r.From:
		r.step(StageGuard, r.From, RaiseOnlyMode, "--mode=raise-only does not lower")
	case r.p.Mode == Observe && r.To != r.From:
		r.step(StageGuard, r.From, ObserveMode, "--mode=observe changes nothing")
	}
}

// finish says what would change the number next, where that is not left to
// something else, and marks a move as begun.
func (r *run) finish(left bool) {
	if r.To != r.From {
		to := r.To
		r.next.Moving = &to
		if n := r.next.Learned; n != nil && to > r.From {
			n.Raised = r.now.UnixMilli()
		}
	}
	if left || r.Want != r.To {
		return // the guard's own step says what it waits for
	}
	if r.To < r.p.Max {
		above := r.p.raiseAbove(r.To)
		r.Next.Up = &Change{To: min(int(snap((above+r.p.margin)/r.p.Target))+1, r.p.Max), RPS: tidy(above)}
	}
	if r.To > r.p.Min {
		to := min(r.To-1, r.p.Max)
		down := &Change{To: to, RPS: tidy(r.p.lowerAt(to))}
		if h := stabilize(r.p, r.next, r.To, r.now); h.to > to && !h.until.IsZero() {
			down.HeldUntil = h.until
		}
		r.Next.Down = down
	}
}
