package nn

import (
	"fmt"

	"swath/trainer/nn/kernel"
)

// window is the geometry that a convolution and its transpose share: a square kernel
// slides over a fine grid of pixels, and each of its places is one pixel of a coarse
// grid. Images are NHWC: pixel by pixel, the channels of a pixel side by side. The
// weights are a matrix of taps × coarse channels, where a tap is (ky, kx, fine channel).
//
// Three products serve both layers in both directions:
//
//	            convolution   transposed convolution
//	forward     down          up
//	dx          up            down
//	dW          wgrad         wgrad
//
// down is columns·W for columns = unfold(fine), a row of taps for each coarse pixel
// ("im2col"); up, its transpose, is fold(coarse·Wᵀ); wgrad is columnsᵀ·coarse.
// Columns exist only for a few images at a time, so that they stay in a cache. Windows
// of 4×4 with stride 2 and many channels do without columns, see [minimal].
type window struct {
	batch                     int
	fineH, fineW, fineC       int
	coarseH, coarseW, coarseC int
	kernel, stride, pad       int
}

// convWindow is the window of a convolution: x is its fine grid.
func convWindow(batch, height, width, channels, out, kernel, stride, pad int) (window, error) {
	w := window{batch: batch, fineH: height, fineW: width, fineC: channels, coarseC: out, kernel: kernel, stride: stride, pad: pad}
	if err := w.check(); err != nil {
		return w, err
	}
	if height+2*pad < kernel || width+2*pad < kernel {
		return w, fmt.Errorf("a kernel of %d×%d does not fit images of %d×%d with a border of %d", kernel, kernel, height, width, pad)
	}
	w.coarseH, w.coarseW = (height+2*pad-kernel)/stride+1, (width+2*pad-kernel)/stride+1
	return w, nil
}

// transposedWindow is the window of a transposed convolution: x is its coarse grid.
func transposedWindow(batch, height, width, channels, out, kernel, stride, pad int) (window, error) {
	w := window{batch: batch, coarseH: height, coarseW: width, coarseC: channels, fineC: out, kernel: kernel, stride: stride, pad: pad}
	if err := w.check(); err != nil {
		return w, err
	}
	w.fineH, w.fineW = (height-1)*stride-2*pad+kernel, (width-1)*stride-2*pad+kernel
	if w.fineH <= 0 || w.fineW <= 0 {
		return w, fmt.Errorf("images of %d×%d have no pixels left after a border of %d is cut off", height, width, pad)
	}
	return w, nil
}

func (w *window) check() error {
	if w.kernel <= 0 || w.stride <= 0 || w.pad < 0 || w.pad >= w.kernel {
		return fmt.Errorf("kernel %d, stride %d and padding %d do not go together", w.kernel, w.stride, w.pad)
	}
	if w.fineC <= 0 || w.coarseC <= 0 {
		return fmt.Errorf("%d and %d channels, want at least 1 each", w.fineC, w.coarseC)
	}
	return nil
}

// taps is the length of a row of columns.
func (w *window) taps() int { return w.kernel * w.kernel * w.fineC }

// coarsePixels and the lengths are of one image.
func (w *window) coarsePixels() int { return w.coarseH * w.coarseW }
func (w *window) coarseLen() int    { return w.coarsePixels() * w.coarseC }
func (w *window) fineLen() int      { return w.fineH * w.fineW * w.fineC }

// direct reports that the fine images already are the columns: the kernel covers an
// image exactly, or is a single pixel. The layer is a plain matrix product then.
func (w *window) direct() bool {
	covers := w.pad == 0 && w.kernel == w.fineH && w.kernel == w.fineW
	return covers || w.kernel == 1 && w.stride == 1
}

// Columns are made for as many images as fill columnElements, but for no fewer than
// give a matrix product columnRows rows: it packs the weights anew each time.
const (
	columnElements = 1 << 20
	columnRows     = 2048
)

// chunk is for how many images columns are made at a time. It depends on the shape
// only, because sums over chunks are rounded.
func (w *window) chunk() int {
	if w.direct() {
		return w.batch
	}
	images := max((columnRows+w.coarsePixels()-1)/w.coarsePixels(), columnElements/(w.coarsePixels()*w.taps()))
	return min(images, w.batch)
}

// columns is the scratch memory that the products need, which all layers of a net share.
func (w *window) columns(space *Workspace) []float32 {
	if w.direct() {
		return nil
	}
	return space.floats("conv.columns", w.chunk()*w.coarsePixels()*w.taps())
}

// eachChunk calls f for consecutive images [lo, hi) with their columns.
func (w *window) eachChunk(fine, columns []float32, f func(lo, hi int, columns []float32)) {
	if w.direct() {
		f(0, w.batch, fine)
		return
	}
	for lo := 0; lo < w.batch; lo += w.chunk() {
		hi := min(lo+w.chunk(), w.batch)
		w.unfold(columns, fine, lo, hi)
		f(lo, hi, columns)
	}
}

// down sets coarse to the convolution of fine.
func (w *window) down(coarse, fine, weights []float32, space *Workspace) {
	if w.isMinimal() {
		w.minimal(space).down(coarse, fine, weights)
		return
	}
	w.eachChunk(fine, w.columns(space), func(lo, hi int, columns []float32) { w.downColumns(coarse, columns, weights, lo, hi) })
}

// wgrad sets dw to the gradient of the weights for the gradient of coarse.
func (w *window) wgrad(dw, fine, coarse []float32, space *Workspace) {
	if w.isMinimal() {
		w.minimal(space).wgrad(dw, fine, coarse)
		return
	}
	w.eachChunk(fine, w.columns(space), func(lo, hi int, columns []float32) { w.wgradColumns(dw, columns, coarse, lo, hi) })
}

