package dcgan

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
)

// leak is the slope of the discriminator's leaky ReLUs (Radford, Metz and Chintala
// 2016, section 4), and of StyleGAN's.
const leak = 0.2

// judge adds the discriminator of the DCGAN paper to a net: images become one logit
// each, positive for what it takes to be real. It mirrors the generator: convolutions
// without biases, batch norm after all but the first and the last, leaky ReLU.
//
// With frozen, the net computes no gradients of its weights.
func (c *Config) judge(n *nn.Net, images *gorgonia.Node, frozen bool) *gorgonia.Node {
	act := nn.LeakyReLU(leak)
	size := c.ImageSize / 2
	halve := func(size int) nn.ConvSpec {
		return nn.ConvSpec{Out: c.featuresAt(size, c.DiscriminatorFeatures), Kernel: 4, Stride: 2, Pad: 1, Init: nn.Normal(weightStd), Frozen: frozen}
	}

	first := halve(size)
	first.Activation = act
	x := n.Conv(images, fmt.Sprintf("discriminator.%d", size), first)
	for size /= 2; size >= smallest; size /= 2 {
		name := fmt.Sprintf("discriminator.%d", size)
		x = n.Conv(x, name, halve(size))
		x = n.BatchNorm(x, name+".norm", nn.BatchNormSpec{Activation: act, Gamma: gamma, Frozen: frozen})
	}
	return n.Conv(x, "discriminator.verdict", nn.ConvSpec{Out: 1, Kernel: smallest, Stride: 1, Init: nn.Normal(weightStd), Frozen: frozen})
}
