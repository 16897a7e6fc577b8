//go:build !linux

package command

import "os"

// outputFile is a file without a name.
func outputFile() (*os.File, error) {
	f, err := os.CreateTemp("", "autoscale-output-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
