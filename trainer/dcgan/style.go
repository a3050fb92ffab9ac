package dcgan

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
)

// leakyGain keeps the variance of activations through a layer with a leaky ReLU (He et al. 2015, equation 15).
var leakyGain = math.Sqrt(2 / (1 + leak*leak))

// he draws weights for a layer with so many inputs to a sum, whose result is followed
// by a function of the given gain.
func he(gain float64, inputs int) nn.Init { return nn.Normal(gain / math.Sqrt(float64(inputs))) }

// mapLatents adds StyleGAN's mapping network f (Karras, Laine and Aila 2019, figure 1b)
// to a net: latents z of batch × latent_dim, normalised, pass mapping_depth fully
// connected layers with leaky ReLU and become w of batch × mapping_width.
func (c *Config) mapLatents(n *nn.Net, z *gorgonia.Node) *gorgonia.Node {
	w := n.PixelNorm(z, "generator.z")
	in := c.LatentDim
	for i := range c.MappingDepth {
		name := fmt.Sprintf("generator.mapping.%d", i+1)
		w = n.Linear(w, name, c.MappingWidth, nn.Weights(he(leakyGain, in)))
		w = n.Activate(w, name+".activation", nn.LeakyReLU(leak))
		in = c.MappingWidth
	}
	return w
}

// synthesise adds StyleGAN's synthesis network g (figure 1b) to a net: w becomes images
// of batch × size × size × channels. It starts from a learned constant of 4×4; each
// size has two layers, and each layer ends with noise (block B), leaky ReLU and AdaIN
// (equation 1) under a style that is an affine function of w (block A). Images are
// enlarged bilinearly.
//
// Other than the paper's it does not grow with training, learns at one rate throughout
// without equalised learning rates, and ends in the tanh of the DCGAN whose
// discriminator judges it.
func (c *Config) synthesise(n *nn.Net, w *gorgonia.Node, reuse bool) *gorgonia.Node {
	layer := func(x *gorgonia.Node, name string, features int) *gorgonia.Node {
		x = n.Noise(x, name+".noise", nn.LeakyReLU(leak))
		style := n.Linear(w, name+".style", 2*features, nn.Weights(he(1, c.MappingWidth)))
		return n.AdaIN(x, style, name+".adain")
	}
	convolve := func(x *gorgonia.Node, name string, in, features int) *gorgonia.Node {
		x = n.Conv(x, name, nn.ConvSpec{Out: features, Kernel: 3, Stride: 1, Pad: 1, Init: he(leakyGain, 9*in), Reuse: reuse})
		return layer(x, name, features)
	}

	size := smallest
	features := c.featuresAt(size, c.GeneratorFeatures)
	x := n.Constant("generator.4", c.BatchSize, size, features)
	x = layer(x, "generator.4.input", features)
	x = convolve(x, "generator.4.conv", features, features)
	for size *= 2; size <= c.ImageSize; size *= 2 {
		name, in := fmt.Sprintf("generator.%d", size), features
		features = c.featuresAt(size, c.GeneratorFeatures)
		x = n.Upsample(x, name+".up")
		x = convolve(x, name+".conv1", in, features)
		x = convolve(x, name+".conv2", features, features)
	}
	return n.Conv(x, "generator.image", nn.ConvSpec{Out: channels, Kernel: 1, Stride: 1, Bias: true, Init: he(1, features), Activation: nn.Tanh(), Reuse: reuse})
}
