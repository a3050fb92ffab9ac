package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var inf = float32(math.Inf(1))

// lengths cover empty slices, tails of every vector width, and more than one chunk.
var lengths = []int{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1000, grain - 1, grain, grain + 1, 3*grain + 5}

// spread returns numbers that cover [lo,hi] evenly, and powers of two of both signs down to the denormals.
func spread(lo, hi float64, n int) []float32 {
	x := make([]float32, 0, n+300)
	for i := range n {
		x = append(x, float32(lo+(hi-lo)*float64(i)/float64(n-1)))
	}
	for e := -149; e < 6; e++ {
		v := math.Ldexp(1, e)
		if v <= hi {
			x = append(x, float32(v))
		}
		if -v >= lo {
			x = append(x, float32(-v))
		}
	}
	return append(x, 0, float32(math.Copysign(0, -1)))
}

// worst checks |got - want(x)| ≤ bound(x, want) for every element.
func worst(t *testing.T, x, got []float32, want func(float64) float64, bound func(x, want float64) float64) {
	t.Helper()
	bad, at := 0.0, 0
	for i, v := range x {
		w := want(float64(v))
		ratio := math.Abs(float64(got[i])-w) / bound(float64(v), w)
		if !(ratio <= bad) { // a NaN counts
			bad, at = ratio, i
			if math.IsNaN(ratio) {
				break
			}
		}
	}
	if !(bad <= 1) {
		t.Errorf("at x = %g: got %g, want %g: %.2f times the stated bound", x[at], got[at], want(float64(x[at])), bad)
	} else {
		t.Logf("worst error is %.2f of the bound, at x = %g", bad, x[at])
	}
}

func normalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

func TestExp(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		x := spread(-110, 88.72, 200_001)
		got := make([]float32, len(x))
		Exp(got, x)
		worst(t, x, got, math.Exp, func(_, want float64) float64 {
			if want < 0x1p-126 {
				return 3e-45
			}
			return 2e-7 * want
		})
		special(t, Exp, map[float32]float32{0: 1, 89: inf, 1000: inf, inf: inf, -105: 0, -1e30: 0, -inf: 0, guard: guard, 88.722: float32(math.Exp(88.722))})
	})
}

func TestTanh(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		x := spread(-12, 12, 200_001)
		got := make([]float32, len(x))
		Tanh(got, x)
		worst(t, x, got, math.Tanh, func(_, want float64) float64 { return 4e-7*math.Abs(want) + 1e-45 })
		special(t, Tanh, map[float32]float32{0: 0, 20: 1, -20: -1, 1e30: 1, -1e30: -1, inf: 1, -inf: -1, guard: guard})
	})
}

func TestGELU(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		x := spread(-20, 20, 200_001)
		got := make([]float32, len(x))
		GELU(got, x)
		worst(t, x, got, func(x float64) float64 { return x * normalCDF(x) },
			func(x, want float64) float64 { return 3e-7*math.Max(math.Abs(want), math.Min(1, math.Abs(x))) + 1e-45 })
		special(t, GELU, map[float32]float32{0: 0, 100: 100, 1e30: 1e30, inf: inf, guard: guard, -inf: guard})
	})
}

func TestGELUGrad(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		x := spread(-20, 20, 200_001)
		got, dy := make([]float32, len(x)), make([]float32, len(x))
		for i := range dy {
			dy[i] = -1.5
		}
		GELUGrad(got, x, dy)
		worst(t, x, got, func(x float64) float64 {
			return -1.5 * (normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
		}, func(_, _ float64) float64 { return 1.5 * 4e-7 })
		special(t, func(dst, x []float32) { GELUGrad(dst, x, dy[:len(x)]) },
			map[float32]float32{0: -0.75, 1e30: -1.5, inf: -1.5, -inf: 0, -1e30: 0, guard: guard})
	})
}

