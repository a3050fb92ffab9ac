package vit

import (
	"fmt"
	"math"

	"swath/trainer"
	"swath/trainer/data"
	"swath/trainer/nn"
)

// Name is what a sweep file calls this trainer.
const Name = "vit"

// maxTokens bounds the tokens of an image: attention takes a matrix of tokens² for
// each thread, 1 GiB at this many.
const maxTokens = 16384

// Params returns the trainer's hyperparameters.
func Params() []trainer.Param {
	return []trainer.Param{
		{Name: "dataset", Default: "cifar10", Help: "data set: cifar10, fashion-mnist, shapes, or folder:PATH"},
		{Name: "train_images", Default: 0, Help: "training images to take, evenly over the classes; 0: all"},
		{Name: "test_images", Default: 0, Help: "test images to take, evenly over the classes; 0: all"},
		{Name: "image_size", Default: 32, Min: 1, Max: 1024, Help: "height and width that images are brought to, in pixels"},
		{Name: "crop", Default: string(data.CropCenter), Choices: []string{string(data.CropCenter), string(data.CropNone)}, Help: "how images of a folder are made square: center takes the largest square in the middle, none the whole image, squeezed"},
		{Name: "classes", Default: 10, Min: 1, Max: 100_000, Help: "number of labels; not fewer than the data set has"},

		{Name: "patch_size", Default: 4, Min: 1, Max: 1024, Help: "height and width of a patch, in pixels; divides image_size"},
		{Name: "embed_dim", Default: 0, Max: maxEmbedDim, Help: "length of a token's embedding; divisible by heads; 0: patch_size * patch_size * channels * 5"},
		{Name: "heads", Default: 12, Min: 1, Max: 65536, Help: "attention heads; divides embed_dim"},
		{Name: "encoder_layers", Default: 4, Min: 1, Max: 256, Help: "encoder layers"},
		{Name: "class_token_layer", Default: 0, Max: 256, Help: "the class token is read after this encoder layer, from 1; later layers are not computed; 0: encoder_layers"},
		{Name: "mlp_dim", Default: 1024, Min: 1, Max: 262144, Help: "hidden units of an encoder layer's MLP"},
		{Name: "dropout", Default: 0.1, Max: 1, Open: trainer.OpenMax, Help: "dropout after the embedding, the attention's projection and both layers of the MLP"},

		{Name: "learning_rate", Default: 1e-4, Open: trainer.OpenMin, Help: "step size of the optimizer; the largest one under a schedule"},
		{Name: "schedule", Default: "constant", Choices: []string{"constant", "cosine"}, Help: "learning rate after warm-up: constant, or cosine down to 0 at the end of training"},
		{Name: "warmup_epochs", Default: 0.0, Max: 1_000_000, Help: "epochs, or a fraction of one, in which the learning rate rises in a line; at most epochs"},
		{Name: "batch_size", Default: 100, Min: 1, Max: 65536, Help: "images a step, at most all training images; the last step of an epoch takes what is left"},
		{Name: "epochs", Default: 10, Min: 1, Max: 1_000_000, Help: "passes over the training images"},
		{Name: "optimizer", Default: "adam", Choices: []string{"adam", "adamw", "sgd"}, Help: "adam, adamw (decoupled weight decay) or sgd (momentum 0.9)"},
		{Name: "weight_decay", Default: 0.0, Help: "adamw: share of a weight, times learning_rate, taken off a step; sgd: added to the gradient; not for adam"},
		{Name: "augment", Default: "none", Choices: []string{"none", "flip", "flip_crop"}, Help: "training images: as they are; mirrored half of the time; that and shifted by up to 4 pixels each way over black"},
		{Name: "seed", Default: 0, Min: -(1 << 53), Max: 1 << 53, Help: "decides the first weights, the order of images, augmentation and dropout; not which images are taken"},
		{Name: "probe_layers", Default: false, Help: "report also test_accuracy_layer_k, the class token read after each encoder layer k through the model's own head"},
		{Name: "report_every", Default: 50, Max: 1 << 31, Help: "report metric loss, the mean since the last time, every so many steps, with the optimizer's step as its step; 0: never"},
		{Name: "checkpoint_every", Default: 0, Max: 1 << 31, Help: "save a checkpoint every so many steps too; 0: after each epoch only"},
		{Name: "threads", Default: 0, Max: 4096, Help: "threads to compute with; 0: the trial's share of the machine. Results do not depend on it"},
	}
}

