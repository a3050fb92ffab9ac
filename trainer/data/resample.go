package data

import (
	"context"
	"math"
)

// resampler resizes planes of one size to another with a triangle filter: bilinear interpolation where it enlarges,
// a weighted mean over all the pixels that an output pixel covers where it reduces, so that nothing aliases. This is
// what Pillow's BILINEAR does. Weights are fixed-point numbers, so that the bytes are the same everywhere.
type resampler struct {
	columns, rows kernel
	width, height int // of the source
}

// kernel holds, for each output position, the first input position and the weights of it and those that follow.
type kernel []struct {
	first   int
	weights []int32
}

// weightBits is the precision of a weight: with 8 bits of pixel and a sign it fills 32 bits.
const weightBits = 22

func newResampler(width, height, toWidth, toHeight int) *resampler {
	return &resampler{columns: newKernel(width, toWidth), rows: newKernel(height, toHeight), width: width, height: height}
}

func newKernel(from, to int) kernel {
	scale := float64(from) / float64(to)
	support := max(scale, 1)
	k := make(kernel, to)
	for i := range k {
		centre := float64((float64(i) + 0.5) * scale)
		lo := max(0, int(centre-support+0.5))
		hi := min(from, int(centre+support+0.5))
		raw := make([]float64, hi-lo)
		sum := 0.0
		for j := range raw {
			raw[j] = max(0, 1-math.Abs((float64(lo+j)+0.5-centre)/support))
			sum += raw[j]
		}
		k[i].first, k[i].weights = lo, make([]int32, hi-lo)
		for j, w := range raw {
			k[i].weights[j] = int32(float64(w/sum*(1<<weightBits)) + 0.5)
		}
	}
	return k
}

// plane resizes one plane from src into dst; scratch is reused memory of at least len(columns)·height bytes.
func (r *resampler) plane(dst, src, scratch []uint8) {
	toWidth := len(r.columns)
	for y := range r.height {
		row, out := src[y*r.width:(y+1)*r.width], scratch[y*toWidth:(y+1)*toWidth]
		for x, k := range r.columns {
			sum := int32(1 << (weightBits - 1))
			for j, w := range k.weights {
				sum += w * int32(row[k.first+j])
			}
			out[x] = uint8(min(sum>>weightBits, 255))
		}
	}
	for y, k := range r.rows {
		out := dst[y*toWidth : (y+1)*toWidth]
		for x := range out {
			sum := int32(1 << (weightBits - 1))
			for j, w := range k.weights {
				sum += w * int32(scratch[(k.first+j)*toWidth+x])
			}
			out[x] = uint8(min(sum>>weightBits, 255))
		}
	}
}

// resize gives every image of the set a height and width of size.
func (d *Dataset) resize(ctx context.Context, size int) error {
	if d.Height == size && d.Width == size {
		return nil
	}
	if err := affordable(d.Name, d.Train.Len()+d.Test.Len(), d.Channels, size); err != nil {
		return err
	}
	r := newResampler(d.Width, d.Height, size, size)
	from, to := d.Height*d.Width, size*size
	for _, s := range []*Split{&d.Train, &d.Test} {
		images := make([]uint8, s.Len()*d.Channels*to)
		err := parallel(ctx, s.Len(), func(i int) error {
			scratch := make([]uint8, size*d.Height)
			for p := i * d.Channels; p < (i+1)*d.Channels; p++ {
				r.plane(images[p*to:(p+1)*to], s.Images[p*from:(p+1)*from], scratch)
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.Images = images
	}
	d.Height, d.Width = size, size
	return nil
}
