package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func hp(x []float32) {
	p := uintptr(unsafe.Pointer(&x[0]))
	lo := (p + 4095) &^ 4095
	hi := (p + uintptr(len(x)*4)) &^ 4095
	if hi > lo {
		b := unsafe.Slice((*byte)(unsafe.Pointer(lo)), hi-lo)
		if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil { fmt.Println(err) }
		const MADV_COLLAPSE = 25
		if err := unix.Madvise(b, MADV_COLLAPSE); err != nil { fmt.Println("collapse", err) }
	}
}

func TestHuge(t *testing.T) {
	SetThreads(2)
	r := rand.New(rand.NewPCG(1, 1))
	for _, g := range gemmShapes[:5] {
		for _, huge := range []bool{false} {
		p := g.operands(r)
		if huge { hp(p.a); hp(p.b); hp(p.c) }
		best := time.Hour
		for range 40 {
			s := time.Now()
			Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc)
			best = min(best, time.Since(s))
		}
		fmt.Printf("%s huge=%t %.1f\n", shapeName(g), huge, 2*float64(g.m*g.n*g.k)/best.Seconds()/1e9)
		}
	}
}
