package autoscale

import (
	"fmt"
	"slices"
	"time"
)

// StageCombine is where the numbers of several sources become one.
const StageCombine Stage = "combine"

// HighestWins is the reason for a number that another source asks for.
const HighestWins Reason = "HighestWins"

// Source is one of several places that a workload's load is read from.
type Source struct {
	// Name is how a person calls it. What is remembered of it is kept under it, so
	// that another name begins anew.
	Name string
	// Target is the load of this source that one replica should carry, in its own
	// unit (requests/s, jobs/s); 0 is the Policy's.
	Target float64
	// Signal and Reading are as in an Observation.
	Signal  string
	Reading Reading
}

// DecideAll is Decide for a workload whose load is read from several sources: the
// Observation's own and more. Each is decided on by itself, with what is
// remembered of it, and the highest number wins. So a source that fails holds the
// count or raises it, and never lowers.
func DecideAll(p Policy, s State, o Observation, more []Source) (Decision, State) {
	first := s // Decide leaves what it is given as it is
	first.Sources = nil
	best, next := Decide(p, first, o)
	next.Sources = nil
	winner, verdict := "", best.Verdict
	all := []Decision{best}
	for _, source := range more {
		known := s.Sources[source.Name]
		known.Pause = s.Pause
		policy, seen := p, o
		policy.SLO = SLO{} // its capacity is in the unit of the first
		if source.Target > 0 {
			policy.Target = source.Target
		}
		seen.Signal, seen.Reading = source.Signal, source.Reading
		seen.Replicas = unmeasured(o.Replicas) // that they are at their end is judged once
		d, remembered := Decide(policy, known, seen)
		remembered.Pause = nil
		if next.Sources == nil {
			next.Sources = map[string]State{}
		}
		next.Sources[source.Name] = remembered
		all = append(all, d)
		if verdict == OK || d.Verdict.Doubtful() && !verdict.Doubtful() {
			verdict = d.Verdict
		}
		if d.To > best.To || d.To == best.To && d.Want > best.Want {
			best, winner = d, source.Name
		}
	}
	if len(more) > 0 {
		best = combined(best, winner, all, more)
	}
	best.Verdict = verdict
	return best, next.begun(best)
}

// unmeasured are the replicas without what they used of the processors.
func unmeasured(all []Replica) []Replica {
	if !slices.ContainsFunc(all, func(r Replica) bool { return !r.Usage.Time.IsZero() }) {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		all[i].Usage.Time = time.Time{}
	}
	return all
}

// combined is the decision that won, with a word on each of the others.
func combined(best Decision, winner string, all []Decision, more []Source) Decision {
	best.Steps = append([]Step{}, best.Steps...)
	best.Warnings = nil
	for i, d := range all {
		name := ""
		if i > 0 {
			name = more[i-1].Name
		}
		for _, warning := range d.Warnings {
			if i == 0 || !slices.Contains(all[0].Warnings, warning) {
				best.Warnings = append(best.Warnings, warning)
			}
		}
		if name == winner {
			continue
		}
		said := fmt.Sprintf("%s at %s asks for %d", shownSource(name), RPS(d.Load), d.To)
		if d.Verdict.Doubtful() {
			said = fmt.Sprintf("%s is %s and asks for %d", shownSource(name), d.Verdict, d.To)
		}
		best.Steps = append(best.Steps, Step{Stage: StageCombine, To: best.To, Reason: HighestWins, Detail: said})
	}
	return best
}

// shownSource names a source in a sentence.
func shownSource(name string) string {
	if name == "" {
		return "the first source"
	}
	return fmt.Sprintf("source %q", name)
}

// begun marks the move that d asks for as begun, for every source.
func (s State) begun(d Decision) State {
	var moving *int
	if d.To != d.From {
		to := d.To
		moving = &to
	}
	s.Moving = moving
	return s.each(func(one State) State {
		one.Moving = moving
		return one
	})
}
