// Package controltest holds what is true of every control.Workload whose count is
// set directly. It is run on processes, and on Docker Compose with a real engine.
// Where something else sets the count as well, as on Kubernetes, it is not: there
// a Set that lowers is refused on purpose.
package controltest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// Subject is a workload under test, of which one replica runs, with what a test
// must be able to do to it behind its back.
type Subject struct {
	control.Workload
	// Running are the names of the replicas that run, asked of the machine and not
	// of the Workload.
	Running func() []string
	// Break has replicas that start from now on fail, and Mend ends that.
	Break, Mend func()
	// Slow has replicas that start from now on take 2 s until they are healthy.
	Slow func()
	// Sicken makes a replica unhealthy and returns once the Workload may know.
	Sicken func(autoscale.Replica)
	// SettlesIn is how long what was set may take to be so: a replica that leaves
	// may have requests to finish.
	SettlesIn time.Duration
}

// Run runs all tests, each on a subject of its own.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(*subject)
	}{
		{"observes", observes},
		{"up and down", upAndDown},
		{"the same", same},
		{"failing starts", failingStarts},
		{"partly", partly},
		{"cancelled before", cancelledBefore},
		{"cancelled meanwhile", cancelledMeanwhile},
		{"unhealthy first", unhealthyFirst},
		{"only healthy stay", onlyHealthyStay},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(&subject{Subject: open(t), t: t})
		})
	}
}

// subject is a Subject with the test that it is under.
type subject struct {
	Subject
	t *testing.T
}

