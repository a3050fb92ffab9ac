package dcgan

import (
	"context"
	"fmt"

	"swath/trainer/data"
	"swath/trainer/dcgan/swd"
)

// quality compares generated images with held-out ones.
type quality struct {
	model     *Model
	reference *swd.Reference
	latents   []float32 // the same in every epoch, so that epochs compare
	batch     int       // latents of a batch
}

// newQuality prepares the comparison with images of the test split, evenly over its
// classes; nil if the configuration wants none. Images, patches and directions do not
// depend on the trial's seed, so that trials of all seeds compare.
func newQuality(m *Model, d *data.Dataset) (*quality, error) {
	c := &m.Config
	n := min(c.SWDImages, d.Test.Len())
	if n == 0 {
		return nil, nil
	}
	images, l := make([]float32, n*d.ImageLen()), loader{data: d}
	if err := l.fill(images, d.Test, d.Spread(d.Test, n)); err != nil {
		return nil, err
	}
	reference, err := swd.NewReference(swd.Images{Pixels: images, Size: c.ImageSize, Channels: channels}, swd.Options{})
	if err != nil {
		return nil, fmt.Errorf("preparing swd: %w", err)
	}
	q := &quality{model: m, reference: reference, latents: make([]float32, n*c.LatentDim), batch: c.BatchSize * c.LatentDim}
	drawLatents(q.latents, c.Seed, purposeQuality)
	return q, nil
}

// measure returns the sliced Wasserstein distance, a mean over the levels of the
// pyramid: swd as metric.
func (q *quality) measure(ctx context.Context) (float64, error) {
	var images []float32
	for z := q.latents; len(z) > 0; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(q.batch, len(z))
		w, err := q.model.Map(nil, z[:n])
		if err != nil {
			return 0, err
		}
		if images, err = q.model.Synthesise(images, w); err != nil {
			return 0, err
		}
		z = z[n:]
	}
	levels, err := q.reference.Distance(swd.Images{Pixels: images, Size: q.model.Config.ImageSize, Channels: channels})
	if err != nil {
		return 0, err
	}
	return swd.Mean(levels), nil
}
