package dcgan

import (
	"fmt"

	"swath/trainer"
	"swath/trainer/data"
)

// Name is what a sweep file calls this trainer.
const Name = "dcgan"

// The generators that there are.
const (
	plainGenerator = "dcgan"
	styleGenerator = "style"
)

// channels is how many channels an image has: red, green and blue.
const channels = 3

// Params returns the trainer's hyperparameters.
func Params() []trainer.Param {
	return []trainer.Param{
		{Name: "dataset", Default: "folder:afhq", Help: "data set: folder:PATH (AFHQ's layout or any folder of JPEG and PNG images), cifar10, shapes"},
		{Name: "image_class", Default: "", Help: "take the images of this class only, dog for instance; empty: all classes"},
		{Name: "train_images", Default: 0, Help: "training images to take; 0: all"},
		{Name: "image_size", Default: 64, Min: 16, Max: 256, Help: "height and width of images, in pixels: a power of two"},
		{Name: "crop", Default: string(data.CropCenter), Choices: []string{string(data.CropCenter), string(data.CropNone)}, Help: "how images of a folder are made square: center takes the largest square in the middle, none the whole image, squeezed"},

		{Name: "generator", Default: plainGenerator, Choices: []string{plainGenerator, styleGenerator}, Help: "dcgan (transposed convolutions) or style (mapping network, noise and AdaIN)"},
		{Name: "latent_dim", Default: 100, Min: 1, Max: 65536, Help: "length of the latent vector z"},
		{Name: "generator_features", Default: 64, Min: 2, Max: 4096, Help: "feature maps of the generator at half the image's size; each halving of the size doubles them; even"},
		{Name: "discriminator_features", Default: 64, Min: 1, Max: 4096, Help: "feature maps of the discriminator at half the image's size; each halving of the size doubles them"},
		{Name: "mapping_depth", Default: 8, Min: 1, Max: 64, Help: "style: layers of the mapping network from z to w"},
		{Name: "mapping_width", Default: 512, Min: 1, Max: 65536, Help: "style: units of a layer of the mapping network, and length of w"},

		{Name: "learning_rate", Default: 2e-4, Open: trainer.OpenMin, Help: "step size of Adam, for both networks"},
		{Name: "beta1", Default: 0.5, Max: 1, Open: trainer.OpenMax, Help: "decay of Adam's mean of the gradient"},
		{Name: "batch_size", Default: 128, Min: 2, Max: 65536, Help: "images a step, at most all training images; images that do not fill a last batch are left out of the epoch"},
		{Name: "epochs", Default: 80, Min: 1, Max: 1_000_000, Help: "passes over the training images"},
		{Name: "seed", Default: 0, Min: -(1 << 53), Max: 1 << 53, Help: "decides the first weights, the order of images, latents and noise; not which images are taken"},
		{Name: "threads", Default: 0, Max: 4096, Help: "threads to compute with; 0: the trial's share of the machine. Results do not depend on it"},

		{Name: "report_every", Default: 10, Max: 1 << 31, Help: "report losses and scores, means since the last time, every so many steps, with the step as step; 0: never"},
		{Name: "sample_every", Default: 5, Max: 1_000_000, Help: "epochs between two grids of samples; 0: only after the last"},
		{Name: "swd_images", Default: 512, Max: 1_000_000, Help: "images, held out (evenly over the classes) and generated, to compute swd from; fewer where there are fewer held out; 0: no swd"},
	}
}

// Config is a trial's hyperparameters, checked.
type Config struct {
	Dataset, ImageClass string // ImageClass "": all
	TrainImages         int    // 0: all
	ImageSize           int
	Crop                data.Crop

	Generator                                string // dcgan or style
	LatentDim                                int
	GeneratorFeatures, DiscriminatorFeatures int
	MappingDepth, MappingWidth               int

	LearningRate, Beta1 float64
	BatchSize, Epochs   int
	Seed                uint64
	Threads             int // 0: the trial's share

	ReportEvery, SampleEvery, SWDImages int
}

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
// its files, has the class and enough images is checked when training begins.
func NewConfig(params map[string]any) (Config, error) {
	v, err := trainer.Decode(Name, Params(), params)
	if err != nil {
		return Config{}, err
	}
	return fromValues(v)
}

