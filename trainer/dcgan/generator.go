package dcgan

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
)

// weightStd is the standard deviation of all first weights, and of the batch norms'
// first scales around 1 (Radford, Metz and Chintala 2016, section 4, and the authors' code).
const weightStd = 0.02

// gamma is how the scale of a batch norm starts.
func gamma(w []float32, r *nn.Rand) {
	nn.Normal(weightStd)(w, r)
	for i := range w {
		w[i]++
	}
}

// enlarge describes a layer that doubles height and width, 4×4 kernels with stride 2.
func enlarge(out int, reuse bool) nn.ConvSpec {
	return nn.ConvSpec{Out: out, Kernel: 4, Stride: 2, Pad: 1, Init: nn.Normal(weightStd), Reuse: reuse}
}

// generate adds the generator of the DCGAN paper (Radford, Metz and Chintala 2016,
// figure 1 and the guidelines of section 3) to a net: latents z of batch × latent_dim
// become images of batch × size × size × channels in [-1, 1]. Transposed convolutions
// without biases, batch norm and ReLU after all but the last, tanh after that.
//
// With reuse, another net over the same workspace has computed all of it from the same z.
func (c *Config) generate(n *nn.Net, z *gorgonia.Node, reuse bool) *gorgonia.Node {
	norm := nn.BatchNormSpec{Activation: nn.ReLU(), Gamma: gamma, Reuse: reuse}

	// The latent vector is an image of one pixel; the first layer projects it to 4×4.
	size := smallest
	first := nn.ConvSpec{Out: c.featuresAt(size, c.GeneratorFeatures), Kernel: size, Stride: 1, Init: nn.Normal(weightStd), Reuse: reuse}
	x := n.ConvTranspose(z, "generator.project", first)
	x = n.BatchNorm(x, "generator.project.norm", norm)
	for size *= 2; size < c.ImageSize; size *= 2 {
		name := fmt.Sprintf("generator.%d", size)
		x = n.ConvTranspose(x, name, enlarge(c.featuresAt(size, c.GeneratorFeatures), reuse))
		x = n.BatchNorm(x, name+".norm", norm)
	}
	last := enlarge(channels, reuse)
	last.Activation = nn.Tanh()
	return n.ConvTranspose(x, "generator.image", last)
}
