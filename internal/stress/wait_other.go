//go:build !linux

package stress

import "context"

// newWaiter makes the most punctual waiter that there is.
func newWaiter(context.Context) (waiter, error) { return newSleeper(), nil }
