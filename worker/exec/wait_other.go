//go:build !linux

package exec

import "syscall"

// pidfd does nothing here: processes are waited for in the kernel alone.
type pidfd struct{}

func (pidfd) ask(*syscall.SysProcAttr) {}

func (pidfd) await() {}
