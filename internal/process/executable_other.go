//go:build !linux

package process

import "os"

// executable is this program.
func executable() (string, error) { return os.Executable() }
