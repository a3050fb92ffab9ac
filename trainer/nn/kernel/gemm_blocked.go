//go:build amd64

package kernel

// microKernel computes C = alpha·A·B + beta·C for one tile; see gen/gemm.go for its arguments.
type microKernel func(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, ldc, rows, cols int, alpha, beta float32)

// tile is a micro-kernel with what goes with it. The blocked product around it follows Van Zee and van de Geijn,
// "BLIS: A Framework for Rapidly Instantiating BLAS Functionality" (2015): B is packed once into slivers as wide as
// the tile, A block by block into slivers as high as it; a sliver of B then stays in the first-level cache while the
// slivers of a block of A, in the second, pass by it.
type tile struct {
	set *set // for summing partial results

	mr    int // height of the tile
	lanes int // elements of a vector
	nr    int // width of the tile

	// kernels[v-1] computes a tile that is v vectors wide: the last is the full tile, the others are for what is
	// left at the right edge. See gen/gemm.go.
	kernels []microKernel
	// packA and packB pack rows of the matrix into slivers mr and nr wide, ss apart; packCols packs up to lanes
	// columns, as rows of a part of one sliver. See gen/pack.go.
	packA, packB func(dst *float32, ss int, src *float32, ld, k, slivers, rest int)
	packCols     func(dst *float32, ds int, src *float32, ld, k, n int)
}

// Block sizes, in elements unless said otherwise, measured on CPUs with 1 to 2 MiB of second-level cache.
const (
	// maxDepth is how many terms a block sums before C is touched again: many enough that this costs little, few
	// enough that a sliver of A (14 KiB) stays in the first-level cache and blockSlivers of A (190 KiB) and
	// stripSlivers of B (290 KiB) in the second.
	maxDepth     = 384
	blockSize    = 64 << 10
	stripSlivers = 4

	// panelDepth·panelCols is how much of B is packed at once: 16 MiB at most.
	panelDepth = 2048
	panelCols  = 2048
	// splitMemory is the space for the partial results of a split product, 4 MiB, and splitBlock how many rows and
	// columns of C one of its tasks computes at most; B and A are packed once for each.
	splitMemory = 1 << 20
	splitBlock  = 512

	// packDepth is how many rows of a matrix are packed before the next columns are: a few, as rows are often
	// pages apart, and reading along them is what the hardware prefetches.
	packDepth = 32

	// wantTasks is into how many tasks a product is cut, where its shape allows, to keep many cores busy to the end.
	wantTasks = 24
	// serialWork is the number of multiply-adds (some ten microseconds) below which no goroutine is started.
	serialWork = 1 << 20
)

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// balance cuts n into the fewest parts of at most limit, and returns the size of all but the last, which is smaller
// by less than the number of parts.
func balance(n, limit int) int { return ceilDiv(n, ceilDiv(n, limit)) }

// sub returns the part of p for m×n of C from (i,j), with only the k terms from l. The first terms scale C by beta,
// the later ones add to it.
func (p *product) sub(i, m, j, n, l, k int) *product {
	q := *p
	q.m, q.n, q.k = m, n, k
	if p.transA {
		q.a = p.a[l*p.lda+i:]
	} else {
		q.a = p.a[i*p.lda+l:]
	}
	if p.transB {
		q.b = p.b[j*p.ldb+l:]
	} else {
		q.b = p.b[l*p.ldb+j:]
	}
	q.c = p.c[i*p.ldc+j:]
	if l > 0 {
		q.beta = 1
	}
	return &q
}

// gemm computes p on at most threads goroutines.
func (t *tile) gemm(p *product, threads int) {
	if p.m*p.n*p.k < serialWork {
		threads = 1
	}
	if s := splits(p.m, p.n, p.k); s > 1 {
		t.gemmSplit(p, s, threads)
		return
	}
	t.gemmPanels(p, threads, balance(p.k, panelDepth), panelCols)
}

// splits returns into how many parts the terms of a product are divided, each summed on its own: more than 1 for a
// small C with many terms, such as the gradient of a weight matrix, which has too few rows to be shared among cores.
// It depends on the shape only, as the rounding depends on it.
func splits(m, n, k int) int {
	if k < 2048 || m*n > splitMemory/2 || m*n*k < 2*serialWork {
		return 1
	}
	return min(16, splitMemory/(m*n), k/512)
}

