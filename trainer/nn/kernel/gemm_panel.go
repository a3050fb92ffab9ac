//go:build amd64

package kernel

// panel is a product whose op(B) fits the packing buffer, and how its work is cut: first all of op(B) is packed, in
// packs, then C is computed, in tasks. Packs, and then tasks, may run at the same time and in any order.
type panel struct {
	*tile
	product
	threads int

	depth int // of a block of terms

	// packed holds op(B), one block of terms after the other, in each the slivers from first on. Where B is read in
	// place (directB), that is only the last, if it is not full: edge is its first column.
	packed  []float32
	first   int
	edge    int
	directB bool
	directA bool // full slivers of A are read in place too
	blocksA bool // A is packed in blocks of rows, which the micro-kernel reads beside packed B only; otherwise, in columns

	packs int

	tasks, colTasks      int
	blockRows, blockCols int // of C, of a task

	ahead *ahead // what to fetch during the tasks, if that is known; only on one goroutine
}

// newPanel prepares p, a product of at most panelDepth terms and panelCols columns, for so many goroutines.
func (t *tile) newPanel(p product, threads int) panel {
	b := panel{tile: t, product: p, threads: threads, depth: t.depth(p.k)}

	// Packing pays by being read often: B once for each sliver of A, and A once for each sliver of B. Rows that
	// lie a multiple of 2 KiB apart fall on few sets of the first-level cache and are packed in any case.
	b.directB = !p.transB && p.m <= 4*t.mr && p.ldb%512 != 0
	b.directA = p.n <= 2*t.nr && p.lda%512 != 0
	b.blocksA = !p.transA && !b.directB

	slivers := ceilDiv(p.n, t.nr)
	b.edge = p.n / t.nr * t.nr
	if b.directB {
		b.first = b.edge / t.nr
	}
	switch {
	case slivers == b.first:
	case p.transB:
		b.packs = slivers - b.first
	default:
		b.packs = ceilDiv(p.k, packDepth)
	}

	// Rows are shared among tasks in blocks, and columns too where there are few rows; then A is packed once for
	// each block of columns.
	slabs := ceilDiv(p.m, t.mr)
	b.blockRows = balance(slabs, max(4, min(blockSize/(p.k*t.mr), max(8, slabs/wantTasks)))) * t.mr
	rowTasks := ceilDiv(p.m, b.blockRows)
	b.blockCols = p.n
	if n := min(wantTasks/rowTasks, slivers/4); n > 1 && threads > 1 {
		b.blockCols = ceilDiv(slivers, n) * t.nr
	}
	b.colTasks = ceilDiv(p.n, b.blockCols)
	b.tasks = rowTasks * b.colTasks
	return b
}

// fetch has next, the product whose packing follows, fetched during the tasks of b.
func (b *panel) fetch(next product) {
	calls := ceilDiv(b.m, b.mr) * ceilDiv(b.n, b.nr) * ceilDiv(b.k, b.depth)
	b.ahead = aheadOf(calls, next.regionB(), next.regionA(0, next.m))
}

// regionA returns where the rows i0 to i1 of op(A) are.
func (p *product) regionA(i0, i1 int) region {
	if p.transA {
		return region{p.a[i0:], p.lda, i1 - i0, p.k}
	}
	return region{p.a[i0*p.lda:], p.lda, p.k, i1 - i0}
}

// regionB returns where op(B) is.
func (p *product) regionB() region {
	if p.transB {
		return region{p.b, p.ldb, p.k, p.n}
	}
	return region{p.b, p.ldb, p.n, p.k}
}

// compute does the work of b.
func (b *panel) compute() {
	if b.packs > 0 {
		buf := getScratch(b.k * (ceilDiv(b.n, b.nr) - b.first) * b.nr)
		defer buf.put()
		b.packed = buf.x
	}
	if b.threads > 1 {
		b.parallel()
		return
	}
	for i := range b.packs {
		b.pack(i)
	}
	for i := range b.tasks {
		b.task(i)
	}
}

