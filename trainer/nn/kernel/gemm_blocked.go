//go:build amd64

package kernel

// microKernel computes C = alpha·A·B + beta·C for one tile; see gen/gemm.go for its arguments.
type microKernel func(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, ldc, rows, cols int, alpha, beta float32, ahead *float32, stride int)

// tile is a micro-kernel with what goes with it. The blocked product around it follows Van Zee and van de Geijn,
// "BLIS: A Framework for Rapidly Instantiating BLAS Functionality" (2015): B is packed once into slivers as wide as
// the tile, A block by block into slivers as high as it. Unlike theirs, the inner loop goes along a strip of B: a
// sliver of A stays in the first-level cache while the strip's slivers, from the second, pass by it, and C is written
// row after row, as the hardware prefetches it.
type tile struct {
	set *set // for summing partial results

	mr    int // height of the tile
	lanes int // elements of a vector
	nr    int // width of the tile

	// kernels[v-1] computes a tile that is v vectors wide: the last is the full tile, the others are for what is
	// left at the right edge. See gen/gemm.go.
	kernels []microKernel
	// packA, of Aᵀ, and packB pack rows of the matrix into slivers mr and nr wide, ss apart. packBlocks packs up to
	// mr rows of A as one sliver, in blocks of lanes terms. packCols packs up to lanes rows of Bᵀ, as columns of a
	// part of one sliver. See gen/pack.go.
	packA, packB func(dst *float32, ss int, src *float32, ld, k, slivers, rest int)
	packBlocks   func(dst *float32, src *float32, ld, k, n int)
	packCols     func(dst *float32, ds int, src *float32, ld, k, n int)
}

// Block sizes, in elements unless said otherwise, measured on CPUs with 2 MiB of second-level cache and chosen to fit
// 1 MiB. What is around them is flat: factors of two cost a few per cent.
const (
	// maxDepth is how many terms a block sums before C is touched again: many enough that this costs little, few
	// enough that a sliver of A (18 KiB) stays in the first-level cache.
	maxDepth = 512
	// stripSize is how much of B stays in the second-level cache while a block of A, of blockSize, passes by.
	stripSize = 100 << 10
	blockSize = 64 << 10

	// fetchSteps is after how many terms the micro-kernel's loops over packed slivers fetch from ahead; gen's unroll.
	fetchSteps = 4

	// panelDepth·panelCols is how much of B is packed at once: 16 MiB at most.
	panelDepth = 2048
	panelCols  = 2048
	// packDepth is how many rows of B one goroutine packs at a time.
	packDepth = 32

	// wantTasks is into how many tasks a product is cut, where its shape allows, to keep many cores busy to the end.
	wantTasks = 64
	// serialWork is the number of multiply-adds (some ten microseconds) below which no goroutine is started.
	serialWork = 1 << 20
)

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// balance cuts n into the fewest parts of at most limit, and returns the size of all but the last, which is smaller
// by less than the number of parts.
func balance(n, limit int) int { return ceilDiv(n, ceilDiv(n, limit)) }

// depth returns how many of k terms a block has: whole vectors of them, so that no block but the last has a rest.
func (t *tile) depth(k int) int { return ceilDiv(balance(k, maxDepth), t.lanes) * t.lanes }

// strip returns how many of n columns stay in the second-level cache while a block of A passes by.
func (t *tile) strip(n, depth int) int {
	return balance(ceilDiv(n, t.nr), max(1, stripSize/(depth*t.nr))) * t.nr
}

// sub returns the part of p for m×n of C from (i,j), with only the k terms from l. The first terms scale C by beta,
// the later ones add to it.
func (p *product) sub(i, m, j, n, l, k int) product {
	q := *p // shares the memory of p
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
	return q
}

// gemm computes p on at most threads goroutines.
func (t *tile) gemm(p product, threads int) {
	if p.m*p.n*p.k < serialWork {
		threads = 1
	}
	if s := splits(p.m, p.n, p.k); s > 1 {
		t.gemmSplit(p, s, threads)
		p.finish(threads)
		return
	}
	t.gemmPanels(&p, threads, balance(p.k, panelDepth), panelCols)
}

// gemmPanels computes p by panels of B of depth terms and cols columns. On one goroutine, which packs every panel
// itself, the next one is fetched while one is computed.
func (t *tile) gemmPanels(p *product, threads, depth, cols int) {
	for j := 0; j < p.n; j += cols {
		for l := 0; l < p.k; l += depth {
			b := t.newPanel(p.sub(0, p.m, j, min(cols, p.n-j), l, min(depth, p.k-l)), threads)
			// Rows are done with the last panel, if a task makes whole ones.
			if j+cols < p.n || l+depth < p.k || b.colTasks > 1 {
				b.done = nil
			} else {
				p.done = nil
			}
			if rest := p.k - l - depth; threads == 1 && rest > 0 {
				b.fetch(p.sub(0, p.m, j, b.n, l+depth, min(depth, rest)))
			}
			b.compute()
		}
	}
	p.finish(threads)
}
