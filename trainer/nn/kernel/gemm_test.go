package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// eachSet runs f as a subtest with every kernel set that this CPU has.
func eachSet(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	before := Kernel()
	t.Cleanup(func() {
		if err := Select(before); err != nil {
			t.Error(err)
		}
	})
	for _, name := range Kernels() {
		t.Run(name, func(t *testing.T) {
			if err := Select(name); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
}

func fill(r *rand.Rand, x []float32) []float32 {
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// gemmCase is a product to test, with room to spare behind each row.
type gemmCase struct {
	transA, transB   bool
	m, n, k          int
	alpha, beta      float32
	padA, padB, padC int
}

func (g gemmCase) String() string {
	return fmt.Sprintf("%dx%dx%d,A%t,B%t,alpha=%g,beta=%g,pad=%d,%d,%d", g.m, g.n, g.k, g.transA, g.transB, g.alpha, g.beta, g.padA, g.padB, g.padC)
}

// guard is what fills memory that a product must neither read nor write.
var guard = float32(math.NaN())

// operands makes random operands. Padding columns and a tail behind each matrix hold guard.
func (g gemmCase) operands(r *rand.Rand) *product {
	p := &product{transA: g.transA, transB: g.transB, m: g.m, n: g.n, k: g.k, alpha: g.alpha, beta: g.beta}
	matrix := func(rows, cols, pad int) ([]float32, int) {
		ld := cols + pad
		x := slices.Repeat([]float32{guard}, rows*ld+40)
		for i := range rows {
			fill(r, x[i*ld:][:cols])
		}
		return x, ld
	}
	if g.transA {
		p.a, p.lda = matrix(g.k, g.m, g.padA)
	} else {
		p.a, p.lda = matrix(g.m, g.k, g.padA)
	}
	if g.transB {
		p.b, p.ldb = matrix(g.n, g.k, g.padB)
	} else {
		p.b, p.ldb = matrix(g.k, g.n, g.padB)
	}
	p.c, p.ldc = matrix(g.m, g.n, g.padC)
	if g.beta == 0 { // must not survive
		for i := range p.c {
			p.c[i] = guard
		}
	}
	return p
}

func (p *product) run() []float32 {
	c := slices.Clone(p.c)
	Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, c, p.ldc)
	return c
}

// verify compares c with the product in float64, by the bound that Gemm's comment states.
func (p *product) verify(t *testing.T, c []float32) {
	t.Helper()
	at := func(x []float32, ld, i, j int, trans bool) float64 {
		if trans {
			i, j = j, i
		}
		return float64(x[i*ld+j])
	}
	for i := range p.m {
		for j := range p.n {
			var sum, size float64
			for l := range p.k {
				v := at(p.a, p.lda, i, l, p.transA) * at(p.b, p.ldb, l, j, p.transB)
				sum += v
				size += math.Abs(v)
			}
			sum *= float64(p.alpha)
			size *= math.Abs(float64(p.alpha))
			if p.beta != 0 {
				v := float64(p.beta) * float64(p.c[i*p.ldc+j])
				sum += v
				size += math.Abs(v)
			}
			bound := float64(p.k+2)*0x1p-24*size + 1e-45
			if got := float64(c[i*p.ldc+j]); !(math.Abs(got-sum) <= bound) {
				t.Fatalf("C[%d,%d] = %g, want %g ± %g", i, j, got, sum, bound)
			}
		}
	}
	for i, v := range c { // nothing outside C was touched
		if (i%p.ldc >= p.n || i/p.ldc >= p.m) && !math.IsNaN(float64(v)) {
			t.Fatalf("element %d outside C (row %d, column %d) was overwritten with %g", i, i/p.ldc, i%p.ldc, v)
		}
	}
}

func TestGemm(t *testing.T) {
	sizes := [][3]int{ // m, n, k
		{1, 1, 1}, {2, 3, 4}, {1, 40, 7}, {40, 1, 7}, {5, 16, 1}, {6, 16, 9}, {14, 32, 16}, {13, 31, 15}, {15, 33, 17},
		{28, 64, 32}, {29, 48, 50}, {65, 65, 20}, {65, 20, 65}, {70, 17, 33}, {7, 100, 300}, {130, 49, 257},
		{3, 5, 2500}, {100, 240, 64}, {30, 300, 700}, {257, 129, 65}, {200, 100, 10},
		{10, 2100, 40}, {50, 2100, 30}, // more columns than are packed at once
		{20, 20, 4500}, {60, 70, 2100}, // more terms than are packed at once, without and with a split
		{40, 30, 512}, {20, 512, 33}, // rows a multiple of 2 KiB apart
	}
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for i, s := range sizes {
			for trans := range 4 {
				g := gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: s[0], n: s[1], k: s[2], alpha: 1}
				switch (i + trans) % 5 {
				case 1:
					g.beta, g.padA, g.padC = 1, 3, 5
				case 2:
					g.alpha, g.padB = -0.75, 7
				case 3:
					g.alpha, g.beta, g.padC = 2, 0.5, 1
				case 4:
					g.beta, g.padA, g.padB, g.padC = -1, 16, 32, 48
				}
				t.Run(g.String(), func(t *testing.T) {
					p := g.operands(r)
					p.verify(t, p.run())
				})
			}
		}
	})
}

