package vit

import (
	"swath/trainer/data"
	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
)

// cropPadding is how many black pixels are put around an image before one of its size is cut out again.
const cropPadding = 4

// augmentStream keeps the draws of augmentation apart from others of the same seed.
const augmentStream = 0xa09

// augmentation changes training images before the model sees them: the usual recipe for
// CIFAR-10 (He et al. 2016, section 4.2), a horizontal flip and a crop of the image with
// four pixels of black around. What is done to an image depends on (seed, epoch, its
// number in the split) only.
type augmentation struct {
	crop                    bool
	seed                    uint64
	channels, height, width int
	black                   []float32 // of each channel, as batches hold it
}

// newAugmentation returns what a configuration asks for; nil for nothing.
func newAugmentation(c *Config, d *data.Dataset) (*augmentation, error) {
	if c.Augment == "none" {
		return nil, nil
	}
	a := &augmentation{crop: c.Augment == "flip_crop", seed: c.Seed, channels: d.Channels, height: d.Height, width: d.Width}
	// A black image, normalised as every other one is.
	n, plane := d.ImageLen(), d.Height*d.Width
	pixels := make([]float32, n)
	if err := d.Batch(pixels, data.Split{Images: make([]uint8, n), Labels: []int{0}}, []int{0}); err != nil {
		return nil, err
	}
	for ch := range d.Channels {
		a.black = append(a.black, pixels[ch*plane])
	}
	return a, nil
}

// apply changes the images of a batch, whose numbers in the split are idx, in an epoch.
func (a *augmentation) apply(images []float32, idx []int, epoch int) {
	if a == nil {
		return
	}
	plane := a.height * a.width
	n := a.channels * plane
	kernel.Parallel(len(idx), 16, func(lo, hi int) {
		source := make([]float32, plane)
		for k := lo; k < hi; k++ {
			r := nn.NewRand(a.seed, augmentStream, uint64(epoch), uint64(idx[k]))
			flip := r.Uint64()>>63 == 1
			dx, dy := 0, 0
			if a.crop {
				dx, dy = r.Intn(2*cropPadding+1)-cropPadding, r.Intn(2*cropPadding+1)-cropPadding
			}
			for ch := range a.channels {
				at := images[k*n+ch*plane:][:plane]
				copy(source, at)
				a.plane(at, source, flip, dx, dy, a.black[ch])
			}
		}
	})
}

// plane sets dst to src, perhaps mirrored, seen through a window that is shifted by dx and dy.
func (a *augmentation) plane(dst, src []float32, flip bool, dx, dy int, black float32) {
	for y := range a.height {
		row := dst[y*a.width : (y+1)*a.width]
		from := y + dy
		if from < 0 || from >= a.height {
			for x := range row {
				row[x] = black
			}
			continue
		}
		line := src[from*a.width : (from+1)*a.width]
		for x := range row {
			at := x + dx
			switch {
			case at < 0 || at >= a.width:
				row[x] = black
			case flip:
				row[x] = line[a.width-1-at]
			default:
				row[x] = line[at]
			}
		}
	}
}
