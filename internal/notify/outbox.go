package notify

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// gather is how long what happens is gathered before it is sent as one message.
const gather = 3 * time.Second

// Outbox sends what many services have to tell, several at a time in one message.
type Outbox struct {
	// Title stands above each message.
	Title string
	// Failed is told of places that were not reached.
	Failed func(error)

	mu      sync.Mutex
	waiting map[*Sender][]string
	wake    chan struct{}
}

// NewOutbox is an empty one.
func NewOutbox(title string, failed func(error)) *Outbox {
	return &Outbox{Title: title, Failed: failed, waiting: map[*Sender][]string{}, wake: make(chan struct{}, 1)}
}

// Add has lines sent to the places.
func (o *Outbox) Add(to []*Sender, lines []string) {
	if len(lines) == 0 || len(to) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range to {
		o.waiting[s] = append(o.waiting[s], lines...)
	}
	select {
	case o.wake <- struct{}{}:
	default: // it will be woken
	}
}

// Run sends until ctx ends, and then what is left.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-o.wake:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
				o.flush(ctx)
			}
		}
	}
	o.flush(context.WithoutCancel(ctx))
}

// flush sends what waits.
func (o *Outbox) flush(ctx context.Context) {
	o.mu.Lock()
	all := o.waiting
	o.waiting = map[*Sender][]string{}
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	var wg sync.WaitGroup
	for s := range maps.Keys(all) {
		wg.Go(func() {
			if err := s.Send(ctx, o.Title, strings.Join(slices.Compact(all[s]), "\n")); err != nil {
				o.Failed(err)
			}
		})
	}
	wg.Wait()
}
