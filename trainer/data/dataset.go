package data

import "fmt"

// Dataset is an image-classification set held in memory.
//
// Its fields are set by [Open] and must not be changed afterwards, except Mean and Std: a trainer that wants
// another scaling, say [-1, 1] (mean and standard deviation 0.5), assigns its own before it takes batches.
type Dataset struct {
	Name    string   // the name that the set was opened by
	Classes []string // class names; a label is an index into it

	Channels, Height, Width int // the shape of every image

	// Mean and Std are the mean and the population standard deviation of the training pixels of each channel, with
	// pixels scaled to [0, 1]. A subset or a resized set keeps those of the whole training split as stored, so that
	// runs over different parts of a set see equal inputs. Of shapes and image folders there is only what was asked
	// for: they are those of the images that were drawn or decoded.
	Mean, Std []float64

	Train, Test Split

	class string // the only one that Train and Test have images of; empty: any
}

// Split is the images of one part of a [Dataset], with their labels.
type Split struct {
	Images []uint8 // NCHW: image i is Images[i*C*H*W : (i+1)*C*H*W], a plane for each channel, rows from the top
	Labels []int   // one for each image, in [0, number of classes)
}

// Len returns the number of images.
func (s Split) Len() int { return len(s.Labels) }

// ImageLen returns the number of values in one image, Channels·Height·Width.
func (d *Dataset) ImageLen() int { return d.Channels * d.Height * d.Width }

// Image returns image i of a split of this set, in CHW order. The slice is the set's own memory: read it only.
func (d *Dataset) Image(s Split, i int) []uint8 {
	n := d.ImageLen()
	return s.Images[i*n : (i+1)*n : (i+1)*n]
}

// Batch fills dst with the images idx of a split, in NCHW order, each value normalised as
// (pixel/255 - Mean) / Std of its channel. dst must hold exactly len(idx) images.
//
// It only reads the set, so that several goroutines may take batches at once. It fails, leaving dst partly
// filled, where dst has another length or an index is outside the split.
func (d *Dataset) Batch(dst []float32, s Split, idx []int) error {
	n, plane := d.ImageLen(), d.Height*d.Width
	if len(dst) != len(idx)*n {
		return fmt.Errorf("batch of %d images of %s needs %d values, the destination has %d", len(idx), d.Name, len(idx)*n, len(dst))
	}
	luts := d.normalisers()
	for k, i := range idx {
		if i < 0 || i >= s.Len() {
			return fmt.Errorf("batch of %s: image %d is outside the split of %d images", d.Name, i, s.Len())
		}
		src, out := d.Image(s, i), dst[k*n:(k+1)*n]
		for c := range luts {
			lut, in, o := &luts[c], src[c*plane:(c+1)*plane], out[c*plane:(c+1)*plane]
			for j, v := range in {
				o[j] = lut[v]
			}
		}
	}
	return nil
}

// BatchLabels fills dst with the labels of the images idx of a split; dst must be as long as idx.
func (d *Dataset) BatchLabels(dst []int, s Split, idx []int) error {
	if len(dst) != len(idx) {
		return fmt.Errorf("labels of %d images of %s do not fit a destination of %d", len(idx), d.Name, len(dst))
	}
	for k, i := range idx {
		if i < 0 || i >= s.Len() {
			return fmt.Errorf("labels of %s: image %d is outside the split of %d images", d.Name, i, s.Len())
		}
		dst[k] = s.Labels[i]
	}
	return nil
}

// normalisers returns, for each channel, the normalised value of every pixel value. A table of 256 replaces a
// division a pixel; it is rebuilt for each batch, which costs nothing beside one image, so that Mean and Std may be
// assigned until then.
func (d *Dataset) normalisers() [][256]float32 {
	luts := make([][256]float32, d.Channels)
	for c := range luts {
		std := d.Std[c]
		if std < 1e-6 { // a channel of one value only: centre it, do not blow up its rounding
			std = 1
		}
		for v := range luts[c] {
			luts[c][v] = float32((float64(v)/255 - d.Mean[c]) / std)
		}
	}
	return luts
}

// memoryLimit is the size of the largest split that is made in memory. It turns a slip in an image size into a message
// instead of a machine that swaps.
const memoryLimit = 32 << 30

// affordable reports a set that would not fit; nil if it would.
func affordable(name string, images, channels, size int) *RequestError {
	if need := float64(images) * float64(channels) * float64(size) * float64(size); need > memoryLimit {
		return &RequestError{Option: "Size", Reason: fmt.Sprintf("%s: %s images of %dx%d would take %.0f GiB of memory (take fewer or smaller ones)", name, grouped(int64(images)), size, size, need/(1<<30))}
	}
	return nil
}

// check reports a set that breaks its own promises; readers call it last, so that none can hand one out.
func (d *Dataset) check() error {
	for _, s := range []struct {
		name kind
		Split
	}{{trainImages, d.Train}, {testImages, d.Test}} {
		if s.Len() == 0 && d.class == "" {
			return fmt.Errorf("%s has no %s images", d.Name, s.name)
		}
		if len(s.Images) != s.Len()*d.ImageLen() {
			return fmt.Errorf("%s has %d bytes of %s images, want %d for %d labels", d.Name, len(s.Images), s.name, s.Len()*d.ImageLen(), s.Len())
		}
		for i, l := range s.Labels {
			if l < 0 || l >= len(d.Classes) {
				return fmt.Errorf("%s: the label of %s image %d is %d, outside its %d classes", d.Name, s.name, i, l, len(d.Classes))
			}
		}
	}
	return nil
}
