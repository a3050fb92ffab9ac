package dispatch

import (
	"time"

	"swath/sweeps"
)

// Event is something that happened and that the dispatcher answers. Each has its
// function on_… in the file of its subject.
type Event interface{ event() }

// Plan computes a sweep's trials; *sweeps.Plan is one.
type Plan interface {
	// Size is the number of indices, math.MaxInt64 if there is no end.
	Size() int64
	// At computes the trial at an index in [0, Size). An error that wraps
	// sweeps.ErrExcluded says that there is none at this index; any other makes the
	// trial fail without being run.
	At(i int64) (sweeps.Planned, error)
	// Before returns the index, lower than i, of the trial that trial i goes on from, and
	// After that of the trial that goes on from it; false where there is none. They are
	// asked only if Policy.Continues.
	Before(i int64) (int64, bool)
	After(i int64) (int64, bool)
}

// Policy is what of a sweep's spec governs dispatch.
type Policy struct {
	RunCap  int64 // trials to hand out in all; 0 for no bound
	Retries int   // further attempts after charged failures
	Needs   sweeps.Resources
	// Requires are what must be true of a worker.
	Requires []sweeps.Requirement
	// Priority orders sweeps: one of a higher priority is served first, those of equal
	// priority share the slots.
	Priority int
	// TimeLimit is how long after its submission, or after trials of it were rerun when it had
	// ended, the sweep is cancelled; 0 for never.
	TimeLimit time.Duration
	// Continues says that trials go on from each other, as the plan's Before and After say.
	Continues bool
	// Rests says that nothing of the sweep is handed out, and no time limit of it counted: another
	// coordinator, or version, will go on with it. What workers run of it goes on.
	Rests bool
	// Unread says why the sweep's file is not understood, of one that rests for that. The rest of
	// the policy is a guess then, and what fails is not charged.
	Unread string
	Keep   sweeps.Keep // which checkpoints are kept
	Goal   sweeps.Goal // of the objective, for the best checkpoints
}

// Submit brings a new sweep. A sweep whose id is known already is the same request
// repeated and changes nothing; one whose name is taken is refused with ErrExists.
type Submit struct {
	Sweep  *sweeps.Sweep // ownership passes to the dispatcher
	Plan   Plan
	Policy Policy
}

// Cancel ends a sweep: no more trials are handed out, the running ones are stopped.
// Cancelling a sweep that has ended changes nothing.
type Cancel struct{ Sweep sweeps.SweepID }

// Pause hands out no more trials of a sweep until Resume; its running ones go on. Pausing
// a sweep that is paused changes nothing.
type Pause struct{ Sweep sweeps.SweepID }

// Resume takes a pause back. Resuming a sweep that runs changes nothing.
type Resume struct{ Sweep sweeps.SweepID }

// Rerun makes ended trials pending again, with a fresh retry budget. The trials are
// the store's rows; those that may not move to pending are left alone. Sweep, Plan and
// Policy serve a sweep that has ended and is no longer in memory.
type Rerun struct {
	Submit
	Trials []*sweeps.Trial // ownership passes to the dispatcher
}

// Remove lets go of a sweep that has ended, and of the records of its trials.
type Remove struct{ Sweep sweeps.SweepID }

// Hello is a worker presenting itself, for the first time or again: its whole state.
type Hello struct {
	Worker  sweeps.Worker
	Session uint64 // numbers the connection; grows
	// Attempts are all that the worker holds: running, and ended but not yet
	// acknowledged.
	Attempts []sweeps.AttemptRef
	// GPUs are the devices of those that have any.
	GPUs map[sweeps.AttemptRef][]sweeps.GPUShare
	// Hold is as in the event of that name.
	Hold string
}

// Offer is a worker telling which of its devices it offers: others began or ceased to use
// one.
type Offer struct {
	Worker  sweeps.WorkerID
	Session uint64
	GPUs    []sweeps.GPU
	Note    string
}

// Hold is a worker's word that it takes no more trials for now, and why (its disk is as
// good as full), or with an empty reason that it does again.
type Hold struct {
	Worker  sweeps.WorkerID
	Session uint64
	Reason  string
}

// Halt hands out no more trials and takes no more sweeps, for a reason that is the
// coordinator's own (its disk is as good as full); an empty reason takes that back.
type Halt struct{ Reason string }

// Alive is any sign of life from a worker; it renews the lease.
type Alive struct {
	Worker  sweeps.WorkerID
	Session uint64
}

// Gone is the end of a worker's connection. Silence is not death: its attempts stay
// its own until the lease expires.
type Gone struct {
	Worker  sweeps.WorkerID
	Session uint64
}

// Drain tells that a worker takes no more trials (it is shutting down in order).
type Drain struct {
	Worker  sweeps.WorkerID
	Session uint64
}

// Admit is a user's word on a worker: whether it may be given trials. A worker that was
// set aside, by a user or by the dispatcher, finishes what it runs.
type Admit struct {
	Worker sweeps.WorkerID
	Admit  bool
}

// Started is a worker's report that the attempt's process runs.
type Started struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
	Ago    time.Duration // when it was started
}

// Returned is a worker giving back an attempt that it has not started.
type Returned struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
}

// Checkpointed says that a checkpoint of an attempt is on disk. It is refused, with
// ErrFenced, if the attempt is not the current one.
type Checkpointed struct {
	Worker     sweeps.WorkerID
	Ref        sweeps.AttemptRef
	Checkpoint sweeps.Checkpoint // all but Attempt, and Saved
}

