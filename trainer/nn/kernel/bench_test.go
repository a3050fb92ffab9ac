package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas/gonum"
)

// gemmShapes are the products of a Vision Transformer's layer (training.md's model, batch 100): forward, the
// gradient of the activations, the gradient of the weights; and those of one attention head.
var gemmShapes = []gemmCase{
	{m: 6500, n: 1024, k: 240, alpha: 1},
	{m: 6500, n: 240, k: 1024, alpha: 1},
	{m: 6500, n: 240, k: 1024, alpha: 1, transB: true},
	{m: 240, n: 1024, k: 6500, alpha: 1, transA: true},
	{m: 1024, n: 1024, k: 1024, alpha: 1},
	{m: 65, n: 65, k: 20, alpha: 1, transB: true, padA: 700, padB: 700},
	{m: 65, n: 20, k: 65, alpha: 1, padB: 700, padC: 220},
}

func shapeName(g gemmCase) string {
	letter := map[bool]string{false: "N", true: "T"}
	return fmt.Sprintf("%s%s_%dx%dx%d", letter[g.transA], letter[g.transB], g.m, g.n, g.k)
}

// BenchmarkGemm reports GFLOP/s, as a fraction of the measured peak and as a multiple of gonum's on all cores, for
// every kernel set on 1 and 2 threads.
func BenchmarkGemm(b *testing.B) {
	before := Kernel()
	b.Cleanup(func() {
		SetThreads(0)
		if err := Select(before); err != nil {
			b.Error(err)
		}
	})
	r := rand.New(rand.NewPCG(1, 1))
	for _, g := range gemmShapes {
		b.Run(shapeName(g), func(b *testing.B) {
			p := g.operands(r)
			gonum := gonumRate(p)
			for _, name := range Kernels() {
				for threads := 1; threads <= 2; threads++ {
					b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
						if err := Select(name); err != nil {
							b.Fatal(err)
						}
						SetThreads(threads)
						peak := Peak(threads)
						b.ReportAllocs()
						b.ResetTimer()
						for b.Loop() {
							Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc)
						}
						rate := p.flops() * float64(b.N) / b.Elapsed().Seconds() / 1e9
						b.ReportMetric(rate, "GFLOP/s")
						b.ReportMetric(rate/gonum, "x-gonum")
						if peak > 0 {
							b.ReportMetric(rate/peak, "of-peak")
						}
					})
				}
			}
		})
	}
}

// BenchmarkGemmOfPeak reports what part of the measured peak a product reaches. Rounds of both alternate, and the figure is
// the median of their ratios, so that a machine which slows down or has noisy neighbours does so for both.
func BenchmarkGemmOfPeak(b *testing.B) {
	s := active.Load()
	if s.peak == nil {
		b.Skip("the portable kernel set has no peak")
	}
	b.Cleanup(func() { SetThreads(0) })
	r := rand.New(rand.NewPCG(1, 1))
	for _, shape := range []struct {
		gemmCase
		batch int // how many such products, one after the other, are measured
	}{
		{gemmCase{m: 6500, n: 1024, k: 240, alpha: 1}, 1}, // a layer of the ViT: forward,
		{gemmCase{m: 6500, n: 240, k: 1024, alpha: 1}, 1},
		{gemmCase{m: 6500, n: 240, k: 240, alpha: 1}, 1},
		{gemmCase{m: 6500, n: 720, k: 240, alpha: 1}, 1},
		{gemmCase{m: 6500, n: 240, k: 1024, alpha: 1, transB: true}, 1}, // gradients of activations
		{gemmCase{m: 6500, n: 240, k: 720, alpha: 1, transB: true}, 1},
		{gemmCase{m: 240, n: 1024, k: 6500, alpha: 1, transA: true}, 1}, // and of weights
		{gemmCase{m: 1024, n: 240, k: 6500, alpha: 1, transA: true}, 1},
		{gemmCase{m: 8192, n: 128, k: 256, alpha: 1}, 1}, // convolutions
		{gemmCase{m: 8192, n: 256, k: 512, alpha: 1}, 1},
		{gemmCase{m: 2048, n: 256, k: 512, alpha: 1}, 9},
		{gemmCase{m: 256, n: 128, k: 8192, alpha: 1, transA: true}, 9},
	} {
		p := shape.operands(r)
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("%s_x%d/%s/threads=%d", shapeName(shape.gemmCase), shape.batch, s.name, threads), func(b *testing.B) {
				SetThreads(threads)
				// Of the peak's loop, some 5 ms: a shorter one would measure how long a goroutine takes to start.
				const rounds = 1 << 21
				var ratios []float64
				for b.Loop() {
					start := time.Now()
					parallel(threads, threads, 1, func(int, int) { s.peak(rounds) })
					peak := float64(threads) * rounds * s.peakFLOPs / time.Since(start).Seconds()
					start = time.Now()
					for range shape.batch {
						Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc)
					}
					ratios = append(ratios, float64(shape.batch)*p.flops()/time.Since(start).Seconds()/peak)
				}
				slices.Sort(ratios)
				b.ReportMetric(100*ratios[len(ratios)/2], "%peak")
			})
		}
	}
}

func (p *product) flops() float64 { return 2 * float64(p.m) * float64(p.n) * float64(p.k) }

// gonumRate returns the GFLOP/s of gonum's Sgemm for p.
func gonumRate(p *product) float64 {
	start, n := time.Now(), 0
	for ; n == 0 || time.Since(start) < 10*time.Millisecond; n++ {
		gonum.Implementation{}.Sgemm(transpose(p.transA), transpose(p.transB), p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc)
	}
	return p.flops() * float64(n) / time.Since(start).Seconds() / 1e9
}

// BenchmarkVector reports how fast the element-wise functions go over a vector in the second-level cache.
func BenchmarkVector(b *testing.B) {
	before := Kernel()
	b.Cleanup(func() {
		SetThreads(0)
		if err := Select(before); err != nil {
			b.Error(err)
		}
	})
	SetThreads(1)
	const rows, cols = 200, 65
	const n = rows * cols
	r := rand.New(rand.NewPCG(1, 1))
	x, y, z, w := fill(r, make([]float32, n)), fill(r, make([]float32, n)), make([]float32, n), make([]float32, n)
	for _, name := range Kernels() {
		if err := Select(name); err != nil {
			b.Fatal(err)
		}
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"Exp", func() { Exp(z, x) }},
			{"Tanh", func() { Tanh(z, x) }},
			{"GELU", func() { GELU(z, x) }},
			{"GELUGrad", func() { GELUGrad(z, x, y) }},
			{"Softmax", func() { Softmax(z, x, rows, cols) }},
			{"Add", func() { Add(z, x, y) }},
			{"Axpy", func() { Axpy(1e-9, x, z) }},
			{"Sum", func() { Sum(x) }},
			{"Dot", func() { Dot(x, y) }},
			{"Adam", func() { clear(w); Adam(x, z, w, y, 1e-9, 0.9, 0.999, 1e-8, 0, 1) }},
		} {
			b.Run(f.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
			})
		}
	}
}
