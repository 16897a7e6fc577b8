package web

import (
	"maps"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// families are the metrics of every service.
var families = []family{
	{
		"service_info", "Always 1; its labels say what the service is.", dto.MetricType_GAUGE, []string{"provider", "project", "target"},
		func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
			give(1, s.Provider, s.Last.Project, s.Target)
		},
	},
	gauge("interval_seconds", "Time from one step to the next.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return s.Interval.Seconds(), true
	}),

	// Replicas.
	gauge("replicas", "Replicas after the last step that knew them.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return float64(s.Replicas), counted(s)
	}),
	gauge("replicas_wanted", "Replicas wanted by the last step, were nothing in its way; absent where it decided nothing.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return float64(s.Last.Report.Decision.Want), hasDecided(s)
	}),
	gauge("replicas_min", "Fewest replicas allowed at the last step, schedules applied.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return float64(s.Last.Policy.Min), s.Last.Policy.Max > 0
	}),
	gauge("replicas_max", "Most replicas allowed at the last step, schedules applied.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return float64(s.Last.Policy.Max), s.Last.Policy.Max > 0
	}),

	replicaFamily("replica_cpu_seconds_total", "Processor time that a replica had used before the last step, since it started; absent where that is not measured.", dto.MetricType_COUNTER,
		func(u autoscale.Usage) float64 { return u.CPU.Seconds() }),
	replicaFamily("replica_memory_bytes", "Memory that a replica held before the last step, without what the kernel could take back; absent where that is not measured.", dto.MetricType_GAUGE,
		func(u autoscale.Usage) float64 { return float64(u.Memory) }),

	// The load, and how far it is trusted.
	gauge("load_requests_per_second", "Load at the last step; absent while the reading is in doubt.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return s.Last.Report.Decision.Load, hasDecided(s) && !s.Last.Report.Doubtful()
	}),
	gauge("target_requests_per_second", "Load that one replica should carry.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return s.Last.Policy.Target, s.Last.Policy.Target > 0
	}),
	gauge("reading_age_seconds", "Time since the newest usable sample was had; absent before there was one.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		return age(s.Read, now), !s.Read.IsZero()
	}),
	gauge("reading_doubtful", "1 while the reading of the last step is in doubt, else 0; absent where it decided nothing.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return truth(s.Last.Report.Doubtful()), hasDecided(s)
	}),
	{
		"reading_verdict", "1 for how far the reading of the last step is trusted.", dto.MetricType_GAUGE, []string{"verdict"},
		func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
			if hasDecided(s) {
				give(1, string(s.Last.Report.Decision.Verdict))
			}
		},
	},

	// Steps, and what became of them.
	counter("steps_total", "Steps that ended.", func(s *control.Snapshot) uint64 { return s.Steps }),
	counter("steps_failed_total", "Steps that failed.", func(s *control.Snapshot) uint64 { return s.Failed }),
	counter("steps_doubtful_total", "Steps whose reading was in doubt.", func(s *control.Snapshot) uint64 { return s.Doubtful }),
	gauge("step_failing", "1 while the last step failed, else 0; absent before there was one.", func(s *control.Snapshot, _ time.Time) (float64, bool) {
		return truth(s.Last.Err != nil), s.Steps > 0
	}),
	gauge("step_age_seconds", "Time since a step ended, or since the service is looked after where none has.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		return age(either(s.Ran, s.Since), now), true
	}),
	gauge("evaluation_age_seconds", "Time since a step last rested on a trusted reading and did not fail, or since the service is looked after where none has.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		return age(either(s.Succeeded, s.Since), now), true
	}),
	{
		"decisions_total", "Decisions by the reason that settled the number.", dto.MetricType_COUNTER, []string{"reason"},
		func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
			for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
				give(float64(s.Reasons[reason]), string(reason))
			}
		},
	},
	{
		"moves_total", "Steps after which there were more replicas (up) or fewer (down) than before.", dto.MetricType_COUNTER, []string{"direction"},
		func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
			give(float64(s.Raised), "up")
			give(float64(s.Lowered), "down")
		},
	},

	// People.
	gauge("paused", "1 while a person has the count left alone or held, else 0.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		return truth(s.Last.Pause.InForce(now)), true
	}),
	gauge("paused_until_timestamp_seconds", "When the pause in force ends; absent without one.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		if !s.Last.Pause.InForce(now) {
			return 0, false
		}
		return seconds(s.Last.Pause.Until), true
	}),
	gauge("paused_since_timestamp_seconds", "When the pause in force began; absent without one.", func(s *control.Snapshot, now time.Time) (float64, bool) {
		if !s.Last.Pause.InForce(now) {
			return 0, false
		}
		return seconds(s.Last.Pause.Since), true
	}),
}

// summaries are what steps took.
var summaries = []summary{
	{"step_duration_seconds", "What steps took as a whole.", func(s *control.Snapshot) control.Spent { return s.Stepped }},
	{"reading_duration_seconds", "What reading the load took, of all sources together.", func(s *control.Snapshot) control.Spent { return s.Reading }},
	{"move_duration_seconds", "What moving the workload to another count took, until new replicas are up or leaving ones are gone.", func(s *control.Snapshot) control.Spent { return s.Moving }},
}

// replicaFamily is one metric of each replica that is measured.
func replicaFamily(name, help string, kind dto.MetricType, of func(autoscale.Usage) float64) family {
	return family{name, help, kind, []string{"replica"}, func(s *control.Snapshot, _ time.Time, give func(float64, ...string)) {
		for _, replica := range s.Last.Report.Replicas {
			if !replica.Usage.Time.IsZero() {
				give(of(replica.Usage), replica.Name)
			}
		}
	}}
}

// hasDecided reports whether the last step made a decision.
func hasDecided(s *control.Snapshot) bool { return !s.Last.Report.Decision.At.IsZero() }

// age is how long ago t was, in seconds; a clock that was set back makes no
// negative ones.
func age(t, now time.Time) float64 { return max(now.Sub(t).Seconds(), 0) }

func either(t, else_ time.Time) time.Time {
	if t.IsZero() {
		return else_
	}
	return t
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// seconds is t as Prometheus writes times.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
