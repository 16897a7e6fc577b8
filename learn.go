package autoscale

import (
	"math"
	"slices"
	"time"
)

// Learned is what the settings that are tried beside the one in force came to. It
// is plain data and of bounded size.
type Learned struct {
	// Capacity is the SLO's that it was learned with; another one begins anew.
	Capacity float64 `json:"capacity"`
	// At is the last run it saw, in milliseconds since 1970; 0 for none to go on from.
	At int64 `json:"at"`
	// Seen is how much was seen in all, in seconds.
	Seen float64 `json:"seen"`
	// Seconds and Requests were seen lately: what is older counts less.
	Seconds  float64 `json:"seconds"`
	Requests float64 `json:"requests"`
	// Choice is the place of the setting in force among those tried.
	Choice int `json:"choice"`
	// Startup is how long replicas take to be ready, in seconds, 0 until it was
	// measured; Raised is when some were last asked for and did not answer yet.
	Startup float64 `json:"startup,omitempty"`
	Raised  int64   `json:"raised,omitempty"`
	// Short and Long are the mean squares of the growth over a start-up, over some
	// minutes and over hours.
	Short float64 `json:"short"`
	Long  float64 `json:"long"`
	// Levels are the loads that no later one exceeded, oldest first; Recent those of
	// the last start-up.
	Levels []Level `json:"levels"`
	Recent []Level `json:"recent"`
	// Shadows are the settings that are tried, in their order.
	Shadows []Shadow `json:"shadows"`
}

// Level is a load in requests/s at a moment, in milliseconds since 1970.
type Level struct {
	At   int64   `json:"t"`
	Load float64 `json:"rps"`
}

// Shadow is one setting that is tried on the service's own load.
type Shadow struct {
	// Count is how many replicas it would have, Starts those that would not be ready.
	Count  int       `json:"n"`
	Starts [4]Starts `json:"starts,omitzero"`
	// Queue is how many requests would wait.
	Queue float64 `json:"q,omitempty"`
	// Violated are requests that would have been late, Cost is in replica-seconds;
	// what is older counts less.
	Violated float64 `json:"v"`
	Cost     float64 `json:"c"`
}

// Starts are replicas that would be ready at a moment, in milliseconds since 1970.
type Starts struct {
	At    int64 `json:"t,omitempty"`
	Count int   `json:"n,omitempty"`
}

const (
	// memoryOfScores is the time by which what a setting came to counts 1/e.
	memoryOfScores = 48 * time.Hour
	// memoryShort and memoryLong are those of the growth.
	memoryShort = time.Hour
	memoryLong  = 12 * time.Hour
	// spareShare is the part of the violations asked for that a setting may have come
	// to: what happens within an interval is not seen.
	spareShare = 0.6
	// excessWeight is what violating twice as much as allowed counts, where what the
	// plain rule costs counts 1.
	excessWeight = 2
	// better is by how much another setting must have been cheaper to take over.
	better = 0.98
	// patience is how long a request may wait before it is late, and fullQueue how
	// much may wait for each replica, in seconds of its work.
	patience, fullQueue = 0.5, 2.0
	// usualStartup is how long replicas are taken to start until it was measured.
	usualStartup = 30 * time.Second
	// maxLevels and maxRecent bound what is remembered.
	maxLevels, maxRecent = 256, 48
	// longestStep is the time between two runs above which they are not compared.
	longestStep = 15 * time.Minute
)

// sound reports whether l can be gone by. What is not as it was left is not.
func (l *Learned) sound(settings int, slo SLO) bool {
	if l == nil || l.Capacity != slo.Capacity || len(l.Shadows) != settings || l.Choice < 0 || l.Choice >= settings ||
		len(l.Levels) > maxLevels || len(l.Recent) > maxRecent || l.At < 0 {
		return false
	}
	numbers := []float64{l.Seen, l.Seconds, l.Requests, l.Startup, l.Short, l.Long}
	for _, levels := range [][]Level{l.Levels, l.Recent} {
		for _, level := range levels {
			numbers = append(numbers, level.Load)
		}
	}
	for i := range l.Shadows {
		s := &l.Shadows[i]
		numbers = append(numbers, s.Queue, s.Violated, s.Cost)
		if s.Count < 0 || s.Count > math.MaxInt32 || s.starting() > s.Count {
			return false
		}
	}
	return !slices.ContainsFunc(numbers, func(v float64) bool { return !(v >= 0 && v < 1e300) })
}

func (l *Learned) seen() time.Duration { return time.Duration(min(l.Seen, 1e9)) * time.Second }

// growth is the usual growth of the load within a start-up, in requests/s.
func (l *Learned) growth() float64 { return math.Sqrt((l.Short + l.Long) / 2) }

// startup is how long replicas take to be ready.
func (l *Learned) startup() time.Duration {
	if l.Startup == 0 {
		return usualStartup
	}
	return time.Duration(min(l.Startup, 3600) * float64(time.Second))
}

