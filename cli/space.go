package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"swath/coordinator/disk"
	"swath/sweeps"
)

// leastSpace is what a home's disk must have free before anything begins on it: enough for
// the files of an empty home and some trials. A disk that fills up later is waited for.
const leastSpace = 1 << 20

// checkSpace refuses a home on a disk that is as good as full, where trial after trial
// would fail for want of a place for its output.
func checkSpace(home string) error {
	dir := home
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	if free, _, known := disk.Space(dir); known && free < leastSpace {
		return fmt.Errorf("%w: no space left for the home %s (%d KiB are free): free some space on that disk, or choose a home on another with --home",
			sweeps.ErrStorage, home, free>>10)
	}
	return nil
}
