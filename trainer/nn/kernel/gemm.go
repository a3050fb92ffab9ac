package kernel

import "fmt"

// product is one call of Gemm: C = alpha·op(A)·op(B) + beta·C, with C m×n and a common dimension of k.
type product struct {
	transA, transB bool
	m, n, k        int
	alpha          float32
	a              []float32
	lda            int
	b              []float32
	ldb            int
	beta           float32
	c              []float32
	ldc            int

	done func(lo, hi int) // called for rows of C that are computed; may be nil
}

// Gemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) is m×k, op(B) is k×n and C is m×n, all row-major with
// leading dimensions lda, ldb and ldc (A is stored k×m if transA, B n×k if transB). With beta = 0, C is overwritten
// whatever it held, NaN included; with alpha = 0, A and B are not read. C must not overlap A or B. It runs on up to
// [Threads] goroutines; the result does not depend on how many. It panics if a size is negative, a leading
// dimension is less than the row it spans, or a slice is too short.
//
// Error: |C - exact| ≤ (k+2)·2⁻²⁴·(|alpha|·|op(A)|·|op(B)| + |beta·C|) element by element, the bound of any float32
// summation; typically smaller by a factor of √k.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	gemm(Threads(), product{transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, nil})
}

// GemmThen is [Gemm], and calls done for ranges [lo,hi) of rows of C, which together are all of them, each when its
// rows are computed: mostly while they are still in a cache. Calls may run at the same time, and how they cut C may depend
// on the number of threads.
func GemmThen(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int, done func(lo, hi int)) {
	gemm(Threads(), product{transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, done})
}

// GemmSerial is [Gemm] on the calling goroutine alone, bit for bit the same: for callers that already run in
// parallel over many products, such as the heads of an attention layer.
func GemmSerial(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	gemm(1, product{transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, nil})
}

func gemm(threads int, p product) {
	p.check()
	if p.m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 || p.alpha == 0 {
		p.scaleC()
		p.finish(threads)
		return
	}
	active.Load().gemm(p, threads)
}

// doneRows is how many rows of C one call of done gets where they are not at hand.
const doneRows = 64

// finish calls done for all rows.
func (p *product) finish(threads int) {
	if p.done != nil {
		parallel(threads, p.m, doneRows, p.done)
	}
}

// scaleC sets C to beta·C.
func (p *product) scaleC() {
	if p.beta == 1 {
		return
	}
	for i := range p.m {
		row := p.c[i*p.ldc:][:p.n]
		if p.beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= p.beta
		}
	}
}

func (p *product) check() {
	if p.m < 0 || p.n < 0 || p.k < 0 {
		panic(fmt.Sprintf("kernel.Gemm: negative size m=%d n=%d k=%d", p.m, p.n, p.k))
	}
	rows, cols := p.m, p.k
	if p.transA {
		rows, cols = cols, rows
	}
	checkMatrix("A", p.a, rows, cols, p.lda)
	rows, cols = p.k, p.n
	if p.transB {
		rows, cols = cols, rows
	}
	checkMatrix("B", p.b, rows, cols, p.ldb)
	checkMatrix("C", p.c, p.m, p.n, p.ldc)
}

func checkMatrix(name string, x []float32, rows, cols, ld int) {
	if rows == 0 || cols == 0 {
		return
	}
	if ld < cols {
		panic(fmt.Sprintf("kernel.Gemm: leading dimension %d of %s is less than its row of %d", ld, name, cols))
	}
	if need := (rows-1)*ld + cols; len(x) < need {
		panic(fmt.Sprintf("kernel.Gemm: %s is %d×%d with leading dimension %d and needs %d elements, has %d", name, rows, cols, ld, need, len(x)))
	}
}
