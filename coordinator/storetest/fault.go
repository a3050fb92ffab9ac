package storetest

import (
	"fmt"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Verdict says what becomes of a write.
type Verdict int

// The verdicts. All failures return an error that wraps sweeps.ErrStorage, so that the
// caller cannot tell them apart.
const (
	// Pass hands the write on.
	Pass Verdict = iota
	// FailBefore fails without writing.
	FailBefore
	// FailHalf writes the first half of what is appended to a log, as a disk does that fills
	// up. What a commit writes has no halves: it is FailBefore there.
	FailHalf
	// FailAfter writes, and then fails: the answer that was lost.
	FailAfter
)

// errInjected is what a write fails with.
var errInjected = fmt.Errorf("%w: injected failure", sweeps.ErrStorage)

// write writes, or fails, as the verdict says.
func (v Verdict) write(write func() error) error {
	if v == FailBefore || v == FailHalf {
		return errInjected
	}
	if err := write(); err != nil {
		return err
	}
	if v == FailAfter {
		return errInjected
	}
	return nil
}

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
	return verdict.write(func() error { return f.Store.Commit(c) })
}

// FaultMetrics is a metric store in which points fail to be recorded as Decide says.
type FaultMetrics struct {
	coordinator.MetricStore
	// Decide is as in Fault.
	Decide func([]coordinator.Batch) Verdict
}

// Append implements coordinator.MetricStore.
func (f *FaultMetrics) Append(batches []coordinator.Batch) (next []int64, err error) {
	verdict := Pass
	if f.Decide != nil {
		verdict = f.Decide(batches)
	}
	err = verdict.write(func() error {
		next, err = f.MetricStore.Append(batches)
		return err
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// FaultLogs is a log store in which output fails to be recorded as Decide says.
type FaultLogs struct {
	coordinator.LogStore
	// Decide is as in Fault.
	Decide func(ref sweeps.AttemptRef, stream string) Verdict
}

// Append implements coordinator.LogStore.
func (f *FaultLogs) Append(ref sweeps.AttemptRef, stream string, offset int64, data []byte) (next int64, err error) {
	verdict := Pass
	if f.Decide != nil {
		verdict = f.Decide(ref, stream)
	}
	if verdict == FailHalf {
		if next, err = f.LogStore.Append(ref, stream, offset, data[:len(data)/2]); err == nil {
			err = errInjected
		}
		return next, err
	}
	err = verdict.write(func() error {
		next, err = f.LogStore.Append(ref, stream, offset, data)
		return err
	})
	return next, err
}
