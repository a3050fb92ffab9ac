package sweeps

import (
	"slices"
	"time"
)

// Sweep is the record of a submitted sweep.
type Sweep struct {
	ID   SweepID
	Name string // unique among the sweeps of a coordinator
	// Source is the sweep file as submitted, byte for byte; the spec and with it
	// every trial is computed from it. File is its name, for messages.
	Source []byte
	File   string
	// WorkDir is the directory that the submitter's program is relative to.
	WorkDir string
	State   SweepState
	Created time.Time // set by the coordinator at submit
	Ended   time.Time // set when the state becomes terminal; zero before
	// Revived is when the sweep, which had ended, went on because trials of it were rerun; zero
	// if that never was. Its time limit counts from then on.
	Revived time.Time
	// Reason says, for people, why the sweep is paused, or was cancelled by other than
	// a user; empty otherwise.
	Reason string
	// Reuse says that trials take over the results of equal ones that finished in other
	// sweeps, instead of being run; set at submit.
	Reuse bool
	// Basis is what has to be the same, beside a trial's id, for its result to be that of
	// another sweep's trial too; see Spec.Basis. Set at submit; empty in sweeps of versions
	// that did not have it.
	Basis string
	// Reused counts the finished trials whose result is another's.
	Reused int64
	// Next is the cursor: the lowest index of the plan that was never considered.
	Next int64
	// Closed says that the cursor stays where it is: the sweep was cancelled, and if trials
	// of it are rerun, those that never started still are not.
	Closed bool
	// Dispatched counts the trials handed out for the first time, and so bounds
	// them by the run cap.
	Dispatched int64
	// Excluded counts the indices before the cursor that a constraint excludes.
	Excluded int64
	Counts   Counts
	// Best are the checkpoints with the best objective, the best first, one of a trial at
	// most, as many as the file's checkpoints.keep_best says. Their file may be gone.
	Best []KeptCheckpoint
}

// Clone returns a copy that shares nothing mutable with s (Source is never changed
// by anybody and is shared).
func (s *Sweep) Clone() *Sweep {
	c := *s
	c.Best = slices.Clone(s.Best)
	return &c
}