// Config is a trial's hyperparameters, checked and with what is derived filled in.
type Config struct {
	Dataset                 string
	TrainImages, TestImages int // 0: all
	ImageSize, Channels     int
	Crop                    data.Crop
	Classes                 int

	PatchSize, EmbedDim, Heads     int
	EncoderLayers, ClassTokenLayer int
	MLPDim                         int
	Dropout                        float64

	LearningRate, WeightDecay float64
	Schedule                  string
	WarmupEpochs              float64
	Optimizer                 string
	BatchSize, Epochs         int
	Augment                   string
	Seed                      uint64

	ProbeLayers                  bool
	ReportEvery, CheckpointEvery int // steps; 0: never
	Threads                      int // 0: the trial's share

	// AllTokens makes the last encoder layer compute every token, as its equations are
	// written, and not the class token alone, of which the loss is a function. No parameter
	// sets it: it changes only how long a step takes.
	AllTokens bool
}

// Tokens is the number of tokens of an image: its patches and the class token.
func (c *Config) Tokens() int { return nn.Tokens(c.ImageSize, c.ImageSize, c.PatchSize) }

// Validate checks a trial's parameters. It opens no file.
func Validate(params map[string]any) error {
	_, err := NewConfig(params)
	return err
}

// CheckData checks what a data set must have for a trial's parameters.
func CheckData(params map[string]any, set data.Set) error {
	c, err := NewConfig(params)
	if err != nil {
		return err
	}
	return trainer.Join(c.checkData(set)...)
}

// NewConfig checks a trial's parameters and returns the configuration that they stand
// for. It opens no file; that the data set is there and, where this does not show without
// its files, has enough images and not more classes than the parameter says is checked
// when training begins.
func NewConfig(params map[string]any) (Config, error) {
	v, err := trainer.Decode(Name, Params(), params)
	if err != nil {
		return Config{}, err
	}
	return fromValues(v)
}

func fromValues(v trainer.Values) (Config, error) {
	c := Config{
		Dataset:         v.String("dataset"),
		TrainImages:     v.Int("train_images"),
		TestImages:      v.Int("test_images"),
		ImageSize:       v.Int("image_size"),
		Crop:            data.Crop(v.String("crop")),
		Classes:         v.Int("classes"),
		PatchSize:       v.Int("patch_size"),
		EmbedDim:        v.Int("embed_dim"),
		Heads:           v.Int("heads"),
		EncoderLayers:   v.Int("encoder_layers"),
		ClassTokenLayer: v.Int("class_token_layer"),
		MLPDim:          v.Int("mlp_dim"),
		Dropout:         v.Float("dropout"),
		LearningRate:    v.Float("learning_rate"),
		WeightDecay:     v.Float("weight_decay"),
		Schedule:        v.String("schedule"),
		WarmupEpochs:    v.Float("warmup_epochs"),
		Augment:         v.String("augment"),
		ProbeLayers:     v.Bool("probe_layers"),
		ReportEvery:     v.Int("report_every"),
		CheckpointEvery: v.Int("checkpoint_every"),
		Optimizer:       v.String("optimizer"),
		BatchSize:       v.Int("batch_size"),
		Epochs:          v.Int("epochs"),
		Seed:            uint64(v.Int("seed")),
		Threads:         v.Int("threads"),
	}
	c.Channels = channels(c.Dataset)
	if c.EmbedDim == 0 {
		c.EmbedDim = c.defaultEmbedDim()
	}
	if c.ClassTokenLayer == 0 {
		c.ClassTokenLayer = c.EncoderLayers
	}
	return c, c.check()
}