func fromValues(v trainer.Values) (Config, error) {
	c := Config{
		Dataset:               v.String("dataset"),
		ImageClass:            v.String("image_class"),
		TrainImages:           v.Int("train_images"),
		ImageSize:             v.Int("image_size"),
		Crop:                  data.Crop(v.String("crop")),
		Generator:             v.String("generator"),
		LatentDim:             v.Int("latent_dim"),
		GeneratorFeatures:     v.Int("generator_features"),
		DiscriminatorFeatures: v.Int("discriminator_features"),
		MappingDepth:          v.Int("mapping_depth"),
		MappingWidth:          v.Int("mapping_width"),
		LearningRate:          v.Float("learning_rate"),
		Beta1:                 v.Float("beta1"),
		BatchSize:             v.Int("batch_size"),
		Epochs:                v.Int("epochs"),
		Seed:                  uint64(v.Int("seed")),
		Threads:               v.Int("threads"),
		ReportEvery:           v.Int("report_every"),
		SampleEvery:           v.Int("sample_every"),
		SWDImages:             v.Int("swd_images"),
	}
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if set, err := data.Known(c.Dataset); err != nil {
		add("dataset: %w", err)
	} else {
		errs = append(errs, c.checkData(set)...)
	}
	if c.ImageSize&(c.ImageSize-1) != 0 {
		add("image_size: %d is not a power of two (use 32, 64 or 128)", c.ImageSize)
	}
	if c.GeneratorFeatures%2 != 0 {
		add("generator_features: %d is odd (use an even number)", c.GeneratorFeatures)
	}
	if c.TrainImages > 0 && c.TrainImages < 2 {
		add("train_images: %d is too few for batch statistics (use at least 2, or 0 for all)", c.TrainImages)
	}
	if len(errs) == 0 { // sizes that are powers of two, and so on
		errs = append(errs, c.checkSize())
	}
	return c, trainer.Join(errs...)
}

// request is what the configuration asks of its data set.
func (c *Config) request() data.Options {
	return data.Options{Train: c.TrainImages, Size: c.ImageSize, Crop: c.Crop, Class: c.ImageClass}
}

// checkData reports what the configuration asks for and its data set does not have.
func (c *Config) checkData(set data.Set) []error {
	errs := trainer.CheckData(set, c.request(), c.BatchSize)
	if set.Channels == 1 {
		errs = append(errs, fmt.Errorf("dataset: %s has one channel, and the networks here take three (use a set of colour images)", set.Name))
	}
	if len(errs) > 0 || set.Classes == nil {
		return errs
	}
	if err := c.checkCounts(set.Images(c.request())); err != nil {
		return []error{err}
	}
	return nil
}

// checkCounts reports too few images to train on.
func (c *Config) checkCounts(train, test int) error {
	switch {
	case train < 2:
		return fmt.Errorf("dataset: %s has %d training images, want at least 2", c.Dataset, train)
	case c.SWDImages > 0 && test == 0:
		return fmt.Errorf("dataset: %s has no held-out images to compute swd from (add a folder test, or set swd_images to 0)", c.Dataset)
	}
	return trainer.CheckBatch(c.BatchSize, train)
}

const (
	// maxWeights is the number of elements that a weight may have: 1 GiB, which its gradient
	// and the optimiser's memory multiply by five.
	maxWeights = 1 << 28
	// maxActivations is the number of elements that the result of a layer may have: 8 GiB.
	maxActivations = 1 << 31
)

// checkSize reports networks that could not be held in memory.
func (c *Config) checkSize() error {
	var errs []error
	for _, n := range []struct {
		param    string
		features int
	}{{"generator_features", c.GeneratorFeatures}, {"discriminator_features", c.DiscriminatorFeatures}} {
		inner, outer := c.featuresAt(smallest, n.features), c.featuresAt(2*smallest, n.features)
		weights := float64(smallest*smallest*inner) * float64(max(outer, c.LatentDim))
		if weights > maxWeights {
			errs = append(errs, fmt.Errorf("%s: %d maps at %d pixels make a layer of %.3g weights, more than %d (use fewer)", n.param, n.features, c.ImageSize, weights, maxWeights))
		}
		activations := float64(c.BatchSize) * float64(c.ImageSize*c.ImageSize) * float64(n.features)
		if activations > maxActivations {
			errs = append(errs, fmt.Errorf("%s: %d maps of a batch of %d images of %d pixels take %.3g numbers, more than %d (use a smaller batch_size or fewer maps)", n.param, n.features,
				c.BatchSize, c.ImageSize, activations, maxActivations))
		}
	}
	if weights := float64(c.MappingWidth) * float64(max(c.MappingWidth, c.LatentDim)); c.Generator == styleGenerator && weights > maxWeights {
		errs = append(errs, fmt.Errorf("mapping_width: %d makes a layer of %.3g weights, more than %d (use a smaller width)", c.MappingWidth, weights, maxWeights))
	}
	return trainer.Join(errs...)
}

// featuresAt is the number of feature maps of a network at an image size, given that
// at half the final size: it doubles with each halving of the size.
func (c *Config) featuresAt(size, features int) int { return features * c.ImageSize / 2 / size }

// smallest is the size of the smallest feature maps, where the latent vector enters
// the generator and the discriminator comes to its verdict.
const smallest = 4
