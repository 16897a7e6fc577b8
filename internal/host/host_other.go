//go:build !linux

package host

import "github.com/five-keys/autoscale"

// Machine is what this machine has: nothing is known.
func Machine() autoscale.Host { return autoscale.Host{} }

// Container is what a container uses: containers run elsewhere, in a machine of
// their own.
func Container(int, string) (autoscale.Usage, bool) { return autoscale.Usage{}, false }