// downAndWgrad is both; what is nil is not wanted.
func (w *window) downAndWgrad(dcoarse, dw, fine, coarse, weights []float32, space *Workspace) {
	switch {
	case dcoarse == nil && dw == nil:
	case dw == nil:
		w.down(dcoarse, fine, weights, space)
	case dcoarse == nil:
		w.wgrad(dw, fine, coarse, space)
	case w.isMinimal():
		w.down(dcoarse, fine, weights, space)
		w.wgrad(dw, fine, coarse, space)
	default:
		w.eachChunk(fine, w.columns(space), func(lo, hi int, columns []float32) {
			w.downColumns(dcoarse, columns, weights, lo, hi)
			w.wgradColumns(dw, columns, coarse, lo, hi)
		})
	}
}

// up sets fine to the transposed convolution of coarse.
func (w *window) up(fine, coarse, weights []float32, space *Workspace) {
	if w.isMinimal() {
		w.minimal(space).up(fine, coarse, weights)
		return
	}
	w.upColumns(fine, coarse, weights, w.columns(space))
}

// downColumns sets coarse, for the images [lo, hi), to columns·W.
func (w *window) downColumns(coarse, columns, weights []float32, lo, hi int) {
	kernel.Gemm(false, false, (hi-lo)*w.coarsePixels(), w.coarseC, w.taps(), 1, columns, w.taps(), weights, w.coarseC, 0,
		coarse[lo*w.coarseLen():], w.coarseC)
}

// wgradColumns adds columnsᵀ·coarse, for the images [lo, hi), to dw, or sets dw to it if
// these are the first.
func (w *window) wgradColumns(dw, columns, coarse []float32, lo, hi int) {
	beta := float32(1)
	if lo == 0 {
		beta = 0
	}
	kernel.Gemm(true, false, w.taps(), w.coarseC, (hi-lo)*w.coarsePixels(), 1, columns, w.taps(), coarse[lo*w.coarseLen():], w.coarseC, beta, dw, w.coarseC)
}

// upColumns sets fine to fold(coarse·Wᵀ).
func (w *window) upColumns(fine, coarse, weights, columns []float32) {
	product := func(dst []float32, lo, hi int) {
		kernel.Gemm(false, true, (hi-lo)*w.coarsePixels(), w.taps(), w.coarseC, 1, coarse[lo*w.coarseLen():], w.coarseC, weights, w.coarseC, 0, dst, w.taps())
	}
	if w.direct() {
		product(fine, 0, w.batch)
		return
	}
	for lo := 0; lo < w.batch; lo += w.chunk() {
		hi := min(lo+w.chunk(), w.batch)
		product(columns, lo, hi)
		w.fold(fine, columns, lo, hi)
	}
}

// span returns which of the kernel's columns (or rows) lie inside an image of size
// pixels when the kernel stands at the given place: [lo, hi), and the pixel under lo.
func (w *window) span(place, size int) (lo, hi, pixel int) {
	first := place*w.stride - w.pad
	lo, hi = max(0, -first), min(w.kernel, size-first)
	return lo, max(lo, hi), first + lo
}

// unfold copies what the kernel sees at each place of the images [lo, hi) into a row
// of columns; zeros stand for what lies outside of the image.
func (w *window) unfold(columns, fine []float32, lo, hi int) {
	c, line := w.fineC, w.kernel*w.fineC
	row := w.coarseW * w.taps()
	kernel.Parallel((hi-lo)*w.coarseH, max(1, elementGrain/row), func(from, to int) {
		for r := from; r < to; r++ {
			image := fine[(lo+r/w.coarseH)*w.fineLen():][:w.fineLen()]
			y0, y1, y := w.span(r%w.coarseH, w.fineH)
			for ox := range w.coarseW {
				dst := columns[r*row+ox*w.taps():][:w.taps()]
				x0, x1, x := w.span(ox, w.fineW)
				clear(dst[:y0*line])
				clear(dst[y1*line:])
				for ky := y0; ky < y1; ky++ {
					taps, src := dst[ky*line:(ky+1)*line], ((y+ky-y0)*w.fineW+x)*c
					clear(taps[:x0*c])
					copy(taps[x0*c:x1*c], image[src:])
					clear(taps[x1*c:])
				}
			}
		}
	})
}

// fold is the transpose of unfold: each fine pixel of the images [lo, hi) becomes the
// sum of the taps that lie on it. One goroutine sums a row of pixels, always in the
// same order, so that nothing is added to from two sides.
func (w *window) fold(fine, columns []float32, lo, hi int) {
	c, line := w.fineC, w.kernel*w.fineC
	row := w.fineW * c
	kernel.Parallel((hi-lo)*w.fineH, max(1, elementGrain/row), func(from, to int) {
		for r := from; r < to; r++ {
			image, y := r/w.fineH, r%w.fineH
			dst := fine[(lo*w.fineH+r)*row:][:row]
			clear(dst)
			for ky := (y + w.pad) % w.stride; ky < w.kernel && ky <= y+w.pad; ky += w.stride {
				oy := (y + w.pad - ky) / w.stride
				if oy >= w.coarseH {
					continue
				}
				for ox := range w.coarseW {
					x0, x1, x := w.span(ox, w.fineW)
					taps := columns[((image*w.coarseH+oy)*w.coarseW+ox)*w.taps()+ky*line:]
					add(dst[x*c:(x+x1-x0)*c], taps[x0*c:x1*c])
				}
			}
		}
	})
}

// add adds src to dst.
func add(dst, src []float32) {
	if len(dst) >= 16 {
		kernel.Add(dst, dst, src)
		return
	}
	for i, v := range src[:len(dst)] {
		dst[i] += v
	}
}
