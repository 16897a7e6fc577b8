//go:build !linux

package stress

import "runtime/debug"

// Lean gives back the memory that only starting the program took.
func Lean() { debug.FreeOSMemory() }
