package notify

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

const (
	// doubtAfter is how long readings must have been in doubt before that is told.
	doubtAfter = 5 * time.Minute
	// few is how many moves of a service are told in limitTime, and how many other
	// things.
	few       = 6
	limitTime = time.Hour
	// otherFailure is how long a failure must have been told before another one, with
	// nothing good in between, is told as well.
	otherFailure = 10 * time.Minute
	// mostLine is the longest line, in characters: it is read on a phone.
	mostLine = 450
	// mostLate is how many lines are kept for a later run.
	mostLate = 10
)

// Run is what one run of a service came to.
type Run struct {
	// Service is how people call it.
	Service string
	// At is when it ended.
	At time.Time
	// Decision is what was decided; its zero value where nothing was.
	Decision autoscale.Decision
	// Declared tells that nothing was to be decided: another program scales, and what
	// it needs is as it should be.
	Declared bool
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
//
// No more than few moves and few other things are told in limitTime. Of more moves
// their number is told later; a failure, doubt, or a recovery is told once there is
// room, if it lasts.
func News(told autoscale.Told, r Run) (lines []string, after autoscale.Told) {
	n := news{Run: r, told: told, after: told}
	n.after.Waiting = nil
	n.after.Moves, n.after.Others = within(told.Moves, r.At), within(told.Others, r.At)
	if told.DoubtSince.After(r.At) { // the clock was moved
		n.after.DoubtSince = r.At
	}
	n.fail()
	n.doubt()
	n.recover()
	if n.decided() {
		n.move()
		n.short()
	}
	return slices.Concat(told.Waiting, n.lines), n.after
}

// Owed is told with lines that could not be sent at that time: the next News has
// them.
func Owed(told autoscale.Told, lines []string, at time.Time) autoscale.Told {
	told.Waiting = append(Late(lines, at), told.Waiting...)
	if more := len(told.Waiting) - mostLate; more > 0 {
		told.Waiting = told.Waiting[more:]
		told.LeftOut += more
	}
	return told
}

// Late marks lines that will be sent later than at that time.
func Late(lines []string, at time.Time) []string {
	late := make([]string, len(lines))
	for i, line := range lines {
		if late[i] = line; !strings.HasPrefix(line, "(") {
			late[i] = at.Format("(15:04) ") + line
		}
	}
	return late
}

// within are those of times that still count against a limit.
func within(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) >= limitTime || t.After(now) })
}

// news is one call of News on its way.
type news struct {
	Run
	told, after autoscale.Told
	lines       []string
}

func (n *news) decided() bool { return !n.Decision.At.IsZero() }

func (n *news) doubtful() bool { return n.decided() && n.Decision.Verdict.Doubtful() }

// add tells something.
func (n *news) add(format string, args ...any) {
	text := strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), func(r rune) bool { return r == '\n' }), "; ")
	n.lines = append(n.lines, shorten(n.Service+": "+text, mostLine))
}

// other tells something that is no move, where there is room for it.
func (n *news) other(format string, args ...any) bool {
	if len(n.after.Others) >= few {
		return false
	}
	n.after.Others = append(n.after.Others, n.At)
	n.add(format, args...)
	return true
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

// runs says how many replicas do.
func runs(n int) string {
	if n == 1 {
		return "1 replica runs"
	}
	return fmt.Sprintf("%d replicas run", n)
}

// changes says how many more there were.
func changes(n int) string {
	if n == 1 {
		return "1 more change was"
	}
	return fmt.Sprintf("%d more changes were", n)
}

// clock is a time of day in the zone of the run.
func (n *news) clock(t time.Time) string { return t.In(n.At.Location()).Format(time.TimeOnly) }

// fail tells of a failure, and of another one than the one before once that is old
// news.
func (n *news) fail() {
	kind := kindOf(n.Error)
	if n.Error == "" || kind == n.told.Failure || n.told.Failure != "" && n.At.Sub(n.told.FailedAt) < otherFailure {
		return
	}
	text := "failed: "
	if n.decided() && n.Count == n.Decision.From {
		text = fmt.Sprintf("failed, and %s on: ", runs(n.Count))
	}
	if !n.other("%s%s", text, n.Error) {
		return
	}
	n.after.Failure, n.after.FailedAt = kind, n.At
	if n.told.Failure == "" {
		n.after.FailingSince = n.At
	}
}

// kindOf is the same for errors that differ in their numbers and identifiers only;
// empty for none.
func kindOf(text string) string {
	if text == "" {
		return ""
	}
	hash := fnv.New64a()
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		if !strings.ContainsAny(word, "0123456789") {
			_, _ = hash.Write([]byte(word + " ")) // a hash takes everything
		}
	}
	return fmt.Sprintf("%x", hash.Sum64())
}

