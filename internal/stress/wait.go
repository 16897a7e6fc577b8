package stress

import (
	"context"
	"time"
)

// waiter waits for short times. One goroutine at a time uses it.
type waiter interface {
	// wait returns after d, or when ctx ends.
	wait(ctx context.Context, d time.Duration)
	close() error
}

// sleeper waits with the runtime's own timers, which are late by half a
// millisecond on average on a quiet Linux machine.
type sleeper struct{ timer *time.Timer }

func newSleeper() *sleeper {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &sleeper{timer}
}

func (s *sleeper) wait(ctx context.Context, d time.Duration) {
	s.timer.Reset(d)
	defer s.timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.timer.C:
	}
}

func (s *sleeper) close() error { return nil }
