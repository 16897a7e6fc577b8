package autoscale

import (
	"encoding/json"
	"slices"
	"time"
)

// Instant is one moment by both clocks of the machine. Comparing the two tells
// when the wall clock was moved.
type Instant struct {
	// Time is the wall clock.
	Time time.Time `json:"time"`
	// Uptime is the clock that runs from boot and through suspend
	// (CLOCK_BOOTTIME); 0 where it cannot be had.
	Uptime time.Duration `json:"uptime_ns,omitempty"`
	// Boot identifies the boot; empty where it cannot be had.
	Boot string `json:"boot,omitempty"`
}

// Point is one reading as the history keeps it.
type Point struct {
	// Time is from when on the reading is in force, until the next Point's.
	Time time.Time `json:"t"`
	// Load is in requests/s; a lower bound unless Verdict is OK.
	Load float64 `json:"rps"`
	// Verdict is how far Load may be trusted.
	Verdict Verdict `json:"v"`
}

// Process is what is remembered of one process whose page is read.
type Process struct {
	// Time and Value are its last good reading of a counter.
	Time  time.Time `json:"t,omitzero"`
	Value float64   `json:"value,omitempty"`
	// EarlierTime and EarlierValue are a reading before that one, for a rate where
	// the next reading comes less than a second after it; zero for none.
	EarlierTime  time.Time `json:"earlier_t,omitzero"`
	EarlierValue float64   `json:"earlier_value,omitempty"`
	// Failed and Answered are those of its last good reading.
	Failed   float64 `json:"failed,omitempty"`
	Answered float64 `json:"answered,omitempty"`
	// Mark is where its last reading ended, in its source's own words.
	Mark json.RawMessage `json:"mark,omitempty"`
	// UnreadSince is from when on no read of it has succeeded; zero while reads
	// succeed.
	UnreadSince time.Time `json:"unread_since,omitzero"`
}

// Lowering is one move downwards that was made.
type Lowering struct {
	Time     time.Time `json:"t"`
	Replicas int       `json:"replicas"` // how many went
}

// Failure is what is remembered of raises whose new replicas did not start.
type Failure struct {
	// Count is how many raises failed in a row.
	Count int `json:"count"`
	// Until is when the next attempt may be made.
	Until time.Time `json:"until"`
	// Settings identifies image and settings that failed; others may be tried
	// at once.
	Settings string `json:"settings,omitempty"`
}

// State is all that Decide must remember of one workload from one run to the
// next. It is plain data; its zero value is a workload never seen.
type State struct {
	// Signal identifies where the load was read; another one starts anew.
	Signal string `json:"signal"`
	// At is the instant of the last run.
	At Instant `json:"at"`
	// Gap is the time between the last run and the one before it.
	Gap time.Duration `json:"gap_ns,omitempty"`
	// History holds the readings that a lowering looks back on, oldest first: those
	// alone that may still ask for more than a later one does.
	History []Point `json:"history"`
	// Processes holds what is remembered of each process, by Sample.Process.
	Processes map[string]Process `json:"processes,omitempty"`
	// Used holds what each replica had used of the processors, by Replica.ID.
	Used map[string]Usage `json:"used,omitempty"`
	// Count is how many replicas there were after the last run.
	Count int `json:"count"`
	// Moving is the count that a move which was begun leads to; nil between
	// moves. A run that finds it set knows that the last one was killed.
	Moving *int `json:"moving,omitempty"`
	// Kept is when somebody else raised the count; zero for never.
	Kept time.Time `json:"kept,omitzero"`
	// Cliff is the last fall of the load that looked like a fault; nil for none.
	Cliff *Cliff `json:"cliff,omitempty"`
	// Direction is that of the last move, 1 or -1; 0 before there was one. Turns are
	// when it changed in the last hour.
	Direction int         `json:"direction,omitempty"`
	Turns     []time.Time `json:"turns,omitempty"`
	// Lowered holds the lowerings of the last day.
	Lowered []Lowering `json:"lowered,omitempty"`
	// Doubts counts the doubtful runs in a row.
	Doubts int `json:"doubts,omitempty"`
	// Failure is set while raises fail.
	Failure *Failure `json:"failure,omitempty"`
	// Zeroed is set while the last replica is gone because this program was asked
	// to take it away. Somebody else's "down" does not set it.
	Zeroed bool `json:"zeroed,omitempty"`
	// Pause is a person's word to leave the count alone for a time; nil for none.
	Pause *Pause `json:"pause,omitempty"`
	// Sources holds what is remembered of further sources of the load, by their
	// names: in each what State says of one, but for Pause, Applied and Sources.
	Sources map[string]State `json:"sources,omitempty"`
	// Told is what people were told of.
	Told Told `json:"told,omitzero"`
	// Learned is what settings came to that were tried; nil without an SLO.
	Learned *Learned `json:"learned,omitempty"`
	// Applied is set once the workload was moved or seen in an engine.
	Applied bool `json:"applied,omitempty"`
}

