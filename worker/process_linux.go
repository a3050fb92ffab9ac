package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const bootFile = "/proc/sys/kernel/random/boot_id"

// identify returns what tells the process from every other that ever had its number.
func identify(pid int) (process, error) {
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return process{}, err
	}
	s, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, Start: s.start, Boot: strings.TrimSpace(string(boot))}, nil
}

// end kills the process and its group, if they are still there, and waits until they
// are gone. dir is the attempt's directory; its name is in the environment of all that
// the trainer started, and where the leader is gone that is what proves a member of the
// group to be the trainer's.
func (p process) end(dir string) (killed bool, err error) {
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return false, err
	}
	if p.PID <= 1 || strings.TrimSpace(string(boot)) != p.Boot {
		return false, nil // the machine was restarted since, or it is another machine
	}
	members, err := groupMembers(p.PID)
	if err != nil || len(members) == 0 {
		return false, err
	}
	if leader, err := readStat(p.PID); err == nil {
		if leader.start != p.Start {
			return false, nil // somebody else's, by the same number
		}
	} else if !anyMentions(members, dir) {
		return false, nil
	}
	for deadline := time.Now().Add(5 * time.Second); len(members) > 0; {
		if err := syscall.Kill(-p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return killed, fmt.Errorf("kill process group %d: %w", p.PID, err)
		}
		killed = true
		if time.Now().After(deadline) {
			return killed, fmt.Errorf("process group %d does not die", p.PID)
		}
		time.Sleep(5 * time.Millisecond)
		if members, err = groupMembers(p.PID); err != nil {
			return killed, err
		}
	}
	return killed, nil
}

// stat is the part of /proc/<pid>/stat that matters here.
type stat struct {
	state byte
	group int
	start uint64 // in ticks since boot
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	// The second field is the program's name in parentheses, and may hold anything.
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	const state, group, start = 0, 2, 19 // counted from the third field
	if i < 0 || len(fields) <= start {
		return stat{}, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	s := stat{state: fields[state][0]}
	if s.group, err = strconv.Atoi(fields[group]); err != nil {
		return stat{}, err
	}
	s.start, err = strconv.ParseUint(fields[start], 10, 64)
	return s, err
}

// groupMembers returns the processes of a group that are not dead yet.
func groupMembers(group int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.group == group && s.state != 'Z' && s.state != 'X' {
			members = append(members, pid)
		}
	}
	return members, nil
}

func anyMentions(pids []int, dir string) bool {
	for _, pid := range pids {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err == nil && bytes.Contains(b, []byte("="+dir+string(os.PathSeparator))) {
			return true
		}
	}
	return false
}
