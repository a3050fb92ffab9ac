package coordinator

import (
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Store keeps the records of sweeps and trials. Reads see all that was committed
// before they began. Implementations are safe for concurrent use, and pass storetest.
type Store interface {
	// Commit makes the changes durable, all or none: when it returns nil they
	// survive a crash. An error that wraps sweeps.ErrStorage leaves the store as it
	// was before, or as it is after; the caller must load it again to know. Records
	// are written as they are and not kept. Removed sweeps and their rows are found no
	// more, and their names are free.
	Commit(c dispatch.Changes) error
	// Sweeps returns the records of all sweeps, by time of creation, then id.
	Sweeps() ([]*sweeps.Sweep, error)
	// Sweep returns a sweep's record by id, or else by name; ErrNotFound if there is none.
	Sweep(nameOrID string) (*sweeps.Sweep, error)
	// Aside returns the workers that are set aside, by id.
	Aside() ([]dispatch.Aside, error)
	// Trials calls fn for the sweep's rows in order of index, from the index `from`
	// on, until fn returns false. Only trials that were started have rows. The
	// trials may be kept. fn must not call the store.
	Trials(id sweeps.SweepID, from int64, fn func(*sweeps.Trial) bool) error
	// Live calls fn for the sweep's rows that are pending or running, in order of
	// index, at a cost that does not depend on how many have ended.
	Live(id sweeps.SweepID, fn func(*sweeps.Trial) bool) error
	// Checkpointed calls fn for the rows, of all sweeps, that have checkpoints, until fn
	// returns false; at a cost that does not depend on how many have none.
	Checkpointed(fn func(*sweeps.Trial) bool) error
	// FindTrial returns the rows whose trial id begins with prefix, over all sweeps, at
	// most max of them, by id, then latest sweep first.
	FindTrial(prefix string, max int) ([]*sweeps.Trial, error)
	// Finished returns for each of the ids a finished row with it, of one of the sweeps `of`;
	// nil where there is none. Which of several is the store's choice, but it is the same
	// while nothing is committed. The cost does not depend on how many rows there are.
	Finished(ids []sweeps.TrialID, of map[sweeps.SweepID]bool) ([]*sweeps.Trial, error)
	// Reusers returns the sweeps that have rows whose ReusedFrom is an attempt of the sweep,
	// in no order.
	Reusers(id sweeps.SweepID) ([]sweeps.SweepID, error)
	// Removed returns the sweeps whose removal was committed and that were not purged, in no
	// order.
	Removed() ([]sweeps.SweepID, error)
	// Purge frees what a removed sweep takes, in as many commits as it needs. One that was
	// interrupted is repeated, and one that is not needed does nothing.
	Purge(id sweeps.SweepID) error
	// Close releases the store; everything committed is on disk.
	Close() error
}

// Batch is a run of an attempt's points with the sequence numbers First, First+1, ….
type Batch struct {
	Ref    sweeps.AttemptRef
	First  int64
	Points []sweeps.Point
}

// MetricStore keeps the series of attempts, and a summary of each. Implementations are
// safe for concurrent use.
type MetricStore interface {
	// Append records the points of all batches durably in one commit. A batch's
	// points that are recorded already are skipped; a batch that begins beyond what
	// is recorded is not recorded at all. It returns for each batch the number of
	// points that its attempt now has: what may be acknowledged.
	Append(batches []Batch) (next []int64, err error)
	// Summaries returns the summary of each of the attempt's metrics; empty, not an
	// error, for an attempt without points.
	Summaries(ref sweeps.AttemptRef) (map[string]sweeps.Summary, error)
	// Read calls fn with the attempt's points of a metric in recorded order, or with
	// those of all metrics, by name, if metric is empty; until fn returns false. fn
	// must not call the store.
	Read(ref sweeps.AttemptRef, metric string, fn func(sweeps.Point) bool) error
	// Remove drops all that was recorded of a sweep, in as many commits as it needs; to
	// repeat it does no harm.
	Remove(id sweeps.SweepID) error
	// Close releases the store; everything appended is on disk.
	Close() error
}

// CheckpointStore keeps checkpoints as files, by the SHA-256 of their content, in
// hexadecimal digits. Implementations are safe for concurrent use, but for one digest by
// one caller at a time. Sizes are in bytes.
type CheckpointStore interface {
	// Have returns how much of a file has arrived: its size and true if it is complete.
	Have(digest string) (size int64, complete bool, err error)
	// Append adds data to a file that is not complete, at an offset that it has come to.
	Append(digest string, offset int64, data []byte) error
	// Complete makes the file durable under its name, once all of it has arrived. If its
	// content is another than the digest says, it is dropped, and the error wraps ErrInvalid.
	Complete(digest string) error
	// Read returns up to max bytes from the offset on; none at the end. ErrNotFound says
	// that there is no complete file.
	Read(digest string, offset int64, max int) ([]byte, error)
	// Remove drops a file, complete or not. One that is not there is removed already.
	Remove(digest string) error
	// List returns the sizes of the complete files, and drops incomplete ones that nobody
	// has added to for a day.
	List() (map[string]int64, error)
	// Space is how much may still be written to the disk, and how large that is; 0 and 0
	// where nobody knows.
	Space() (free, total int64)
}

// LogStore keeps what attempts print, append-only, a file for each stream.
type LogStore interface {
	// Append writes data at the offset. Bytes that are there already are skipped; a
	// gap writes nothing. It returns how many bytes the stream now has.
	Append(ref sweeps.AttemptRef, stream string, offset int64, data []byte) (next int64, err error)
	// Read returns up to max bytes from the offset on; none at the end, and none,
	// without an error, where nothing was ever written.
	Read(ref sweeps.AttemptRef, stream string, offset int64, max int) ([]byte, error)
	// Remove drops all that was printed by a sweep's trials; to repeat it does no harm.
	Remove(id sweeps.SweepID) error
}
