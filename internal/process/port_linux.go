package process

import (
	"fmt"
	"os"
)

// firstEphemeral is the first of the ports that outgoing connections are given.
func firstEphemeral() int {
	first := 32768 // the kernel's default
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(text), &first) // else the default
	}
	return first
}
