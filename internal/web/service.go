package web

import (
	"math"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// The standing of a service.
const (
	standingNew     = "new"     // no step has ended yet
	standingOK      = "ok"      // the last step was as it should be
	standingDoubt   = "doubt"   // its reading is not trusted
	standingFailing = "failing" // it failed
)

// service is where one service stands.
type service struct {
	Name      string  `json:"name"`
	Provider  string  `json:"provider"`
	Project   string  `json:"project,omitempty"`
	Target    string  `json:"service"`
	IntervalS float64 `json:"interval_s"`
	Standing  string  `json:"standing"`
	// Replicas is nil while it was never known.
	Replicas *int     `json:"replicas"`
	Policy   *policed `json:"policy"`
	// Decision is the last step's in short; nil where it came to none.
	Decision *decided         `json:"decision"`
	Pause    *autoscale.Pause `json:"pause"`
	Step     stepped          `json:"step"`
	Since    time.Time        `json:"since"`
	// Succeeded is when a step last rested on a trusted reading and did not fail.
	Succeeded time.Time `json:"succeeded,omitzero"`
	Warnings  []string  `json:"warnings"`
	Error     string    `json:"error,omitempty"`
	Counts    counts    `json:"counts"`
}

// policed is the policy in force.
type policed struct {
	Min       int            `json:"min"`
	Max       int            `json:"max"`
	RPSTarget float64        `json:"rps_target"`
	Tolerance float64        `json:"tolerance"`
	CooldownS float64        `json:"cooldown_s"`
	Mode      autoscale.Mode `json:"mode"`
}

// decided is a decision in short.
type decided struct {
	At      time.Time         `json:"at"`
	From    int               `json:"from"`
	To      int               `json:"to"`
	Want    int               `json:"want"`
	RPS     float64           `json:"rps"`
	Verdict autoscale.Verdict `json:"verdict"`
	Reason  autoscale.Reason  `json:"reason"`
	Text    string            `json:"text"`
}

// stepped is when and how long the last step was.
type stepped struct {
	Ended time.Time `json:"ended,omitzero"`
	TookS float64   `json:"took_s"`
	// Running tells that one is under way.
	Running bool `json:"running"`
}

// counts count steps since the daemon began to look after the service.
type counts struct {
	Steps    uint64                      `json:"steps"`
	Failed   uint64                      `json:"failed"`
	Doubtful uint64                      `json:"doubtful"`
	Raised   uint64                      `json:"raised"`
	Lowered  uint64                      `json:"lowered"`
	Reasons  map[autoscale.Reason]uint64 `json:"reasons"`
}

// whole is a service with everything of its last step.
type whole struct {
	service
	Last last `json:"last"`
}

// last is what the last step read and decided, as docs/json.md has it.
type last struct {
	Decision *autoscale.Decision `json:"decision"`
	Reading  *autoscale.Reading  `json:"reading"`
	Outcome  *autoscale.Outcome  `json:"outcome"`
	// Replicas are those that ran before anything was set.
	Replicas []autoscale.Replica `json:"replicas"`
}

// shown is a snapshot as the API shows it at now.
func shown(s control.Snapshot, now time.Time) service {
	v := service{
		Name: s.Name, Provider: s.Provider, Project: s.Last.Project, Target: s.Target, IntervalS: s.Interval.Seconds(),
		Standing: standing(s), Step: stepped{Ended: s.Ran, TookS: s.Took.Seconds(), Running: s.Stepping},
		Since: s.Since, Succeeded: s.Succeeded, Warnings: append([]string{}, s.Last.Report.Warnings...),
		Counts: counts{Steps: s.Steps, Failed: s.Failed, Doubtful: s.Doubtful, Raised: s.Raised, Lowered: s.Lowered, Reasons: s.Reasons},
	}
	if v.Counts.Reasons == nil {
		v.Counts.Reasons = map[autoscale.Reason]uint64{}
	}
	if counted(&s) {
		v.Replicas = &s.Replicas
	}
	if p := s.Last.Policy; p.Max > 0 {
		v.Policy = &policed{Min: p.Min, Max: p.Max, RPSTarget: p.Target, Tolerance: p.Tolerance, CooldownS: p.Cooldown.Seconds(), Mode: p.Mode}
	}
	if d := s.Last.Report.Decision; !d.At.IsZero() {
		v.Decision = &decided{At: d.At, From: d.From, To: d.To, Want: d.Want, RPS: finite(d.Load), Verdict: d.Verdict, Reason: d.Reason, Text: d.Sentence()}
	}
	if s.Last.Pause.InForce(now) {
		v.Pause = s.Last.Pause
	}
	if s.Last.Err != nil {
		v.Error = s.Last.Err.Error()
	}
	return v
}

// shownWhole is a snapshot with everything of the last step.
func shownWhole(s control.Snapshot, now time.Time) whole {
	v := whole{service: shown(s, now)}
	report := s.Last.Report
	if !report.Decision.At.IsZero() {
		report.Decision.Load = finite(report.Decision.Load)
		reading := clean(report.Reading)
		v.Last = last{Decision: &report.Decision, Reading: &reading, Outcome: report.Outcome, Replicas: append([]autoscale.Replica{}, report.Replicas...)}
	}
	return v
}

// standing is a service's in one word.
func standing(s control.Snapshot) string {
	switch {
	case s.Steps == 0:
		return standingNew
	case s.Last.Err != nil:
		return standingFailing
	case s.Last.Report.Doubtful() && !s.Last.Report.Decision.At.IsZero():
		return standingDoubt
	}
	return standingOK
}

// counted reports whether s.Replicas was ever known: only a decision tells it.
func counted(s *control.Snapshot) bool { return len(s.Reasons) > 0 }

// clean is r without the numbers that JSON does not have; they are none that
// count.
func clean(r autoscale.Reading) autoscale.Reading {
	r.Samples = append([]autoscale.Sample{}, r.Samples...)
	for i, s := range r.Samples {
		r.Samples[i].Value = finite(s.Value)
	}
	return r
}

// finite is v, or 0 where v is no number of JSON's.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
