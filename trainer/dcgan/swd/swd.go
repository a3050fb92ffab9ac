package swd

import (
	"fmt"
	"math"
	"slices"

	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
)

// Images is a set of square images.
type Images struct {
	Pixels         []float32 // image by image, row by row, pixel by pixel, the channels of a pixel side by side
	Size, Channels int
}

func (s Images) imageLen() int           { return s.Size * s.Size * s.Channels }
func (s Images) count() int              { return len(s.Pixels) / s.imageLen() }
func (s Images) image(i int) []float32   { return s.Pixels[i*s.imageLen() : (i+1)*s.imageLen()] }
func (s Images) at(x, y int) (index int) { return (y*s.Size + x) * s.Channels }

func (s Images) check() error {
	switch {
	case s.Channels < 1 || s.Size < patch:
		return fmt.Errorf("images of %d×%d with %d channels: want at least %d×%d and 1 channel", s.Size, s.Size, s.Channels, patch, patch)
	case len(s.Pixels) == 0 || len(s.Pixels)%s.imageLen() != 0:
		return fmt.Errorf("%d values are not a whole number of images of %d×%d with %d channels", len(s.Pixels), s.Size, s.Size, s.Channels)
	}
	return nil
}

// Options says how finely to measure. The zero value takes 64 patches an image and
// 128 directions, a quarter of the paper's precision for a twentieth of its time.
type Options struct {
	Patches    int // of each level of an image
	Directions int
	Seed       uint64 // of the places of patches, and of directions
}

// Level is the distance at one level of the pyramid.
type Level struct {
	Size     int // of the level, in pixels
	Distance float64
}

// Mean is the mean distance over the levels.
func Mean(levels []Level) float64 {
	sum := 0.0
	for _, l := range levels {
		sum += l.Distance
	}
	return sum / float64(len(levels))
}

// patch is the height and width of a descriptor.
const patch = 7

// Reference is a set of images that others are compared with, prepared once. It may
// be used by several goroutines.
type Reference struct {
	options        Options
	images         int
	size, channels int
	projections    [][]float32 // of each level, sorted within each direction
}

// NewReference prepares a set of images. They must not be smaller than a patch.
func NewReference(images Images, o Options) (*Reference, error) {
	if o.Patches == 0 {
		o.Patches = 64
	}
	if o.Directions == 0 {
		o.Directions = 128
	}
	if o.Patches < 0 || o.Directions < 0 {
		return nil, fmt.Errorf("%d patches and %d directions: want at least 1 each", o.Patches, o.Directions)
	}
	if err := images.check(); err != nil {
		return nil, err
	}
	r := &Reference{options: o, images: images.count(), size: images.Size, channels: images.Channels}
	r.projections = r.project(images)
	return r, nil
}

// Distance returns the distances between the reference and a set of as many images of
// the same shape, a level each, the largest first.
func (r *Reference) Distance(images Images) ([]Level, error) {
	if err := images.check(); err != nil {
		return nil, err
	}
	if images.Size != r.size || images.Channels != r.channels || images.count() != r.images {
		return nil, fmt.Errorf("%d images of %d×%d with %d channels do not compare with %d of %d×%d with %d", images.count(), images.Size, images.Size, images.Channels,
			r.images, r.size, r.size, r.channels)
	}
	var out []Level
	sizes := levels(r.size)
	for l, projections := range r.project(images) {
		sum := 0.0
		for i, v := range projections {
			sum += math.Abs(float64(v) - float64(r.projections[l][i]))
		}
		out = append(out, Level{Size: sizes[l], Distance: 1000 * sum / float64(len(projections))})
	}
	return out, nil
}

// Kinds of random numbers.
const (
	purposePlaces uint64 = iota + 1
	purposeDirections
)

// project returns, for each level of the images' pyramid, a row for each direction:
// the projections of all descriptors, sorted.
func (r *Reference) project(images Images) [][]float32 {
	var out [][]float32
	directions := r.directions()
	width := patch * patch * r.channels
	for _, level := range pyramid(images) {
		descriptors := r.descriptors(level)
		normalise(descriptors, r.channels)
		count := len(descriptors) / width
		rows := make([]float32, r.options.Directions*count)
		kernel.Gemm(false, true, r.options.Directions, count, width, 1, directions, width, descriptors, width, 0, rows, count)
		kernel.Parallel(r.options.Directions, 1, func(i, _ int) { slices.Sort(rows[i*count : (i+1)*count]) })
		out = append(out, rows)
	}
	return out
}

// directions are random unit vectors, a row each.
func (r *Reference) directions() []float32 {
	width := patch * patch * r.channels
	d := make([]float32, r.options.Directions*width)
	nn.Normal(1)(d, nn.NewRand(r.options.Seed, purposeDirections))
	for at := 0; at < len(d); at += width {
		row := d[at : at+width]
		kernel.Scale(row, float32(1/math.Sqrt(kernel.Dot(row, row))), row)
	}
	return d
}

// descriptors returns patches of a level at random places, a row each.
func (r *Reference) descriptors(level Images) []float32 {
	line := patch * r.channels
	width := patch * line
	out := make([]float32, level.count()*r.options.Patches*width)
	for i := range level.count() {
		random, image := nn.NewRand(r.options.Seed, purposePlaces, uint64(level.Size), uint64(i)), level.image(i)
		for p := range r.options.Patches {
			x, y := random.Intn(level.Size-patch+1), random.Intn(level.Size-patch+1)
			row := out[(i*r.options.Patches+p)*width:]
			for dy := range patch {
				copy(row[dy*line:(dy+1)*line], image[level.at(x, y+dy):])
			}
		}
	}
	return out
}

// normalise brings each channel of all descriptors together to mean 0 and standard
// deviation 1. A channel of one value only becomes 0.
func normalise(descriptors []float32, channels int) {
	n := float64(len(descriptors) / channels)
	for c := range channels {
		mean, variance := 0.0, 0.0
		for i := c; i < len(descriptors); i += channels {
			mean += float64(descriptors[i]) / n
		}
		for i := c; i < len(descriptors); i += channels {
			d := float64(descriptors[i]) - mean
			variance += d * d / n
		}
		scale := 0.0
		if variance > 1e-12 {
			scale = 1 / math.Sqrt(variance)
		} else if math.IsNaN(variance) {
			scale = variance // images that are not finite have no distance
		}
		for i := c; i < len(descriptors); i += channels {
			descriptors[i] = float32((float64(descriptors[i]) - mean) * scale)
		}
	}
}
