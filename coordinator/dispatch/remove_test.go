package dispatch

import (
	"errors"
	"testing"
	"time"

	"swath/sweeps"
)

// What several events of one commit, or a slow reader of the store, can do to a removal.
func TestRemoveRaces(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := New(DefaultConfig())
	step := func(want error, ev Event) {
		t.Helper()
		if err := s.Step(now, ev); !errors.Is(err, want) {
			t.Errorf("%T: %v, want %v", ev, err, want)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
	old := Submit{Sweep: &sweeps.Sweep{ID: "s", Name: "s", State: sweeps.SweepFinished}, Plan: storyPlan{n: 1}}
	s.Name("s", "s")
	origin := &sweeps.Trial{TrialKey: sweeps.TrialKey{Sweep: "s"}, State: sweeps.TrialFinished, Attempt: 1}
	origin.ReusedFrom = sweeps.Origin{AttemptRef: origin.Latest(), SweepName: "s"}
	step(nil, Submit{Sweep: &sweeps.Sweep{ID: "t", Name: "t", Reuse: true}, Plan: storyPlan{n: 1}})
	s.TakeChanges()

	// The store does not know yet that t takes a result over.
	step(nil, Found{Sweep: "t", Origins: []*sweeps.Trial{origin}})
	step(sweeps.ErrConflict, Remove{"s"})
	if c := s.TakeChanges(); len(c.Removed) != 0 || len(c.Trials) != 1 {
		t.Errorf("changes %+v", c)
	}
	step(nil, Remove{"s"}) // that it is used is the store's to say now
	if c := s.TakeChanges(); len(c.Removed) != 1 || c.Empty() {
		t.Errorf("changes %+v", c)
	}
	// Whoever read the rows before it was removed does not bring it back.
	failed := &sweeps.Trial{TrialKey: sweeps.TrialKey{Sweep: "s", Index: 1}, State: sweeps.TrialFailed, Attempt: 1}
	step(sweeps.ErrNotFound, Rerun{Submit: old, Trials: []*sweeps.Trial{failed}})
	step(sweeps.ErrNotFound, Remove{"s"})
	step(sweeps.ErrNotFound, Cancel{"s"})
	if c := s.TakeChanges(); !c.Empty() {
		t.Errorf("changes %+v", c)
	}
}
