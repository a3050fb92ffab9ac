package report

import (
	"errors"
	"os"
)

// The variables of a trainer's environment.
const (
	EnvPrefix        = "SWATH_" // all of ours begin so
	EnvParams        = "SWATH_PARAMS"
	EnvReport        = "SWATH_REPORT"
	EnvCheckpointDir = "SWATH_CHECKPOINT_DIR"
	EnvArtifactDir   = "SWATH_ARTIFACT_DIR"
	EnvData          = "SWATH_DATA"
	EnvSweep         = "SWATH_SWEEP"
	EnvTrial         = "SWATH_TRIAL"
	EnvAttempt       = "SWATH_ATTEMPT"
	EnvSeed          = "SWATH_SEED"
	EnvCPUs          = "SWATH_CPUS"
	// EnvKernel is for the built-in trainers (package kernel reads it), and the one of ours that
	// they inherit from the worker: a worker that is held to a kernel set holds its trainers to it.
	EnvKernel = "SWATH_KERNEL"
)

// The exit codes of a trainer that mean something.
const (
	ExitOK     = 0
	ExitFailed = 1
	// ExitSpec says that the parameters cannot work (EX_USAGE of sysexits.h).
	ExitSpec = 64
)

// The classes that an end line may carry. They are the words of sweeps.Class, spelled
// out again because this package imports nothing of ours; a test of worker/exec holds
// the two together.
const (
	ClassOK       = "ok"
	ClassDiverged = "diverged"
	ClassOOM      = "oom"
	ClassSpec     = "spec"
	ClassExit     = "exit"
)

// Errors that a trainer wraps to say how it ends; [Session.Finish] maps them to an end
// line and an exit code.
var (
	// ErrDiverged says that the loss became NaN or infinite.
	ErrDiverged = errors.New("diverged")
	// ErrSpec says that the parameters cannot work.
	ErrSpec = errors.New("parameters cannot work")
)

func knownClass(c string) bool {
	switch c {
	case ClassOK, ClassDiverged, ClassOOM, ClassSpec, ClassExit:
		return true
	}
	return false
}

// Attempted reports whether a worker started this process, as a trainer of an attempt.
func Attempted() bool {
	_, set := os.LookupEnv(EnvReport)
	return set
}
