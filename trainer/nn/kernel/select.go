package kernel

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// EnvVar names the environment variable that forces a kernel set: portable, avx2 or avx512.
const EnvVar = "SWATH_KERNEL"

// set is one implementation of the package. The vector functions get slices of equal length, at least 1 long, and
// run on the calling goroutine.
type set struct {
	name string

	// gemm computes C = alpha·op(A)·op(B) + beta·C for m, n, k ≥ 1 and alpha ≠ 0 on at most threads goroutines.
	gemm func(p product, threads int)

	// See packed.go.
	packUnit   int
	packedLen  func(k, n int) int
	packB      func(dst []float32, transB bool, k, n, lo, hi int, b []float32, ldb int)
	gemmPacked func(m, n, k int, a []float32, lda int, b []float32, c []float32, ldc int)

	exp, tanh, gelu func(dst, x []float32)
	geluGrad        func(dx, x, dy []float32)
	// expSum sets dst to exp(x - shift) and returns the sum of dst.
	expSum func(dst, x []float32, shift float32) float32
	// softmaxGrad sets dx[i] = y[i]·(dx[i] - Σ y[j]·dx[j]).
	softmaxGrad func(dx, y []float32)
	// dropout is Dropout, with the threshold in each of four 16-bit lanes.
	dropout func(dst, x []float32, key, threshold uint64, scale float32)

	max      func(x []float32) float32
	add, mul func(dst, x, y []float32)
	axpy     func(alpha float32, x, y []float32)
	scale    func(dst []float32, alpha float32, x []float32)
	sum      func(x []float32) float64
	dot      func(x, y []float32) float64
	adam     func(w, m, v, g []float32, c *adamConstants)

	// peak, where there is one, makes n rounds of peakFLOPs independent operations; see Peak.
	peak      func(n int)
	peakFLOPs float64
}

var (
	active atomic.Pointer[set]
	// envErr is what was wrong with the environment variable at start, for Use to report.
	envErr error
)

// choose sets the kernel set in use at start, when the sets of this machine are known.
func choose() {
	active.Store(sets[0])
	if name := os.Getenv(EnvVar); name != "" {
		if err := Select(name); err != nil {
			envErr = fmt.Errorf("reading %s: %w", EnvVar, err)
		}
	}
}

// Kernels returns the names of the kernel sets that this CPU can run, the fastest first.
func Kernels() []string {
	var names []string
	for _, s := range sets {
		names = append(names, s.name)
	}
	return names
}

// Kernel returns the name of the kernel set in use.
func Kernel() string { return active.Load().name }

// Select makes the named kernel set the one in use, for the whole process. It must not be called while a model
// trains whose results are to be reproduced: kernel sets round differently.
func Select(name string) error {
	for _, s := range sets {
		if s.name == name {
			active.Store(s)
			return nil
		}
	}
	return fmt.Errorf("kernel set %q is not available on this machine; choose one of: %s", name, strings.Join(Kernels(), ", "))
}
