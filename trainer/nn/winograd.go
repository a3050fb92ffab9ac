package nn

import (
	"swath/trainer/nn/kernel"
	"swath/trainer/nn/winograd"
)

// minimal computes the three products of a window of 4×4 pixels with stride 2 and a border of 1 by Winograd's minimal
// filtering (see package winograd): nine products of matrices where the definition has sixteen.
//
// Such a convolution is a sum of four of 2×2 with stride 1, one for each phase of the fine grid: its pixels of even or
// odd rows and columns. A tile is a square of 2×2 coarse pixels, and under it lies a patch of 3×3 pixels of each phase.
// The points of all patches are the matrices V_p, of tiles × (phase, fine channel), those of the weights U_p, of
// (phase, fine channel) × coarse channels, and those of the coarse squares Y_p, of tiles × coarse channels:
//
//	down     coarse = contract(V_p·U_p)
//	up       fine   = gather(Y_p·U_pᵀ)
//	wgrad    dW     = contract(V_pᵀ·Y_p)
//
// Points exist only for a few tiles at a time, so that they stay in a cache.
type minimal struct {
	*window
	space          *Workspace
	tilesH, tilesW int // of an image
}

// minimalChannels is how many channels a window has on either side before the transforms, which take a time that grows
// with the sum of the channels, cost less than the products, which grow with their product, save.
const minimalChannels = 16

// isMinimal reports that minimal computes the products of w. It depends on the shape only, because it rounds
// differently.
func (w *window) isMinimal() bool {
	return w.kernel == 4 && w.stride == 2 && w.pad == 1 && w.fineH == 2*w.coarseH && w.fineW == 2*w.coarseW &&
		min(w.fineC, w.coarseC) >= minimalChannels
}

func (w *window) minimal(space *Workspace) *minimal {
	return &minimal{window: w, space: space, tilesH: (w.coarseH + 1) / 2, tilesW: (w.coarseW + 1) / 2}
}

const (
	phases = 4
	// unitTiles is for how many tiles a goroutine makes points at a time: enough rows of a matrix for a product,
	// and few enough that their points fit a second-level cache.
	unitTiles = 126
	// gradTiles is the same for the gradient of the weights, whose products all goroutines share.
	gradTiles = 512
	// gradRows is how many rows of such a product are one task, at most.
	gradRows = 256
	// packRows is how many rows of the weights' points a goroutine makes at a time.
	packRows = 32
	// rowPad is how far apart rows of points are beyond their length: at distances that are powers of two, rows
	// would fall on the same few sets of a cache.
	rowPad = 16
)

func (w *minimal) tiles() int  { return w.batch * w.tilesH * w.tilesW }
func (w *minimal) phased() int { return phases * w.fineC } // channels of all phases

// place is a tile's image, row and column.
func (w *minimal) place(tile int) (image, y, x int) {
	return tile / (w.tilesH * w.tilesW), tile / w.tilesW % w.tilesH, tile % w.tilesW
}

// down sets coarse to the convolution of fine.
func (w *minimal) down(coarse, fine, weights []float32) {
	k, n := w.phased(), w.coarseC
	packed, size := w.packWeights(weights, false)
	kernel.Parallel(w.tiles(), unitTiles, func(lo, hi int) {
		tiles := hi - lo
		v, m := matrix3{tiles, k + rowPad}, matrix3{tiles, n + rowPad}
		memory := w.space.lend(v.len() + m.len())
		defer w.space.giveBack(memory)
		vs, ms := memory[:v.len()], memory[v.len():][:m.len()]
		w.differences(vs, v, fine, lo, hi)
		for p := range winograd.Points {
			kernel.GemmPacked(tiles, n, k, vs[p*v.step():], v.ld, packed[p*size:], ms[p*m.step():], m.ld)
		}
		var y winograd.Block
		outside := make([]float32, n)
		for tile := lo; tile < hi; tile++ {
			w.square(&y, coarse, outside, tile)
			winograd.Contract(&y, ms[(tile-lo)*m.ld:], m.step())
		}
	})
}

