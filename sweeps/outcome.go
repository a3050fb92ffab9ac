package sweeps

import "fmt"

// Class says how an attempt ended. Every class but [ClassOK] is a way of failing,
// and each has its remedy: see Retryable and Charged.
type Class string

// The classes of an ended attempt.
const (
	// ClassOK is exit code 0 (and, where the sweep names an objective, a report of it
	// is not required: a missing metric is visible in the results).
	ClassOK Class = "ok"
	// ClassExit is a non-zero exit code.
	ClassExit Class = "exit"
	// ClassSignal is death by a signal that swath did not send.
	ClassSignal Class = "signal"
	// ClassOOM is death for want of memory, host's or device's.
	ClassOOM Class = "oom"
	// ClassTimeout is the sweep's time limit for a trial, enforced by the worker.
	ClassTimeout Class = "timeout"
	// ClassDiverged is a loss that became NaN or infinite. The same seed would
	// diverge again, so it is not retried.
	ClassDiverged Class = "diverged"
	// ClassLost is a worker whose lease expired, or which came back without the
	// attempt. Not the trial's fault, so it is not charged to the retry budget.
	ClassLost Class = "lost"
	// ClassPreempted is a worker that shut down in order and gave the trial back.
	// Not a failure.
	ClassPreempted Class = "preempted"
	// ClassSpec is a trial that cannot start anywhere: the program does not exist,
	// or the trainer refused the parameters. It is not retried.
	ClassSpec Class = "spec"
	// ClassCancelled is an attempt stopped by a user's cancel.
	ClassCancelled Class = "cancelled"
)

// Classes lists all classes.
func Classes() []Class {
	return []Class{
		ClassOK, ClassExit, ClassSignal, ClassOOM, ClassTimeout, ClassDiverged,
		ClassLost, ClassPreempted, ClassSpec, ClassCancelled,
	}
}

// ParseClass returns the class that s names.
func ParseClass(s string) (Class, error) {
	if !contains(Classes(), Class(s)) {
		return "", fmt.Errorf("unknown class of outcome %q", s)
	}
	return Class(s), nil
}

// Retryable reports whether another attempt could end differently.
func (c Class) Retryable() bool {
	switch c {
	case ClassExit, ClassSignal, ClassOOM, ClassTimeout, ClassLost, ClassPreempted:
		return true
	default:
		return false
	}
}

// Resumable reports whether a later attempt may go on from the checkpoint that one left which
// ended so: another could end differently, or a user stopped it and may have it run again.
func (c Class) Resumable() bool { return c.Retryable() || c == ClassCancelled }

// Charged reports whether an attempt that ended so counts against the sweep's
// retries. What the worker or the machine did is not charged to the trial.
func (c Class) Charged() bool { return c != ClassLost && c != ClassPreempted }

// Outcome is how an attempt ended.
type Outcome struct {
	Class Class `json:"class"`
	// ExitCode is the process's exit code; -1 where there was none (killed by a
	// signal, never started, lost).
	ExitCode int `json:"exit_code"`
	// Message is one line for people: what happened, and where there is one, what
	// to do about it. Empty for ClassOK.
	Message string `json:"message,omitempty"`
}

// Describe is the outcome in words: its message, or the name of its class.
func (o Outcome) Describe() string {
	if o.Message != "" {
		return o.Message
	}
	return string(o.Class)
}

// OK reports whether the attempt ended well.
func (o Outcome) OK() bool { return o.Class == ClassOK }
