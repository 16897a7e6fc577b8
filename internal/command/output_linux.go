package command

import (
	"os"

	"golang.org/x/sys/unix"
)

// outputFile is a file in memory.
func outputFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "output"), nil
}