// up sets fine to the transposed convolution of coarse.
func (w *minimal) up(fine, coarse, weights []float32) {
	k, n := w.coarseC, w.phased()
	packed, size := w.packWeights(weights, true)
	perImage := w.tilesH * w.tilesW // a patch overlaps others of its image
	images := (unitTiles + perImage - 1) / perImage
	kernel.Parallel(w.batch, images, func(lo, hi int) {
		lo, hi = lo*perImage, hi*perImage
		tiles := hi - lo
		y, m := matrix3{tiles, k + rowPad}, matrix3{tiles + 1, n + rowPad}
		memory := w.space.lend(y.len() + m.len())
		defer w.space.giveBack(memory)
		ys, ms := memory[:y.len()], memory[y.len():][:m.len()]
		w.expand(ys, y, coarse, lo, hi)
		for p := range winograd.Points {
			kernel.GemmPacked(tiles, n, k, ys[p*y.step():], y.ld, packed[p*size:], ms[p*m.step():], m.ld)
			clear(ms[p*m.step()+tiles*m.ld:][:n]) // the tile that stands for those outside of the image
		}
		w.gather(fine, ms, m, lo, hi)
	})
}

// wgrad sets dw to the gradient of the weights for the gradient coarse.
func (w *minimal) wgrad(dw, fine, coarse []float32) {
	k, n := w.phased(), w.coarseC
	chunk := min(gradTiles, w.tiles())
	v, y := matrix3{chunk, k + rowPad}, matrix3{chunk, n + rowPad}
	vs, ys := w.space.floats("conv.V", v.len()), w.space.floats("conv.Y", y.len())
	du := w.space.floats("conv.dU", winograd.Points*k*n)
	rows := min(k/2, gradRows)
	blocks := (k + rows - 1) / rows
	for lo := 0; lo < w.tiles(); lo += chunk {
		hi := min(lo+chunk, w.tiles())
		kernel.Parallel(hi-lo, 16, func(from, to int) {
			w.differences(vs[from*v.ld:], v, fine, lo+from, lo+to)
			w.expand(ys[from*y.ld:], y, coarse, lo+from, lo+to)
		})
		beta := float32(1)
		if lo == 0 {
			beta = 0
		}
		kernel.Parallel(winograd.Points*blocks, 1, func(from, to int) {
			for task := from; task < to; task++ {
				p, r := task/blocks, task%blocks*rows
				kernel.GemmSerial(true, false, min(rows, k-r), n, hi-lo, 1, vs[p*v.step()+r:], v.ld, ys[p*y.step():], y.ld, beta, du[(p*k+r)*n:], n)
			}
		})
	}
	kernel.Parallel(k, packRows, func(lo, hi int) {
		w.filters(dw, lo, hi, func(from, _ int, g *winograd.Block) { winograd.Contract(g, du[from*n:], k*n) })
	})
}

// matrix3 is the shape of the points of some tiles: for each point a matrix of rows that are ld apart.
type matrix3 struct{ rows, ld int }

func (m matrix3) step() int { return m.rows * m.ld }
func (m matrix3) len() int  { return winograd.Points * m.step() }

// differences sets dst to the points of the patches of the tiles [lo, hi).
func (w *minimal) differences(dst []float32, v matrix3, fine []float32, lo, hi int) {
	c := w.fineC
	outside := make([]float32, c)
	var d winograd.Patch
	for tile := lo; tile < hi; tile++ {
		image, ty, tx := w.place(tile)
		pixels := fine[image*w.fineLen():][:w.fineLen()]
		for phase := range phases {
			for j := range 3 {
				y := 4*ty + 2*j - phase/2
				for i := range 3 {
					x := 4*tx + 2*i - phase%2
					d[3*j+i] = outside
					if y >= 0 && y < w.fineH && x >= 0 && x < w.fineW {
						d[3*j+i] = pixels[(y*w.fineW+x)*c:][:c]
					}
				}
			}
			winograd.Difference(dst[(tile-lo)*v.ld+phase*c:], v.step(), &d)
		}
	}
}

