package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// gather is how long what happens is gathered before it is sent as one message.
	gather = 3 * time.Second
	// firstRetry and lastRetry are the times after which a place that could not be
	// reached is tried again: doubled each time.
	firstRetry, lastRetry = 30 * time.Second, 10 * time.Minute
	// mostWaiting is how many lines wait for a place that cannot be reached.
	mostWaiting = 20
)

// Outbox sends what many services have to tell, several at a time in one message, and
// again where a place could not be reached.
type Outbox struct {
	title  string
	failed func(error)

	mu      sync.Mutex
	waiting map[*Place]*letter
	wake    chan struct{}
}

// letter is what waits for a place.
type letter struct {
	lines []string
	left  int // how many lines are not sent, since more were to wait
	due   time.Time
	retry time.Duration // until the next attempt, should this one fail
}

// add has lines wait behind those that do.
func (l *letter) add(lines []string) {
	l.lines = append(l.lines, lines...)
	if more := len(l.lines) - mostWaiting; more > 0 {
		l.lines, l.left = l.lines[more:], l.left+more
	}
}

// text is the letter as it is sent.
func (l *letter) text() string {
	text := strings.Join(l.lines, "\n")
	if l.left > 0 {
		text = fmt.Sprintf("%d earlier lines were left out\n%s", l.left, text)
	}
	return text
}

// NewOutbox is an empty one. The title stands above each message; failed is told of
// places that were not reached.
func NewOutbox(title string, failed func(error)) *Outbox {
	return &Outbox{title: title, failed: failed, waiting: map[*Place]*letter{}, wake: make(chan struct{}, 1)}
}

// Add has lines sent to the places.
func (o *Outbox) Add(to []*Place, lines []string) {
	if len(lines) == 0 {
		return
	}
	o.mu.Lock()
	for _, p := range to {
		soon := time.Now().Add(gather)
		l := o.waiting[p]
		if l == nil {
			l = &letter{due: soon, retry: firstRetry}
			o.waiting[p] = l
		}
		if l.due.After(soon) {
			l.due = soon // it may be back
		}
		l.add(lines)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default: // it will be woken
	}
}

// Run sends until ctx ends, and then tries once more with what is left.
func (o *Outbox) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-timer.C:
			o.flush(ctx, time.Now())
		}
		if due, any := o.next(); any {
			timer.Reset(max(time.Until(due), 0))
		}
	}
	o.flush(context.WithoutCancel(ctx), time.Time{})
}

// next is when the next message is due.
func (o *Outbox) next() (due time.Time, any bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.waiting {
		if !any || l.due.Before(due) {
			due, any = l.due, true
		}
	}
	return due, any
}

// flush sends what is due at now, or all where that is zero.
func (o *Outbox) flush(ctx context.Context, now time.Time) {
	o.mu.Lock()
	sending := map[*Place]*letter{}
	for p, l := range o.waiting {
		if now.IsZero() || !l.due.After(now) {
			sending[p] = l
			delete(o.waiting, p)
		}
	}
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	var wg sync.WaitGroup
	failed := make(chan error, len(sending))
	for p, l := range sending {
		wg.Go(func() {
			err := p.Send(ctx, Message{Title: o.title, Text: l.text()})
			if err == nil {
				return
			}
			failed <- err
			if _, final := errors.AsType[*Refused](err); !final && !now.IsZero() {
				o.again(p, l)
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		o.failed(err)
	}
}

// again has a letter sent once more, before what came in the meantime.
func (o *Outbox) again(p *Place, l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := &letter{lines: Late(l.lines, time.Now()), left: l.left, due: time.Now().Add(l.retry), retry: min(2*l.retry, lastRetry)}
	if since := o.waiting[p]; since != nil {
		next.add(since.lines)
		next.due = since.due
	}
	o.waiting[p] = next
}
