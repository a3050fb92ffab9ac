package nn

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"swath/trainer/nn/kernel"
)

// minimalWindows are windows that minimal computes: of many tiles and few, odd and single pixels, channels that fill no vector.
func minimalWindows(t testing.TB) []window {
	t.Helper()
	var all []window
	add := func(batch, height, width, fineC, coarseC int) {
		w, err := transposedWindow(batch, height, width, coarseC, fineC, 4, 2, 1)
		if err != nil || !w.isMinimal() {
			t.Fatalf("window %+v: %v, minimal: %t", w, err, w.isMinimal())
		}
		all = append(all, w)
	}
	add(130, 8, 7, 16, 18) // enough tiles to be shared by units
	add(40, 8, 8, 32, 20)  // or to be shared in several turns
	add(9, 4, 4, 64, 128)
	add(1, 1, 1, 16, 16)
	add(2, 1, 5, 17, 16)
	add(3, 3, 1, 16, 31)
	add(700, 1, 1, 16, 17)
	if few, many := all[1].minimal(nil).tiles(), all[0].minimal(nil).tiles(); many < minUnits*unitTiles || few >= minUnits*unitTiles || few <= sharedTiles {
		t.Fatalf("%d and %d tiles do not show all ways of sharing", many, few)
	}
	r := NewRand(21)
	for range 12 {
		add(1+r.Intn(5), 1+r.Intn(12), 1+r.Intn(12), 16+r.Intn(60), 16+r.Intn(60))
	}
	return all
}

// operands are random matrices of a window.
func (w *window) operands() (fine, coarse, weights []float32) {
	r := NewRand(uint64(w.fineC), uint64(w.coarseC))
	fine, coarse = make([]float32, w.batch*w.fineLen()), make([]float32, w.batch*w.coarseLen())
	weights = make([]float32, w.taps()*w.coarseC)
	for _, x := range [][]float32{fine, coarse, weights} {
		Normal(1)(x, r)
	}
	return fine, coarse, weights
}

// minimalProducts returns down, up and wgrad of a window by minimal, in memory that held something else.
func minimalProducts(w *window, fine, coarse, weights []float32) [3][]float32 {
	m := w.minimal(NewWorkspace())
	nan := float32(math.NaN())
	out := [3][]float32{slices.Repeat([]float32{nan}, len(coarse)), slices.Repeat([]float32{nan}, len(fine)), slices.Repeat([]float32{nan}, len(weights))}
	m.down(out[0], fine, weights)
	m.up(out[1], coarse, weights)
	m.wgrad(out[2], fine, coarse)
	return out
}

// columnProducts returns the same by columns.
func columnProducts(w *window, fine, coarse, weights []float32) [3][]float32 {
	out := [3][]float32{make([]float32, len(coarse)), make([]float32, len(fine)), make([]float32, len(weights))}
	columns := w.columns(NewWorkspace())
	w.eachChunk(fine, columns, func(lo, hi int, columns []float32) {
		w.downColumns(out[0], columns, weights, lo, hi)
		w.wgradColumns(out[2], columns, coarse, lo, hi)
	})
	w.upColumns(out[1], coarse, weights, columns)
	return out
}

var productNames = [3]string{"down", "up", "wgrad"}

// TestMinimal compares the products with those by columns, with every kernel set. The
// bound allows for sums in different orders, and is far below the size of a single term.
func TestMinimal(t *testing.T) {
	before := kernel.Kernel()
	t.Cleanup(func() {
		if err := kernel.Select(before); err != nil {
			t.Error(err)
		}
	})
	for _, w := range minimalWindows(t) {
		fine, coarse, weights := w.operands()
		want := columnProducts(&w, fine, coarse, weights)
		terms := [3]int{w.taps(), 4 * w.coarseC, w.batch * w.coarsePixels()}
		for _, name := range kernel.Kernels() {
			if err := kernel.Select(name); err != nil {
				t.Fatal(err)
			}
			for i, got := range minimalProducts(&w, fine, coarse, weights) {
				bound := 1e-5*math.Sqrt(float64(terms[i])) + 4e-7*float64(terms[i])
				for j, v := range got {
					if !(math.Abs(float64(v-want[i][j])) <= bound) {
						t.Errorf("%s of %+v with %s: element %d is %v, want %v ± %.2g", productNames[i], w, name, j, v, want[i][j], bound)
						break
					}
				}
			}
		}
		if err := kernel.Select(before); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMinimalThreads: the products do not depend on the number of threads, bit for bit.
func TestMinimalThreads(t *testing.T) {
	t.Cleanup(func() { kernel.SetThreads(0) })
	for _, w := range minimalWindows(t)[:3] {
		fine, coarse, weights := w.operands()
		kernel.SetThreads(1)
		want := minimalProducts(&w, fine, coarse, weights)
		for _, threads := range []int{2, 5} {
			kernel.SetThreads(threads)
			for i, got := range minimalProducts(&w, fine, coarse, weights) {
				for j, v := range got {
					if math.Float32bits(v) != math.Float32bits(want[i][j]) {
						t.Fatalf("%s of %+v: with %d threads element %d is %v, but %v with one", productNames[i], w, threads, j, v, want[i][j])
					}
				}
			}
		}
	}
}

// BenchmarkConv4x4 compares minimal with columns on the layers of the DCGAN with 64 maps at half the image's size, at
// a batch of 128. GFLOP/s count the definition's products.
func BenchmarkConv4x4(b *testing.B) {
	for size := 16; size >= 4; size /= 2 {
		w, err := transposedWindow(128, size, size, 2048/size, 1024/size, 4, 2, 1)
		if err != nil {
			b.Fatal(err)
		}
		fine, coarse, weights := w.operands()
		columns := w.columns(NewWorkspace())
		m := w.minimal(NewWorkspace())
		flops := 2 * float64(len(coarse)) * float64(w.taps())
		bench := func(name string, f func()) {
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
		bench("down/minimal", func() { m.down(coarse, fine, weights) })
		bench("down/columns", func() {
			w.eachChunk(fine, columns, func(lo, hi int, columns []float32) { w.downColumns(coarse, columns, weights, lo, hi) })
		})
		bench("up/minimal", func() { m.up(fine, coarse, weights) })
		bench("up/columns", func() { w.upColumns(fine, coarse, weights, columns) })
		bench("wgrad/minimal", func() { m.wgrad(weights, fine, coarse) })
		bench("wgrad/columns", func() {
			w.eachChunk(fine, columns, func(lo, hi int, columns []float32) { w.wgradColumns(weights, columns, coarse, lo, hi) })
		})
	}
}