// gather sets the fine pixels under the tiles [lo, hi), which are those of whole images, from the points ms of their
// patches; in the row behind the last tile's are zeros.
func (w *minimal) gather(fine, ms []float32, m matrix3, lo, hi int) {
	c := w.fineC
	outside := make([]float32, c)
	var block winograd.Block
	for tile := lo; tile < hi; tile++ {
		image, ty, tx := w.place(tile)
		pixels := fine[image*w.fineLen():][:w.fineLen()]
		for phase := range phases {
			// The patch of an odd phase begins a pixel further to the upper left: there the overlap that ends
			// on the tile's own pixels is with the neighbours below and to the right.
			s := winograd.Seam{Across: m.step(), Down: 3 * m.step()}
			first, left, up := phase*c, -1, -1
			if phase%2 == 1 {
				first, left, s.Across = first+2*s.Across, 1, -s.Across
			}
			if phase/2 == 1 {
				first, up, s.Down = first+2*s.Down, 1, -s.Down
			}
			at := func(y, x int) int {
				row := hi - lo // zeros
				if y >= 0 && y < w.tilesH && x >= 0 && x < w.tilesW {
					row = tile - lo + (y-ty)*w.tilesW + x - tx
				}
				return row*m.ld + first
			}
			s.Own, s.Beside, s.Above, s.Corner = at(ty, tx), at(ty, tx+left), at(ty+up, tx), at(ty+up, tx+left)
			ys := [2]int{4*ty + 3*(phase/2), 4*ty + 2 - phase/2}
			xs := [2]int{4*tx + 3*(phase%2), 4*tx + 2 - phase%2}
			for i := range block {
				y, x := ys[i/2], xs[i%2]
				block[i] = outside
				if y < w.fineH && x < w.fineW {
					block[i] = pixels[(y*w.fineW+x)*c:][:c]
				}
			}
			winograd.Gather(&block, ms, &s)
		}
	}
}

// expand sets dst to the points of the coarse squares of the tiles [lo, hi).
func (w *minimal) expand(dst []float32, m matrix3, coarse []float32, lo, hi int) {
	outside := make([]float32, w.coarseC)
	var y winograd.Block
	for tile := lo; tile < hi; tile++ {
		w.square(&y, coarse, outside, tile)
		winograd.Expand(dst[(tile-lo)*m.ld:], m.step(), &y)
	}
}

// square sets y to the coarse pixels of a tile; outside stands for those that an image of odd size does not have.
func (w *minimal) square(y *winograd.Block, coarse, outside []float32, tile int) {
	c := w.coarseC
	image, ty, tx := w.place(tile)
	for i := range y {
		oy, ox := 2*ty+i/2, 2*tx+i%2
		y[i] = outside
		if oy < w.coarseH && ox < w.coarseW {
			y[i] = coarse[((image*w.coarseH+oy)*w.coarseW+ox)*c:][:c]
		}
	}
}

// filters calls f for parts of the rows [lo, hi) of U, with the taps of weights, or of their gradient, that they are
// made from.
func (w *minimal) filters(weights []float32, lo, hi int, f func(lo, hi int, g *winograd.Block)) {
	for lo < hi {
		phase, c := lo/w.fineC, lo%w.fineC
		end := min(hi, (phase+1)*w.fineC)
		var g winograd.Block
		for i := range g {
			// An odd phase lies under the taps 0 and 2, an even one under 1 and 3.
			ky, kx := 1-phase/2+i/2*2, 1-phase%2+i%2*2
			g[i] = weights[((ky*w.kernel+kx)*w.fineC+c)*w.coarseC:][:(end-lo)*w.coarseC]
		}
		f(lo, end, &g)
		lo = end
	}
}

// packWeights returns the points U_p of the weights, or their transposes, packed for products and size elements apart.
func (w *minimal) packWeights(weights []float32, transpose bool) (packed []float32, size int) {
	n, k, cols := w.phased(), w.phased(), w.coarseC
	if transpose {
		k = cols
	} else {
		n = cols
	}
	size = kernel.PackedLen(k, n)
	packed = w.space.floats("conv.packed", winograd.Points*size)
	unit := kernel.PackUnit()
	rows := (packRows + unit - 1) / unit * unit
	kernel.Parallel(w.phased(), rows, func(lo, hi int) {
		step := (hi - lo) * cols
		u := w.space.lend(winograd.Points * step)
		defer w.space.giveBack(u)
		w.filters(weights, lo, hi, func(from, to int, g *winograd.Block) {
			winograd.Expand(u[(from-lo)*cols:], step, g)
		})
		for p := range winograd.Points {
			kernel.PackB(packed[p*size:][:size], transpose, k, n, lo, hi, u[p*step:], cols)
		}
	})
	return packed, size
}
