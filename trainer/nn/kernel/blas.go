package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
)

// BLAS is gonum's BLAS with this package's single-precision matrix products. It satisfies the BLAS interfaces of
// Gorgonia and of gorgonia.org/tensor.
type BLAS struct{ gonum.Implementation }

var _ gorgonia.BLAS = BLAS{}

// Use makes Gorgonia, and gorgonia.org/tensor below it, multiply with [BLAS], through their own extension point. It
// holds for the whole process and may be called more than once. The error tells of a value of [EnvVar] that could
// not be honoured; Gorgonia then uses the best kernel set of this CPU.
func Use() error {
	gorgonia.Use(BLAS{})
	return envErr
}

// Sgemm computes C = alpha·op(A)·op(B) + beta·C; see [Gemm].
func (BLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	Gemm(tA != blas.NoTrans, tB != blas.NoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// sgemvGrain is how many elements of A one goroutine takes at a time; below it, starting one costs more than it saves.
const sgemvGrain = 1 << 15

// Sgemv computes y = alpha·op(A)·x + beta·y with gonum's kernel, in parallel over the elements of y.
func (impl BLAS) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if incX != 1 || incY != 1 || m*n < 2*sgemvGrain {
		impl.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	if tA == blas.NoTrans {
		Parallel(m, max(1, sgemvGrain/n), func(lo, hi int) {
			impl.Implementation.Sgemv(tA, hi-lo, n, alpha, a[lo*lda:], lda, x, 1, beta, y[lo:hi], 1)
		})
		return
	}
	// At least a cache line of columns, so that goroutines do not read each other's lines.
	Parallel(n, max(16, sgemvGrain/m), func(lo, hi int) {
		impl.Implementation.Sgemv(tA, m, hi-lo, alpha, a[lo:], lda, x, 1, beta, y[lo:hi], 1)
	})
}