// Exited is a worker's report that an attempt has ended. All its points have been
// recorded before, and Metrics summarises them. Of one that ended soon there may have been no
// Started.
type Exited struct {
	Worker  sweeps.WorkerID
	Ref     sweeps.AttemptRef
	Outcome sweeps.Outcome
	Metrics map[string]sweeps.Summary
	Ran     time.Duration // from its start to its end; 0 if it never ran, or nobody knows
	Ago     time.Duration // when it ended
}

// Found answers a Lookup. Origins has a place for each of its ids: a finished trial that is
// equal, whose ReusedFrom names the attempt that ran; or nil.
type Found struct {
	Sweep   sweeps.SweepID
	First   int64
	Origins []*sweeps.Trial // not changed by anybody any more
}

// Tick is the passing of time: leases expire, back-offs end.
type Tick struct{}

func (Submit) event()   {}
func (Cancel) event()   {}
func (Pause) event()    {}
func (Resume) event()   {}
func (Admit) event()    {}
func (Rerun) event()    {}
func (Remove) event()   {}
func (Hello) event()    {}
func (Offer) event()    {}
func (Alive) event()    {}
func (Hold) event()     {}
func (Halt) event()     {}
func (Gone) event()     {}
func (Drain) event()    {}
func (Started) event()  {}
func (Returned) event() {}
func (Exited) event()   {}
func (Found) event()    {}
func (Tick) event()     {}

func (Checkpointed) event() {}

// Effect is a message to a worker, or a question to the coordinator, to be sent after the
// changes are persisted.
type Effect interface {
	// To is the worker that it is a message to; empty for what is the coordinator's to do.
	To() sweeps.WorkerID
}

// Start tells a worker to run an attempt. It may be repeated to the same worker after
// a reconnection, and is then the same attempt.
type Start struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
	ID     sweeps.TrialID
	Params sweeps.Params
	GPUs   []sweeps.GPUShare // that it is given
	// From is the checkpoint that the attempt goes on from; the zero value for none.
	From sweeps.Checkpoint
}

// Stop tells a worker to terminate an attempt and report its end.
type Stop struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
}

// Recall asks a worker for an attempt back that it has not started, because another worker
// has a free slot, or because the sweep was paused. It may have started meanwhile, and
// then nothing comes of it.
type Recall struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
}

// Forget tells a worker that an attempt is no concern of anybody's any more: its end is
// recorded, or it was superseded. The worker kills what still runs of it and drops
// what it keeps; it does not report.
type Forget struct {
	Worker sweeps.WorkerID
	Ref    sweeps.AttemptRef
}

// Disconnect tells to close a worker's connection: its lease has expired, or another
// process took over its identity.
type Disconnect struct {
	Worker  sweeps.WorkerID
	Session uint64
	Reason  string
}

// Lookup asks which trials equal to those of the sweep at the indices First, First+1, …
// have finished in other sweeps. An id is empty where there is no trial. Found answers.
type Lookup struct {
	Sweep sweeps.SweepID
	First int64
	IDs   []sweeps.TrialID
}

// To implements Effect.
func (e Start) To() sweeps.WorkerID { return e.Worker }

// To implements Effect.
func (e Stop) To() sweeps.WorkerID { return e.Worker }

// To implements Effect.
func (e Recall) To() sweeps.WorkerID { return e.Worker }

// To implements Effect.
func (e Forget) To() sweeps.WorkerID { return e.Worker }

// To implements Effect: nothing is said, the connection is closed.
func (Disconnect) To() sweeps.WorkerID { return "" }

// To implements Effect.
func (Lookup) To() sweeps.WorkerID { return "" }

// Changes are the records to persist: the state after the batch.
type Changes struct {
	Sweeps []*sweeps.Sweep
	Trials []*sweeps.Trial
	// Removed have no records any more, whatever the other two say of them.
	Removed []sweeps.SweepID
	// Aside are the workers that were set aside, or, with no reason, are so no more.
	Aside []Aside
}

// Aside is a worker that is given no trials until a user says otherwise. That holds also in a
// coordinator that begins again.
type Aside struct {
	Worker sweeps.WorkerID
	Name   string
	Why    string // for people
	// Blamed says that it was for its failures, and not by a user's word.
	Blamed bool
}

// Empty reports whether there is nothing to persist.
func (c Changes) Empty() bool { return len(c.Sweeps)+len(c.Trials)+len(c.Removed)+len(c.Aside) == 0 }

// Config are the dispatcher's constants.
type Config struct {
	// Lease is how long a silent worker keeps its attempts.
	Lease time.Duration
	// Backoff is the wait before the first retry of a failed trial; it doubles with
	// each failure up to BackoffMax.
	Backoff, BackoffMax time.Duration
	// MaxLosses is how many attempts in a row a trial may lose with their workers
	// before it is taken for the cause.
	MaxLosses int
	// Alike is how many trials, all that ended so far, have to fail with the same
	// message before their sweep is paused; 0 for never.
	Alike int
	// Quarantine is how many attempts in a row, of different trials, have to fail on a
	// worker, while others finish trials of the same sweep, before the worker is set
	// aside; 0 for never.
	Quarantine int
	// Backlog is for how much time a worker whose trials end within moments is given trials to
	// queue, as far as it takes them; 0 never to give it more than it prefetches.
	Backlog time.Duration
	// ScanLimit bounds how many excluded indices one step may skip.
	ScanLimit int
	// LookAhead is how many trials of a sweep that reuses are looked up at a time.
	LookAhead int
}

// DefaultConfig returns the constants that a coordinator uses unless told otherwise.
func DefaultConfig() Config {
	return Config{
		Lease:      30 * time.Second,
		Backoff:    time.Second,
		BackoffMax: 5 * time.Minute,
		MaxLosses:  5,
		Alike:      10,
		Quarantine: 5,
		Backlog:    200 * time.Millisecond,
		ScanLimit:  20000,
		LookAhead:  1000,
	}
}
