package sweeps

import (
	"fmt"
	"time"
)

// Trial is the record of a trial that was started at least once, or that goes on from one
// that has ended. (Any other is implied by its sweep's cursor and needs no record.)
type Trial struct {
	TrialKey
	ID     TrialID // computed from the spec when the trial is first dispatched
	Params Params  // likewise; kept so that results can be read without expansion
	State  TrialState
	// Attempt is the number of the latest attempt, live or ended.
	Attempt int
	// Returned counts the attempts that a worker gave back without having started them.
	Returned int
	// Charged counts the ended attempts that count against the sweep's retries.
	Charged int
	// Losses counts the attempts in a row that ended by no fault of the trial
	// itself (ClassLost); a trial that takes every machine down is stopped by it.
	Losses int
	// Alone says that the trial ran out of memory beside others, and that its further
	// attempts get a worker to themselves.
	Alone bool
	// NotBefore is, for a pending trial, the earliest time of its next attempt.
	NotBefore time.Time
	// Worker and WorkerName tell where the latest attempt runs or ran.
	Worker     WorkerID
	WorkerName string
	// Assigned is when the latest attempt was handed to its worker, Started when the
	// worker reported that its process runs (zero until then), Ended when its end
	// was recorded (zero until then).
	Assigned, Started, Ended time.Time
	// Outcome is how the latest ended attempt ended; zero before the first end.
	Outcome Outcome
	// Metrics summarises the series of the attempt that Outcome tells of.
	Metrics map[string]Summary
	// Checkpoints are the last that were recorded, the latest first: the next attempt goes
	// on from that. Whether their files are still kept is the coordinator's business.
	Checkpoints []Checkpoint
	// Continued says that the trial that goes on from this one has a record.
	Continued bool
	// ReusedFrom names, in a trial that took over another's result, the attempt that really
	// ran: its worker and times are those of this record, and its series and logs are this
	// trial's. Zero in all others; set when the trial is recorded.
	ReusedFrom Origin
}

// Origin is an attempt of another sweep, with the name of that.
type Origin struct {
	AttemptRef
	SweepName string
}

// IsZero reports whether there is none.
func (o Origin) IsZero() bool { return o == Origin{} }

// String prints the origin as NAME/INDEX#ATTEMPT; empty for none.
func (o Origin) String() string {
	if o.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s/%d#%d", o.SweepName, o.Index, o.Attempt)
}

// Reused reports whether the trial took over another's result.
func (t *Trial) Reused() bool { return !t.ReusedFrom.IsZero() }

// Latest names the attempt whose series and logs are the trial's: its latest, or the one
// whose result it took over.
func (t *Trial) Latest() AttemptRef {
	if t.Reused() {
		return t.ReusedFrom.AttemptRef
	}
	return AttemptRef{TrialKey: t.TrialKey, Attempt: t.Attempt}
}

// Attempts is how many attempts there were that a worker started, or still holds.
func (t *Trial) Attempts() int { return t.Attempt - t.Returned }

// Duration is how long the latest attempt ran: until now, for one that still runs.
func (t *Trial) Duration(now time.Time) time.Duration {
	switch {
	case t.Started.IsZero():
		return 0
	case t.Ended.IsZero():
		return now.Sub(t.Started)
	default:
		return t.Ended.Sub(t.Started)
	}
}

// Counts tells how many of a sweep's trials are in which state.
type Counts struct {
	Running, Finished, Failed, Cancelled int64
	// Retrying and Unstarted are the pending trials that have a record. Retrying are those
	// that wait for another attempt. Of the others no attempt was ever started: a worker gave
	// them back, or the trial that they go on from has ended and they are next.
	Retrying, Unstarted int64
}

// Ended is the number of trials that have ended.
func (c Counts) Ended() int64 { return c.Finished + c.Failed + c.Cancelled }

// Pending is the number of pending trials that have a record.
func (c Counts) Pending() int64 { return c.Retrying + c.Unstarted }

// Add counts n more trials in a state, of which so many attempts were started. The empty
// state stands for a trial that has no record.
func (c *Counts) Add(s TrialState, attempts int, n int64) {
	switch s {
	case TrialPending:
		if attempts > 0 {
			c.Retrying += n
		} else {
			c.Unstarted += n
		}
	case TrialRunning:
		c.Running += n
	case TrialFinished:
		c.Finished += n
	case TrialFailed:
		c.Failed += n
	case TrialCancelled:
		c.Cancelled += n
	}
}
