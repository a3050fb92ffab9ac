package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Tiles of C for the portable kernel. gonum starts goroutines of its own, as many as GOMAXPROCS, when C has four
// blocks of 64×64 or more; two keep it on the goroutine that called, so that [SetThreads] is obeyed here too.
const (
	portableRows  = 64
	portableCols  = 128
	portableDepth = 256
)

// gemmPortable multiplies with gonum's SGEMM, tile by tile.
func gemmPortable(p product, threads int) {
	tilesN := (p.n-1)/portableCols + 1
	tiles := ((p.m-1)/portableRows + 1) * tilesN
	if p.m*p.n*p.k < 1<<15 {
		threads = 1
	}
	parallel(threads, tiles, 1, func(t, _ int) {
		i, j := t/tilesN*portableRows, t%tilesN*portableCols
		m, n := min(portableRows, p.m-i), min(portableCols, p.n-j)
		beta := p.beta
		for l := 0; l < p.k; l += portableDepth {
			a, b := i*p.lda+l, l*p.ldb+j
			if p.transA {
				a = l*p.lda + i
			}
			if p.transB {
				b = j*p.ldb + l
			}
			gonum.Implementation{}.Sgemm(transpose(p.transA), transpose(p.transB), m, n, min(portableDepth, p.k-l),
				p.alpha, p.a[a:], p.lda, p.b[b:], p.ldb, beta, p.c[i*p.ldc+j:], p.ldc)
			beta = 1
		}
	})
	p.finish(threads)
}

func transpose(t bool) blas.Transpose {
	if t {
		return blas.Trans
	}
	return blas.NoTrans
}
