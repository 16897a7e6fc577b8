//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// OwnGroup gives the command a process group of its own: a terminal's Ctrl-C
// would reach it as well, twice in effect.
func OwnGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
