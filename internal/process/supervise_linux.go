package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// adopt has this process be given those descendants whose parents end.
func adopt() error {
	return os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// bound are the attributes of a program that has its own process group, and
// does not outlive the thread that starts it.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
