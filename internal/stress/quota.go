package stress

import "sync/atomic"

// quota is how many requests may still be sent, where that is bounded.
type quota struct {
	bounded bool
	left    atomic.Int64
}

// take takes one; false where none is left.
func (q *quota) take() bool { return !q.bounded || q.left.Add(-1) >= 0 }