// special checks values that have one right answer, each at every place of a slice.
func special(t *testing.T, f func(dst, x []float32), want map[float32]float32) {
	t.Helper()
	for x, w := range want {
		for n := 1; n < 20; n += 6 {
			xs := slices.Repeat([]float32{x}, n)
			f(xs, xs) // in place
			for _, got := range xs {
				if d := math.Abs(float64(got - w)); got != w && !(d <= 2e-7*math.Abs(float64(w))) && (got == got || w == w) {
					t.Errorf("f(%g) = %g, want %g", x, got, w)
				}
			}
		}
	}
}

// TestPlaceDoesNotMatter: an element's result is the same wherever it stands in a slice of whatever length.
func TestPlaceDoesNotMatter(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for name, f := range map[string]func(dst, x []float32){
			"Exp": Exp, "Tanh": Tanh, "GELU": GELU,
			"GELUGrad": func(dst, x []float32) { GELUGrad(dst, x, x) },
			"Scale":    func(dst, x []float32) { Scale(dst, 0.3, x) },
			"Add":      func(dst, x []float32) { Add(dst, x, x) },
			"Mul":      func(dst, x []float32) { Mul(dst, x, x) },
			"Axpy":     func(dst, x []float32) { copy(dst, x); Axpy(0.3, x, dst) },
		} {
			for _, n := range lengths {
				x := fill(r, make([]float32, n))
				got := slices.Repeat([]float32{guard}, n+8)
				f(got[:n], x)
				one := make([]float32, 1)
				for i := 0; i < n; i += 1 + n/50 {
					if f(one, x[i:i+1]); math.Float32bits(one[0]) != math.Float32bits(got[i]) {
						t.Fatalf("%s, %d elements: element %d is %g, alone %g", name, n, i, got[i], one[0])
					}
				}
				for _, v := range got[n:] {
					if v == v {
						t.Fatalf("%s wrote behind a slice of %d", name, n)
					}
				}
			}
		}
	})
}

func TestElementwise(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, n := range lengths {
			x, y, dst := fill(r, make([]float32, n)), fill(r, make([]float32, n)), make([]float32, n)
			Add(dst, x, y)
			for i := range dst {
				if dst[i] != x[i]+y[i] {
					t.Fatalf("Add, %d elements: [%d] = %g, want %g", n, i, dst[i], x[i]+y[i])
				}
			}
			Mul(dst, x, y)
			for i := range dst {
				if dst[i] != x[i]*y[i] {
					t.Fatalf("Mul, %d elements: [%d] = %g, want %g", n, i, dst[i], x[i]*y[i])
				}
			}
			Scale(dst, 1.7, x)
			for i := range dst {
				if dst[i] != 1.7*x[i] {
					t.Fatalf("Scale, %d elements: [%d] = %g, want %g", n, i, dst[i], 1.7*x[i])
				}
			}
			copy(dst, y)
			Axpy(-1.7, x, dst)
			for i := range dst {
				a := -float64(float32(1.7)) * float64(x[i])
				if want := float64(y[i]) + a; math.Abs(float64(dst[i])-want) > 0x1p-23*(math.Abs(a)+math.Abs(float64(y[i]))) {
					t.Fatalf("Axpy, %d elements: [%d] = %g, want %g", n, i, dst[i], want)
				}
			}
		}
	})
}

func TestSumAndDot(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, n := range lengths {
			x, y := fill(r, make([]float32, n)), fill(r, make([]float32, n))
			var sum, dot, sizeS, sizeD float64
			for i := range x {
				p := float64(x[i]) * float64(y[i])
				sum += float64(x[i])
				dot += p
				sizeS += math.Abs(float64(x[i]))
				sizeD += math.Abs(p)
			}
			SetThreads(1)
			s, d := Sum(x), Dot(x, y)
			if e := math.Abs(s - sum); e > float64(n)*0x1p-52*sizeS {
				t.Errorf("Sum of %d: got %g, want %g", n, s, sum)
			}
			if e := math.Abs(d - dot); e > float64(n)*0x1p-52*sizeD {
				t.Errorf("Dot of %d: got %g, want %g", n, d, dot)
			}
			SetThreads(3)
			if Sum(x) != s || Dot(x, y) != d {
				t.Errorf("Sum or Dot of %d depends on the number of threads", n)
			}
		}
	})
}

