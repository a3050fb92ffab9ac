package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processUsage tells what this process has used. Memory is read from /proc rather than
// asked of getrusage, whose figure starts with that of the program which started this one.
func processUsage() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("read the processor time: %w", err)
	}
	u := usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, fmt.Errorf("read the resident memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		for key, into := range map[string]*int64{"VmRSS:": &u.RSS, "VmHWM:": &u.PeakRSS} {
			rest, ok := strings.CutPrefix(line, key)
			if !ok {
				continue
			}
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return u, fmt.Errorf("read the resident memory: %w", err)
			}
			*into = kib << 10
		}
	}
	return u, nil
}