// Told is what people were told of a workload, so that each event is told once.
type Told struct {
	// Failure identifies the failure that was told and goes on; empty for none.
	// FailedAt is when it was told, FailingSince when the first of them was.
	Failure      string    `json:"failure,omitempty"`
	FailedAt     time.Time `json:"failed_at,omitzero"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	// Doubt tells that doubt was told and goes on, Short that more is wanted than may
	// be.
	Doubt bool `json:"doubt,omitempty"`
	Short bool `json:"short,omitempty"`
	// DoubtSince is when the readings began to be in doubt; zero while they are not.
	DoubtSince time.Time `json:"doubt_since,omitzero"`
	// Would is the count that was told while it is only observed; 0 for none.
	Would int `json:"would,omitempty"`
	// Moves and Others are when moves, and other things, were told lately. LeftOut is
	// how many were not since.
	Moves   []time.Time `json:"moves,omitempty"`
	Others  []time.Time `json:"others,omitempty"`
	LeftOut int         `json:"left_out,omitempty"`
	// Waiting are lines that could not be sent yet.
	Waiting []string `json:"waiting,omitempty"`
}

// IsZero reports whether nothing was told.
func (t Told) IsZero() bool { return t.Equal(Told{}) }

// Equal reports whether t and other say the same.
func (t Told) Equal(other Told) bool {
	return t.Failure == other.Failure && t.FailedAt.Equal(other.FailedAt) && t.FailingSince.Equal(other.FailingSince) &&
		t.Doubt == other.Doubt && t.Short == other.Short && t.DoubtSince.Equal(other.DoubtSince) &&
		t.Would == other.Would && t.LeftOut == other.LeftOut && slices.Equal(t.Waiting, other.Waiting) &&
		slices.EqualFunc(t.Moves, other.Moves, time.Time.Equal) && slices.EqualFunc(t.Others, other.Others, time.Time.Equal)
}

// Known reports whether s was left by an earlier run.
func (s State) Known() bool { return !s.At.Time.IsZero() }

// AtZero reports whether it was this program that took the last replica away,
// as --min=0 allows.
func (s State) AtZero() bool {
	return s.Zeroed || s.Moving != nil && *s.Moving == 0
}

const (
	// maxPoints bounds History. A longer one is thinned by merging neighbours
	// into the higher of both, which can only delay a lowering.
	maxPoints = 720
	// keepLowered is how long a lowering is remembered.
	keepLowered = 24 * time.Hour
	// keepHistory is how long readings are kept at least, so that a cooldown
	// made longer finds the past.
	keepHistory = 2 * time.Hour
)

// clone copies s so that the copy shares nothing with it that is ever changed:
// Processes, Used and Cliff are made anew by each run that changes them.
func (s State) clone() State {
	if s.History != nil { // with room for the reading of this run
		s.History = append(make([]Point, 0, len(s.History)+1), s.History...)
	}
	s.Lowered = slices.Clone(s.Lowered)
	s.Turns = slices.Clone(s.Turns)
	if s.Moving != nil {
		to := *s.Moving
		s.Moving = &to
	}
	if s.Failure != nil {
		failure := *s.Failure
		s.Failure = &failure
	}
	if s.Pause != nil {
		pause := *s.Pause
		s.Pause = &pause
	}
	return s.each(State.clone)
}

// each is s with f applied to what is remembered of every further source.
func (s State) each(f func(State) State) State {
	if s.Sources == nil {
		return s
	}
	all := make(map[string]State, len(s.Sources))
	for name, one := range s.Sources {
		all[name] = f(one)
	}
	s.Sources = all
	return s
}

// read appends a reading to the history. It outlasts all before it, so those that
// ask for no more than it does are dropped, whatever the flags may be later: but
// not the first, since which readings are trusted, and not the one that ends the
// time in which a higher one was in force.
func (s *State) read(p Point) {
	keep := len(s.History)
	for keep > 0 && !s.History[keep-1].outlives(p) {
		keep--
	}
	s.History = append(s.History[:min(keep+1, len(s.History))], p)
}

// outlives reports whether p may ask for more replicas than later does, for as long
// as p counts.
func (p Point) outlives(later Point) bool {
	if later.Verdict != OK {
		return false // then the count that there is counts as wanted
	}
	return p.Verdict != OK || p.Load > later.Load
}

// prune drops what no later decision can need.
func (s *State) prune(now time.Time, cooldown time.Duration) {
	edge := now.Add(-max(2*cooldown, keepHistory))
	// A point is in force until the next one, so the one before the edge stays.
	for len(s.History) > 1 && !s.History[1].Time.After(edge) {
		s.History = s.History[1:]
	}
	if len(s.History) > maxPoints {
		s.History = merge(s.History)
	}
	s.Lowered = slices.DeleteFunc(s.Lowered, func(l Lowering) bool {
		return l.Time.Before(now.Add(-max(keepLowered, cooldown)))
	})
}

// merge halves the older part of points: of two neighbours the higher load and
// the worse verdict stay, in force from the first one's time.
func merge(points []Point) []Point {
	recent := points[len(points)-maxPoints/4:]
	old := points[:len(points)-maxPoints/4]
	merged := make([]Point, 0, len(points))
	for pair := range slices.Chunk(old, 2) {
		p := pair[0]
		if len(pair) == 2 {
			p.Load = max(p.Load, pair[1].Load)
			if p.Verdict == OK {
				p.Verdict = pair[1].Verdict
			}
		}
		merged = append(merged, p)
	}
	return append(merged, recent...)
}

// Settle records what became of the move that d asked for: count is how many
// replicas there are now, settings identifies their image and settings, failed
// tells that new replicas did not start.
func (s State) Settle(d Decision, now time.Time, count int, settings string, failed bool) State {
	next := s.clone()
	next.Moving = nil
	next.Count = count
	next.Zeroed = d.To == 0 && count == 0
	next.turned(d.From, count, now)
	if count < d.From && d.To < d.From {
		next.Lowered = append(next.Lowered, Lowering{Time: now, Replicas: d.From - count})
	}
	switch {
	case failed:
		next.Failure = next.Failure.again(now, settings)
	case d.To > d.From && count >= d.To:
		next.Failure = nil
	}
	return next.each(func(one State) State { return one.Settle(d, now, count, settings, failed) })
}

// Missed records a run that saw neither replicas nor load, because the engine
// did not answer, say: it is as doubtful as an unreachable page.
func (s State) Missed(now Instant) State {
	next := s.clone()
	if passed := now.Time.Sub(s.At.Time); passed > 0 && !clockMoved(s.At, now) && s.At.Boot == now.Boot {
		next.Gap, next.At = passed, now
		next.read(Point{Time: now.Time, Verdict: Unreachable})
		next.prune(now.Time, 0)
	}
	next.Doubts++
	return next.each(func(one State) State { return one.Missed(now) })
}

// Begun is the State of a workload whose first replicas, so many, were started
// just now and by this program, before anything was read.
func Begun(now Instant, count int) State {
	return State{At: now, Count: count, Applied: true}
}

// again is the failure after one more raise failed: the next attempt waits 2,
// 4, 8 … 60 minutes.
func (f *Failure) again(now time.Time, settings string) *Failure {
	next := Failure{Count: 1, Settings: settings}
	if f != nil && f.Settings == settings {
		next.Count = f.Count + 1
	}
	wait := time.Hour
	if next.Count < 6 {
		wait = time.Minute << next.Count
	}
	next.Until = now.Add(wait)
	return &next
}
