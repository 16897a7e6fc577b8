package demo

import (
	"fmt"
	"time"

	"github.com/five-keys/autoscale"
)

// Load is what was sent in one second.
type Load struct {
	// At is when the second ended, since the story began.
	At time.Duration
	// Sent and Failed are requests/s.
	Sent, Failed float64
	// P99 is within what time 99 of 100 were answered.
	P99 time.Duration
}

// Step is what one step of the daemon came to.
type Step struct {
	// At is when it ended, since the story began.
	At time.Duration
	// Decision is the zero value where none was made.
	Decision autoscale.Decision
	// Replicas is how many there were afterwards.
	Replicas int
	// Err is what failed; nil where nothing did.
	Err error
}

// Event is something that happened, for people.
type Event struct {
	// Time is when it happened.
	Time time.Time
	// Kind is one of those below, or one that the daemon's history has.
	Kind string
	// Text says it in words.
	Text string
}

// Kinds of events beside those of the daemon's history.
const (
	PhaseBegan = "phase"
	Raised     = "raised"  // in place of "scaled"
	Lowered    = "lowered" // in place of "scaled"
)

// Sent is what became of all requests.
type Sent struct {
	// Requests is how many ended, Failed how many of them with an error.
	Requests, Failed int64
	// Lost is how many of those failed in another way than by a refusal of the
	// service (503).
	Lost int64
	// P99 is within what time 99 of 100 were answered.
	P99 time.Duration
	// Late is by how much the load itself was late: 99 of 100 requests by less.
	Late time.Duration
}

// TooBusy begins what Missed says of a machine that could not keep up with the
// story itself.
const TooBusy = "this machine was too busy to tell"

// longestLate is by how much the load may be late on a machine that keeps up.
const longestLate = 300 * time.Millisecond

// Course is what the replicas did in a story, told step by step.
type Course struct {
	story Story
	steps []stepped // while the story was told for the first time
	// fewest, most and last are counts of replicas; 0 before the first step.
	fewest, most, last int
	scalings           int
	failed             error // of the first step that did
}

// stepped is what is kept of a step.
type stepped struct {
	at       time.Duration
	from, to int // replicas
	doubtful bool
}

// NewCourse begins one.
func NewCourse(s Story) *Course { return &Course{story: s} }

// Add takes the next step.
func (c *Course) Add(s Step) {
	d := s.Decision
	if c.failed == nil {
		c.failed = s.Err
	}
	if d.At.IsZero() {
		return // nothing is known of the replicas
	}
	if c.last > 0 && s.Replicas != c.last {
		c.scalings++
	}
	if c.fewest == 0 || s.Replicas < c.fewest {
		c.fewest = s.Replicas
	}
	c.most, c.last = max(c.most, s.Replicas), s.Replicas
	if s.At < c.story.Length {
		c.steps = append(c.steps, stepped{at: s.At, from: d.From, to: s.Replicas, doubtful: d.Verdict.Doubtful()})
	}
}

// phase is the first one that satisfies is, and when it ends.
func (s Story) phase(is func(Phase) bool) (from, until time.Duration) {
	until = s.Length
	for i, p := range s.Phases {
		if !is(p) {
			continue
		}
		if i+1 < len(s.Phases) {
			until = s.Phases[i+1].From
		}
		return p.From, until
	}
	return until, until
}

// unread is when the load cannot be read.
func (s Story) unread() (from, until time.Duration) {
	from, _ = s.phase(func(p Phase) bool { return p.Unread })
	until, _ = s.phase(func(p Phase) bool { return p.From > from && !p.Unread })
	return from, until
}

// Missed says what did not go as it should, once the story was told to its end;
// nothing where all did.
func (c *Course) Missed(sent Sent) (all []string) {
	miss := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	p := c.story.Policy()
	_, risen := c.story.phase(func(p Phase) bool { return p.Name == "ramp" })
	_, risen = c.story.phase(func(p Phase) bool { return p.From == risen }) // it stays there for a while
	most, last := 0, 0
	for _, s := range c.steps {
		if s.at < risen {
			most = max(most, s.to)
		}
		last = s.to
	}
	if need := enough(p, busy); most < need {
		miss("the load rose to %s, and no more than %s came; %d are needed", autoscale.RPS(busy), replicas(most), need)
	}
	if why := c.released(); why != "" {
		miss("%s", why)
	}
	if need := enough(p, night) + 1; last > need {
		miss("at the end, with %s, there were %s; at most %d were to be left", autoscale.RPS(night), replicas(last), need)
	}
	if c.failed != nil {
		miss("a step failed: %v", c.failed)
	}
	switch {
	case sent.Lost == 1:
		miss("1 request was lost")
	case sent.Lost > 1:
		miss("%d requests were lost", sent.Lost)
	}
	if sent.Failed*10 > sent.Requests {
		miss("%d of %d requests failed", sent.Failed, sent.Requests)
	}
	if len(all) > 0 && sent.Late > longestLate {
		all = append([]string{fmt.Sprintf("%s: the load itself was late by %s; try again when less goes on", TooBusy, sent.Late.Round(10*time.Millisecond))}, all...)
	}
	return all
}

// released says how replicas went while the load could not be read; empty where
// they were held.
func (c *Course) released() string {
	from, until := c.story.unread()
	held := 0
	for _, s := range c.steps {
		if s.at < from || s.at >= until || !s.doubtful {
			continue
		}
		held = max(held, s.from)
		if s.to < held {
			return fmt.Sprintf("while the load could not be read, replicas went: %d -> %s", held, replicas(s.to))
		}
	}
	if held == 0 {
		return "the outage of the metrics was not noticed"
	}
	return ""
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

// enough is the fewest replicas that may carry a load.
func enough(p autoscale.Policy, rate float64) int {
	n := 1
	for float64(n)*p.Target*(1+p.Tolerance) < rate {
		n++
	}
	return n
}
