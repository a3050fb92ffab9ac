package exec

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// oomCounter remembers how often the kernel had killed for want of memory when an attempt
// started. Attempts that run at the same time in the worker's control group share the
// count, so it is evidence only together with a SIGKILL that nobody here sent.
type oomCounter struct{ before int64 }

// Asking the kernel costs as much as a part of starting a process. So attempts that start
// within a second share an answer; it would take a kill in that second, and a stranger's
// SIGKILL later, to mistake the one for the other.
const oomFresh = time.Second

var oomLast struct {
	sync.Mutex
	asked time.Time
	kills int64
}

func newOOMCounter() oomCounter {
	oomLast.Lock()
	defer oomLast.Unlock()
	if now := time.Now(); oomLast.asked.IsZero() || now.Sub(oomLast.asked) > oomFresh {
		oomLast.asked, oomLast.kills = now, oomKills()
	}
	return oomCounter{before: oomLast.kills}
}

// grown reports whether the kernel has killed since.
func (c oomCounter) grown() bool { return oomKills() > c.before }

// oomKills reads the count: of the worker's control group, or of the whole machine.
func oomKills() int64 {
	b, err := os.ReadFile(oomFile())
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if !ok || string(name) != "oom_kill" {
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}

// oomFile is the first file of those that count kills, version 2 of control groups
// before version 1 before the machine, which this process can read.
var oomFile = sync.OnceValue(func() string {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		own = nil
	}
	var candidates []string
	for line := range strings.Lines(string(own)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		const root = "/sys/fs/cgroup"
		switch {
		case fields[0] == "0":
			candidates = append(candidates, filepath.Join(root, fields[2], "memory.events"))
		case fields[1] == "memory":
			// A container may see its group mounted as the root.
			candidates = append(candidates,
				filepath.Join(root, "memory", fields[2], "memory.oom_control"),
				filepath.Join(root, "memory", "memory.oom_control"))
		}
	}
	const machine = "/proc/vmstat"
	for _, c := range candidates {
		if b, err := os.ReadFile(c); err == nil && bytes.Contains(b, []byte("oom_kill ")) {
			return c
		}
	}
	return machine
})
