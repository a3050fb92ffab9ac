package trainer

import (
	"fmt"
	"log/slog"

	"swath/trainer/checkpoint"
)

// Recorder takes what a training measures; a report.Session is one.
type Recorder interface {
	// Report records metrics at a step.
	Report(step int64, metrics map[string]float64) error
	// Progress records what fraction of the training is done, and in which epoch it is.
	Progress(fraction float64, epoch int64) error
}

// Options are the surroundings of a training. The zero value has none.
type Options struct {
	CheckpointDir string       // an existing folder for checkpoints; empty: none are kept
	ArtifactDir   string       // an existing folder for artifacts; empty: none are made
	Log           *slog.Logger // for what a person may want to know; nil: nothing is said
	// Told says that the report begins with what was reported up to the checkpoint in
	// CheckpointDir.
	Told bool
	// Saved is told of every checkpoint, by the name of its file and the optimiser's step,
	// when it is complete. Nil: nobody asks.
	Saved func(name string, step int64) error
}

// Keep makes the loop keep checkpoints of the identity in o.CheckpointDir, if there is one,
// and go on from the latest: restore takes up a checkpoint and returns where the loop goes
// on, save makes one. A checkpoint of another training is an error; one that is broken is
// logged, and the one before it serves.
func (l *Loop) Keep(o Options, identity checkpoint.Identity, restore func(*checkpoint.Checkpoint) (Position, error), save func(Position) (*checkpoint.Checkpoint, error)) error {
	if o.CheckpointDir == "" {
		return nil
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	folder := &checkpoint.Folder{Path: o.CheckpointDir, Identity: identity}
	saved, skipped, err := folder.Latest()
	for _, s := range skipped {
		log.Warn(s.Error())
	}
	if err != nil {
		return err
	}
	if saved != nil {
		if l.From, err = restore(saved); err != nil {
			return fmt.Errorf("going on from the checkpoint of step %d in %s: %w", saved.Step, o.CheckpointDir, err)
		}
		log.Info("going on from a checkpoint", "epoch", l.From.Epoch, "step", saved.Step)
	}
	l.Checkpoint = func(at Position) error {
		saved, err := save(at)
		if err != nil {
			return err
		}
		if err := folder.Save(saved); err != nil || o.Saved == nil {
			return err
		}
		return o.Saved(checkpoint.FileName(saved.Step), saved.Step)
	}
	return nil
}
