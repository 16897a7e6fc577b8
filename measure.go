package autoscale

// Measured is the load of one process by itself.
type Measured struct {
	// Long is the rate in requests/s since the reading before the last run, and Short
	// the one within that run; a gauge's are equal. Of the sums of either over several
	// processes the higher one is their load: it sees a burst at once, and is no lower
	// than the longer look.
	Long, Short float64
	// Verdict is OK where Long may lower; else both are lower bounds, or 0.
	Verdict Verdict
	// Detail says in words what Verdict rests on.
	Detail string
}

// Measure is the load of one process, by its samples of one run in order of time.
// Those of a counter are compared with before, the reading before that run. It is
// how Decide reads one replica, for what serves values to other autoscalers.
func Measure(kind Kind, samples []Sample, before Process) Measured {
	if len(samples) == 0 {
		return Measured{Verdict: Unreachable, Detail: "nothing could be read"}
	}
	r := gaugeRate(samples)
	if kind == Counter {
		r = counterRate(samples, before)
	}
	return Measured{Long: r.long, Short: r.short, Verdict: r.verdict, Detail: r.detail}
}
