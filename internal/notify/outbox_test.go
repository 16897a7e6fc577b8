package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// outboxOf runs an outbox for one test, and gives what went wrong in the end.
func outboxOf(t *testing.T) (o *Outbox, end func() []error) {
	var failed []error
	o = NewOutbox("t", func(err error) { failed = append(failed, err) })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	return o, func() []error { stop(); <-ended; return failed }
}

// What several services have to tell within a few seconds is one message; what is
// left when the daemon ends is sent.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		there := []*Place{fake("there", func(_ context.Context, m Message) error { said = append(said, m.Text); return nil })}
		o, end := outboxOf(t)
		o.Add(there, nil)
		o.Add(there, []string{"shop: up"})
		time.Sleep(time.Second)
		o.Add(there, []string{"mail: up", "mail: at its maximum"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"shop: up\nmail: up\nmail: at its maximum"}; !slices.Equal(said, want) {
			t.Errorf("%q", said)
		}
		time.Sleep(24 * time.Hour)
		o.Add(there, []string{"shop: down"})
		failed := end()
		if len(said) != 2 || said[1] != "shop: down" || len(failed) > 0 {
			t.Errorf("%q, %v", said, failed)
		}
	})
}

// A place that cannot be reached is tried again, less and less often, until it can;
// nothing is told twice, and others wait for none of it.
func TestOutboxAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, up := time.Now(), atomic.Bool{}
		var tries []time.Duration
		var said, other []string
		lame := fake("lame", func(_ context.Context, m Message) error {
			tries = append(tries, time.Since(began))
			if !up.Load() {
				return errors.New("no way")
			}
			said = append(said, m.Text)
			return nil
		})
		sound := fake("sound", func(_ context.Context, m Message) error { other = append(other, m.Text); return nil })
		o, end := outboxOf(t)
		o.Add([]*Place{lame, sound}, []string{"shop: failed"})
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if want := []time.Duration{3 * time.Second, 33 * time.Second, 93 * time.Second, 213 * time.Second}; !slices.Equal(tries, want) || len(other) != 1 {
			t.Errorf("tried after %v, the other was told %q", tries, other)
		}
		up.Store(true)
		o.Add([]*Place{lame}, []string{"shop: recovered"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := began.Add(3*time.Second).Format("(15:04) ") + "shop: failed\nshop: recovered"; !slices.Equal(said, []string{want}) {
			t.Errorf("%q", said)
		}
		if failed := end(); len(failed) != 4 || failed[0].Error() != "lame: no way" {
			t.Errorf("%v", failed)
		}
	})
}

// A place that refuses is not asked again, and too much is not kept.
func TestOutboxLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, up := 0, atomic.Bool{}
		refusing := fake("refusing", func(context.Context, Message) error { tries++; return &Refused{"no such chat"} })
		var said string
		lame := fake("lame", func(_ context.Context, m Message) error {
			if !up.Load() {
				return errors.New("no way")
			}
			said = m.Text
			return nil
		})
		o, end := outboxOf(t)
		for i := range 50 {
			o.Add([]*Place{refusing, lame}, []string{fmt.Sprintf("s%02d", i)})
			time.Sleep(time.Minute)
		}
		up.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		if tries != 50 || strings.Count(said, "\n") != mostWaiting || !strings.HasPrefix(said, "30 earlier lines were left out\n") || !strings.HasSuffix(said, "s49") {
			t.Errorf("%d tries, %q", tries, said)
		}
		end()
	})
}
