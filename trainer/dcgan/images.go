package dcgan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"swath/trainer/data"
	"swath/trainer/report"
)

// Open opens the data set that the configuration asks for, below the folder dir, cut
// down to the class and the number of training images, and scaled to [-1, 1].
func Open(ctx context.Context, c *Config, dir string) (*data.Dataset, error) {
	options := data.Options{Size: c.ImageSize}
	if c.ImageClass == "" {
		options.Train = c.TrainImages
	}
	d, err := data.Open(ctx, c.Dataset, dir, options)
	if err != nil {
		return nil, err
	}
	if d.Channels != channels {
		return nil, fmt.Errorf("%w: dataset: %s has images of %d channels, want %d", report.ErrSpec, c.Dataset, d.Channels, channels)
	}
	if c.ImageClass != "" {
		label := slices.Index(d.Classes, c.ImageClass)
		if label < 0 {
			return nil, fmt.Errorf("%w: image_class: %s has no class %q; it has %s (name one of them, or leave image_class out for all)", report.ErrSpec, c.Dataset, c.ImageClass, strings.Join(d.Classes, ", "))
		}
		d.Train, d.Test = ofClass(d, d.Train, label), ofClass(d, d.Test, label)
		if d, err = d.Subset(c.TrainImages, 0, 0); err != nil {
			return nil, fmt.Errorf("%w: train_images: %w", report.ErrSpec, err)
		}
	}
	if d.Train.Len() < 2 {
		return nil, fmt.Errorf("%w: dataset: %s has %d training images, want at least 2", report.ErrSpec, c.Dataset, d.Train.Len())
	}
	if c.SWDImages > 0 && d.Test.Len() == 0 {
		return nil, fmt.Errorf("%w: dataset: %s has no held-out images to compute swd from (add a folder test, or set swd_images to 0)", report.ErrSpec, c.Dataset)
	}
	d.Mean, d.Std = slices.Repeat([]float64{0.5}, channels), slices.Repeat([]float64{0.5}, channels)
	return d, nil
}

// ofClass returns the images of a split that have the label.
func ofClass(d *data.Dataset, s data.Split, label int) data.Split {
	var out data.Split
	for i, l := range s.Labels {
		if l == label {
			out.Images = append(out.Images, d.Image(s, i)...)
			out.Labels = append(out.Labels, l)
		}
	}
	return out
}

// loader fills batches of NHWC images from a set, which holds planes.
type loader struct {
	data    *data.Dataset
	scratch []float32
}

// fill puts the images idx of a split into dst.
func (l *loader) fill(dst []float32, s data.Split, idx []int) error {
	n := l.data.ImageLen()
	if len(l.scratch) < len(idx)*n {
		l.scratch = make([]float32, len(idx)*n)
	}
	planes := l.scratch[:len(idx)*n]
	if err := l.data.Batch(planes, s, idx); err != nil {
		return err
	}
	pixels := n / channels
	for i := range idx {
		from, to := planes[i*n:(i+1)*n], dst[i*n:(i+1)*n]
		for c := range channels {
			for p, v := range from[c*pixels : (c+1)*pixels] {
				to[p*channels+c] = v
			}
		}
	}
	return nil
}
