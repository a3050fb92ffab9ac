package dispatch

import (
	"testing"
	"time"

	"swath/sweeps"
)

// Versions that knew no unstarted trials counted them among those that are tried again.
func TestRestoreCountsUnstartedTrials(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := New(DefaultConfig())
	row := func(i int64, attempt int) *sweeps.Trial {
		return &sweeps.Trial{TrialKey: sweeps.TrialKey{Sweep: "s", Index: i}, State: sweeps.TrialPending, Attempt: attempt}
	}
	sw := &sweeps.Sweep{ID: "s", Name: "s", State: sweeps.SweepRunning, Next: 3, Dispatched: 3, Counts: sweeps.Counts{Retrying: 3}}
	s.Restore(now, Submit{Sweep: sw, Plan: storyPlan{n: 3}}, []*sweeps.Trial{row(0, 1), row(1, 0), row(2, 0)})
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if want := (sweeps.Counts{Retrying: 1, Unstarted: 2}); sw.Counts != want {
		t.Errorf("counts %+v, want %+v", sw.Counts, want)
	}
	if c := s.TakeChanges(); len(c.Sweeps) != 1 || len(c.Trials) != 0 {
		t.Errorf("changes %+v", c)
	}
}
