package sweeps

import "fmt"

// TrialState says where a trial is in its life. See the chart in ARCHITECTURE.md.
type TrialState string

// The states of a trial. Beside each stands who moves the trial out of it, also
// after a crash.
const (
	// TrialPending waits for a slot, for the first time or again after a failed or
	// lost attempt. The dispatcher moves it to running, or a cancel to cancelled.
	// A pending trial that never ran has no row in the store: it is implied by
	// the sweep's cursor.
	TrialPending TrialState = "pending"
	// TrialRunning has a live attempt on a worker. The worker's exit report moves
	// it out; if the worker stays silent longer than its lease, the dispatcher
	// moves it back to pending. A restarted coordinator finds it running, grants a
	// fresh lease and waits for the worker to come back.
	TrialRunning TrialState = "running"
	// TrialFinished ended well; its metrics are final. Nothing moves it out.
	TrialFinished TrialState = "finished"
	// TrialFailed used up its retries, or failed in a way that no retry mends.
	// Only a user's rerun moves it back to pending.
	TrialFailed TrialState = "failed"
	// TrialCancelled was cancelled by a user. Only a user's rerun moves it back.
	TrialCancelled TrialState = "cancelled"
)

// TrialStates lists all trial states, in the order of a trial's life.
func TrialStates() []TrialState {
	return []TrialState{TrialPending, TrialRunning, TrialFinished, TrialFailed, TrialCancelled}
}

// trialMoves is the transition table: the states that each state may move to.
var trialMoves = map[TrialState][]TrialState{
	TrialPending:   {TrialRunning, TrialCancelled},
	TrialRunning:   {TrialFinished, TrialFailed, TrialPending, TrialCancelled},
	TrialFinished:  {},
	TrialFailed:    {TrialPending},
	TrialCancelled: {TrialPending},
}

// Terminal reports whether a trial in this state has ended: it holds no slot and
// only a user's rerun can move it.
func (s TrialState) Terminal() bool {
	return s == TrialFinished || s == TrialFailed || s == TrialCancelled
}

// CanMove reports whether the transition table has the edge s → to.
func (s TrialState) CanMove(to TrialState) bool { return contains(trialMoves[s], to) }

// ParseTrialState returns the state that s names.
func ParseTrialState(s string) (TrialState, error) {
	if _, ok := trialMoves[TrialState(s)]; !ok {
		return "", fmt.Errorf("unknown trial state %q: want one of %v", s, TrialStates())
	}
	return TrialState(s), nil
}

// SweepState says where a sweep is in its life.
type SweepState string

// The states of a sweep.
const (
	// SweepRunning hands out trials, or waits for the last ones to end.
	SweepRunning SweepState = "running"
	// SweepPaused hands out no more trials until a user resumes it; its running ones go
	// on. A user paused it, or the dispatcher did, because every trial failed alike.
	SweepPaused SweepState = "paused"
	// SweepCancelling hands out no more trials; its running ones are being stopped.
	// The last of them to end moves it to cancelled.
	SweepCancelling SweepState = "cancelling"
	// SweepFinished has no trial left that is not terminal. A rerun, which makes
	// trials pending again, moves it back to running.
	SweepFinished SweepState = "finished"
	// SweepCancelled was cancelled by a user, or its time was up, and all its trials
	// have ended. A rerun moves it back to running.
	SweepCancelled SweepState = "cancelled"
)

// SweepStates lists all sweep states, in the order of a sweep's life.
func SweepStates() []SweepState {
	return []SweepState{SweepRunning, SweepPaused, SweepCancelling, SweepFinished, SweepCancelled}
}

var sweepMoves = map[SweepState][]SweepState{
	SweepRunning:    {SweepPaused, SweepFinished, SweepCancelling, SweepCancelled},
	SweepPaused:     {SweepRunning, SweepFinished, SweepCancelling, SweepCancelled},
	SweepCancelling: {SweepCancelled},
	SweepFinished:   {SweepRunning},
	SweepCancelled:  {SweepRunning},
}

// Terminal reports whether a sweep in this state has ended.
func (s SweepState) Terminal() bool { return s == SweepFinished || s == SweepCancelled }

// CanMove reports whether the transition table has the edge s → to.
func (s SweepState) CanMove(to SweepState) bool { return contains(sweepMoves[s], to) }

// ParseSweepState returns the state that s names.
func ParseSweepState(s string) (SweepState, error) {
	if _, ok := sweepMoves[SweepState(s)]; !ok {
		return "", fmt.Errorf("unknown sweep state %q: want one of %v", s, SweepStates())
	}
	return SweepState(s), nil
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
