package kernel

import (
	"sync"
	"time"
)

// Peak measures how many GFLOP/s this CPU makes at best with fused multiply-adds of the kernel set in use, on n
// goroutines at once: the yardstick of [Gemm]. It takes about 30 ms. It returns 0 for the portable set, which has
// no such loop. Measure on an otherwise idle machine; frequency scaling and neighbours show in it.
func Peak(n int) float64 {
	s := active.Load()
	if s.peak == nil {
		return 0
	}
	const (
		runs   = 10
		rounds = 1 << 19
	)
	best := 0.0
	for range runs {
		var wg sync.WaitGroup
		start := time.Now()
		for range n {
			wg.Go(func() { s.peak(rounds) })
		}
		wg.Wait()
		best = max(best, float64(n)*rounds*s.peakFLOPs/time.Since(start).Seconds()/1e9)
	}
	return best
}
