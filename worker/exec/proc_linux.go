package exec

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// procStat is what swath asks of /proc/PID/stat.
type procStat struct {
	zombie bool // has ended, and its parent has not taken note
	group  int
	start  string // the clock tick since the boot
}

func readStat(pid int) (procStat, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, false
	}
	// The second field is the name in parentheses and may hold anything. Behind it: the
	// state, the parent, the group, and as the 20th the start.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return procStat{}, false
	}
	group, err := strconv.Atoi(string(fields[2]))
	if err != nil {
		return procStat{}, false
	}
	state := fields[0][0]
	return procStat{zombie: state == 'Z' || state == 'X', group: group, start: string(fields[19])}, true
}

// birth identifies a process beyond its number: the machine's boot and the clock tick at
// which it started. Empty for one that does not exist or has ended.
func birth(pid int) string {
	st, ok := readStat(pid)
	if !ok || st.zombie {
		return ""
	}
	return bootID() + "/" + st.start
}

// Place tells a file or folder from all others, copies of it on this machine and others included,
// for as long as the machine runs: the boot, the device and the number on it. Empty where that
// cannot be had.
func Place(path string) string {
	var st unix.Stat_t
	if bootID() == unknownBoot || unix.Stat(path, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%s/%x/%d", bootID(), st.Dev, st.Ino)
}

const unknownBoot = "unknown"

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return unknownBoot
	}
	return strings.TrimSpace(string(b))
})

// onlyZombies reports whether a group that exists has no process left that runs. The first
// process of a container often takes its time to take note of orphans, or never does;
// to wait for it would be to wait for nothing.
func onlyZombies(group int) bool {
	list := pids()
	if len(list) == 0 {
		return false // the list cannot be had; there is at least pid 1
	}
	for _, pid := range list {
		if st, ok := readStat(pid); ok && st.group == group && !st.zombie {
			return false
		}
	}
	return true
}
