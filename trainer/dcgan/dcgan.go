// Package dcgan trains generative adversarial networks for images: the DCGAN of Radford,
// Metz and Chintala (2016, "Unsupervised representation learning with deep convolutional
// generative adversarial networks"), and in its place as generator the one of StyleGAN
// (Karras, Laine and Aila 2019, "A style-based generator architecture for generative
// adversarial networks").
//
// Vocabulary, the papers': the generator G makes an image of a latent vector z; the
// discriminator D gives the probability that an image is real; in the style generator,
// the mapping network turns z into the intermediate latent w, from which the synthesis
// network makes the image. swd is the sliced Wasserstein distance of package swd.
//
// [Params] lists the hyperparameters with their defaults, [Validate] checks a trial's
// without touching a file, [Run] trains a trial through the trainer protocol. Below
// them, [NewModel] builds the graphs and [Train] runs the epochs.
//
// Rules. The same parameters give the same weights, bit for bit, on any number of
// threads (of one kind of processor). Whatever is random is a function of the seed and
// of what it is for: latents of the step, samples of the model, noise of step, layer and
// pixel. Which images a subset holds does not depend on the seed.
package dcgan

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"swath/trainer"
	"swath/trainer/nn/kernel"
	"swath/trainer/report"
)

// Trainer describes this trainer to the registry of built-in ones.
func Trainer() trainer.Trainer {
	return trainer.Trainer{
		Name:     Name,
		Summary:  "generative adversarial network for images: DCGAN, or a style-based generator",
		Params:   Params(),
		Metrics:  Metrics(),
		Validate: Validate,
		Run:      Run,

		CheckData: CheckData,

		Continues: continues,
	}
}

// continues: nothing depends on how many epochs are to come.
func continues(param string, _ map[string]any) error {
	if param != "epochs" {
		return fmt.Errorf("a training can go on to more epochs, and not to another %s", param)
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
