package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/five-keys/autoscale"
)

// readClocks reads both clocks of the machine and the name of its boot.
func readClocks() (autoscale.Instant, error) {
	var t unix.Timespec
	// On darwin CLOCK_MONOTONIC runs from boot and through sleep.
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return autoscale.Instant{}, fmt.Errorf("the clock since boot cannot be read: %w", err)
	}
	boot, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return autoscale.Instant{}, fmt.Errorf("the boot cannot be told from others: %w", err)
	}
	return autoscale.Instant{Time: time.Now(), Uptime: time.Duration(t.Nano()), Boot: boot}, nil
}
