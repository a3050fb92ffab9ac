// Package dispatch decides which trial runs where. It is a pure state machine:
//
//	(state, now, event) → (changes to persist, effects to send)
//
// It does no I/O, starts no goroutine and reads no clock; time arrives as an
// argument and randomness not at all. The coordinator feeds it events one at a time,
// persists the changes of a batch in one transaction, and only then lets the effects
// out: persist, then speak.
//
// # Events, changes, effects
//
// An [Event] is something that happened: a sweep was submitted, a worker presented
// itself or fell silent, an attempt started or ended, time passed. [State.Step]
// applies one. The records that it touched are collected until [State.TakeChanges]
// and the messages it wants sent until [State.TakeEffects]. If persisting fails, the
// state is thrown away, with its effects, and loaded again from the store: memory is
// never ahead of the disk for longer than one batch.
//
// # What is in memory
//
// Sweeps that have not ended, their running trials and those that wait for another
// attempt. Trials that ended, and those that never started, are not: the former are
// rows in the store, the latter are computed from (spec, index) when their turn comes.
//
// # Invariants
//
// [State.Check] verifies them; the simulation calls it after every step.
//
//	I1  A trial has at most one live attempt, and it is on exactly one worker.
//	I2  A worker runs no more trials than it has slots and queues no more than it
//	    takes (beside those that are recalled), in the order of their priorities; and
//	    the requests of those that run fit into what it offers (unless it came back
//	    smaller than it left).
//	I3  The attempt number of a trial only grows; a report with another number, or
//	    from another worker, changes nothing.
//	I4  A trial in memory is pending or running; a running one has an attempt ≥ 1 and
//	    a worker, a pending one no worker holds.
//	I5  A sweep's counts equal what its trials say, and dispatched trials never exceed
//	    the run cap.
//	I6  No trial has more charged failures than retries + 1.
//	I7  A sweep that has ended has no running and no pending trial; one that has work
//	    left, or a trial alive, has not ended.
//	I8  States move only along the tables of package sweeps.
//	I9  A trial that wants a worker to itself has it to itself.
//	I10 What is kept to save looking at every worker agrees with the workers.
//	I11 A trial has as many devices as it asked for (unless it ran before they were
//	    counted), and no device is given beyond 1 or its memory.
//	I12 A trial's checkpoints are of no later attempt than its own, and no more than the
//	    sweep keeps; the sweep's best are in order, one of a trial.
//	I13 A trial that goes on from another has a record only if that one has ended, or is
//	    being rerun.
//	I14 What waits for a slot on a worker that is set aside or takes nothing, or of a sweep
//	    that is paused, is recalled.
package dispatch