// parallel does the work of b. It takes a copy, as what goroutines share is allocated on the heap, which small
// products, on one goroutine, do without.
func (b panel) parallel() {
	parallel(b.threads, b.packs, 1, func(i, _ int) { b.pack(i) })
	parallel(b.threads, b.tasks, 1, func(i, _ int) { b.task(i) })
}

// pack does one of packs.
func (b *panel) pack(i int) {
	if b.transB {
		b.packSliverB(b.first + i)
	} else {
		b.packRowsB(i*packDepth, min((i+1)*packDepth, b.k))
	}
}

// task does one of tasks.
func (b *panel) task(i int) {
	row, col := i/b.colTasks*b.blockRows, i%b.colTasks*b.blockCols
	row1, col1 := min(row+b.blockRows, b.m), min(col+b.blockCols, b.n)
	a := b.ahead
	if next := row + b.threads*b.blockRows; a == nil && next < b.m && b.colTasks == 1 && !b.directA {
		// Most likely this goroutine's next task, as all take about as long.
		calls := (row1 - row) / b.mr * ceilDiv(b.n, b.nr) * ceilDiv(b.k, b.depth)
		a = aheadOf(calls, b.regionA(next, min(next+b.blockRows, b.m)))
	}
	b.block(row, row1, col, col1, a)
	if b.done != nil {
		b.done(row, row1)
	}
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
	case !b.directB:
		return &b.packed[l*ceilDiv(b.n, b.nr)*b.nr+j*k], b.nr
	case j == b.edge:
		return &b.packed[l*b.nr], b.nr
	default:
		return &b.product.b[l*b.ldb+j], b.ldb
	}
}

// block computes rows i0 to i1 and columns j0 to j1 of C, and fetches a meanwhile.
func (b *panel) block(i0, i1, j0, j1 int, a *ahead) {
	mr := b.mr
	sliver := mr*b.depth + b.lanes // packing may run over the end by a vector
	slivers := ceilDiv(i1-i0, mr)
	buf := getScratch(ceilDiv(b.k, b.depth) * slivers * sliver)
	defer buf.put()
	b.packRowsA(buf.x, sliver, i0, i1)
	beta := b.beta
	strip := b.strip(j1-j0, b.depth)
	rsPacked, ksPacked := 1, mr
	if b.blocksA {
		rsPacked, ksPacked = b.lanes, 1
	}
	for l := 0; l < b.k; l += b.depth {
		k := min(b.depth, b.k-l)
		packed := buf.x[l/b.depth*slivers*sliver:]
		for jb := j0; jb < j1; jb += strip {
			for i := i0; i < i1; i += mr {
				ap, rs, ks := &packed[(i-i0)/mr*sliver], rsPacked, ksPacked
				if b.directA && i1-i >= mr {
					ap, rs, ks = b.elementA(i, l)
				}
				for j := jb; j < min(jb+strip, j1); j += b.nr {
					cols := min(b.nr, j1-j)
					kernel := b.kernels[(cols-1)/b.lanes]
					bp, bs := b.sliverB(j, l, k)
					fetch, stride := a.piece(k/fetchSteps, bp)
					kernel(k, ap, rs, ks, bp, bs, &b.c[i*b.ldc+j], b.ldc, min(mr, i1-i), cols, b.alpha, beta, fetch, stride)
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
			to = to[(i-i0)/b.mr*sliver:][:sliver]
			rows := min(b.mr, i1-i)
			if !b.blocksA {
				b.packCols(&to[0], b.mr, &b.a[i*b.lda+l], b.lda, k, rows)
				continue
			}
			if rows < b.mr {
				clear(to)
			}
			b.packBlocks(&to[0], &b.a[i*b.lda+l], b.lda, k, rows)
		}
	}
}