// look is what the Workload says, which has to be what runs.
func (s *subject) look() []autoscale.Replica {
	s.t.Helper()
	seen, err := s.Observe(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if seen.Current != len(seen.Running) {
		s.t.Errorf("it counts %d replicas, and names %d", seen.Current, len(seen.Running))
	}
	var names []string
	ids := map[string]bool{}
	for _, r := range seen.Running {
		names = append(names, r.Name)
		ids[r.ID] = true
		if r.Started.IsZero() || time.Until(r.Started) > time.Second {
			s.t.Errorf("%s started at %s", r.Name, r.Started)
		}
	}
	if len(ids) != len(names) {
		s.t.Errorf("two replicas have one ID: %+v", seen.Running)
	}
	slices.Sort(names)
	running := s.Running()
	for end := time.Now().Add(s.SettlesIn); !slices.Equal(names, running) && time.Now().Before(end); running = s.Running() {
		time.Sleep(50 * time.Millisecond)
	}
	if !slices.Equal(names, running) {
		s.t.Errorf("it names %q, and %q run", names, running)
	}
	return seen.Running
}

// set sets the count after a look, as a step does, and wants it to be what the
// outcome and another look say.
func (s *subject) set(count int) (before, after []autoscale.Replica) {
	s.t.Helper()
	before = s.look()
	outcome, err := s.Set(s.t.Context(), count)
	after = s.look()
	if err != nil || outcome.Failed || outcome.Count != count || len(after) != count {
		s.t.Fatalf("set to %d: %+v, %v; then there are %+v", count, outcome, err, after)
	}
	return before, after
}

// wantKept wants every replica of some to be among others as it was: the same one,
// which was not restarted.
func (s *subject) wantKept(some, others []autoscale.Replica) {
	s.t.Helper()
	for _, was := range some {
		if !slices.ContainsFunc(others, func(r autoscale.Replica) bool { return r.ID == was.ID && r.Started.Equal(was.Started) }) {
			s.t.Errorf("%s is gone or was restarted: %+v", was.Name, others)
		}
	}
}

func observes(s *subject) {
	if all := s.look(); len(all) != 1 {
		s.t.Fatalf("there is not one replica: %+v", all)
	}
	seen, err := s.Observe(s.t.Context())
	if err != nil || seen.Settings == "" || seen.Stopped != nil {
		s.t.Errorf("%+v, %v", seen, err)
	}
	s.wantKept(seen.Running, s.look())
}

func upAndDown(s *subject) {
	before, three := s.set(3)
	s.wantKept(before, three)
	for _, r := range three {
		if r.Health != autoscale.Healthy {
			s.t.Errorf("after the raise %s is %s", r.Name, r.Health)
		}
	}
	_, one := s.set(1)
	// Who stays has run longest.
	s.wantKept(before, one)
	_, two := s.set(2)
	s.wantKept(one, two)
	for _, r := range two {
		if was := slices.IndexFunc(three, func(o autoscale.Replica) bool { return o.ID == r.ID }); was >= 0 && !three[was].Started.Equal(r.Started) {
			s.t.Errorf("%s is another one with an old ID", r.Name)
		}
	}
}

func same(s *subject) {
	_, two := s.set(2)
	before, after := s.set(2)
	s.wantKept(two, before)
	s.wantKept(before, after)
}

func failingStarts(s *subject) {
	s.Break()
	before := s.look()
	outcome, err := s.Set(s.t.Context(), 3)
	if err == nil || !outcome.Failed || outcome.Count != 1 {
		s.t.Errorf("starts that fail: %+v, %v", outcome, err)
	}
	after := s.look()
	if len(after) != 1 {
		s.t.Errorf("left behind: %+v", after)
	}
	s.wantKept(before, after)
	s.Mend()
	_, mended := s.set(3)
	s.wantKept(before, mended)
}

// partly: what came up before others failed stays.
func partly(s *subject) {
	_, two := s.set(2)
	s.Break()
	s.look()
	outcome, err := s.Set(s.t.Context(), 3)
	if err == nil || !outcome.Failed || outcome.Count != 2 {
		s.t.Errorf("%+v, %v", outcome, err)
	}
	s.wantKept(two, s.look())
}

func cancelledBefore(s *subject) {
	before := s.look()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	outcome, err := s.Set(ctx, 2)
	if err == nil || outcome.Failed {
		s.t.Errorf("cancelled before it began: %+v, %v", outcome, err)
	}
	after := s.look()
	if outcome.Count != len(after) {
		s.t.Errorf("the outcome says %d, and there are %+v", outcome.Count, after)
	}
	s.wantKept(before, after)
}

// cancelledMeanwhile: the outcome says what there is, what ran runs on, and the
// next raise brings what was asked for.
func cancelledMeanwhile(s *subject) {
	s.Slow()
	before := s.look()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	outcome, err := s.Set(ctx, 3)
	if err == nil || outcome.Failed {
		s.t.Errorf("cancelled meanwhile: %+v, %v", outcome, err)
	}
	after := s.look()
	if outcome.Count != len(after) {
		s.t.Errorf("the outcome says %d, and there are %+v", outcome.Count, after)
	}
	s.wantKept(before, after)
	_, all := s.set(3)
	s.wantKept(after, all)
}

func unhealthyFirst(s *subject) {
	_, three := s.set(3)
	sick := oldest(three)
	s.Sicken(sick)
	_, two := s.set(2)
	for _, r := range two {
		if r.ID == sick.ID {
			s.t.Errorf("the unhealthy one stays: %+v", two)
		}
	}
}

// onlyHealthyStay: nothing leaves while that would leave an unhealthy replica
// behind; it is said, and no error.
func onlyHealthyStay(s *subject) {
	_, three := s.set(3)
	first := oldest(three)
	s.Sicken(first)
	rest := slices.DeleteFunc(slices.Clone(three), func(r autoscale.Replica) bool { return r.ID == first.ID })
	s.Sicken(oldest(rest))
	before := s.look()
	outcome, err := s.Set(s.t.Context(), 2)
	if err != nil || outcome.Count != 3 || len(outcome.Notes) == 0 {
		s.t.Errorf("%+v, %v", outcome, err)
	}
	if after := s.look(); len(after) != len(before) {
		s.t.Errorf("before %+v, then %+v", before, after)
	}
}

func oldest(all []autoscale.Replica) autoscale.Replica {
	return slices.MinFunc(all, func(a, b autoscale.Replica) int { return a.Started.Compare(b.Started) })
}
