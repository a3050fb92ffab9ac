package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// peakMemory is the process's highest resident memory so far, in bytes. It is read from
// /proc rather than asked of getrusage, whose figure starts with that of the program
// which started this one.
func peakMemory() (int64, error) {
	const file = "/proc/self/status"
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("reading the peak memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the peak memory: %s: %w", file, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("reading the peak memory: %s has no line VmHWM", file)
}
