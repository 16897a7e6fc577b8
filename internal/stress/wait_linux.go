package stress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor waits for a timer of the kernel's (timerfd_create(2)) through the
// runtime's poller, which wakes within some hundredths of a millisecond.
type descriptor struct {
	file *os.File
	fd   int
	stop func() bool
}

// newWaiter makes the most punctual waiter that there is. ctx ends all waiting.
func newWaiter(ctx context.Context) (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("stress: timerfd_create: %w", err)
	}
	d := &descriptor{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd}
	d.stop = context.AfterFunc(ctx, func() { _ = d.file.SetReadDeadline(time.Unix(1, 0)) })
	return d, nil
}

func (d *descriptor) wait(ctx context.Context, after time.Duration) {
	if after <= 0 || ctx.Err() != nil {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(after))}
	if err := unix.TimerfdSettime(d.fd, 0, &spec, nil); err != nil {
		time.Sleep(after) // never seen; better late than at once
		return
	}
	var expirations [8]byte
	if _, err := d.file.Read(expirations[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		time.Sleep(after)
	}
}

func (d *descriptor) close() error {
	d.stop()
	return d.file.Close()
}
