package storetest

import (
	"fmt"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Verdict says what becomes of a commit.
type Verdict int

// The verdicts. Both failures return an error that wraps sweeps.ErrStorage, so that the
// caller cannot tell them apart.
const (
	// Pass hands the commit on.
	Pass Verdict = iota
	// FailBefore fails without writing.
	FailBefore
	// FailAfter writes, and then fails: the answer that was lost.
	FailAfter
)

// Fault is a store whose commits fail as Decide says. Its reads do not.
type Fault struct {
	coordinator.Store
	// Decide is called for every commit, from whichever goroutine commits. A nil one
	// passes all.
	Decide func(dispatch.Changes) Verdict
}

// Commit implements coordinator.Store.
func (f *Fault) Commit(c dispatch.Changes) error {
	verdict := Pass
	if f.Decide != nil {
		verdict = f.Decide(c)
	}
	if verdict == FailBefore {
		return fmt.Errorf("%w: injected failure", sweeps.ErrStorage)
	}
	if err := f.Store.Commit(c); err != nil {
		return err
	}
	if verdict == FailAfter {
		return fmt.Errorf("%w: injected failure", sweeps.ErrStorage)
	}
	return nil
}
