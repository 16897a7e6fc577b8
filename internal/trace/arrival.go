package trace

import (
	"iter"
	"time"
)

// Arrival is one request and the time at which it is due.
type Arrival struct {
	// At is the time since the beginning of the load.
	At time.Duration
	// Method, Path and Body are a recorded request's; empty where the trace says
	// only when.
	Method, Path, Body string
}

// Arrivals are requests in the order in which they are due. After an error,
// which tells the place in the trace, none follows.
type Arrivals = iter.Seq2[Arrival, error]

// At are arrivals of which only the instants are known.
func At(instants iter.Seq[time.Duration]) Arrivals {
	return func(yield func(Arrival, error) bool) {
		for at := range instants {
			if !yield(Arrival{At: at}, nil) {
				return
			}
		}
	}
}

// paced is recorded arrivals at speed times their pace, each made into scale of
// them on average. What one is made into is spread over the time to the next
// one, so that no bursts come of it that the record does not have.
func paced(all Arrivals, speed, scale float64) Arrivals {
	return func(yield func(Arrival, error) bool) {
		var held Arrival
		started, owed := false, 0.0
		emit := func(until time.Duration) bool {
			owed += scale
			n := int(owed)
			owed -= float64(n)
			for i := range n {
				one := held
				one.At += (until - held.At) * time.Duration(i) / time.Duration(n)
				if !yield(one, nil) {
					return false
				}
			}
			return true
		}
		for a, err := range all {
			if err != nil {
				yield(a, err)
				return
			}
			a.At = time.Duration(float64(a.At) / speed)
			if started && !emit(max(a.At, held.At)) {
				return
			}
			if started {
				a.At = max(a.At, held.At) // a log is written as requests end
			}
			held, started = a, true
		}
		if started {
			emit(held.At)
		}
	}
}
