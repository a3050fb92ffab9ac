package dcgan

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
	"swath/trainer/report"
)

// Result is what a step came to: losses before its updates, and the discriminator's verdicts.
type Result struct {
	// LossD is the discriminator's loss on real plus that on generated images, LossG the generator's.
	LossD, LossG float64
	// DX is the mean of the verdicts D(x) on real images, from 0 to 1; DGZ1 that of
	// D(G(z)) on generated ones, and DGZ2 the same after the discriminator's update.
	DX, DGZ1, DGZ2 float64
}

// Real returns the batch of real images that the next [Model.Step] trains on, to be
// filled: batch × size × size × channels, in [-1, 1]. The step overwrites it.
func (m *Model) Real() []float32 { return m.discriminator.input() }

// Step trains one step on the batch in [Model.Real]: algorithm 1 of Goodfellow et al.
// 2014 with k = 1 and the non-saturating loss of the generator. If a loss or a gradient
// is not finite, its network is not updated, and the error wraps report.ErrDiverged and
// names the tensor that was the first not to be.
func (m *Model) Step() (Result, error) {
	m.clock.Step++
	drawLatents(m.generator.input(), m.Config.Seed, purposeStep, m.clock.Step)
	return m.update()
}

// update is Step for latents that are already there.
func (m *Model) update() (r Result, err error) {
	z := m.generator.input()
	if err := m.generator.run(); err != nil {
		return r, fmt.Errorf("running the generator: %w", err)
	}
	onReal, err := m.judgeAs(1, "on real images", &r.DX)
	if err != nil {
		return r, err
	}
	copy(m.discriminator.input(), elements(m.generator.out))
	onGenerated, err := m.judgeAs(0, "on generated images", &r.DGZ1)
	if err != nil {
		return r, err
	}
	r.LossD = onReal + onGenerated
	if err := m.d.solver.Step(m.d.grads); err != nil {
		return r, fmt.Errorf("updating the discriminator: %w", err)
	}

	copy(m.step.input(), z)
	if err := m.step.run(); err != nil {
		return r, fmt.Errorf("running the generator's step: %w", err)
	}
	if r.LossG, err = nn.Scalar(m.step.loss); err != nil {
		return r, err
	}
	r.DGZ2 = meanVerdict(m.step.logits)
	if err := m.step.finite("the generator's loss", r.LossG, m.g.weights); err != nil {
		return r, err
	}
	if err := m.g.solver.Step(m.g.grads); err != nil {
		return r, fmt.Errorf("updating the generator: %w", err)
	}
	return r, nil
}

// judgeAs runs the discriminator on its input, with the target 1 for real and 0 for
// generated images, and accumulates the gradients; those of real images come first.
func (m *Model) judgeAs(target float32, what string, verdict *float64) (loss float64, err error) {
	d := &m.discriminator
	fill(elements(d.targets), target)
	if err := d.run(); err != nil {
		return 0, fmt.Errorf("running the discriminator %s: %w", what, err)
	}
	if loss, err = nn.Scalar(d.loss); err != nil {
		return 0, err
	}
	if err := d.finite("the discriminator's loss "+what, loss, m.d.weights); err != nil {
		return 0, err
	}
	for _, w := range m.d.grads {
		if err := w.(*accumulated).add(target == 1); err != nil {
			return 0, err
		}
	}
	*verdict = meanVerdict(d.logits)
	return loss, nil
}

// meanVerdict is the mean probability that the logits stand for.
func meanVerdict(logits *gorgonia.Node) float64 {
	sum, all := 0.0, elements(logits)
	for _, x := range all {
		sum += nn.Sigmoid(float64(x))
	}
	return sum / float64(len(all))
}

// finite reports a loss, or a gradient of the last run, that is NaN or infinite.
func (g *graph) finite(what string, loss float64, weights []*nn.Trainable) error {
	ok, err := nn.FiniteGradients(weights)
	if err != nil || ok && !math.IsNaN(loss) && !math.IsInf(loss, 0) {
		return err
	}
	return fmt.Errorf("%w: %s is %v; %s", report.ErrDiverged, what, loss, g.firstBad())
}

// firstBad says for a message which tensor was the first in the last run not to be finite.
func (g *graph) firstBad() string {
	const remedy = " (a smaller learning rate may help)"
	if first := g.net.NonFinite(); first != "" {
		return "first, " + first + remedy
	}
	return "every tensor is finite" + remedy // and a sum of them is not
}

// FLOPs returns the floating-point operations of one training step, counted as is usual:
// two for each multiplication and addition of the matrix products that define the
// layers, nothing else; package nn makes some of them with fewer multiplications. The
// generator goes forward once, and back with all gradients but that of z; the
// discriminator forward and back twice, without the gradient of the images, and forward
// and back to the images for the generator's step.
func (c *Config) FLOPs() float64 {
	// pairs is what a layer between one size and the next multiplies, for an image.
	pairs := func(features, size int) float64 {
		outer := channels
		if 2*size < c.ImageSize {
			outer = c.featuresAt(2*size, features)
		}
		return float64(size * size * 16 * c.featuresAt(size, features) * outer)
	}
	var d, g float64
	for size := smallest; size < c.ImageSize; size *= 2 {
		d += pairs(c.DiscriminatorFeatures, size)
		g += pairs(c.GeneratorFeatures, size)
	}
	d += float64(smallest * smallest * c.featuresAt(smallest, c.DiscriminatorFeatures))
	products := 2*(3*d-pairs(c.DiscriminatorFeatures, c.ImageSize/2)) + 2*d

	if c.Generator == styleGenerator {
		products += c.styleProducts()
	} else {
		project := float64(c.LatentDim * smallest * smallest * c.featuresAt(smallest, c.GeneratorFeatures))
		products += 3*g + 2*project
	}
	return 2 * float64(c.BatchSize) * products
}

// styleProducts is what the style generator multiplies for an image.
func (c *Config) styleProducts() float64 {
	sum, in := 0, 0
	for size := smallest; size <= c.ImageSize; size *= 2 {
		out := c.featuresAt(size, c.GeneratorFeatures)
		sum += 9*size*size*(in+out)*out + 2*c.MappingWidth*2*out // the constant has no layer before it: in is 0
		in = out
	}
	sum += c.ImageSize * c.ImageSize * in * channels
	sum += (c.MappingDepth - 1) * c.MappingWidth * c.MappingWidth
	return 3*float64(sum) + 2*float64(c.LatentDim*c.MappingWidth)
}