// doubt tells of doubt that lasts.
func (n *news) doubt() {
	switch {
	case !n.doubtful():
	case n.after.DoubtSince.IsZero():
		n.after.DoubtSince = n.At
	case !n.told.Doubt && n.At.Sub(n.after.DoubtSince) >= doubtAfter:
		n.after.Doubt = n.other("held on doubt since %s (look at the metrics page, or at what autoscale doctor says): %s", n.clock(n.after.DoubtSince), n.Decision.Sentence())
	}
}

// recover tells of the first good run after something bad that was told. While a raise
// that failed waits to be tried again, only the readings are good.
func (n *news) recover() {
	good := n.decided() && !n.doubtful() || n.Declared
	if !good || n.Error != "" {
		return
	}
	if _, waits := n.has(autoscale.StageGuard, autoscale.FailedScaleUp); waits && n.told.Failure != "" {
		n.after.Doubt, n.after.DoubtSince = false, time.Time{}
		return
	}
	what := n.Decision.Sentence()
	if !n.decided() {
		what = "all is declared as it should be"
	}
	switch {
	case n.told.Failure != "":
		if !n.other("recovered, after it failed from %s on: %s", n.clock(n.told.FailingSince), what) {
			return
		}
	case n.told.Doubt:
		if !n.other("recovered, after doubt from %s on: %s", n.clock(n.told.DoubtSince), what) {
			return
		}
	}
	n.after.Failure, n.after.FailedAt, n.after.FailingSince = "", time.Time{}, time.Time{}
	n.after.Doubt, n.after.DoubtSince = false, time.Time{}
}

// move tells of a change of the count, or of one that was only observed; of too many
// in a short time how many there were.
func (n *news) move() {
	d := n.Decision
	text := ""
	switch {
	case n.Count != d.From:
		text = d.Sentence()
		if n.Count != d.To {
			text = fmt.Sprintf("%d -> %s, of %d: %s", d.From, replicas(n.Count), d.To, text)
		}
		n.after.Would = 0
	case d.Reason == autoscale.ObserveMode && d.Want != d.From:
		if n.after.Would == d.Want {
			return
		}
		text = fmt.Sprintf("would go from %d to %s (only observed): %s", d.From, replicas(d.Want), d.Sentence())
		n.after.Would = d.Want
	default:
		n.after.Would = 0
	}
	room := len(n.after.Moves) < few
	switch {
	case text == "" && (n.after.LeftOut == 0 || !room):
		return
	case !room:
		n.after.LeftOut++
		return
	case text == "":
		text = fmt.Sprintf("%s now; %s not told", runs(n.Count), changes(n.after.LeftOut))
	case n.after.LeftOut > 0:
		text += fmt.Sprintf(" (%s not told)", changes(n.after.LeftOut))
	}
	n.after.Moves, n.after.LeftOut = append(n.after.Moves, n.At), 0
	n.add("%s", text)
}

// has is whether a reason moved the count at a stage, and what it said.
func (n *news) has(stage autoscale.Stage, reason autoscale.Reason) (detail string, is bool) {
	for _, s := range n.Decision.Steps {
		if s.Stage == stage && s.Reason == reason {
			detail, is = s.Detail, true
		}
	}
	return detail, is
}

// short tells that more replicas are wanted than are allowed, or have room.
func (n *news) short() {
	d := n.Decision
	_, bound := n.has(autoscale.StageBound, autoscale.TooManyReplicas)
	full, tight := n.has(autoscale.StageGuard, autoscale.NoMemory)
	wants := bound && d.Load > 0 || d.Verdict == autoscale.Saturated
	switch atMost := n.Count >= n.Max && wants; {
	case !atMost && !tight:
		n.after.Short = false
	case n.told.Short:
	case tight:
		n.after.Short = n.other("%s wanted, and no room for them: %s", replicas(d.Want), full)
	case d.Verdict == autoscale.Saturated:
		n.after.Short = n.other("at its maximum of %s, and they are saturated at %s; raise max if the machine carries more: requests wait", replicas(n.Max), autoscale.RPS(d.Load))
	default:
		n.after.Short = n.other("at its maximum of %s, and %s asks for more; raise max if the machine carries more: until then requests wait", replicas(n.Max), autoscale.RPS(d.Load))
	}
}
