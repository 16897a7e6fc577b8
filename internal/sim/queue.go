package sim

// flow is what a first-come-first-served queue does within one stretch of time in
// which the rate of arrivals and the capacity stay. All of it is in requests.
type flow struct {
	// queue is how many wait at its end.
	queue float64
	// dropped found the queue full.
	dropped float64
	// late waited too long, or were dropped.
	late float64
}

// through lets so many requests come, evenly, while capacity of them can be
// answered. Queue is how many wait already and bound how many may. A request that
// finds more than patient of them before it waits too long.
//
// The queue is a fluid: its length is linear in time between the instants at which
// it is empty, full, or as long as patience allows, so those instants are exact.
func through(queue, arrivals, capacity, bound, patient float64) flow {
	if capacity <= 0 {
		return flow{dropped: arrivals, late: arrivals}
	}
	var f flow
	left := 1.0 // of the stretch
	if queue > bound {
		// Replicas went, and with them places: nobody gets in until it is shorter.
		passed := min(1, (queue-bound)/capacity)
		f.dropped, f.late = arrivals*passed, arrivals*passed
		queue -= capacity * passed
		if left -= passed; left <= 0 {
			f.queue = queue
			return f
		}
	}
	net := arrivals - capacity
	switch {
	case net > 0:
		if full := (bound - queue) / net; full < left {
			f.dropped += net * (left - full)
		}
		// Those who come once the queue is full are as late as those before them.
		if from := max(0, (min(patient, bound)-queue)/net); from < left {
			if patient < bound {
				f.late += arrivals * (left - from)
			} else {
				f.late += net * (left - from)
			}
		}
		f.queue = min(queue+net*left, bound)
	case queue > 0:
		if queue > patient {
			until := left
			if net < 0 {
				until = min(left, (queue-patient)/-net)
			}
			f.late += arrivals * until
		}
		f.queue = max(queue+net*left, 0)
	}
	return f
}