func TestSoftmax(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for _, cols := range []int{1, 2, 5, 8, 10, 16, 17, 33, 65, 100, 257, 1000} {
			rows := 1 + 40000/cols/4
			x := fill(r, make([]float32, rows*cols))
			Scale(x, 10, x)
			got := make([]float32, len(x))
			SetThreads(1)
			Softmax(got, x, rows, cols)
			for i := range rows {
				row := x[i*cols:][:cols]
				top, sum := float64(slices.Max(row)), 0.0
				for _, v := range row {
					sum += math.Exp(float64(v) - top)
				}
				for j, v := range row {
					below := top - float64(v)
					want := math.Exp(-below) / sum
					bound := (1e-6+6e-8*below+4e-9*float64(cols))*want + 3e-45
					if g := float64(got[i*cols+j]); !(math.Abs(g-want) <= bound) {
						t.Fatalf("%d columns: got %g, want %g ± %g", cols, g, want, bound)
					}
				}
			}
			SetThreads(4)
			Softmax(x, x, rows, cols) // in place
			if i := firstDifference(x, got); i >= 0 {
				t.Fatalf("%d columns: 4 threads in place differ from 1 thread at %d", cols, i)
			}
		}
	})
}

func TestSoftmaxSpecialRows(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		for _, cols := range []int{3, 16, 21} {
			for _, c := range []struct {
				name      string
				rest, one float32
				nan       bool
			}{
				{"masked", 1, -inf, false},
				{"large", 1e30, 1e30, false},
				{"NaN", 1, guard, true},
				{"Inf", 1, inf, true},
				{"all masked", -inf, -inf, true},
			} {
				for at := range cols {
					x := slices.Repeat([]float32{c.rest}, cols)
					x[at] = c.one
					Softmax(x, x, 1, cols)
					for i, v := range x {
						if c.nan != (v != v) {
							t.Fatalf("%s at %d of %d: element %d is %g", c.name, at, cols, i, v)
						}
						if c.name == "masked" && i == at && v != 0 {
							t.Fatalf("masked element %d of %d is %g", i, cols, v)
						}
					}
				}
			}
		}
	})
}

// adam64 is one step of PyTorch's AdamW in float64.
func adam64(w, m, v, g, lr, b1, b2, eps, decay float64, step int) (float64, float64, float64) {
	w -= lr * decay * w
	m = b1*m + (1-b1)*g
	v = b2*v + (1-b2)*g*g
	mhat := m / (1 - math.Pow(b1, float64(step)))
	denominator := math.Sqrt(v)/math.Sqrt(1-math.Pow(b2, float64(step))) + eps
	return w - lr*mhat/denominator, m, v
}

func TestSoftmaxGrad(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 9))
		for _, cols := range []int{1, 2, 7, 8, 15, 16, 17, 33, 65, 257} {
			const rows = 5
			y, dx := fill(r, make([]float32, rows*cols)), fill(r, make([]float32, rows*cols))
			Softmax(y, y, rows, cols)
			got := slices.Clone(dx)
			SoftmaxGrad(got, y, rows, cols)
			for i := range rows {
				var sum, size float64
				for j := i * cols; j < (i+1)*cols; j++ {
					sum += float64(y[j]) * float64(dx[j])
					size += math.Abs(float64(y[j]) * float64(dx[j]))
				}
				for j := i * cols; j < (i+1)*cols; j++ {
					want := float64(y[j]) * (float64(dx[j]) - sum)
					bound := float64(cols+2) * 0x1p-23 * float64(y[j]) * (math.Abs(float64(dx[j])) + size)
					if !(math.Abs(float64(got[j])-want) <= bound) {
						t.Fatalf("%d columns: element %d is %g, want %g ± %g", cols, j, got[j], want, bound)
					}
				}
			}
		}
	})
}

