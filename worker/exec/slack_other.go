//go:build !linux

package exec

// Relax does nothing: only Linux has a slack of timers for each thread.
func Relax() {}

func punctual(start func()) { start() }
