package dcgan

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

// Train trains a model on d.
//
// Every report_every steps it reports, with the step as step, the means over these
// steps of loss_d, loss_g, d_x, d_g_z1 and d_g_z2 (see [Result]) and images_per_second;
// and after each epoch, with the epoch as step, swd: the sliced Wasserstein distance
// between generated and held-out images. Its pictures are samples-epoch-NNN.png and, at
// the end, interpolation-*.png.
//
// A training that finds a checkpoint of its own in the folder goes on from there, after
// reporting again what was reported until then; all weights and metrics but
// images_per_second are then, bit for bit, those of a training that was not interrupted.
// A checkpoint of another training is an error.
func Train(ctx context.Context, m *Model, d *data.Dataset, rec Recorder, o Options) error {
	c := &m.Config
	r := &run{model: m, loader: loader{data: d}, perEpoch: d.Train.Len() / c.BatchSize, history: trainer.History{To: rec.Report}}
	if r.perEpoch == 0 {
		return fmt.Errorf("%d training images do not fill a batch of %d", d.Train.Len(), c.BatchSize)
	}
	var err error
	if r.quality, err = newQuality(m, d); err != nil {
		return err
	}
	if o.ArtifactDir != "" {
		r.pictures = &pictures{model: m, dir: o.ArtifactDir}
	}
	r.history.Told = o.Told
	loop := trainer.Loop{
		Epochs: c.Epochs, StepsPerEpoch: r.perEpoch,
		Step:   r.step,
		Epoch:  func(epoch int, _ time.Duration) (map[string]float64, error) { return r.endEpoch(ctx, epoch) },
		End:    r.end,
		Recent: r.recently, RecentEvery: c.ReportEvery,
		Report:   r.report,
		Progress: rec.Progress,
	}
	if err := loop.Keep(o, identity(c, d), r.restore, r.checkpoint); err != nil {
		return err
	}
	return loop.Run(ctx)
}

// run is the state of a training between its steps.
type run struct {
	model    *Model
	loader   loader
	perEpoch int      // steps
	quality  *quality // nil if there is no swd
	pictures *pictures
	history  trainer.History

	epoch  int   // that order belongs to; 0 before the first step
	order  []int // in which the epoch visits the training images
	recent tally // since the last report
}

// step trains on the i-th batch of an epoch. It returns the loss of the discriminator.
func (r *run) step(epoch, i int) (float64, error) {
	started, c, d := time.Now(), &r.model.Config, r.loader.data
	if r.epoch != epoch {
		r.epoch, r.order = epoch, data.Order(d.Train.Len(), c.Seed, uint64(epoch))
	}
	if err := r.loader.fill(r.model.Real(), d.Train, r.order[i*c.BatchSize:(i+1)*c.BatchSize]); err != nil {
		return 0, err
	}
	result, err := r.model.Step()
	if err != nil {
		return 0, err
	}
	r.recent.add(result, time.Since(started))
	return result.LossD, nil
}

// recently returns the metrics of the steps since it was last called.
func (r *run) recently() (map[string]float64, error) {
	metrics := r.recent.metrics(r.model.Config.BatchSize)
	r.recent = tally{}
	return metrics, nil
}

// endEpoch makes a picture if it is time, and returns the metrics of the epoch. The picture
// of the last epoch is made at the end of the training.
func (r *run) endEpoch(ctx context.Context, epoch int) (map[string]float64, error) {
	c := &r.model.Config
	if due := c.SampleEvery > 0 && epoch%c.SampleEvery == 0 && epoch < c.Epochs; due && r.pictures != nil {
		if err := r.pictures.samples(epoch); err != nil {
			return nil, err
		}
	}
	if r.quality == nil {
		return nil, nil
	}
	distance, err := r.quality.measure(ctx)
	if err != nil {
		return nil, fmt.Errorf("computing swd: %w", err)
	}
	return map[string]float64{"swd": distance}, nil
}

// end draws what a training leaves whose epochs are done. It comes after the last
// checkpoint, so that an attempt that finds all epochs done does it too.
func (r *run) end() error {
	if r.pictures == nil {
		return nil
	}
	if err := r.pictures.samples(r.model.Config.Epochs); err != nil {
		return err
	}
	return r.pictures.strips()
}

// report passes metrics on, if there are any.
func (r *run) report(step int64, metrics map[string]float64) error {
	if len(metrics) == 0 {
		return nil
	}
	return r.history.Report(step, metrics)
}

// tally adds up the results of steps.
type tally struct {
	steps, timed int // timed are those of this attempt
	sum          Result
	took         time.Duration
}

func (t *tally) add(r Result, took time.Duration) {
	t.steps++
	t.timed++
	t.took += took
	t.sum.LossD += r.LossD
	t.sum.LossG += r.LossG
	t.sum.DX += r.DX
	t.sum.DGZ1 += r.DGZ1
	t.sum.DGZ2 += r.DGZ2
}

// metrics are the means over the steps.
func (t *tally) metrics(batch int) map[string]float64 {
	n := float64(t.steps)
	return map[string]float64{
		"loss_d": t.sum.LossD / n, "loss_g": t.sum.LossG / n,
		"d_x": t.sum.DX / n, "d_g_z1": t.sum.DGZ1 / n, "d_g_z2": t.sum.DGZ2 / n,
		"images_per_second": float64(t.timed*batch) / max(t.took.Seconds(), 1e-9),
	}
}
