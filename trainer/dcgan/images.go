package dcgan

import (
	"context"
	"fmt"
	"slices"

	"swath/trainer"
	"swath/trainer/data"
	"swath/trainer/report"
)

// Open opens the data set that the configuration asks for, below the folder dir, cut
// down to the class and the number of training images, and scaled to [-1, 1].
func Open(ctx context.Context, c *Config, dir string) (*data.Dataset, error) {
	d, err := trainer.OpenData(ctx, c.Dataset, dir, c.request())
	if err != nil {
		return nil, err
	}
	if d.Channels != channels {
		return nil, fmt.Errorf("%w: dataset: %s has images of %d channels, want %d", report.ErrSpec, c.Dataset, d.Channels, channels)
	}
	if err := c.checkCounts(d.Train.Len(), d.Test.Len()); err != nil {
		return nil, fmt.Errorf("%w: %w", report.ErrSpec, err)
	}
	d.Mean, d.Std = slices.Repeat([]float64{0.5}, channels), slices.Repeat([]float64{0.5}, channels)
	return d, nil
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
