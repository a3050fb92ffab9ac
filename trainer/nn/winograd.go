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
	// and few enough that their points fit a second-level cache, or nearly.
	unitTiles = 126
	// minUnits is of how many units there must be work, for it to be shared among goroutines by units. With fewer,
	// which deep layers of many channels have, all goroutines share the products of sharedTiles.
	minUnits    = 16
	sharedTiles = 512
	// rowUnit is what the rows of a product are a multiple of, so that they fill the tiles of every kernel set.
	rowUnit = 18
	// tileGrain is how many tiles a goroutine transforms at a time.
	tileGrain = 16
	// gradRows is how many rows of the weights' gradient one task computes.
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

// ceilDiv returns n/m, rounded up.
func ceilDiv(n, m int) int { return (n + m - 1) / m }

// share runs f for parts of [0,n), as kernel.Parallel does, or for all of it at once.
type share func(n, grain int, f func(lo, hi int))

// eachUnit calls f for consecutive tiles [lo, hi), of whole images if wanted: in parallel, or in turn and with a share
// that is parallel.
func (w *minimal) eachUnit(images bool, f func(lo, hi int, s share)) {
	align := 1
	if images {
		align = w.tilesH * w.tilesW
	}
	if unit := ceilDiv(unitTiles, align) * align; w.tiles() >= minUnits*unitTiles {
		alone := func(n, _ int, f func(lo, hi int)) { f(0, n) }
		kernel.Parallel(w.tiles(), unit, func(lo, hi int) { f(lo, hi, alone) })
		return
	}
	unit := ceilDiv(sharedTiles, align) * align
	for lo := 0; lo < w.tiles(); lo += unit {
		f(lo, min(lo+unit, w.tiles()), kernel.Parallel)
	}
}

// multiply sets the points c to those of a times the packed matrices b, k×n, which are size elements apart.
func (w *minimal) multiply(s share, n, k, rows int, c []float32, cm matrix3, a []float32, am matrix3, b []float32, size int) {
	block := ceilDiv(ceilDiv(rows, rowUnit), max(1, rows/unitTiles)) * rowUnit
	blocks := ceilDiv(rows, block)
	s(winograd.Points*blocks, 1, func(from, to int) {
		for task := from; task < to; task++ {
			p, r := task/blocks, task%blocks*block
			kernel.GemmPacked(min(block, rows-r), n, k, a[p*am.step()+r*am.ld:], am.ld, b[p*size:], c[p*cm.step()+r*cm.ld:], cm.ld)
		}
	})
}

// down sets coarse to the convolution of fine.
func (w *minimal) down(coarse, fine, weights []float32) {
	k, n := w.phased(), w.coarseC
	packed, size := w.packWeights(weights, false)
	w.eachUnit(false, func(lo, hi int, s share) {
		tiles := hi - lo
		v, m := matrix3{tiles, k + rowPad}, matrix3{tiles, n + rowPad}
		memory := w.space.lend(v.len() + m.len())
		defer w.space.giveBack(memory)
		vs, ms := memory[:v.len()], memory[v.len():][:m.len()]
		s(tiles, tileGrain, func(from, to int) { w.differences(vs[from*v.ld:], v, fine, lo+from, lo+to) })
		w.multiply(s, n, k, tiles, ms, m, vs, v, packed, size)
		s(tiles, tileGrain, func(from, to int) { w.contract(coarse, ms[from*m.ld:], m, lo+from, lo+to) })
	})
}

// up sets fine to the transposed convolution of coarse.
func (w *minimal) up(fine, coarse, weights []float32) {
	k, n := w.coarseC, w.phased()
	packed, size := w.packWeights(weights, true)
	w.eachUnit(true, func(lo, hi int, s share) { // a patch overlaps others of its image
		tiles := hi - lo
		y, m := matrix3{tiles, k + rowPad}, matrix3{tiles + 1, n + rowPad}
		memory := w.space.lend(y.len() + m.len())
		defer w.space.giveBack(memory)
		ys, ms := memory[:y.len()], memory[y.len():][:m.len()]
		s(tiles, tileGrain, func(from, to int) { w.expand(ys[from*y.ld:], y, coarse, lo+from, lo+to) })
		w.multiply(s, n, k, tiles, ms, m, ys, y, packed, size)
		for p := range winograd.Points {
			clear(ms[p*m.step()+tiles*m.ld:][:n]) // the tile that stands for those outside of the image
		}
		s(tiles, tileGrain, func(from, to int) { w.gather(fine, ms, m, lo, from, to) })
	})
}

// wgrad sets dw to the gradient of the weights for the gradient coarse.
func (w *minimal) wgrad(dw, fine, coarse []float32) {
	k, n := w.phased(), w.coarseC
	chunk := min(sharedTiles, w.tiles())
	v, y := matrix3{chunk, k + rowPad}, matrix3{chunk, n + rowPad}
	memory := w.space.lend(v.len() + y.len())
	defer w.space.giveBack(memory)
	vs, ys := memory[:v.len()], memory[v.len():][:y.len()]
	du := w.space.floats("conv.dU", winograd.Points*k*n)
	rows := min(k/2, gradRows)
	blocks := ceilDiv(k, rows)
	for lo := 0; lo < w.tiles(); lo += chunk {
		hi := min(lo+chunk, w.tiles())
		kernel.Parallel(hi-lo, tileGrain, func(from, to int) {
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

// gather sets the fine pixels under the tiles from and up to to, counted from tile first, from the points ms, which are
// those of whole images from the first on; the last row of ms holds zeros.
func (w *minimal) gather(fine, ms []float32, m matrix3, first, from, to int) {
	c := w.fineC
	outside := make([]float32, c)
	var block winograd.Block
	for tile := from; tile < to; tile++ {
		image, ty, tx := w.place(first + tile)
		pixels := fine[image*w.fineLen():][:w.fineLen()]
		for phase := range phases {
			// The patch of an odd phase begins a pixel further to the upper left: there the overlap that ends
			// on the tile's own pixels is with the neighbours below and to the right.
			s := winograd.Seam{Across: m.step(), Down: 3 * m.step()}
			corner, left, up := phase*c, -1, -1
			if phase%2 == 1 {
				corner, left, s.Across = corner+2*s.Across, 1, -s.Across
			}
			if phase/2 == 1 {
				corner, up, s.Down = corner+2*s.Down, 1, -s.Down
			}
			at := func(y, x int) int {
				row := m.rows - 1 // zeros
				if y >= 0 && y < w.tilesH && x >= 0 && x < w.tilesW {
					row = tile + (y-ty)*w.tilesW + x - tx
				}
				return row*m.ld + corner
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

// contract sets the coarse squares of the tiles [lo, hi) from their points ms.
func (w *minimal) contract(coarse, ms []float32, m matrix3, lo, hi int) {
	outside := make([]float32, w.coarseC)
	var y winograd.Block
	for tile := lo; tile < hi; tile++ {
		w.square(&y, coarse, outside, tile)
		winograd.Contract(&y, ms[(tile-lo)*m.ld:], m.step())
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
	rows := ceilDiv(packRows, unit) * unit
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
