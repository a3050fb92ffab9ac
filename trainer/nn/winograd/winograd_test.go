package winograd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"swath/trainer/nn/kernel"
)

// eachSet runs f as a subtest with every kernel set that this CPU has.
func eachSet(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	before := kernel.Kernel()
	t.Cleanup(func() {
		if err := kernel.Select(before); err != nil {
			t.Error(err)
		}
	})
	for _, name := range kernel.Kernels() {
		t.Run(name, func(t *testing.T) {
			if err := kernel.Select(name); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
}

func numbers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestAlgorithm correlates random patches with random filters by their points, and compares with the definition, for
// vectors that end within a register and at its end.
func TestAlgorithm(t *testing.T) {
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, 7, 8, 15, 16, 17, 48, 67} {
			var d Patch
			var g, y Block
			for i := range d {
				d[i] = numbers(r, n)
			}
			for i := range g {
				g[i], y[i] = numbers(r, n), make([]float32, n)
			}
			step := n + 3
			v, u := make([]float32, Points*step), make([]float32, Points*step)
			Difference(v, step, &d)
			Expand(u, step, &g)
			for i := range v {
				v[i] *= u[i]
			}
			Contract(&y, v, step)
			for i := range n {
				for j := range y {
					want := 0.0
					for k := range g {
						want += float64(d[(j/2+k/2)*3+j%2+k%2][i]) * float64(g[k][i])
					}
					if got := float64(y[j][i]); !(math.Abs(got-want) < 1e-5) {
						t.Fatalf("%d elements: result %d of element %d is %v, want %v", n, j, i, got, want)
					}
				}
			}
		}
	})
}

// TestGatherIsTheTransposeOfDifference: for a row of tiles whose patches overlap, Σ Difference(d)·m = Σ d·gather(m).
// Points of both directions are taken, as the convolution takes them for phases of either kind.
func TestGatherIsTheTransposeOfDifference(t *testing.T) {
	const n, tilesH, tilesW = 19, 3, 2
	const height, width = 2*tilesH + 1, 2*tilesW + 1
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for flip := range 4 {
			right, below := flip%2 == 1, flip/2 == 1
			// The grid that the patches cover, with zeros in the row and the column that no tile's Gather sets.
			x := make([][]float32, height*width)
			for i := range x {
				x[i] = numbers(r, n)
				if y, c := i/width, i%width; below && y == 0 || !below && y == height-1 || right && c == 0 || !right && c == width-1 {
					clear(x[i])
				}
			}
			tiles := tilesH * tilesW
			step := (tiles + 1) * n
			v, m := make([]float32, Points*step), numbers(r, Points*step)
			for p := range Points {
				clear(m[p*step+tiles*n:][:n])
			}
			for tile := range tiles {
				var d Patch
				for i := range d {
					d[i] = x[(tile/tilesW*2+i/3)*width+tile%tilesW*2+i%3]
				}
				Difference(v[tile*n:], step, &d)
			}
			want := 0.0
			for p := range Points {
				for i := range tiles * n {
					want += float64(v[p*step+i]) * float64(m[p*step+i])
				}
			}
			got := 0.0
			for tile := range tiles {
				ty, tx := tile/tilesW, tile%tilesW
				s := Seam{Across: step, Down: 3 * step}
				first, left, up := 0, -1, -1
				if right {
					first, left, s.Across = first+2*s.Across, 1, -s.Across
				}
				if below {
					first, up, s.Down = first+2*s.Down, 1, -s.Down
				}
				at := func(y, x int) int {
					if y < 0 || y >= tilesH || x < 0 || x >= tilesW {
						return tiles*n + first
					}
					return (y*tilesW+x)*n + first
				}
				s.Own, s.Beside, s.Above, s.Corner = at(ty, tx), at(ty, tx+left), at(ty+up, tx), at(ty+up, tx+left)
				var b Block
				for i := range b {
					b[i] = make([]float32, n)
				}
				Gather(&b, m, &s)
				for i := range b {
					y, c := 2*ty+i/2, 2*tx+i%2
					if below {
						y = 2*ty + 2 - i/2
					}
					if right {
						c = 2*tx + 2 - i%2
					}
					for j, g := range b[i] {
						got += float64(g) * float64(x[y*width+c][j])
					}
				}
			}
			if math.Abs(got-want) > 1e-4*(1+math.Abs(want)) || want == 0 {
				t.Errorf("neighbours to the right: %t, below: %t: %v, want %v", right, below, got, want)
			}
		}
	})
}

// TestSetsAgree: all kernel sets give the same bits, and touch nothing else.
func TestSetsAgree(t *testing.T) {
	results := map[string]string{}
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		var all []float32
		for _, n := range []int{1, 5, 16, 33} {
			dst := slices.Repeat([]float32{-7}, Points*(n+2)+5)
			var d Patch
			for i := range d {
				d[i] = numbers(r, n)
			}
			var y Block
			for i := range y {
				y[i] = numbers(r, n)
			}
			Difference(dst, n+2, &d)
			all = append(all, dst...)
			Expand(dst, n+1, &y)
			all = append(all, dst...)
			for _, f := range []func(){
				func() { Contract(&y, dst, n) },
				func() {
					Gather(&y, dst, &Seam{Own: 8*n + 1, Beside: 8 * n, Above: 8*n + 3, Corner: 8*n + 2, Across: -n, Down: -3 * n})
				},
			} {
				f()
				for i := range y {
					all = append(all, y[i]...)
				}
			}
		}
		results[kernel.Kernel()] = fmt.Sprintf("%x", all)
	})
	for name, got := range results {
		if got != results["portable"] {
			t.Errorf("%s and portable differ", name)
		}
	}
}

func TestWrongLengthsPanic(t *testing.T) {
	vectors := func(n int) (d Patch, y Block) {
		for i := range d {
			d[i] = make([]float32, n)
		}
		for i := range y {
			y[i] = make([]float32, n)
		}
		return d, y
	}
	d, y := vectors(4)
	short, shortY := vectors(4)
	short[5], shortY[2] = short[5][:3], shortY[2][:3]
	memory := make([]float32, 9*4-1)
	enough := make([]float32, 9*4)
	for name, f := range map[string]func(){
		"Difference with a short patch": func() { Difference(enough, 4, &short) },
		"Difference with short memory":  func() { Difference(memory, 4, &d) },
		"Expand with a short block":     func() { Expand(enough, 4, &shortY) },
		"Expand with short memory":      func() { Expand(memory, 4, &y) },
		"Contract with a short block":   func() { Contract(&shortY, enough, 4) },
		"Contract with short memory":    func() { Contract(&y, memory, 4) },
		"Gather with short memory":      func() { Gather(&y, memory, &Seam{Across: 4, Down: 12}) },
		"Gather before its memory":      func() { Gather(&y, enough, &Seam{Own: 7, Across: -4, Down: 12}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

// BenchmarkTransforms reports how fast points are made of vectors in the first-level cache.
func BenchmarkTransforms(b *testing.B) {
	const n = 64
	r := rand.New(rand.NewPCG(1, 1))
	var d Patch
	var y Block
	for i := range d {
		d[i] = numbers(r, n)
	}
	for i := range y {
		y[i] = numbers(r, n)
	}
	m := make([]float32, Points*n)
	for name, f := range map[string]func(){
		"Difference": func() { Difference(m, n, &d) },
		"Expand":     func() { Expand(m, n, &y) },
		"Contract":   func() { Contract(&y, m, n) },
		"Gather":     func() { Gather(&y, m, &Seam{Across: n, Down: 3 * n}) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}
