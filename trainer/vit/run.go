// Package vit trains Vision Transformers (Dosovitskiy et al. 2021, "An image is worth
// 16x16 words") for image classification.
//
// Vocabulary. A token is one patch of an image, or the class token that stands before
// them and whose last embedding is classified; an encoder layer is attention and an
// MLP, each normalised before and added to the residual stream.
//
// [Params] lists the hyperparameters with their defaults, [Validate] checks a trial's
// without touching a file, [Run] trains a trial through the trainer protocol. Below
// them, [NewModel] builds the graphs and [Train] runs the epochs.
//
// Rules. The same parameters give the same weights, bit for bit, on any number of
// threads (of one kind of processor). Which images a subset holds does not depend on the
// seed, so that repeats of a trial with other seeds see the same data.
package vit

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"swath/trainer"
	"swath/trainer/data"
	"swath/trainer/nn/kernel"
	"swath/trainer/report"
)

// Trainer describes this trainer to the registry of built-in ones.
func Trainer() trainer.Trainer {
	return trainer.Trainer{
		Name:     Name,
		Summary:  "Vision Transformer for image classification",
		Params:   Params(),
		Metrics:  Metrics(),
		Validate: Validate,
		Run:      Run,

		CheckData: CheckData,

		Continues: continues,
	}
}

// continues: under a constant learning rate nothing depends on how many epochs are to come.
func continues(param string, params map[string]any) error {
	if param != "epochs" {
		return fmt.Errorf("a training can go on to more epochs, and not to another %s", param)
	}
	c, err := NewConfig(params)
	if err != nil {
		return err
	}
	if c.Schedule != "constant" {
		return fmt.Errorf("under schedule %s the learning rate of every step depends on the number of epochs: use schedule constant, or leave continue out", c.Schedule)
	}
	return nil
}

// Run trains the session's trial. See [Train] for what it reports, and trainer.Trainer for its errors.
func Run(ctx context.Context, session *report.Session) error {
	values, err := trainer.DecodeJSON(Name, Params(), session.Params)
	if err != nil {
		return fmt.Errorf("%w: %w", report.ErrSpec, err)
	}
	config, err := fromValues(values)
	if err != nil {
		return fmt.Errorf("%w: %w", report.ErrSpec, err)
	}
	if err := kernel.Use(); err != nil {
		return fmt.Errorf("choosing numeric kernels: %w", err)
	}
	kernel.SetThreads(trainer.Threads(config.Threads, session.CPUs))

	d, err := Open(ctx, &config, session.DataDir)
	if err != nil {
		return err
	}
	m, err := NewModel(config)
	if err != nil {
		return err
	}
	return Train(ctx, m, d, session, Options{
		CheckpointDir: session.CheckpointDir, ArtifactDir: session.ArtifactDir,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Saved: session.Checkpoint, Told: session.Reported(),
	})
}

// Open opens the data set that the configuration asks for, below the folder dir, and
// checks that the model fits it.
func Open(ctx context.Context, c *Config, dir string) (*data.Dataset, error) {
	d, err := trainer.OpenData(ctx, c.Dataset, dir, c.request())
	if err != nil {
		return nil, err
	}
	if err := trainer.Join(c.checkClasses(d.Classes), trainer.CheckBatch(c.BatchSize, d.Train.Len())); err != nil {
		return nil, fmt.Errorf("%w: %w", report.ErrSpec, err)
	}
	if d.Channels != c.Channels || d.Height != c.ImageSize || d.Width != c.ImageSize {
		return nil, fmt.Errorf("%w: data set %s has images of %d×%d×%d (channels, height, width), want %d×%d×%d", report.ErrSpec, c.Dataset,
			d.Channels, d.Height, d.Width, c.Channels, c.ImageSize, c.ImageSize)
	}
	return d, nil
}