// clone shares nothing with l.
func (l *Learned) clone() *Learned {
	c := *l
	c.Levels, c.Recent, c.Shadows = slices.Clone(l.Levels), slices.Clone(l.Recent), slices.Clone(l.Shadows)
	return &c
}

// learn has every setting live through the time since the last run, and chooses.
func (r *run) learn(asked Policy, s State, o Observation, l load, fresh Reason) {
	if asked.SLO == (SLO{}) {
		r.next.Learned = nil
		return
	}
	all := asked.settings()
	n := &Learned{Capacity: asked.SLO.Capacity, Shadows: make([]Shadow, len(all))}
	if fresh != SignalChanged && s.Learned.sound(len(all), asked.SLO) {
		n = s.Learned.clone()
	}
	if fresh != "" {
		n.At, n.Raised, n.Levels, n.Recent = 0, 0, nil, nil
	}
	r.next.Learned = n
	n.time(r.now.UnixMilli(), o.Replicas)
	if l.verdict.Doubtful() {
		n.At = 0 // what happened meanwhile is not known
		return
	}
	n.pass(asked, all, l, ready(o), r.now)
	n.choose(asked, all)
}

// ready is how many replicas answer.
func ready(o Observation) int {
	n := o.Current
	for _, replica := range o.Replicas {
		if replica.Health == HealthStarting {
			n--
		}
	}
	return max(n, 0)
}

// time measures how long replicas take to start. What it takes for longer than it
// did is believed at once.
func (l *Learned) time(now int64, replicas []Replica) {
	checked := false
	for _, replica := range replicas {
		if replica.Health == HealthStarting {
			return
		}
		checked = checked || replica.Health == Healthy
	}
	if took := float64(now-l.Raised) / 1000; l.Raised > 0 && checked && took >= 0 {
		took = min(max(took, 1), 3600)
		l.Startup = max(took, 0.8*l.startup().Seconds()+0.2*took)
		l.Raised = 0
	}
}

// pass has the settings live through the time up to now.
func (l *Learned) pass(p Policy, all []setting, load load, live int, now time.Time) {
	at, rps := now.UnixMilli(), min(load.rps, 1e12)
	dt := time.Duration(at-l.At) * time.Millisecond
	known := l.At > 0 && dt > 0 && dt <= longestStep
	if l.At > 0 && !known && dt <= 0 {
		return
	}
	growth := l.growth()
	l.level(at, rps)
	if known {
		l.decay(dt.Seconds(), rps)
	}
	for i := range l.Shadows {
		s := &l.Shadows[i]
		if known {
			s.carry(p.SLO, rps, dt.Seconds(), l.At, load.verdict == Saturated || p.SLO.capped(rps, live), live)
		}
		s.follow(p, all[i], growth, l.highest(at, max(all[i].hold, p.Cooldown)), rps, at, l.startup(), known)
	}
	l.grow(at, rps, load.verdict, known, dt.Seconds())
	l.At = at
}

// decay lets what is older count less.
func (l *Learned) decay(dt, rps float64) {
	keep := math.Exp(-dt / memoryOfScores.Seconds())
	l.Seen = min(l.Seen+dt, 1e9)
	l.Seconds = keep*l.Seconds + dt
	l.Requests = keep*l.Requests + rps*dt
	for i := range l.Shadows {
		l.Shadows[i].Violated *= keep
		l.Shadows[i].Cost *= keep
	}
}

// level remembers a load. It outlasts all before it that were no higher.
func (l *Learned) level(at int64, rps float64) {
	keep := len(l.Levels)
	for keep > 0 && l.Levels[keep-1].Load <= rps {
		keep--
	}
	l.Levels = append(l.Levels[:keep], Level{at, rps})
	if len(l.Levels) > maxLevels { // the higher of neighbours stands for both
		half := l.Levels[:0]
		for i := 0; i < len(l.Levels); i += 2 {
			half = append(half, Level{l.Levels[min(i+1, len(l.Levels)-1)].At, l.Levels[i].Load})
		}
		l.Levels = half
	}
	edge := at - longestHold.Milliseconds()
	for len(l.Levels) > 1 && l.Levels[0].At < edge {
		l.Levels = l.Levels[1:]
	}
}

// highest is the highest load of so long a time.
func (l *Learned) highest(at int64, hold time.Duration) float64 {
	edge := at - hold.Milliseconds()
	i, _ := slices.BinarySearchFunc(l.Levels, edge, func(v Level, edge int64) int {
		if v.At < edge {
			return -1
		}
		return 1
	})
	if i == len(l.Levels) {
		i--
	}
	return l.Levels[i].Load
}

