package data

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls do(i) for i in [0, n) from as many goroutines as there are processors and waits for all of them.
// It returns the error of the smallest i that failed, so that the same broken input gives the same message, or the
// context's.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		mu     sync.Mutex
		stop   atomic.Bool
		first  = n
		failed error
	)
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				// Every smaller i is taken by now and will be finished, so that the smallest failure is always seen.
				if err := do(i); err != nil {
					stop.Store(true)
					mu.Lock()
					if i < first {
						first, failed = i, err
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	return ctx.Err()
}
