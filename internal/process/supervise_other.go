//go:build !linux

package process

import "syscall"

// adopt does nothing: only Linux gives a process those that its descendants leave
// behind. What stays in the program's process group is ended all the same.
func adopt() error { return nil }

// bound are the attributes of a program that has its own process group.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