// grow learns by how much the load grows while replicas start. A lower bound only
// teaches that it grew by more.
func (l *Learned) grow(at int64, rps float64, verdict Verdict, known bool, dt float64) {
	least, horizon := rps, l.startup().Milliseconds()
	l.Recent = slices.DeleteFunc(l.Recent, func(v Level) bool { return v.At < at-horizon-int64(1000*dt) })
	for _, v := range l.Recent {
		least = min(least, v.Load)
	}
	if n := len(l.Recent); n == 0 || at-l.Recent[n-1].At >= horizon/(maxRecent/2) {
		if n == maxRecent {
			l.Recent = l.Recent[1:]
		}
		l.Recent = append(l.Recent, Level{at, rps})
	}
	if !known {
		return
	}
	grown := (rps - least) * (rps - least)
	l.Short = towards(l.Short, grown, dt/memoryShort.Seconds(), verdict)
	l.Long = towards(l.Long, grown, dt/memoryLong.Seconds(), verdict)
}

// towards brings a mean nearer to a value, and only upwards by one that is a lower
// bound.
func towards(mean, value, passed float64, verdict Verdict) float64 {
	next := value + (mean-value)*math.Exp(-passed)
	if verdict != OK {
		return max(mean, next)
	}
	return next
}

// starting is how many replicas are not ready.
func (s *Shadow) starting() (n int) {
	for _, b := range s.Starts {
		n += b.Count
	}
	return n
}

// carry has the replicas that are ready carry a load for dt seconds from a moment
// on. Where the service itself was saturated its load is not known: no setting with
// as few replicas had done better.
func (s *Shadow) carry(slo SLO, rps, dt float64, from int64, saturated bool, live int) {
	for i := range s.Starts {
		if b := &s.Starts[i]; b.Count > 0 && b.At <= from+int64(500*dt) {
			*b = Starts{}
		}
	}
	s.Cost += float64(s.Count) * dt
	n := float64(s.Count - s.starting())
	capacity := n * slo.Capacity
	arrivals := rps * dt
	if saturated && int(n) <= live {
		s.Violated += arrivals
		s.Queue = patience * capacity
		return
	}
	if capacity == 0 {
		s.Violated += arrivals
		s.Queue = 0
		return
	}
	before := min(s.Queue, fullQueue*capacity)
	after := min(max(before+(rps-capacity)*dt, 0), fullQueue*capacity)
	limit := patience * capacity
	late := 0.0
	switch {
	case before > limit && after > limit:
		late = 1
	case before > limit || after > limit:
		late = math.Abs(max(before, after)-limit) / max(math.Abs(rps-capacity)*dt, 1e-9)
	}
	s.Violated += arrivals * min(late, 1)
	s.Queue = after
}

// follow has the setting make its number: up for the load of now, and down to what
// the highest of its hold needs.
func (s *Shadow) follow(p Policy, by setting, growth, highest, rps float64, at int64, startup time.Duration, known bool) {
	p = p.with(by, growth)
	to := s.Count
	if up := p.ReplicasFor(rps); up > s.Count && p.overloads(rps, s.Count) || !known {
		to = up
	} else if low := p.replicasLow(highest); low < s.Count {
		to = low
	}
	to = max(min(to, p.Max), p.Min)
	if !known {
		*s = Shadow{Count: to, Violated: s.Violated, Cost: s.Cost}
		return
	}
	switch {
	case to > s.Count:
		s.begin(to-s.Count, at+startup.Milliseconds())
	case to < s.Count:
		s.end(s.Count - to)
	default:
		return
	}
	s.Count = to
	s.Cost += p.SLO.ChangeCost
}

// begin starts replicas. Where too many are on their way by then the last ones wait
// for these.
func (s *Shadow) begin(count int, at int64) {
	for i := range s.Starts {
		if s.Starts[i].Count == 0 || i == len(s.Starts)-1 {
			s.Starts[i] = Starts{at, s.Starts[i].Count + count}
			return
		}
	}
}

// end takes replicas away, those that start first.
func (s *Shadow) end(count int) {
	for i := range s.Starts {
		b := &s.Starts[len(s.Starts)-1-i]
		gone := min(b.Count, count)
		b.Count -= gone
		count -= gone
	}
}

// choose puts the best setting in force: the cheapest of those that kept what was
// asked for, where more than that weighs as replicas do. While little is known it is
// one that covers the plain rule.
func (l *Learned) choose(p Policy, all []setting) {
	if l.Seconds == 0 || l.Requests == 0 {
		return
	}
	// The share is of a day at least: what the first burst of an hour takes is not
	// yet too much.
	allowed := spareShare * p.SLO.Violations * l.Requests * max(1, plainTime.Seconds()/l.Seconds)
	usual := max(l.Shadows[0].Cost, 1)
	score := func(i int) float64 {
		s := &l.Shadows[i]
		return s.Cost/usual + excessWeight*max(s.Violated/allowed-1, 0)
	}
	enough := l.seen() >= plainTime
	open := func(i int) bool { return enough || all[i].covers(all[0]) }
	best, lowest := 0, math.Inf(1)
	for i := range l.Shadows {
		if !open(i) {
			continue
		}
		if s := score(i); s < lowest {
			best, lowest = i, s
		}
	}
	if open(l.Choice) && lowest >= better*score(l.Choice) {
		return
	}
	l.Choice = best
}
