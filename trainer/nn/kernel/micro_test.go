package kernel

import ("testing";"fmt")

func BenchmarkMicro(b *testing.B) {
	for _, t := range []*tile{&tileAVX512, &tileAVX2} {
		for _, k := range []int{20, 64, 240, 256} {
			for _, slivers := range []int{1, 10} {
			nr := 2 * t.lanes
			a, bb, c := getScratch(slivers*k*t.mr), getScratch(k*nr), getScratch(slivers*t.mr*1024)
			clear(a.x); clear(bb.x); clear(c.x)
			b.Run(fmt.Sprintf("%s/k=%d/slivers=%d", t.set.name, k, slivers), func(b *testing.B) {
				peak := Peak(1)
				b.ResetTimer()
				for b.Loop() {
					for i := range slivers {
					t.full(k, &a.x[i*k*t.mr], 1, t.mr, &bb.x[0], nr, &c.x[i*t.mr*1024], 1024, t.mr, nr, 1, 0)
					}
				}
				rate := float64(2*k*t.mr*nr*slivers) * float64(b.N) / b.Elapsed().Seconds() / 1e9
				b.ReportMetric(rate, "GFLOP/s")
				b.ReportMetric(rate/peak, "of-peak")
			})
			}
		}
	}
}

func BenchmarkPack(b *testing.B) {
	for _, t := range []*tile{&tileAVX512, &tileAVX2} {
		src := make([]float32, 64*1024)
		dst := getScratch(64*1024)
		for _, ld := range []int{240, 256, 1024} {
		b.Run(fmt.Sprintf("%s/cols/%d", t.set.name,ld), func(b *testing.B) {
			for b.Loop() { t.packCols(&dst.x[0], t.mr, &src[0], ld, 240, t.mr) }
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*240*t.mr), "ns/elem")
		})
		b.Run(fmt.Sprintf("%s/rows/%d", t.set.name,ld), func(b *testing.B) {
			for b.Loop() { t.packRows(&dst.x[0], t.mr, &src[0], ld, 60, t.mr) }
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*60*t.mr), "ns/elem")
		})
		}
	}
}