// TestDropout: every set drops the same elements, as many as were asked for, and scales the others.
func TestDropout(t *testing.T) {
	const n, drop, scale = 100_003, DropoutLevels / 10, 1.25
	r := rand.New(rand.NewPCG(10, 10))
	x := fill(r, make([]float32, n))
	x[7] = guard // a NaN is seen, dropped or not
	want := make([]float32, n)
	dropoutPortable(want, x, 42, drop*0x0001000100010001, scale)
	dropped := 0
	for i, v := range want {
		switch {
		case i == 7 && v == v:
			t.Error("a NaN is lost")
		case v == 0:
			dropped++
		case i != 7 && v != x[i]*scale:
			t.Fatalf("element %d became %g, was %g", i, v, x[i])
		}
	}
	if share := float64(dropped) / n; math.Abs(share-0.1) > 0.005 {
		t.Errorf("%g of the elements were dropped, want 0.1", share)
	}
	eachSet(t, func(t *testing.T) {
		for _, k := range []int{0, 1, 3, 4, 5, 15, 16, 17, 31, 32, 33, n} {
			got := slices.Repeat([]float32{-3}, k+1)
			Dropout(got[:k], x[:k], 42, drop, scale)
			if i := firstDifference(got[:k], want); i >= 0 {
				t.Errorf("length %d: element %d is %g, want %g", k, i, got[i], want[i])
			}
			if got[k] != -3 {
				t.Errorf("length %d: the element behind was overwritten", k)
			}
		}
		y := slices.Clone(x)
		Dropout(y, y, 42, 0, 1)
		if i := firstDifference(y, x); i >= 0 {
			t.Errorf("nothing was to be dropped, but element %d changed", i)
		}
	})
}

func TestAdam(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	const lr, b1, b2, eps, decay = 1e-3, 0.9, 0.999, 1e-8, 0.05
	lr32, b132, b232, eps32, decay32 := float32(lr), float32(b1), float32(b2), float32(eps), float32(decay)
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		for _, n := range lengths {
			w, m, v := fill(r, make([]float32, n)), make([]float32, n), make([]float32, n)
			w2, m2, v2 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
			for step := 1; step <= 3; step++ {
				g := fill(r, make([]float32, n))
				if n > 2 {
					g[1], g[2] = 0, 1e-20
				}
				before := [3][]float32{slices.Clone(w), slices.Clone(m), slices.Clone(v)}
				SetThreads(1)
				Adam(w, m, v, g, lr, b1, b2, eps, decay, step)
				SetThreads(3)
				Adam(w2, m2, v2, g, lr, b1, b2, eps, decay, step)
				if firstDifference(w, w2) >= 0 || firstDifference(m, m2) >= 0 || firstDifference(v, v2) >= 0 {
					t.Fatalf("%d elements: 3 threads differ from 1", n)
				}
				for i := range w {
					ww, wm, wv := adam64(float64(before[0][i]), float64(before[1][i]), float64(before[2][i]), float64(g[i]),
						float64(lr32), float64(b132), float64(b232), float64(eps32), float64(decay32), step)
					shrink := lr * decay * math.Abs(float64(before[0][i]))
					update := math.Abs(ww-float64(before[0][i])) + 2*shrink
					if !(math.Abs(float64(w[i])-ww) <= 1e-6*update+0x1p-24*math.Abs(ww)) ||
						!(math.Abs(float64(m[i])-wm) <= 2e-7*(math.Abs(wm)+math.Abs(float64(g[i])))) ||
						!(math.Abs(float64(v[i])-wv) <= 4e-7*wv+1e-44) {
						t.Fatalf("%d elements, step %d, element %d: got w=%g m=%g v=%g, want %g %g %g", n, step, i, w[i], m[i], v[i], ww, wm, wv)
					}
				}
			}
		}
	})
}

func TestVectorsRefuseDifferentLengths(t *testing.T) {
	x := make([]float32, 4)
	for name, call := range map[string]func(){
		"Exp":      func() { Exp(x, x[:3]) },
		"GELUGrad": func() { GELUGrad(x, x, x[:3]) },
		"Add":      func() { Add(x, x[:3], x) },
		"Axpy":     func() { Axpy(1, x[:3], x) },
		"Dot":      func() { Dot(x, x[:3]) },
		"Softmax":  func() { Softmax(x, x, 2, 3) },
		"Adam":     func() { Adam(x, x, x, x[:3], 1, 0, 0, 0, 0, 1) },
		"step":     func() { Adam(x, x, x, x, 1, 0, 0, 0, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
