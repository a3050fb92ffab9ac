package boltstore

import (
	"path/filepath"
	"testing"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

func TestSizes(t *testing.T) {
	s := openHome(t, filepath.Join(t.TempDir(), "home"), Options{NoSync: true})
	before, err := s.Sizes()
	if err != nil {
		t.Fatal(err)
	}
	c := dispatch.Changes{Sweeps: []*sweeps.Sweep{{ID: "01hzy3xk5v8m2q", Name: "sizes", State: sweeps.SweepRunning}}}
	for i := range int64(1000) {
		c.Trials = append(c.Trials, benchTrial(i, sweeps.TrialFinished))
	}
	if err := s.State.Commit(c); err != nil {
		t.Fatal(err)
	}
	after, err := s.Sizes()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 2 || after["state.db"] < before["state.db"]+200_000 || after["metrics.db"] != before["metrics.db"] {
		t.Errorf("a thousand trials grow %v to %v", before, after)
	}
}