// gemmSplit computes p as s products over a part of the terms each, and adds them up in order. A task is such a part
// of a block of C.
func (t *tile) gemmSplit(p *product, s, threads int) {
	size := p.m * p.n
	buf := getScratch(s * size)
	defer buf.put()
	depth := ceilDiv(p.k, s)
	rows := balance(ceilDiv(p.m, t.mr), splitBlock/t.mr) * t.mr
	cols := balance(ceilDiv(p.n, t.nr), splitBlock/t.nr) * t.nr
	rowTasks, colTasks := ceilDiv(p.m, rows), ceilDiv(p.n, cols)
	parallel(threads, ceilDiv(p.k, depth)*rowTasks*colTasks, 1, func(task, _ int) {
		part := task / (rowTasks * colTasks)
		i, j := task/colTasks%rowTasks*rows, task%colTasks*cols
		l := part * depth
		q := p.sub(i, min(rows, p.m-i), j, min(cols, p.n-j), l, min(depth, p.k-l))
		q.alpha, q.beta = 1, 0
		q.c, q.ldc = buf.x[part*size+i*p.n+j:], p.n
		// One block of terms at a time, so that the packed B stays in the second-level cache.
		t.gemmPanels(q, 1, balance(q.k, maxDepth), cols)
	})

	parts := ceilDiv(p.k, depth)
	reduce := func(c []float32, at int) {
		sum := buf.x[at:][:len(c)]
		for i := 1; i < parts; i++ {
			t.set.add(sum, sum, buf.x[i*size+at:][:len(c)])
		}
		switch p.beta {
		case 0:
			t.set.scale(c, p.alpha, sum)
		case 1:
			t.set.axpy(p.alpha, sum, c)
		default:
			t.set.scale(c, p.beta, c)
			t.set.axpy(p.alpha, sum, c)
		}
	}
	const reduceGrain = 4096
	if p.ldc == p.n {
		parallel(threads, size, reduceGrain, func(lo, hi int) { reduce(p.c[lo:hi], lo) })
		return
	}
	parallel(threads, p.m, max(1, reduceGrain/p.n), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			reduce(p.c[i*p.ldc:][:p.n], i*p.n)
		}
	})
}

// gemmPanels computes p by panels of B of depth terms and cols columns.
func (t *tile) gemmPanels(p *product, threads, depth, cols int) {
	for j := 0; j < p.n; j += cols {
		for l := 0; l < p.k; l += depth {
			t.gemmPanel(p.sub(0, p.m, j, min(cols, p.n-j), l, min(depth, p.k-l)), threads)
		}
	}
}

// panel is a product whose op(B) fits the packing buffer.
type panel struct {
	*tile
	*product
	depth int // of a block of terms
	// b holds op(B) packed, one block of terms after the other, in each the slivers. If direct, it holds only the
	// last sliver, where that is not full, and the others are read in place.
	packed  []float32
	direct  bool
	directA bool
	first   int // the first sliver that is packed
	edge    int // the first column of the last sliver, if that is not full, else n
}

// gemmPanel computes p, a product of at most panelDepth terms and panelCols columns.
func (t *tile) gemmPanel(p *product, threads int) {
	b := &panel{tile: t, product: p, depth: balance(p.k, maxDepth)}
	b.edge = p.n / b.nr * b.nr

	// Packing pays by being read often: B once for each sliver of A, and A once for each sliver of B. Rows that
	// lie a multiple of 2 KiB apart fall on few sets of the first-level cache and are packed in any case.
	b.direct = !p.transB && p.m <= 4*t.mr && p.ldb%512 != 0
	b.directA = p.n <= 2*b.nr && p.lda%512 != 0

	slivers := ceilDiv(p.n, b.nr)
	b.first = 0
	if b.direct {
		b.first = b.edge / b.nr
	}
	if slivers > b.first {
		buf := getScratch(p.k * (slivers - b.first) * b.nr)
		defer buf.put()
		b.packed = buf.x
		if p.transB {
			parallel(threads, slivers-b.first, 1, func(j, _ int) { b.packSliverB(b.first + j) })
		} else {
			parallel(threads, p.k, packDepth, b.packRowsB)
		}
	}

	// Rows are shared among tasks in blocks, and columns too where there are few rows; then A is packed once for
	// each block of columns.
	blockRows := balance(ceilDiv(p.m, t.mr), max(4, blockSize/(p.k*t.mr))) * t.mr
	rowTasks := ceilDiv(p.m, blockRows)
	blockCols := p.n
	if n := min(wantTasks/rowTasks, slivers/4); n > 1 && threads > 1 {
		blockCols = ceilDiv(slivers, n) * b.nr
	}
	colTasks := ceilDiv(p.n, blockCols)
	parallel(threads, rowTasks*colTasks, 1, func(task, _ int) {
		i, j := task/colTasks*blockRows, task%colTasks*blockCols
		b.block(i, min(i+blockRows, p.m), j, min(j+blockCols, p.n))
	})
}

