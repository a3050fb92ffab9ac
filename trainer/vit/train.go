package vit

import (
	"context"
	"fmt"
	"time"

	"swath/trainer"
	"swath/trainer/data"
)

// Recorder takes what a training measures; a report.Session is one.
type Recorder interface {
	// Report records metrics at a step.
	Report(step int64, metrics map[string]float64) error
	// Progress records what fraction of the training is done, and in which epoch it is.
	Progress(fraction float64, epoch int64) error
}

// Train trains a model on d and reports after each epoch, with the epoch as step:
// train_loss and train_accuracy (means over the epoch's steps as they happened, so
// with dropout and under changing weights), test_loss and test_accuracy (after the
// epoch, without dropout) and images_per_second (training only).
func Train(ctx context.Context, m *Model, d *data.Dataset, rec Recorder) error {
	c := &m.Config
	n := d.Train.Len()
	r := &run{model: m, data: d, batch: m.TrainBatch()}
	loop := trainer.Loop{
		Epochs: c.Epochs, StepsPerEpoch: (n + c.BatchSize - 1) / c.BatchSize,
		Step: r.step,
		Epoch: func(_ int, trained time.Duration) (map[string]float64, error) {
			test, err := evaluate(ctx, m, d, d.Test)
			if err != nil {
				return nil, fmt.Errorf("evaluating: %w", err)
			}
			return map[string]float64{
				"train_loss": r.sum.loss(), "train_accuracy": r.sum.accuracy(),
				"test_loss": test.loss(), "test_accuracy": test.accuracy(),
				"images_per_second": float64(n) / max(trained.Seconds(), 1e-9),
			}, nil
		},
		Report:   rec.Report,
		Progress: rec.Progress,
	}
	return loop.Run(ctx)
}

// run is the state of a training between its steps.
type run struct {
	model *Model
	data  *data.Dataset
	batch Batch
	order []int // of this epoch
	sum   tally
}

// step trains on the i-th batch of an epoch.
func (r *run) step(epoch, i int) (float64, error) {
	c := &r.model.Config
	if i == 0 {
		r.order = data.Order(r.data.Train.Len(), c.Seed, uint64(epoch))
		r.sum = tally{}
	}
	idx := r.order[i*c.BatchSize : min((i+1)*c.BatchSize, len(r.order))]
	if err := r.batch.fill(r.data, r.data.Train, idx); err != nil {
		return 0, err
	}
	result, err := r.model.Step()
	if err != nil {
		return 0, err
	}
	r.sum.add(result, len(idx))
	return result.Loss, nil
}

// evaluate runs the model over a split.
func evaluate(ctx context.Context, m *Model, d *data.Dataset, s data.Split) (tally, error) {
	var sum tally
	batch, idx := m.EvalBatch(), make([]int, 0, m.Config.BatchSize)
	for from := 0; from < s.Len(); from += m.Config.BatchSize {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		idx = idx[:0]
		for i := from; i < min(from+m.Config.BatchSize, s.Len()); i++ {
			idx = append(idx, i)
		}
		if err := batch.fill(d, s, idx); err != nil {
			return sum, err
		}
		result, err := m.Evaluate()
		if err != nil {
			return sum, err
		}
		sum.add(result, len(idx))
	}
	return sum, nil
}

// fill puts images into a batch. Places that are left over get the label -1, and so no part in loss or gradient.
func (b Batch) fill(d *data.Dataset, s data.Split, idx []int) error {
	used := len(idx) * d.ImageLen()
	if err := d.Batch(b.Images[:used], s, idx); err != nil {
		return err
	}
	clear(b.Images[used:])
	for k := range b.Labels {
		b.Labels[k] = -1
		if k < len(idx) {
			b.Labels[k] = int32(s.Labels[idx[k]])
		}
	}
	return nil
}

// tally adds up results over batches.
type tally struct {
	lossSum         float64
	correct, images int
}

func (t *tally) add(r Result, images int) {
	t.lossSum += r.Loss * float64(images)
	t.correct += r.Correct
	t.images += images
}

func (t *tally) loss() float64     { return t.lossSum / float64(max(t.images, 1)) }
func (t *tally) accuracy() float64 { return float64(t.correct) / float64(max(t.images, 1)) }
