package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// fillUp commits until the state file cannot grow any more, and returns how many commits
// succeeded and the error of the one that did not.
func fillUp(t *testing.T, s *Stores, first int64) (int64, error) {
	t.Helper()
	for n := first; n < first+1000; n++ {
		c := dispatch.Changes{Sweeps: []*sweeps.Sweep{{ID: "s1", Name: "first", State: sweeps.SweepRunning, Next: 10 * (n + 1)}}}
		for i := range int64(10) {
			trial := benchTrial(10*n+i, sweeps.TrialFinished)
			trial.Sweep = "s1"
			c.Trials = append(c.Trials, trial)
		}
		if err := s.State.Commit(c); err != nil {
			return n, err
		}
	}
	t.Fatal("the file was never full")
	return 0, nil
}

// verifyCommits verifies that the store holds exactly the rows of so many commits.
func verifyCommits(t *testing.T, s *Stores, commits int64) {
	t.Helper()
	sw, err := s.State.Sweep("s1")
	if err != nil || sw.Next != 10*commits {
		t.Errorf("sweep %+v, error %v; want a cursor of %d", sw, err, 10*commits)
	}
	rows := int64(0)
	err = s.State.Trials("s1", 0, func(trial *sweeps.Trial) bool {
		if trial.Index != rows {
			t.Errorf("row %d comes at place %d", trial.Index, rows)
		}
		rows++
		return true
	})
	if err != nil || rows != 10*commits {
		t.Errorf("%d rows, error %v; want %d", rows, err, 10*commits)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestFileThatCannotGrow(t *testing.T) {
	dir := t.TempDir()
	s := openHome(t, dir, quick)
	s.files[0].db.MaxSize = 256 << 10
	n, err := fillUp(t, s, 0)
	told(t, err, sweeps.ErrStorage, "state.db", "maximum size")
	verifyCommits(t, s, n)
	// It goes on as soon as it may grow.
	s.files[0].db.MaxSize = 512 << 10
	more, err := fillUp(t, s, n)
	if more <= n {
		t.Errorf("nothing could be committed after there was room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyCommits(t, openHome(t, dir, quick), more)
}

func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 600<<10)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(disk, "home")
	s, err := Open(home, quick)
	if err != nil {
		t.Fatal(err)
	}
	n, err := fillUp(t, s, 0)
	told(t, err, sweeps.ErrStorage, home, "no space left", "free some space")

	ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 1}
	points := make([]sweeps.Point, 100000)
	for i := range points {
		points[i] = sweeps.Point{Metric: fmt.Sprint(i % 1000), Step: int64(i)}
	}
	_, err = s.Metrics.Append([]coordinator.Batch{{Ref: ref, Points: points}})
	told(t, err, sweeps.ErrStorage, home, "no space left", "free some space")
	if sum, err := s.Metrics.Summaries(ref); err != nil || len(sum) != 0 {
		t.Errorf("%d metrics were recorded, error %v", len(sum), err)
	}

	// A further home on that disk is refused, and leaves nothing.
	other := filepath.Join(disk, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, filepath.Join(disk, "more"))
	refused(t, other, quick, sweeps.ErrStorage, other, "no space left")
	if got := entries(t, other); got != "" {
		t.Errorf("left behind: %s", got)
	}
	refs := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 2}
	_, err = s.Logs.Append(refs, "stdout", 0, make([]byte, 8192))
	told(t, err, sweeps.ErrStorage, "stdout", "no space left")

	verifyCommits(t, s, n)
	for _, name := range []string{ballast, filepath.Join(disk, "more")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	more, err := fillUp(t, s, n)
	if more <= n {
		t.Errorf("nothing could be committed after there was room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openHome(t, home, quick)
	verifyCommits(t, s, more)
	if err := errors.Join(s.Check(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// fillDisk writes a file until nothing more fits.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed leaves its files as they are at that moment.
func TestCrashLosesNothingCommitted(t *testing.T) {
	dir := t.TempDir()
	s := openHome(t, dir, quick)
	ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 1}
	points := make([]sweeps.Point, 100)
	for i := range points {
		points[i] = sweeps.Point{Metric: fmt.Sprint("metric ", i%3), Step: int64(i), Value: float64(i)}
	}
	for n := range int64(4) {
		c := dispatch.Changes{Sweeps: []*sweeps.Sweep{{ID: "s1", Name: "first", State: sweeps.SweepRunning, Next: 10 * (n + 1)}}}
		for i := range int64(10) {
			trial := benchTrial(10*n+i, sweeps.TrialRunning)
			trial.Sweep = "s1"
			c.Trials = append(c.Trials, trial)
		}
		if err := s.State.Commit(c); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Metrics.Append([]coordinator.Batch{{Ref: ref, First: 100 * n, Points: points}}); err != nil {
			t.Fatal(err)
		}

		left := t.TempDir()
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		after := openHome(t, left, quick)
		verifyCommits(t, after, n+1)
		// An empty batch tells how many points there are.
		next, err := after.Metrics.Append([]coordinator.Batch{{Ref: ref}})
		if err != nil || next[0] != 100*(n+1) {
			t.Errorf("%d points, error %v; want %d", next, err, 100*(n+1))
		}
	}
}