// packRowsB packs the terms l to end of op(B) = B, all slivers.
func (b *panel) packRowsB(l, end int) {
	slivers := ceilDiv(b.n, b.nr) - b.first
	cols := b.n - b.first*b.nr
	for l < end { // up to the end of the chunk or of the block of terms
		block := l / b.depth * b.depth
		high := min(b.depth, b.k-block)
		k := min(end, block+high) - l
		b.tile.packB(&b.packed[(block*slivers+l-block)*b.nr], high*b.nr, &b.product.b[l*b.ldb+b.first*b.nr], b.ldb, k, cols/b.nr, cols%b.nr)
		l += k
	}
}

// packSliverB packs sliver j of op(B) = Bᵀ, all terms.
func (b *panel) packSliverB(j int) {
	slivers := ceilDiv(b.n, b.nr) - b.first
	cols := min(b.nr, b.n-j*b.nr)
	for l := 0; l < b.k; l += b.depth {
		k := min(b.depth, b.k-l)
		for v := 0; v < cols; v += b.lanes {
			b.packCols(&b.packed[(l*slivers+(j-b.first)*k)*b.nr+v], b.nr, &b.product.b[(j*b.nr+v)*b.ldb+l], b.ldb, k, min(b.lanes, cols-v))
		}
	}
}

// sliverB returns where the micro-kernel finds the columns of B from j for the k terms from l, and their stride.
func (b *panel) sliverB(j, l, k int) (*float32, int) {
	switch {
	case !b.direct:
		return &b.packed[l*ceilDiv(b.n, b.nr)*b.nr+j*k], b.nr
	case j == b.edge:
		return &b.packed[l*b.nr], b.nr
	default:
		return &b.product.b[l*b.ldb+j], b.ldb
	}
}

// block computes rows i0 to i1 and columns j0 to j1 of C.
func (b *panel) block(i0, i1, j0, j1 int) {
	mr := b.mr
	sliver := mr*b.depth + b.lanes // packing may run over the end by a vector
	slivers := ceilDiv(i1-i0, mr)
	buf := getScratch(ceilDiv(b.k, b.depth) * slivers * sliver)
	defer buf.put()
	b.packRowsA(buf.x, sliver, i0, i1)
	beta := b.beta
	for l := 0; l < b.k; l += b.depth {
		k := min(b.depth, b.k-l)
		packed := buf.x[l/b.depth*slivers*sliver:]
		for jb := j0; jb < j1; jb += stripSlivers * b.nr {
			for i := i0; i < i1; i += mr {
				ap, rs, ks := &packed[(i-i0)/mr*sliver], 1, mr
				if b.directA && i1-i >= mr {
					ap, rs, ks = b.elementA(i, l)
				}
				for j := jb; j < min(jb+stripSlivers*b.nr, j1); j += b.nr {
					cols := min(b.nr, j1-j)
					kernel := b.kernels[(cols-1)/b.lanes]
					bp, bs := b.sliverB(j, l, k)
					kernel(k, ap, rs, ks, bp, bs, &b.c[i*b.ldc+j], b.ldc, min(mr, i1-i), cols, b.alpha, beta)
				}
			}
		}
		beta = 1
	}
}

// elementA returns the address of op(A)[i,l] and the distances to the next row and to the next term.
func (b *panel) elementA(i, l int) (*float32, int, int) {
	if b.transA {
		return &b.a[l*b.lda+i], 1, b.lda
	}
	return &b.a[i*b.lda+l], b.lda, 1
}

// packRowsA packs the rows i0 to i1 of op(A), block of terms by block, into slivers that start so many elements apart.
func (b *panel) packRowsA(dst []float32, sliver, i0, i1 int) {
	slivers := ceilDiv(i1-i0, b.mr)
	from := i0 // rows before are read in place
	if b.directA {
		from = i1 - (i1-i0)%b.mr
	}
	if from == i1 {
		return
	}
	block := func(l int) (to []float32, k int) { return dst[l/b.depth*slivers*sliver:], min(b.depth, b.k-l) }
	if b.transA {
		for l := 0; l < b.k; l += b.depth {
			to, k := block(l)
			b.tile.packA(&to[(from-i0)/b.mr*sliver], sliver, &b.a[l*b.lda+from], b.lda, k, (i1-from)/b.mr, (i1-from)%b.mr)
		}
		return
	}
	for i := from; i < i1; i += b.mr { // all of a row before the next, as it lies in memory
		for l := 0; l < b.k; l += b.depth {
			to, k := block(l)
			b.packCols(&to[(i-i0)/b.mr*sliver], b.mr, &b.a[i*b.lda+l], b.lda, k, min(b.mr, i1-i))
		}
	}
}