// TestGemmRandom walks over shapes that nobody thought of.
func TestGemmRandom(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 150 {
			g := gemmCase{
				transA: r.IntN(2) == 0, transB: r.IntN(2) == 0,
				m: 1 + r.IntN(90), n: 1 + r.IntN(90), k: 1 + r.IntN(90),
				alpha: float32(r.NormFloat64()), beta: float32(r.IntN(3) - 1),
				padA: r.IntN(4), padB: r.IntN(4), padC: r.IntN(4),
			}
			p := g.operands(r)
			c := p.run()
			if t.Run(g.String(), func(t *testing.T) { p.verify(t, c) }); t.Failed() {
				return
			}
		}
	})
}

func TestGemmDegenerate(t *testing.T) {
	nan := float32(math.NaN())
	eachSet(t, func(t *testing.T) {
		c := []float32{1, 2, 3, 4}
		Gemm(false, false, 0, 2, 3, 1, nil, 3, make([]float32, 6), 2, 0, c, 2)
		Gemm(false, false, 2, 0, 3, 1, make([]float32, 6), 3, nil, 0, 0, c, 2)
		if !slices.Equal(c, []float32{1, 2, 3, 4}) {
			t.Errorf("an empty C changed memory: %v", c)
		}
		Gemm(false, false, 2, 2, 0, 1, nil, 0, nil, 2, 2, c, 2)
		if !slices.Equal(c, []float32{2, 4, 6, 8}) {
			t.Errorf("k=0, beta=2: got %v", c)
		}
		bad := []float32{nan, nan, nan, nan}
		Gemm(false, false, 2, 2, 2, 0, bad, 2, bad, 2, 0.5, c, 2)
		if !slices.Equal(c, []float32{1, 2, 3, 4}) {
			t.Errorf("alpha=0 read A or B: got %v", c)
		}
		Gemm(false, false, 2, 2, 2, 0, bad, 2, bad, 2, 0, bad, 2)
		if !slices.Equal(bad, make([]float32, 4)) {
			t.Errorf("alpha=0, beta=0: got %v", bad)
		}
	})
}

// TestGemmPropagatesNaN: a NaN in A or B reaches its row or column of C, and no other.
func TestGemmPropagatesNaN(t *testing.T) {
	const m, n, k = 33, 47, 29
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for trans := range 4 {
			p := gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: m, n: n, k: k, alpha: 1}.operands(r)
			a, b := 20*p.lda+7, 7*p.ldb+40
			if p.transA {
				a = 7*p.lda + 20
			}
			if p.transB {
				b = 40*p.ldb + 7
			}
			p.a[a], p.b[b] = guard, guard
			c := p.run()
			for i := range m {
				for j := range n {
					if got, want := c[i*p.ldc+j] != c[i*p.ldc+j], i == 20 || j == 40; got != want {
						t.Fatalf("transposes %d: C[%d,%d] is NaN: %t, want %t", trans, i, j, got, want)
					}
				}
			}
		}
	})
}

