package kernel

import "fmt"

// grain is how many elements of a vector one goroutine takes at a time: enough that starting a goroutine does not
// show, little enough that a chunk of three vectors stays in a second-level cache.
const grain = 1 << 14

// Exp sets dst[i] = exp(x[i]). Relative error ≤ 2e-7 for normal results; below 1.2e-38 the absolute error is
// ≤ 3e-45. Overflow gives +Inf above 88.72284, underflow 0 below -104.
func Exp(dst, x []float32) {
	sameLen("Exp", len(dst), len(x))
	unary(active.Load().exp, dst, x)
}

// Tanh sets dst[i] = tanh(x[i]). Relative error ≤ 4e-7.
func Tanh(dst, x []float32) {
	sameLen("Tanh", len(dst), len(x))
	unary(active.Load().tanh, dst, x)
}

// GELU sets dst[i] = x[i]·Φ(x[i]), Φ being the cumulative distribution function of the standard normal: the exact
// form of Hendrycks and Gimpel (2016), not the tanh approximation. Absolute error
// ≤ 3e-7·max(|GELU(x)|, min(1, |x|)).
func GELU(dst, x []float32) {
	sameLen("GELU", len(dst), len(x))
	unary(active.Load().gelu, dst, x)
}

// GELUGrad sets dx[i] = dy[i]·(Φ(x[i]) + x[i]·φ(x[i])), the gradient through [GELU]. Absolute error ≤ 4e-7·|dy|.
func GELUGrad(dx, x, dy []float32) {
	sameLen("GELUGrad", len(dx), len(x), len(dy))
	s := active.Load()
	if len(x) <= grain {
		if len(x) > 0 {
			s.geluGrad(dx, x, dy)
		}
		return
	}
	Parallel(len(x), grain, func(lo, hi int) { s.geluGrad(dx[lo:hi], x[lo:hi], dy[lo:hi]) })
}

// Softmax sets each row of dst to the softmax of that row of x; both are rows×cols. Where the result is a normal
// number, its relative error is ≤ 1e-6 + 6e-8·(max(row) - x[i]) + 4e-9·cols. A row with a NaN or +Inf, or of -Inf
// only, becomes NaN.
func Softmax(dst, x []float32, rows, cols int) {
	if rows < 0 || cols < 0 || len(dst) != rows*cols || len(x) != rows*cols {
		panic(fmt.Sprintf("kernel.Softmax: %d rows of %d want %d elements; have dst %d, x %d", rows, cols, rows*cols, len(dst), len(x)))
	}
	if rows == 0 || cols == 0 {
		return
	}
	s := active.Load()
	do := func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			d, v := dst[i:i+cols], x[i:i+cols]
			s.scale(d, 1/s.expSum(d, v, s.max(v)), d)
		}
	}
	if rows*cols <= grain {
		do(0, rows)
		return
	}
	Parallel(rows, max(1, grain/cols), do)
}

// SoftmaxGrad turns each row of dx, the gradient at y = softmax(x), into that at x: dx[i] ← y[i]·(dx[i] - Σ y[j]·dx[j]).
// Both are rows×cols. Error ≤ (cols+2)·2⁻²³·|y[i]|·(|dx[i]| + Σ |y[j]·dx[j]|).
func SoftmaxGrad(dx, y []float32, rows, cols int) {
	if rows < 0 || cols < 0 || len(dx) != rows*cols || len(y) != rows*cols {
		panic(fmt.Sprintf("kernel.SoftmaxGrad: %d rows of %d want %d elements; have dx %d, y %d", rows, cols, rows*cols, len(dx), len(y)))
	}
	if rows == 0 || cols == 0 {
		return
	}
	s := active.Load()
	Parallel(rows, max(1, grain/cols), func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			s.softmaxGrad(dx[i:i+cols], y[i:i+cols])
		}
	})
}

// DropoutLevels is into how many levels of probability [Dropout] divides 0 to 1.
const DropoutLevels = 1 << 15

