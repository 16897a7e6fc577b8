package notify

import (
	"fmt"
	"slices"
	"time"

	"github.com/five-keys/autoscale"
)

const (
	// doubtAfter is how long readings must have been in doubt before that is told.
	doubtAfter = 5 * time.Minute
	// fewMoves is how many moves of a service are told in moveTime.
	fewMoves = 6
	moveTime = 10 * time.Minute
)

// Run is what one run of a service came to.
type Run struct {
	// Service is how people call it.
	Service string
	// At is when it ended.
	At time.Time
	// Decision is what was decided; its zero value where nothing was.
	Decision autoscale.Decision
	// Count is how many replicas there were afterwards; it counts where something was
	// decided.
	Count int
	// Error is what failed, in words; empty where nothing did.
	Error string
	// Max is the most replicas that were allowed.
	Max int
}

// News is what is to be told of a run, the most important first, and what is then
// known to have been told. Nothing is told twice: neither by the next run nor by
// another process that is given the same Told.
func News(told autoscale.Told, r Run) (lines []string, after autoscale.Told) {
	after = told
	add := func(format string, args ...any) {
		lines = append(lines, r.Service+": "+fmt.Sprintf(format, args...))
	}
	decided := !r.Decision.At.IsZero()
	if failed := r.Error != ""; failed && !told.Failing {
		add("failed: %s", r.Error)
		after.Failing = true
	}
	doubtful := decided && r.Decision.Verdict.Doubtful()
	switch {
	case doubtful && told.DoubtSince.IsZero():
		after.DoubtSince = r.At
	case doubtful && !told.Doubt && r.At.Sub(told.DoubtSince) >= doubtAfter:
		add("held on doubt since %s: %s", told.DoubtSince.In(r.At.Location()).Format(time.TimeOnly), r.Decision.Sentence())
		after.Doubt = true
	}
	if decided && !doubtful && r.Error == "" {
		if told.Failing || told.Doubt {
			add("recovered: %s", r.Decision.Sentence())
		}
		after.Failing, after.Doubt, after.DoubtSince = false, false, time.Time{}
	}
	if decided {
		lines = append(lines, moved(&after, r)...)
		lines = append(lines, short(&after, r)...)
	}
	return lines, after
}

// moved tells of a change of the count, or of one that was only observed; of many
// in a short time, how many were left out.
func moved(after *autoscale.Told, r Run) (lines []string) {
	d := r.Decision
	text := ""
	switch {
	case r.Count != d.From:
		text = d.Sentence()
		if r.Count != d.To {
			text = fmt.Sprintf("%d -> %d replicas, of %d: %s", d.From, r.Count, d.To, d.Sentence())
		}
		after.Would = 0
	case d.Reason == autoscale.ObserveMode && d.Want != d.From && after.Would != d.Want:
		text = fmt.Sprintf("would go from %d to %d replicas (only observed): %s", d.From, d.Want, d.Sentence())
		after.Would = d.Want
	case d.Want == d.From:
		after.Would = 0
	}
	if text == "" {
		return nil
	}
	after.Moves = slices.DeleteFunc(slices.Clone(after.Moves), func(t time.Time) bool { return r.At.Sub(t) >= moveTime || t.After(r.At) })
	if len(after.Moves) >= fewMoves {
		after.LeftOut++
		return nil
	}
	after.Moves = append(after.Moves, r.At)
	if after.LeftOut > 0 {
		text += fmt.Sprintf(" (%d more changes were not told)", after.LeftOut)
		after.LeftOut = 0
	}
	return []string{r.Service + ": " + text}
}

// short tells that more replicas are wanted than are allowed.
func short(after *autoscale.Told, r Run) (lines []string) {
	wants := slices.ContainsFunc(r.Decision.Steps, func(s autoscale.Step) bool {
		return s.Stage == autoscale.StageBound && s.Reason == autoscale.TooManyReplicas && r.Decision.Want >= r.Max && r.Decision.Load > 0
	}) && r.Count >= r.Max
	if wants && !after.Short {
		lines = append(lines, fmt.Sprintf("%s: at its maximum of %d replicas, and %s asks for more; raise --max, or find what it waits for", r.Service, r.Max, autoscale.RPS(r.Decision.Load)))
	}
	after.Short = wants
	return lines
}
