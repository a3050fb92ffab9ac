package boltstore

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// residentOf is how many kB of a file are resident in this process.
func residentOf(t *testing.T, path string) (kib int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skipf("what is resident cannot be told: %v", err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"): // memory of no file has no sixth
			inside = fields[len(fields)-1] == path
		case inside && fields[0] == "Rss:":
			n := 0
			for _, c := range fields[1] {
				n = 10*n + int(c-'0')
			}
			kib += n
		}
	}
	return kib
}

// However much was written and read, little of the files is resident, and all of it can
// still be read.
func TestResidentMemoryIsBounded(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := openHome(t, filepath.Join(dir, "home"), Options{NoSync: true})
	s.files[0].resident.limit = 0 // so that it is emptied at every look
	const trials, batch = 20_000, 500
	sw := &sweeps.Sweep{ID: "01hzy3xk5v8m2q", Name: "resident", State: sweeps.SweepRunning}
	for next := int64(0); next < trials; next += batch {
		c := dispatch.Changes{Sweeps: []*sweeps.Sweep{sw}}
		for i := range int64(batch) {
			c.Trials = append(c.Trials, benchTrial(next+i, sweeps.TrialFinished))
		}
		if err := s.State.Commit(c); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := s.State.Trials(sw.ID, 0, func(*sweeps.Trial) bool { n++; return true }); err != nil || n != trials {
		t.Fatalf("read %d of %d trials, %v", n, trials, err)
	}
	// The next look empties the map; what is resident is what the last transactions read.
	for range lookEvery {
		if _, err := s.State.Sweeps(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(s.files[0].path)
	if err != nil {
		t.Fatal(err)
	}
	// Without the bound all of it is. How much the last transactions brought back depends on
	// how many neighbours the system reads with a page.
	if got, all := residentOf(t, s.files[0].path), int(info.Size()>>10); got > all/8 {
		t.Errorf("%d kB of a file of %d kB are resident", got, all)
	}
}