// defaultEmbedDim is five times the pixels of a patch, as the report has it.
func (c *Config) defaultEmbedDim() int { return c.PatchSize * c.PatchSize * c.Channels * 5 }

// channels is how many channels a data set's images have. It must be known without
// opening the set, because the embedding's default depends on it.
func channels(dataset string) int {
	if set, err := data.Known(dataset); err == nil {
		return set.Channels
	}
	return 3 // of no set: what is wrong is said elsewhere
}

// check reports parameters that do not go together.
func (c *Config) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if set, err := data.Known(c.Dataset); err != nil {
		add("dataset: %w", err)
	} else {
		errs = append(errs, c.checkData(set)...)
	}
	if c.ImageSize%c.PatchSize != 0 {
		add("patch_size: %d does not divide image_size %d (use a divisor of %d, or add the constraint 'image_size %% patch_size == 0')", c.PatchSize, c.ImageSize, c.ImageSize)
	} else if n := c.Tokens(); n > maxTokens {
		add("patch_size: %d on images of %d gives %d tokens, more than the %d that fit into memory (use a larger patch_size)", c.PatchSize, c.ImageSize, n, maxTokens)
	}
	if c.EmbedDim%c.Heads != 0 {
		add("heads: %d does not divide embed_dim %d (use a divisor of %d, or add the constraint 'embed_dim %% heads == 0')", c.Heads, c.EmbedDim, c.EmbedDim)
	}
	if c.ClassTokenLayer > c.EncoderLayers {
		add("class_token_layer: there is no encoder layer %d to read after (use at most encoder_layers, which is %d)", c.ClassTokenLayer, c.EncoderLayers)
	}
	if c.Optimizer == "adam" && c.WeightDecay != 0 {
		add("weight_decay: adam has none (use optimizer adamw, or leave weight_decay at 0)")
	}
	if c.WarmupEpochs > float64(c.Epochs) {
		add("warmup_epochs: %v are more than the %d epochs (use at most as many)", c.WarmupEpochs, c.Epochs)
	}
	if len(errs) == 0 { // tokens are a whole number, and so on
		errs = append(errs, c.checkSize())
	}
	return trainer.Join(errs...)
}

// request is what the configuration asks of its data set.
func (c *Config) request() data.Options {
	return data.Options{Train: c.TrainImages, Test: c.TestImages, Size: c.ImageSize, Crop: c.Crop}
}

// checkData reports what the configuration asks for and its data set does not have.
func (c *Config) checkData(set data.Set) []error {
	errs := trainer.CheckData(set, c.request(), c.BatchSize)
	if err := c.checkClasses(set.Classes); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// checkClasses reports a data set that has more classes than the model.
func (c *Config) checkClasses(classes []string) error {
	if n := len(classes); n > c.Classes {
		return fmt.Errorf("classes: data set %s has %d classes, more than %d (set classes to %d)", c.Dataset, n, c.Classes, n)
	}
	return nil
}

// rate is the learning rate of a step, counted from 0. Over the steps of the warm-up it
// rises in a line, to the full rate in the last of them; then it stays, or falls as
// lr·(1+cos(π·x))/2, where x runs from 0 after the warm-up to 1 after the last step of the
// training (Loshchilov and Hutter 2017, equation 5, without restarts).
func (c *Config) rate(step int64, perEpoch int) float64 {
	warmup := math.Round(c.WarmupEpochs * float64(perEpoch))
	if float64(step) < warmup {
		return c.LearningRate * (float64(step) + 1) / warmup
	}
	if c.Schedule != "cosine" {
		return c.LearningRate
	}
	x := (float64(step) - warmup) / (float64(c.Epochs)*float64(perEpoch) - warmup)
	return c.LearningRate * (1 + math.Cos(math.Pi*x)) / 2
}

// stepsPerEpoch is the number of batches of n training images.
func (c *Config) stepsPerEpoch(n int) int { return (n + c.BatchSize - 1) / c.BatchSize }
