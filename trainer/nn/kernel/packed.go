package kernel

import "fmt"

// A packed matrix is op(B), k×n, in the layout that the micro-kernels read. Packing it once pays where many products
// share it, such as those of a layer's weights with a few rows at a time.

// PackedLen returns the number of elements of a packed k×n matrix. It depends on the kernel set.
func PackedLen(k, n int) int { return active.Load().packedLen(k, n) }

// PackUnit returns what the bounds of [PackB] must be multiples of where B is transposed. It depends on the kernel set.
func PackUnit() int { return active.Load().packUnit }

// PackB packs rows lo to hi of B, which b holds, into a packed k×n matrix op(B): B is k×n, or n×k if transB. Each row
// of dst belongs to one row of B, and several goroutines may pack different rows of a matrix at the same time. If
// transB, lo must be a multiple of [PackUnit], and so must hi unless it is n.
func PackB(dst []float32, transB bool, k, n, lo, hi int, b []float32, ldb int) {
	s := active.Load()
	rows, cols := k, n
	if transB {
		rows, cols = cols, rows
	}
	if lo < 0 || hi < lo || hi > rows || len(dst) < s.packedLen(k, n) {
		panic(fmt.Sprintf("kernel.PackB: rows %d to %d of %d, into %d elements", lo, hi, rows, len(dst)))
	}
	if transB && (lo%s.packUnit != 0 || hi != n && hi%s.packUnit != 0) {
		panic(fmt.Sprintf("kernel.PackB: rows %d to %d of a transposed matrix do not start and end at multiples of %d", lo, hi, s.packUnit))
	}
	checkMatrix("B", b, hi-lo, cols, ldb)
	if lo < hi && cols > 0 {
		s.packB(dst, transB, k, n, lo, hi, b, ldb)
	}
}

// GemmPacked computes C = A·op(B) on the calling goroutine, where A is m×k, C is m×n, and b is op(B), packed with the
// kernel set that is in use. Error bounds and NaN are those of [Gemm].
func GemmPacked(m, n, k int, a []float32, lda int, b []float32, c []float32, ldc int) {
	s := active.Load()
	if m < 0 || n < 0 || k <= 0 || len(b) < s.packedLen(k, n) {
		panic(fmt.Sprintf("kernel.GemmPacked: sizes m=%d n=%d k=%d with a packed matrix of %d elements", m, n, k, len(b)))
	}
	checkMatrix("A", a, m, k, lda)
	checkMatrix("C", c, m, n, ldc)
	if m > 0 && n > 0 {
		s.gemmPacked(m, n, k, a, lda, b, c, ldc)
	}
}

// In the portable set, packed is op(B) as it is.

func packBPortable(dst []float32, transB bool, k, n, lo, hi int, b []float32, ldb int) {
	for r := lo; r < hi; r++ {
		row := b[(r-lo)*ldb:]
		if !transB {
			copy(dst[r*n:(r+1)*n], row)
			continue
		}
		for l := range k {
			dst[l*n+r] = row[l]
		}
	}
}

func gemmPackedPortable(m, n, k int, a []float32, lda int, b []float32, c []float32, ldc int) {
	gemmPortable(product{m: m, n: n, k: k, alpha: 1, a: a, lda: lda, b: b, ldb: n, c: c, ldc: ldc}, 1)
}
