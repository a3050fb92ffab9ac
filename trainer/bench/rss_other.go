//go:build !linux

package bench

import "runtime"

// peakMemory is what the Go runtime has taken from the system, in bytes: a bound from
// above of the highest resident memory, which only Linux tells in a simple way.
func peakMemory() (int64, error) {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.Sys), nil
}
