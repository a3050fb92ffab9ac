package trainer

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"swath/trainer/report"
)

// Loop runs a training: epochs of steps, with an evaluation and a report after each
// epoch. The hooks do the work; Loop decides when, and how it ends.
type Loop struct {
	Epochs        int
	StepsPerEpoch int

	// Step does step i, from 0, of an epoch counted from 1, and returns its loss.
	Step func(epoch, i int) (loss float64, err error)
	// Epoch is called after the last step of an epoch, and returns the epoch's metrics.
	// trained is how long the epoch's steps took. Nil: no metrics.
	Epoch func(epoch int, trained time.Duration) (map[string]float64, error)
	// Report records the metrics of an epoch, with the epoch as step.
	Report func(epoch int64, metrics map[string]float64) error
	// Progress tells what fraction is done and in which epoch, after each epoch and at
	// most once a second between. Nil: nobody asks.
	Progress func(fraction float64, epoch int64) error
}

// progressInterval is the least time between two reports of progress within an epoch.
const progressInterval = time.Second

// Run runs the loop to its end. A loss that is NaN or infinite ends it with an error that wraps
// report.ErrDiverged and names the step; a context that is done with the context's error, before the next step.
func (l *Loop) Run(ctx context.Context) error {
	told := time.Now()
	for epoch := 1; epoch <= l.Epochs; epoch++ {
		started := time.Now()
		for i := range l.StepsPerEpoch {
			if err := ctx.Err(); err != nil {
				return err
			}
			loss, err := l.Step(epoch, i)
			step := (epoch-1)*l.StepsPerEpoch + i + 1
			if err != nil {
				return fmt.Errorf("step %d (epoch %d): %w", step, epoch, err)
			}
			if math.IsNaN(loss) || math.IsInf(loss, 0) {
				return fmt.Errorf("%w: the training loss is %v at step %d (epoch %d); a smaller learning rate may help", report.ErrDiverged, loss, step, epoch)
			}
			if time.Since(told) >= progressInterval {
				told = time.Now()
				if err := l.progress(step, epoch); err != nil {
					return err
				}
			}
		}
		trained := time.Since(started)
		if l.Epoch != nil {
			metrics, err := l.Epoch(epoch, trained)
			if err != nil {
				return fmt.Errorf("epoch %d: %w", epoch, err)
			}
			if err := l.Report(int64(epoch), metrics); err != nil {
				return fmt.Errorf("reporting epoch %d: %w", epoch, err)
			}
		}
		if err := l.progress(epoch*l.StepsPerEpoch, epoch); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) progress(step, epoch int) error {
	if l.Progress == nil {
		return nil
	}
	if err := l.Progress(float64(step)/float64(l.Epochs*l.StepsPerEpoch), int64(epoch)); err != nil {
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
