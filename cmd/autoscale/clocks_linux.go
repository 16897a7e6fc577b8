package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/five-keys/autoscale"
)

// readClocks reads both clocks of the machine and the name of its boot.
func readClocks() (autoscale.Instant, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return autoscale.Instant{}, fmt.Errorf("the clock since boot cannot be read: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return autoscale.Instant{}, fmt.Errorf("the boot cannot be told from others: %w", err)
	}
	return autoscale.Instant{Time: time.Now(), Uptime: time.Duration(t.Nano()), Boot: strings.TrimSpace(string(boot))}, nil
}
