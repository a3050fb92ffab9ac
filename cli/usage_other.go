//go:build !linux

package cli

import "runtime"

// processUsage tells what this process has used: memory as a bound from above, what the Go
// runtime has taken from the system, and no processor time. Only Linux tells both in a
// simple way.
func processUsage() (usage, error) {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return usage{RSS: int64(s.Sys), PeakRSS: int64(s.Sys)}, nil
}
