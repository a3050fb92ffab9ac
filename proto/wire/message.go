package wire

import (
	"time"

	"swath/sweeps"
)

// WorkerMessage is what a worker says.
type WorkerMessage interface{ workerMessage() }

// CoordinatorMessage is what the coordinator says to a worker.
type CoordinatorMessage interface{ coordinatorMessage() }

// The messages of a worker; see proto/swath/v1/worker.proto for what they mean.
type (
	// Hello is the worker's whole state; the first message of a session.
	Hello struct {
		Worker   sweeps.Worker
		Attempts []sweeps.AttemptRef
		Version  string
		// GPUs are the devices of the attempts that have any.
		GPUs map[sweeps.AttemptRef][]sweeps.GPUShare
		Hold string // as in Hold
		Home string // as in Welcome, of the coordinator that the attempts are of
	}
	// Offer tells anew which devices the worker offers.
	Offer struct {
		GPUs []sweeps.GPU
		Note string
	}
	// Heartbeat is a sign of life.
	Heartbeat struct{}
	// Started reports that the attempt's process runs.
	Started struct {
		Ref sweeps.AttemptRef
		Ago time.Duration // when it was started
	}
	// Points are the attempt's points numbered First, First+1, ….
	Points struct {
		Ref    sweeps.AttemptRef
		First  int64
		Points []sweeps.Point
	}
	// LogChunk is output of the attempt from a byte offset on; Stream is Stdout or
	// Stderr.
	LogChunk struct {
		Ref    sweeps.AttemptRef
		Stream string
		Offset int64
		Data   []byte
	}
	// Exited reports that the attempt has ended.
	Exited struct {
		Ref     sweeps.AttemptRef
		Outcome sweeps.Outcome
		Ran     time.Duration // from its start to its end; 0 if it never ran, or nobody knows
		Ago     time.Duration // when it ended
	}
	// Hold says that the worker takes no trials for now, and why; or, with an empty reason,
	// that it does again.
	Hold struct{ Reason string }
	// Drain says that the worker takes no more trials.
	Drain struct{}
	// Returned gives back an attempt that was never started.
	Returned struct{ Ref sweeps.AttemptRef }
)

// The messages of the coordinator.
type (
	// Welcome accepts a session.
	Welcome struct {
		Heartbeat, Lease time.Duration
		Home             string // names the coordinator's records; empty from one that does not tell
	}
	// Start tells the worker to run an attempt.
	Start struct {
		Ref       sweeps.AttemptRef
		TrialID   sweeps.TrialID
		Params    sweeps.Params
		SweepName string
		Source    []byte
		File      string
		WorkDir   string
		GPUs      []sweeps.GPUShare  // the devices that it is given
		From      *sweeps.Checkpoint // to go on from; nil for none
	}
	// Stop tells the worker to terminate an attempt and report its end.
	Stop struct{ Ref sweeps.AttemptRef }
	// Recall asks for an attempt back that was not started.
	Recall struct{ Ref sweeps.AttemptRef }
	// Forget tells the worker to drop an attempt.
	Forget struct{ Ref sweeps.AttemptRef }
	// PointsAck says that all points below Next are recorded.
	PointsAck struct {
		Ref  sweeps.AttemptRef
		Next int64
	}
	// LogAck says that all bytes below Next are stored.
	LogAck struct {
		Ref    sweeps.AttemptRef
		Stream string
		Next   int64
	}
)

// The two streams of a program's output.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

func (Hello) workerMessage()     {}
func (Heartbeat) workerMessage() {}
func (Started) workerMessage()   {}
func (Points) workerMessage()    {}
func (LogChunk) workerMessage()  {}
func (Exited) workerMessage()    {}
func (Drain) workerMessage()     {}
func (Hold) workerMessage()      {}
func (Returned) workerMessage()  {}
func (Offer) workerMessage()     {}

func (Welcome) coordinatorMessage()   {}
func (Start) coordinatorMessage()     {}
func (Stop) coordinatorMessage()      {}
func (Forget) coordinatorMessage()    {}
func (Recall) coordinatorMessage()    {}
func (PointsAck) coordinatorMessage() {}
func (LogAck) coordinatorMessage()    {}