// Dropout sets dst[i] to 0·x[i] with the probability drop/[DropoutLevels], and else to scale·x[i]. Which elements are
// dropped is a function of key and i, the same for every kernel set: 15 bits of the SplitMix64 sequence (Steele, Lea
// and Flood 2014) that starts at key, four elements a number. It runs on the calling goroutine.
func Dropout(dst, x []float32, key uint64, drop int, scale float32) {
	sameLen("Dropout", len(dst), len(x))
	if drop < 0 || drop >= DropoutLevels {
		panic(fmt.Sprintf("kernel.Dropout: drop %d is not in [0, %d)", drop, DropoutLevels))
	}
	if len(x) > 0 {
		active.Load().dropout(dst, x, key, uint64(drop)*0x0001000100010001, scale)
	}
}

// Add sets dst[i] = x[i] + y[i].
func Add(dst, x, y []float32) {
	sameLen("Add", len(dst), len(x), len(y))
	binary(active.Load().add, dst, x, y)
}

// Mul sets dst[i] = x[i]·y[i].
func Mul(dst, x, y []float32) {
	sameLen("Mul", len(dst), len(x), len(y))
	binary(active.Load().mul, dst, x, y)
}

// Axpy sets y[i] += alpha·x[i]. The product may or may not be rounded before the sum, as the kernel set has it.
func Axpy(alpha float32, x, y []float32) {
	sameLen("Axpy", len(x), len(y))
	s := active.Load()
	if len(x) <= grain {
		if len(x) > 0 {
			s.axpy(alpha, x, y)
		}
		return
	}
	Parallel(len(x), grain, func(lo, hi int) { s.axpy(alpha, x[lo:hi], y[lo:hi]) })
}

// Scale sets dst[i] = alpha·x[i].
func Scale(dst []float32, alpha float32, x []float32) {
	sameLen("Scale", len(dst), len(x))
	s := active.Load()
	if len(x) <= grain {
		if len(x) > 0 {
			s.scale(dst, alpha, x)
		}
		return
	}
	Parallel(len(x), grain, func(lo, hi int) { s.scale(dst[lo:hi], alpha, x[lo:hi]) })
}

// Sum returns the sum of x, accumulated in float64: the error is ≤ len(x)·2⁻⁵³·Σ|x|.
func Sum(x []float32) float64 {
	s := active.Load()
	return reduce(len(x), func(lo, hi int) float64 { return s.sum(x[lo:hi]) })
}

// Dot returns Σ x[i]·y[i], accumulated in float64: the error is ≤ len(x)·2⁻⁵³·Σ|x·y|.
func Dot(x, y []float32) float64 {
	sameLen("Dot", len(x), len(y))
	s := active.Load()
	return reduce(len(x), func(lo, hi int) float64 { return s.dot(x[lo:hi], y[lo:hi]) })
}

// reduce adds up the values of f over the chunks of [0,n), in order, whichever goroutine computed them.
func reduce(n int, f func(lo, hi int) float64) float64 {
	if n == 0 {
		return 0
	}
	if n <= grain {
		return f(0, n)
	}
	parts := make([]float64, (n-1)/grain+1)
	Parallel(n, grain, func(lo, hi int) { parts[lo/grain] = f(lo, hi) })
	total := 0.0
	for _, p := range parts {
		total += p
	}
	return total
}

func unary(f func(dst, x []float32), dst, x []float32) {
	if len(x) <= grain {
		if len(x) > 0 {
			f(dst, x)
		}
		return
	}
	Parallel(len(x), grain, func(lo, hi int) { f(dst[lo:hi], x[lo:hi]) })
}

func binary(f func(dst, x, y []float32), dst, x, y []float32) {
	if len(x) <= grain {
		if len(x) > 0 {
			f(dst, x, y)
		}
		return
	}
	Parallel(len(x), grain, func(lo, hi int) { f(dst[lo:hi], x[lo:hi], y[lo:hi]) })
}

func sameLen(name string, first int, others ...int) {
	for _, n := range others {
		if n != first {
			panic(fmt.Sprintf("kernel.%s: slices of different lengths %d and %d", name, first, n))
		}
	}
}
