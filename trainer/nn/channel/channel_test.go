package channel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"swath/trainer/nn/kernel"
)

// forEachSet runs a test with every kernel set of this machine.
func forEachSet(t *testing.T, test func(t *testing.T)) {
	before := kernel.Kernel()
	defer func() {
		if err := kernel.Select(before); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range kernel.Kernels() {
		t.Run(name, func(t *testing.T) {
			if err := kernel.Select(name); err != nil {
				t.Fatal(err)
			}
			test(t)
		})
	}
}

// numbers are reproducible, of both signs, with zeros among them.
func numbers(n int, seed uint32) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*1664525 + 1013904223
		if x[i] = float32(int32(seed)>>16) / 8192; seed>>8%11 == 0 {
			x[i] = 0
		}
	}
	return x
}

func slope(t, s float64) float64 {
	if t > 0 {
		return 1
	}
	return s
}

// TestAgainstDefinition compares every set with the formulas in float64, for widths that
// end in the middle of a vector.
func TestAgainstDefinition(t *testing.T) {
	forEachSet(t, func(t *testing.T) {
		for _, channels := range []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100} {
			for _, rows := range []int{0, 1, 2, 5} {
				for _, s := range []float32{0, 0.2, 1} {
					check(t, rows, channels, s)
				}
			}
		}
	})
}

func check(t *testing.T, rows, channels int, s float32) {
	t.Helper()
	n := Norm{Mean: numbers(channels, 1), Gain: numbers(channels, 2), Shift: numbers(channels, 3), Slope: s}
	x, dy := numbers(rows*channels, 4), numbers(rows*channels, 5)
	offset, tilt := numbers(channels, 6), numbers(channels, 7)
	g, gx := numbers(channels, 8), numbers(channels, 9)
	wantG, wantGX := make([]float64, channels), make([]float64, channels)
	for c := range channels {
		wantG[c], wantGX[c] = float64(g[c]), float64(gx[c])
	}
	y, dx, leaky, leakyGrad := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
	n.Apply(y, x)
	n.Input(dx, x, dy, offset, tilt)
	n.Sum(g, gx, x, dy)
	Leaky(leaky, x, s)
	LeakyGrad(leakyGrad, dy, x, s)
	near := func(what string, i int, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 2e-6*(20+math.Abs(want)) {
			t.Errorf("%d×%d, slope %v: %s of element %d is %v, want %v", rows, channels, s, what, i, got, want)
		}
	}
	for i, v := range x {
		c := i % channels
		gain := float64(n.Gain[c])
		centred := float64(v - n.Mean[c])
		at := gain*centred + float64(n.Shift[c])
		if math.Abs(at) < 1e-5 && at != 0 {
			continue // rounding decides the side
		}
		dt := float64(dy[i]) * slope(at, float64(s))
		near("Apply", i, y[i], at*slope(at, float64(s)))
		near("Input", i, dx[i], gain*dt-(float64(offset[c])+float64(tilt[c])*centred))
		near("Leaky", i, leaky[i], float64(v)*slope(float64(v), float64(s)))
		near("LeakyGrad", i, leakyGrad[i], float64(dy[i])*slope(float64(v), float64(s)))
		wantG[c] += dt
		wantGX[c] += dt * centred
	}
	for c := range channels {
		near("Sum", c, g[c], wantG[c])
		near("Sum·x", c, gx[c], wantGX[c])
	}
}

func TestNaNPropagates(t *testing.T) {
	forEachSet(t, func(t *testing.T) {
		nan := float32(math.NaN())
		for _, s := range []float32{0, 0.2, 1} {
			n := Norm{Mean: make([]float32, 5), Gain: []float32{1, 1, 1, 1, 1}, Shift: make([]float32, 5), Slope: s}
			x := []float32{1, 2, nan, 4, 5}
			y, leaky := make([]float32, 5), make([]float32, 5)
			n.Apply(y, x)
			Leaky(leaky, x, s)
			for i := range x {
				if isNaN := i == 2; (y[i] != y[i]) != isNaN || (leaky[i] != leaky[i]) != isNaN {
					t.Errorf("slope %v: %v becomes %v and %v", s, x, y, leaky)
				}
			}
		}
	})
}

func TestInPlace(t *testing.T) {
	forEachSet(t, func(t *testing.T) {
		n := Norm{Mean: numbers(19, 1), Gain: numbers(19, 2), Shift: numbers(19, 3), Slope: 0.2}
		x := numbers(19*4, 4)
		want := make([]float32, len(x))
		n.Apply(want, x)
		got := slices.Clone(x)
		n.Apply(got, got)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Error("Apply in place differs")
		}
		Leaky(want, x, 0.2)
		Leaky(x, x, 0.2)
		if fmt.Sprint(x) != fmt.Sprint(want) {
			t.Error("Leaky in place differs")
		}
	})
}

func TestWrongLengthsPanic(t *testing.T) {
	n := Norm{Mean: make([]float32, 3), Gain: make([]float32, 3), Shift: make([]float32, 3)}
	for name, f := range map[string]func(){
		"Leaky":     func() { Leaky(make([]float32, 2), make([]float32, 3), 1) },
		"LeakyGrad": func() { LeakyGrad(make([]float32, 3), make([]float32, 2), make([]float32, 3), 1) },
		"Apply":     func() { n.Apply(make([]float32, 4), make([]float32, 4)) },
		"Sum":       func() { n.Sum(make([]float32, 2), make([]float32, 3), make([]float32, 3), make([]float32, 3)) },
		"Input": func() {
			n.Input(make([]float32, 3), make([]float32, 3), make([]float32, 6), make([]float32, 3), make([]float32, 3))
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes slices of wrong lengths", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkNorm(b *testing.B) {
	const channels, rows = 64, 64
	n := Norm{Mean: numbers(channels, 1), Gain: numbers(channels, 2), Shift: numbers(channels, 3), Slope: 0.2}
	x, dy, out := numbers(rows*channels, 4), numbers(rows*channels, 5), make([]float32, rows*channels)
	g, gx := make([]float32, channels), make([]float32, channels)
	for name, f := range map[string]func(){
		"apply": func() { n.Apply(out, x) },
		"sum":   func() { n.Sum(g, gx, x, dy) },
		"input": func() { n.Input(out, x, dy, g, gx) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * rows * channels)
			for b.Loop() {
				f()
			}
		})
	}
}
