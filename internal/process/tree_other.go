//go:build !linux

package process

import "github.com/five-keys/autoscale"

// descendants are not known where there is no /proc.
func descendants(int) []int { return nil }

// usages are not known where there is no /proc.
func usages([]int) map[int]autoscale.Usage { return nil }
