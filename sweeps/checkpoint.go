package sweeps

import "time"

// Checkpoint is the record of a state of a trial's training that the coordinator keeps as
// a file, so that another attempt, or another trial, can go on from it.
type Checkpoint struct {
	// Attempt is the attempt of the trial that wrote it; 0 for one that was taken over from
	// the trial that this one continues.
	Attempt int
	Step    int64  // as the trainer said
	Digest  string // of the file: SHA-256, in hexadecimal digits
	Size    int64  // of the file, in bytes
	// Value is the objective's, as last reported before the checkpoint; NaN if it never was.
	Value float64
	Saved time.Time // when it was recorded
}

// KeptCheckpoint is a checkpoint and the trial of the sweep that wrote it.
type KeptCheckpoint struct {
	Index int64
	Checkpoint
}

// Keep says which checkpoints are kept. The last one of a trial that has not ended always
// is; and of one that failed or was cancelled, since it may be rerun.
type Keep struct {
	// Last is how many of a trial's last checkpoints are kept, also after it has finished;
	// with 0 none are then.
	Last int
	// Best is of how many trials of the sweep the best checkpoint is kept: of those whose
	// objective was the best at one of their checkpoints.
	Best int
}
