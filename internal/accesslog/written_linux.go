package accesslog

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// written reports whether a program has the file open to write. The kernel grants a
// read lease on a file only while none has (fcntl(2)), to its owner and root alone;
// it is given back at once.
func written(f *logFile) (bool, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var leased error
	err = conn.Control(func(fd uintptr) {
		if _, leased = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); leased == nil {
			_, leased = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	switch {
	case err != nil:
		return false, err
	case errors.Is(leased, unix.EAGAIN):
		return true, nil
	case leased != nil:
		return false, fmt.Errorf("whether %s is open to write cannot be seen: %w", f.Name(), leased)
	}
	return false, nil
}
