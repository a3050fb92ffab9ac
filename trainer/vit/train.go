package vit

import (
	"context"
	"fmt"
	"time"

	"swath/trainer"
	"swath/trainer/data"
)

// Recorder takes what a training measures; a report.Session is one.
type Recorder = trainer.Recorder

// Options are the surroundings of a training. The zero value has none.
type Options = trainer.Options

// Train trains a model on d and reports after each epoch, with the epoch as step:
// train_loss and train_accuracy (means over the epoch's steps as they happened, so
// with dropout and under changing weights), test_loss and test_accuracy (after the
// epoch, without dropout) and images_per_second (training only); and, if asked for,
// test_accuracy_layer_1 and so on, of which the last equals test_accuracy. Metric loss,
// the mean over the last report_every steps, has the optimiser's step as its step.
//
// A training that finds a checkpoint of its own in the folder goes on from there, after
// reporting again what was reported until then; all weights and metrics but
// images_per_second are then, bit for bit, those of a training that was not interrupted.
// A checkpoint of another training is an error. At the end it leaves three artifacts:
// see [writeArtifacts].
func Train(ctx context.Context, m *Model, d *data.Dataset, rec Recorder, o Options) error {
	r, err := newRun(m, d, rec)
	if err != nil {
		return err
	}
	c := &m.Config
	r.history.Told = o.Told
	loop := trainer.Loop{
		Epochs: c.Epochs, StepsPerEpoch: r.perEpoch,
		Step: r.step,
		Epoch: func(_ int, trained time.Duration) (map[string]float64, error) {
			return r.endEpoch(ctx, trained)
		},
		End:    func() error { return r.end(ctx, o.ArtifactDir) },
		Recent: r.recently, RecentEvery: c.ReportEvery,
		Report:          r.history.Report,
		Progress:        rec.Progress,
		CheckpointEvery: c.CheckpointEvery,
	}
	if err := loop.Keep(o, identity(c, d), r.restore, r.checkpoint); err != nil {
		return err
	}
	return loop.Run(ctx)
}

// run is the state of a training between its steps.
type run struct {
	model    *Model
	data     *data.Dataset
	batch    Batch
	augment  *augmentation
	perEpoch int // steps
	history  trainer.History

	epoch  int   // that order belongs to; 0 before the first step
	order  []int // in which the epoch visits the training images
	sum    tally // over the epoch so far
	recent tally // since loss was last reported
	last   *evaluation
}

func newRun(m *Model, d *data.Dataset, rec Recorder) (*run, error) {
	a, err := newAugmentation(&m.Config, d)
	if err != nil {
		return nil, fmt.Errorf("preparing augmentation: %w", err)
	}
	return &run{model: m, data: d, batch: m.TrainBatch(), augment: a, perEpoch: m.Config.stepsPerEpoch(d.Train.Len()),
		history: trainer.History{To: rec.Report}}, nil
}

// step trains on the i-th batch of an epoch.
func (r *run) step(epoch, i int) (float64, error) {
	c := &r.model.Config
	if r.epoch != epoch {
		r.epoch, r.order = epoch, data.Order(r.data.Train.Len(), c.Seed, uint64(epoch))
	}
	idx := r.order[i*c.BatchSize : min((i+1)*c.BatchSize, len(r.order))]
	if err := r.batch.fill(r.data, r.data.Train, idx); err != nil {
		return 0, err
	}
	r.augment.apply(r.batch.Images, idx, epoch)
	at := trainer.Position{Epoch: epoch, Done: i}
	r.model.solver.SetLearningRate(c.rate(at.Steps(r.perEpoch), r.perEpoch))
	result, err := r.model.Step()
	if err != nil {
		return 0, err
	}
	r.sum.add(result, len(idx))
	r.recent.add(result, len(idx))
	return result.Loss, nil
}

// recently returns the metrics of the steps since it was last called.
func (r *run) recently() (map[string]float64, error) {
	loss := r.recent.loss()
	r.recent = tally{}
	return map[string]float64{"loss": loss}, nil
}

// endEpoch evaluates the model and returns the metrics of the epoch, whose steps took so long.
func (r *run) endEpoch(ctx context.Context, trained time.Duration) (map[string]float64, error) {
	test, err := evaluate(ctx, r.model, r.data, r.data.Test)
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	metrics := map[string]float64{
		"train_loss": r.sum.loss(), "train_accuracy": r.sum.accuracy(),
		"test_loss": test.loss(), "test_accuracy": test.accuracy(),
		"images_per_second": float64(r.sum.Images) / max(trained.Seconds(), 1e-9),
	}
	for l, correct := range test.layers {
		metrics[layerAccuracy(l+1)] = float64(correct) / float64(max(test.Images, 1))
	}
	r.last, r.sum = test, tally{}
	return metrics, nil
}

// end leaves the artifacts of a training whose epochs are done.
func (r *run) end(ctx context.Context, dir string) (err error) {
	if dir == "" {
		return nil
	}
	if r.last == nil { // all epochs were done by an earlier attempt
		if r.last, err = evaluate(ctx, r.model, r.data, r.data.Test); err != nil {
			return fmt.Errorf("evaluating: %w", err)
		}
	}
	return writeArtifacts(dir, r.model, r.data, r.last)
}

// evaluation is what a model makes of a split.
type evaluation struct {
	tally
	layers    []int // correct when read after each encoder layer; nil if that is not asked for
	confusion [][]int
}

// evaluate runs the model over a split.
func evaluate(ctx context.Context, m *Model, d *data.Dataset, s data.Split) (*evaluation, error) {
	e := &evaluation{confusion: make([][]int, len(d.Classes))}
	for i := range e.confusion {
		e.confusion[i] = make([]int, m.Config.Classes)
	}
	if m.probe != nil {
		e.layers = make([]int, len(m.eval.layers))
	}
	batch, idx := m.EvalBatch(), make([]int, 0, m.Config.BatchSize)
	for from := 0; from < s.Len(); from += m.Config.BatchSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		idx = idx[:0]
		for i := from; i < min(from+m.Config.BatchSize, s.Len()); i++ {
			idx = append(idx, i)
		}
		if err := batch.fill(d, s, idx); err != nil {
			return nil, err
		}
		result, err := m.Evaluate()
		if err != nil {
			return nil, err
		}
		e.add(result, len(idx))
		predicted := m.predictions()
		for k, i := range idx {
			e.confusion[s.Labels[i]][predicted[k]]++
		}
		for l := range e.layers {
			correct, err := m.probeLayer(l)
			if err != nil {
				return nil, err
			}
			e.layers[l] += correct
		}
	}
	return e, nil
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

// tally adds up results over batches. Its fields are exported for the checkpoint.
type tally struct {
	LossSum         float64
	Correct, Images int
}

func (t *tally) add(r Result, images int) {
	t.LossSum += r.Loss * float64(images)
	t.Correct += r.Correct
	t.Images += images
}

func (t *tally) loss() float64     { return t.LossSum / float64(max(t.Images, 1)) }
func (t *tally) accuracy() float64 { return float64(t.Correct) / float64(max(t.Images, 1)) }
