package gpu

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"swath/trainer/report"
)

// ownerOf returns the trial that a process belongs to, nil for none; seen is false for a
// process that does not exist, or not here.
func ownerOf(pid int, trials []Trial) (owner *Trial, seen bool) {
	for at, depth := pid, 0; at > 1 && depth < 64; depth++ {
		parent, group, ok := parentOf(at)
		if !ok {
			break
		}
		seen = true
		for i := range trials {
			if pid := trials[i].PID; pid > 0 && (pid == at || pid == group) {
				return &trials[i], true
			}
		}
		at = parent
	}
	if !seen {
		return nil, false
	}
	// One that went its own way still has its trial's environment.
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil, true // another user's
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		path, ok := bytes.CutPrefix(v, []byte(report.EnvReport+"="))
		for i := range trials {
			if ok && trials[i].Report == string(path) {
				return &trials[i], true
			}
		}
	}
	return nil, true
}

// parentOf returns a process's parent and its group.
func parentOf(pid int) (parent, group int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	// The name, in parentheses, may hold anything; behind it state, parent and group.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 3 {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(string(f[1]))
	group, err2 := strconv.Atoi(string(f[2]))
	return parent, group, err1 == nil && err2 == nil
}
