package exec

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"swath/trainer/report"
)

// killDescendants ends the processes whose environment says that they belong to the
// attempt, and reports whether there were any. Programs that overwrite their environment,
// or belong to somebody else by now, are not found.
func killDescendants(attemptDir string) bool {
	dir, err := filepath.Abs(attemptDir)
	if err != nil {
		return false
	}
	any := false
	// While there are some, others may be forked that the last look missed.
	for range 10 {
		found := false
		for _, pid := range descendants(dir) {
			found = unix.Kill(pid, unix.SIGKILL) == nil || found
		}
		if !found {
			break
		}
		any = true
	}
	return any
}

// descendants are the processes whose environment says that they belong to the attempt in a
// directory, which is absolute.
func descendants(attemptDir string) (list []int) {
	want := []byte("\x00" + report.EnvReport + "=" + ReportFile(attemptDir) + "\x00")
	for _, pid := range pids() {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, env...), want) {
			continue
		}
		if st, ok := readStat(pid); ok && !st.zombie {
			list = append(list, pid)
		}
	}
	return list
}

// pids are the numbers of all processes but this one.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close() // opened for reading
	if err != nil {
		return nil
	}
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	return list
}
