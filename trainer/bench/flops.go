package bench

import "swath/trainer/dcgan"

// smallest is the size of the smallest feature maps of the GAN's networks.
const smallest = 4

// ganFLOPs returns the floating-point operations of one training step, two for each
// multiplication and addition of the convolutions and matrix products.
//
// The generator goes forward once, and back with the gradients of activations and
// weights. The discriminator goes forward and back twice for its own update, without the
// gradient of the images, and forward and back to the images for the generator's.
func ganFLOPs(c *dcgan.Config) float64 {
	d, first, last := halvings(c, c.DiscriminatorFeatures)
	d += smallest * smallest * last // the verdict
	work := 2*(3*d-first) + 2*d
	if c.Generator == "style" {
		work += styleWork(c)
	} else {
		g, _, last := halvings(c, c.GeneratorFeatures)
		work += 3*g + 2*float64(c.LatentDim)*smallest*smallest*last // latents have no gradient
	}
	return 2 * float64(c.BatchSize) * work
}

// halvings returns the multiplications for one image of the 4×4 convolutions with stride
// 2 that lie between the image and the smallest feature maps, those of the one next to
// the image, and how many the smallest feature maps are.
func halvings(c *dcgan.Config, features int) (all, first, smallestMaps float64) {
	outer := 3.0
	for size := c.ImageSize / 2; size >= smallest; size /= 2 {
		maps := float64(features * c.ImageSize / 2 / size)
		work := float64(size*size) * 16 * maps * outer
		if outer == 3 {
			first = work
		}
		all, outer = all+work, maps
	}
	return all, first, outer
}

// styleWork returns the multiplications for one image of the style generator, forward and
// back: mapping network, styles, convolutions of 3×3 (one at the smallest size, two at
// the others), and of 1×1 to the image.
func styleWork(c *dcgan.Config) float64 {
	width := float64(c.MappingWidth)
	work := width * width * float64(c.MappingDepth-1)
	into := 0.0
	for size := smallest; size <= c.ImageSize; size *= 2 {
		maps := float64(c.GeneratorFeatures * c.ImageSize / 2 / size)
		work += float64(size*size)*9*maps*(into+maps) + 2*width*2*maps
		into = maps
	}
	work += float64(c.ImageSize*c.ImageSize) * 3 * into
	return 3*work + 2*float64(c.LatentDim)*width // latents have no gradient
}
