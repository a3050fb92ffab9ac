package bench

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"swath/trainer/dcgan"
	"swath/trainer/vit"
)

// model is a trainer's model, ready to be trained over and over on one batch of noise.
type model struct {
	step  func() (loss float64, err error)
	flops float64 // a step's work
}

// models are the trainers that can be measured, each with how options become its model.
var models = map[string]func(o Options) (model, error){
	dcgan.Name: newGAN,
	vit.Name:   newViT,
}

// Models returns the names of the models that can be measured, sorted.
func Models() []string { return slices.Sorted(maps.Keys(models)) }

func newViT(o Options) (model, error) {
	c, err := vit.NewConfig(o.Params)
	if err != nil {
		return model{}, err
	}
	c.AllTokens = o.AllTokens
	m, err := vit.NewModel(c)
	if err != nil {
		return model{}, err
	}
	r := noise()
	batch := m.TrainBatch()
	fill(batch.Images, r)
	for i := range batch.Labels {
		batch.Labels[i] = int32(r.IntN(c.Classes))
	}
	return model{
		step: func() (float64, error) {
			result, err := m.Step()
			return result.Loss, err
		},
		flops: c.FLOPs(),
	}, nil
}

// newGAN builds the networks of the GAN. A step updates both; its loss is their sum.
func newGAN(o Options) (model, error) {
	if o.AllTokens {
		return model{}, errors.New("it has no tokens: all tokens is for the vit")
	}
	c, err := dcgan.NewConfig(o.Params)
	if err != nil {
		return model{}, err
	}
	m, err := dcgan.NewModel(c)
	if err != nil {
		return model{}, err
	}
	// The step overwrites its batch with generated images.
	images := make([]float32, len(m.Real()))
	fill(images, noise())
	return model{
		step: func() (float64, error) {
			copy(m.Real(), images)
			result, err := m.Step()
			return result.LossD + result.LossG, err
		},
		flops: ganFLOPs(&c),
	}, nil
}

// noise is the generator of the images; always the same.
func noise() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// fill draws pixels from the standard normal distribution, as normalised images have them.
func fill(pixels []float32, r *rand.Rand) {
	for i := range pixels {
		pixels[i] = float32(r.NormFloat64())
	}
}
