package dcgan

import (
	"fmt"
	"path/filepath"

	"swath/trainer/picture"
)

const (
	sampleColumns = 8
	sampleRows    = 8

	stripRows  = 6  // pairs of latents
	stripSteps = 10 // images from one to the other, both ends included

	gap = 2 // pixels between the images of a grid
)

// pictures writes the artifacts of a training into a folder.
type pictures struct {
	model *Model
	dir   string
}

// samples writes samples-epoch-NNN.png: a grid of images from latents that are the
// same in every epoch, and for every configuration of equal seed and latent_dim.
func (p *pictures) samples(epoch int) error {
	z := make([]float32, sampleRows*sampleColumns*p.model.Config.LatentDim)
	drawLatents(z, p.model.Config.Seed, purposeSamples)
	w, err := p.model.Map(nil, z)
	if err != nil {
		return err
	}
	return p.write(fmt.Sprintf("samples-epoch-%03d.png", epoch), w, sampleColumns)
}

// strips writes interpolations, a row for each of some pairs z1 and z2 of latents:
// images of a·z1 + (1-a)·z2 in interpolation-z-linear.png, of the spherical counterpart
// in interpolation-z-spherical.png, and for the style generator of a·w1 + (1-a)·w2 in
// interpolation-w-linear.png and spherical likewise. The rows of all have the same ends.
func (p *pictures) strips() error {
	m := p.model
	ends := make([]float32, 2*stripRows*m.Config.LatentDim)
	drawLatents(ends, m.Config.Seed, purposeStrips)
	endsW, err := m.Map(nil, ends)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		mix  mixture
	}{{"linear", lerp}, {"spherical", slerp}} {
		w, err := m.Map(nil, interpolate(ends, m.Config.LatentDim, s.mix))
		if err != nil {
			return err
		}
		if err := p.write("interpolation-z-"+s.name+".png", w, stripSteps); err != nil {
			return err
		}
		if m.Config.Generator != styleGenerator {
			continue
		}
		if err := p.write("interpolation-w-"+s.name+".png", interpolate(endsW, m.WidthW(), s.mix), stripSteps); err != nil {
			return err
		}
	}
	return nil
}

// mixture sets dst to a point between x, at a = 1, and y, at a = 0.
type mixture func(dst, x, y []float32, a float64)

// interpolate returns, for each pair of consecutive rows of ends, stripSteps rows from the first to the second.
func interpolate(ends []float32, width int, mix mixture) []float32 {
	pairs := len(ends) / (2 * width)
	rows := make([]float32, pairs*stripSteps*width)
	for p := range pairs {
		x, y := ends[2*p*width:(2*p+1)*width], ends[(2*p+1)*width:2*(p+1)*width]
		for i := range stripSteps {
			at := (p*stripSteps + i) * width
			mix(rows[at:at+width], x, y, 1-float64(i)/(stripSteps-1))
		}
	}
	return rows
}

// write makes images of rows of w and draws them in rows of so many on black.
func (p *pictures) write(name string, w []float32, columns int) error {
	images, err := p.model.Synthesise(nil, w)
	if err != nil {
		return fmt.Errorf("drawing %s: %w", name, err)
	}
	size := p.model.Config.ImageSize
	step, n := size+gap, size*size*channels
	count := len(images) / n
	width, height := columns*step+gap, (count+columns-1)/columns*step+gap
	canvas := picture.New(width, height)
	canvas.Fill(0, 0, width, height, picture.Black)
	planes := make([]uint8, n)
	for i := range count {
		toPlanes(planes, images[i*n:(i+1)*n])
		canvas.Pixels(gap+i%columns*step, gap+i/columns*step, size, planes, channels, size, size)
	}
	return canvas.Save(filepath.Join(p.dir, name))
}

// toPlanes turns the values of an image, pixel by pixel, into bytes, channel by channel.
func toPlanes(planes []uint8, image []float32) {
	pixels := len(image) / channels
	for i, v := range image {
		planes[i%channels*pixels+i/channels] = toByte(v)
	}
}

// toByte is the nearest of 256 values to v in [-1, 1]; what is outside is cut off, and NaN is black.
func toByte(v float32) uint8 {
	if !(v > -1) {
		return 0
	}
	return uint8(min((v+1)*127.5+0.5, 255))
}
