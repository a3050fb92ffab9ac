package cli_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A coordinator, an agent and its keeper that have run a sweep leave nothing in the process,
// and no process: `swath run` again and again, some of it with trials that fail.
func TestRunLeavesNothing(t *testing.T) {
	// Not in parallel: what other tests hold would be counted.
	run := func() {
		home := t.TempDir()
		file, _ := shellSweep(t, "leak", `echo loss=0.5; [ "$1" != x=2 ]`, "parameters: {x: {values: [1, 2, 3]}}")
		swath(t, "run", file, "--home", home, "--slots", "2", "--grace", "1s").want(t, 1).says(t, "2 finished, 1 failed")
		until(t, "the last process of the run to end", func() bool { return len(ofHome(t, home)) == 0 })
	}
	count := func() (goroutines, files int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return runtime.NumGoroutine(), len(list)
	}
	run() // the first makes what lives as long as the process does
	goroutines, files := count()
	for range 5 {
		run()
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		g, f := count()
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("left behind: %d goroutines, %d before; %d open files, %d before\n%s", g, goroutines, f, files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// ofHome are the processes whose command line or environment names a home: its keeper, its
// trainers.
func ofHome(t *testing.T, home string) (pids []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err == nil && strings.Contains(string(b), home) {
				pids = append(pids, filepath.Base(dir))
				break
			}
		}
	}
	return pids
}
