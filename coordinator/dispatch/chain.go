package dispatch

import (
	"time"

	"swath/sweeps"
)

// Where a sweep's trials go on from each other, the cursor hands out the first of each chain
// alone. Every other trial gets its record, pending, in the same commit in which the one
// before it ends, with the last checkpoint of that: so nothing has to be remembered of
// trials that wait for another, whatever the size of the grid, and the checkpoint has an
// owner at every moment.

// goesOn reports whether the trial of an index goes on from another.
func (sw *sweep) goesOn(i int64) bool {
	if !sw.policy.Continues {
		return false
	}
	_, is := sw.plan.Before(i)
	return is
}

// follow makes the trial that goes on from one that has ended. Where that one failed, it goes
// on from the last checkpoint there is, or begins anew.
func (s *State) follow(now time.Time, sw *sweep, t *sweeps.Trial) {
	for sw.policy.Continues && !t.Continued && (t.State == sweeps.TrialFinished || t.State == sweeps.TrialFailed) {
		i, is := sw.plan.After(t.Index)
		if !is || sw.Closed || sw.capped() {
			return
		}
		t.Continued = true
		s.dirtyTrials[t.TrialKey] = t
		p, err := sw.plan.At(i)
		if err != nil {
			t = s.stillborn(now, sw, i, p, err)
			continue
		}
		next := &sweeps.Trial{TrialKey: sweeps.TrialKey{Sweep: sw.ID, Index: i}, ID: p.ID, Params: p.Params}
		if len(t.Checkpoints) > 0 {
			from := t.Checkpoints[0]
			from.Attempt = 0
			next.Checkpoints = []sweeps.Checkpoint{from}
		}
		sw.count()
		s.move(sw, next, sweeps.TrialPending)
		sw.waiting.push(next)
		return
	}
}

// stillborn records a trial that cannot be computed: it fails without an attempt.
func (s *State) stillborn(now time.Time, sw *sweep, i int64, p sweeps.Planned, err error) *sweeps.Trial {
	t := &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: sw.ID, Index: i},
		ID:       p.ID, Params: p.Params, Ended: now,
		Outcome: sweeps.Outcome{Class: sweeps.ClassSpec, ExitCode: -1, Message: err.Error()},
	}
	sw.count()
	s.move(sw, t, sweeps.TrialFailed)
	return t
}

// count counts a trial that gets its record without the cursor's doing. The one at the
// cursor may be one too many then.
func (sw *sweep) count() {
	sw.Dispatched++
	if sw.capped() {
		sw.head = nil
	}
}

// capped reports whether the sweep has handed out all the trials that it may.
func (sw *sweep) capped() bool { return sw.policy.RunCap > 0 && sw.Dispatched >= sw.policy.RunCap }

// has reports whether the trial is in memory, running or waiting.
func (sw *sweep) has(i int64) bool {
	return sw.running[i] != nil || sw.waiting.find(i) != nil
}