func TestGemmDoesNotDependOnThreads(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	cases := []gemmCase{
		{m: 700, n: 130, k: 60, alpha: 1},
		{m: 60, n: 900, k: 120, alpha: 1.5, beta: 1, transB: true},
		{m: 60, n: 70, k: 5000, alpha: 1, transA: true},
		{m: 61, n: 75, k: 5003, alpha: 0.5, beta: 2, transA: true, padC: 3},
		{m: 75, n: 61, k: 5003, alpha: -1, beta: 1, transA: true},
		{m: 300, n: 300, k: 300, alpha: 1, transB: true},
	}
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, g := range cases {
			p := g.operands(r)
			SetThreads(1)
			want := p.run()
			p.verify(t, want)
			for n := 2; n <= 4; n++ {
				SetThreads(n)
				if i := firstDifference(p.run(), want); i >= 0 {
					t.Errorf("%v: %d threads differ from 1 at element %d", g, n, i)
				}
			}
			c := slices.Clone(p.c)
			GemmSerial(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, c, p.ldc)
			if i := firstDifference(c, want); i >= 0 {
				t.Errorf("%v: GemmSerial differs from Gemm at element %d", g, i)
			}
		}
	})
}

// firstDifference returns the first index at which the bits of x and y differ, or -1.
func firstDifference(x, y []float32) int {
	for i := range x {
		if math.Float32bits(x[i]) != math.Float32bits(y[i]) {
			return i
		}
	}
	return -1
}

// TestGemmThen: every row is done once, and was computed before.
func TestGemmThen(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	cases := []gemmCase{
		{m: 700, n: 130, k: 60, alpha: 1},
		{m: 61, n: 900, k: 1200, alpha: 1}, // columns are shared among tasks
		{m: 61, n: 75, k: 5003, alpha: 1, transA: true},
		{m: 50, n: 2100, k: 2100, alpha: 1},
		{m: 5, n: 3, k: 2, alpha: 1},
		{m: 70, n: 3, k: 2, alpha: 0},
	}
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, g := range cases {
			p := g.operands(r)
			want := p.run()
			for threads := 1; threads <= 3; threads++ {
				SetThreads(threads)
				got := slices.Clone(p.c)
				calls := make([]int, p.m)
				GemmThen(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, got, p.ldc, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						calls[i]++
						for j := range p.n {
							got[i*p.ldc+j] *= 2
						}
					}
				})
				for i := range p.m {
					if calls[i] != 1 {
						t.Fatalf("%v, %d threads: row %d was done %d times", g, threads, i, calls[i])
					}
					for j := range p.n {
						if at := i*p.ldc + j; got[at] != 2*want[at] {
							t.Fatalf("%v, %d threads: row %d was done before it was computed", g, threads, i)
						}
					}
				}
			}
		}
	})
}

func TestGemmRefusesWrongArguments(t *testing.T) {
	x := make([]float32, 6)
	for name, call := range map[string]func(){
		"negative size": func() { Gemm(false, false, -1, 2, 3, 1, x, 3, x, 2, 0, x, 2) },
		"short A":       func() { Gemm(false, false, 2, 2, 3, 1, x[:5], 3, x, 2, 0, x, 2) },
		"short B":       func() { Gemm(false, true, 2, 2, 3, 1, x, 3, x[:5], 3, 0, x, 2) },
		"short C":       func() { Gemm(false, false, 2, 2, 3, 1, x, 3, x, 2, 0, x[:3], 2) },
		"small lda":     func() { Gemm(true, false, 2, 2, 3, 1, x, 1, x, 2, 0, x, 2) },
		"small ldc":     func() { Gemm(false, false, 2, 2, 3, 1, x, 3, x, 2, 0, x, 1) },
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
