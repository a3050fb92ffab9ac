package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestUsePlugsIntoGorgonia(t *testing.T) {
	before := gorgonia.WhichBLAS()
	t.Cleanup(func() { gorgonia.Use(before) })
	if err := Use(); err != nil {
		t.Fatal(err)
	}
	if _, ok := tensor.WhichBLAS().(BLAS); !ok {
		t.Fatalf("tensor uses %T", tensor.WhichBLAS())
	}
	const m, k, n = 20, 30, 40
	r := rand.New(rand.NewPCG(19, 20))
	a, b := fill(r, make([]float32, m*k)), fill(r, make([]float32, k*n))
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(m, k), gorgonia.WithName("x"), gorgonia.WithValue(tensor.New(tensor.WithShape(m, k), tensor.WithBacking(a))))
	y := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(k, n), gorgonia.WithName("y"), gorgonia.WithValue(tensor.New(tensor.WithShape(k, n), tensor.WithBacking(b))))
	z := gorgonia.Must(gorgonia.Mul(x, y))
	vm := gorgonia.NewTapeMachine(g)
	defer func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, m*n)
	Gemm(false, false, m, n, k, 1, a, k, b, n, 0, want, n)
	if i := firstDifference(z.Value().Data().([]float32), want); i >= 0 {
		t.Errorf("Gorgonia's product differs from Gemm at element %d", i)
	}
}

func TestSgemv(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	SetThreads(3)
	r := rand.New(rand.NewPCG(21, 22))
	for _, s := range [][2]int{{3, 5}, {400, 300}, {3, 40000}, {40000, 3}} {
		for _, trans := range []blas.Transpose{blas.NoTrans, blas.Trans} {
			m, n := s[0], s[1]
			lda := n + 3
			a, x := fill(r, make([]float32, m*lda)), fill(r, make([]float32, max(m, n)))
			y := fill(r, make([]float32, max(m, n)))
			want := slices.Clone(y)
			nx, ny := n, m
			if trans == blas.Trans {
				nx, ny = m, n
			}
			BLAS{}.Sgemv(trans, m, n, 0.5, a, lda, x[:nx], 1, 2, y[:ny], 1)
			gonum.Implementation{}.Sgemv(trans, m, n, 0.5, a, lda, x[:nx], 1, 2, want[:ny], 1)
			for i := range y {
				if math.Abs(float64(y[i]-want[i])) > 1e-3 {
					t.Fatalf("%d×%d, transpose %c: y[%d] = %g, gonum %g", m, n, trans, i, y[i], want[i])
				}
			}
		}
	}
}
