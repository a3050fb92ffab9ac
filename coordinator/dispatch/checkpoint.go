package dispatch

import (
	"fmt"
	"math"
	"slices"
	"time"

	"swath/sweeps"
)

// onCheckpointed records a checkpoint of a running trial. Only what is recorded here is
// ever handed to a later attempt; a checkpoint of a superseded attempt is not.
func (s *State) onCheckpointed(now time.Time, e Checkpointed) error {
	sw, t := s.live(e.Worker, e.Ref)
	if t == nil {
		return fmt.Errorf("%w: a checkpoint of %s", sweeps.ErrFenced, e.Ref)
	}
	c := e.Checkpoint
	c.Attempt, c.Saved = e.Ref.Attempt, now
	if len(t.Checkpoints) > 0 {
		last := t.Checkpoints[0]
		if last.Digest == c.Digest || last.Attempt == c.Attempt && last.Step > c.Step {
			return nil // repeated, or late, or the one that the attempt began with
		}
	}
	// The slice may be in a record that is being written.
	t.Checkpoints = slices.Insert(slices.Clone(t.Checkpoints), 0, c)
	t.Checkpoints = t.Checkpoints[:min(len(t.Checkpoints), max(sw.policy.Keep.Last, 1))]
	s.dirtyTrials[t.TrialKey] = t
	s.rank(sw, sweeps.KeptCheckpoint{Index: t.Index, Checkpoint: c})
	s.touch(sw)
	return nil
}

// rank puts a checkpoint among the sweep's best, if it belongs there.
func (s *State) rank(sw *sweep, c sweeps.KeptCheckpoint) {
	if sw.policy.Keep.Best == 0 || math.IsNaN(c.Value) || math.IsInf(c.Value, 0) {
		return
	}
	better := func(a, b float64) bool { // of equal ones the earlier is kept
		if sw.policy.Goal == sweeps.Maximize {
			return a > b
		}
		return a < b
	}
	best := slices.Clone(sw.Best)
	if i := slices.IndexFunc(best, func(k sweeps.KeptCheckpoint) bool { return k.Index == c.Index }); i >= 0 {
		if !better(c.Value, best[i].Value) {
			return
		}
		best = slices.Delete(best, i, i+1)
	}
	at := slices.IndexFunc(best, func(k sweeps.KeptCheckpoint) bool { return better(c.Value, k.Value) })
	if at < 0 {
		at = len(best)
	}
	best = slices.Insert(best, at, c)
	sw.Best = best[:min(len(best), sw.policy.Keep.Best)]
}

// retain drops the checkpoints of an ended trial that nobody will go on from, unless the
// sweep keeps them.
func (s *State) retain(sw *sweep, t *sweeps.Trial) {
	if !t.State.Terminal() {
		return
	}
	keep := sw.policy.Keep.Last
	if t.State != sweeps.TrialFinished && t.Outcome.Class.Resumable() {
		keep = max(keep, 1) // it may be rerun
	}
	if len(t.Checkpoints) > keep {
		t.Checkpoints = slices.Clone(t.Checkpoints[:keep])
	}
}
