package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"swath/trainer/report"
)

// Loop runs a training: epochs of steps, with an evaluation and a report after each
// epoch. The hooks do the work; Loop decides when, and how it ends.
//
// Two counts serve as the step of a metric: the epoch, from 1, for what [Loop.Epoch]
// returns, and the optimiser's step, from 1 and over all epochs, for what [Loop.Recent]
// returns. A metric belongs to one of the two.
type Loop struct {
	Epochs        int
	StepsPerEpoch int

	// From is where to begin: its zero value at the beginning, else where an earlier run of
	// the same training stood when Checkpoint was called.
	From Position

	// Step does step i, from 0, of an epoch counted from 1, and returns its loss.
	Step func(epoch, i int) (loss float64, err error)
	// Epoch is called after the last step of an epoch, and returns the epoch's metrics.
	// trained is how long the epoch's steps took. Nil: no metrics.
	Epoch func(epoch int, trained time.Duration) (map[string]float64, error)
	// End is called when all epochs are done, also by a run that finds them done. Nil: there is nothing left to do.
	End func() error
	// Recent is called after every RecentEvery steps, and returns metrics of the steps since
	// the last call. Never called if RecentEvery is 0.
	Recent      func() (map[string]float64, error)
	RecentEvery int
	// Report records metrics at a step.
	Report func(step int64, metrics map[string]float64) error
	// Progress tells what fraction is done and in which epoch, after each epoch and at
	// most once a second between. Nil: nobody asks.
	Progress func(fraction float64, epoch int64) error

	// Checkpoint saves the state of the training, with its position. It is called after
	// each epoch, when that has been reported; after every CheckpointEvery steps, unless
	// that is 0; and when the context ends a run in between. Nil: nothing is saved.
	Checkpoint      func(at Position) error
	CheckpointEvery int
}

// Position is how far a training has come. Its zero value is the beginning.
type Position struct {
	Epoch   int           // the epoch that is under way, from 1; 0 stands for 1
	Done    int           // how many of its steps are done
	Trained time.Duration // how long these took
}

// Steps is the number of steps done in all epochs.
func (p Position) Steps(perEpoch int) int64 {
	return int64(max(p.Epoch, 1)-1)*int64(perEpoch) + int64(p.Done)
}

// progressInterval is the least time between two reports of progress within an epoch.
const progressInterval = time.Second

// Run runs the loop to its end. A loss that is NaN or infinite ends it with an error that wraps
// report.ErrDiverged; every error names the step and the epoch, those of the hooks too. A context that is done with the context's error, before the next step.
func (l *Loop) Run(ctx context.Context) error {
	at := l.From
	at.Epoch = max(at.Epoch, 1)
	if at.Done > l.StepsPerEpoch {
		return fmt.Errorf("going on from step %d of an epoch: epochs have %d steps", at.Done, l.StepsPerEpoch)
	}
	saved := at.Steps(l.StepsPerEpoch)
	err := l.run(ctx, &at, &saved)
	// The work since the last checkpoint is lost with the process, unless it is saved now.
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && at.Steps(l.StepsPerEpoch) > saved {
		return errors.Join(err, l.save(at, &saved))
	}
	return err
}

// run moves at forward to the end. saved is the number of steps done at the last checkpoint.
func (l *Loop) run(ctx context.Context, at *Position, saved *int64) error {
	told := time.Now()
	for at.Epoch <= l.Epochs {
		for at.Done < l.StepsPerEpoch {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.step(at); err != nil {
				return err
			}
			if l.CheckpointEvery > 0 && at.Done < l.StepsPerEpoch && at.Steps(l.StepsPerEpoch)%int64(l.CheckpointEvery) == 0 {
				if err := l.save(*at, saved); err != nil {
					return err
				}
			}
			if time.Since(told) >= progressInterval {
				told = time.Now()
				if err := l.progress(*at); err != nil {
					return err
				}
			}
		}
		if err := l.endEpoch(at); err != nil {
			return err
		}
		if err := l.save(*at, saved); err != nil {
			return err
		}
	}
	if l.End == nil {
		return nil
	}
	if err := l.End(); err != nil {
		return fmt.Errorf("step %d (epoch %d): %w", at.Steps(l.StepsPerEpoch), l.Epochs, err)
	}
	return nil
}

// step does the next step, and reports it if that is due.
func (l *Loop) step(at *Position) error {
	started := time.Now()
	loss, err := l.Step(at.Epoch, at.Done)
	at.Trained += time.Since(started)
	at.Done++
	step := at.Steps(l.StepsPerEpoch)
	if err != nil {
		return fmt.Errorf("step %d (epoch %d): %w", step, at.Epoch, err)
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("%w: the training loss is %v at step %d (epoch %d); a smaller learning rate may help", report.ErrDiverged, loss, step, at.Epoch)
	}
	if l.RecentEvery <= 0 || step%int64(l.RecentEvery) != 0 {
		return nil
	}
	metrics, err := l.Recent()
	if err != nil {
		return fmt.Errorf("step %d (epoch %d): %w", step, at.Epoch, err)
	}
	if err := l.Report(step, metrics); err != nil {
		return fmt.Errorf("reporting step %d: %w", step, err)
	}
	return nil
}

// endEpoch reports an epoch whose steps are done, and moves on to the next.
func (l *Loop) endEpoch(at *Position) error {
	if l.Epoch != nil {
		metrics, err := l.Epoch(at.Epoch, at.Trained)
		if err != nil {
			return fmt.Errorf("step %d (epoch %d): %w", at.Steps(l.StepsPerEpoch), at.Epoch, err)
		}
		if err := l.Report(int64(at.Epoch), metrics); err != nil {
			return fmt.Errorf("reporting epoch %d: %w", at.Epoch, err)
		}
	}
	if err := l.progress(*at); err != nil {
		return err
	}
	*at = Position{Epoch: at.Epoch + 1}
	return nil
}

func (l *Loop) save(at Position, saved *int64) error {
	if l.Checkpoint == nil {
		return nil
	}
	if err := l.Checkpoint(at); err != nil {
		return fmt.Errorf("after step %d: %w", at.Steps(l.StepsPerEpoch), err)
	}
	*saved = at.Steps(l.StepsPerEpoch)
	return nil
}

func (l *Loop) progress(at Position) error {
	if l.Progress == nil {
		return nil
	}
	step := at.Steps(l.StepsPerEpoch)
	if err := l.Progress(float64(step)/float64(l.Epochs*l.StepsPerEpoch), int64(at.Epoch)); err != nil {
		return fmt.Errorf("reporting progress at step %d: %w", step, err)
	}
	return nil
}

// Threads returns how many threads a trial may compute with: what its parameter asks
// for, else its share of the machine (report.Session's CPUs), else all processors; 0
// stands for "not said".
func Threads(asked, share int) int {
	switch {
	case asked > 0:
		return asked
	case share > 0:
		return share
	}
	return runtime.GOMAXPROCS(0)
}
