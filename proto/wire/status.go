package wire

import "swath/sweeps"

// WorkerStatus is a worker as the coordinator sees it.
type WorkerStatus struct {
	sweeps.Worker
	Connected, Draining bool
	Aside               string // why it is given no trials; empty if it is
	Running             int
}

// SweepStatus is a sweep as of now.
type SweepStatus struct {
	*sweeps.Sweep
	Total   int64           // trials it will have; -1 if not known
	Running []*sweeps.Trial // with summaries as far as they have come
	Notes   []string        // what people should know besides
}

// Underway is how many of the trials run: those that workers hold, without those that wait
// there for a slot, as far as Running lists them.
func (s *SweepStatus) Underway() int64 {
	n := s.Counts.Running
	for _, t := range s.Running {
		if t.Started.IsZero() {
			n--
		}
	}
	return n
}

// Progress is one message of a watch: the sweep as of now and what happened since the
// message before.
type Progress struct {
	SweepStatus
	Ended   []*sweeps.Trial // those that ended since, once each
	Workers int             // connected
	Slots   int             // of them
}

// Submission is what a user submits.
type Submission struct {
	ID      sweeps.SweepID // drawn by the submitter; a repetition is recognised by it
	Source  []byte
	File    string
	Name    string // overrides the file's if not empty
	WorkDir string
	Reuse   *bool  // overrides the file's if not nil
	Program string // a digest of the program's content; empty if it was not read
}

// SeriesPiece is a run of points of one trial.
type SeriesPiece struct {
	Trial  sweeps.TrialID
	Index  int64
	Points []sweeps.Point
}

// LogPiece is a piece of a trial's output.
type LogPiece struct {
	Stream string // Stdout or Stderr
	Data   []byte
}
