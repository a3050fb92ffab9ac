package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// threads is the number of goroutines that one call may use; 0 stands for GOMAXPROCS.
var threads atomic.Int64

// SetThreads sets how many goroutines one call of this package may use, the caller's included. n < 1 restores the
// default, GOMAXPROCS. It never changes a result, only how fast it comes.
func SetThreads(n int) { threads.Store(int64(max(n, 0))) }

// Threads returns how many goroutines one call may use.
func Threads() int {
	if n := int(threads.Load()); n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// Parallel calls f for the consecutive ranges [0,grain), [grain,2·grain), … of [0,n), on up to [Threads]
// goroutines, and returns when all calls have returned. The ranges do not depend on the number of threads; which
// goroutine runs which range, and in what order, does. With one range or one thread everything runs on the
// calling goroutine, in order. A panic in f is raised again on the calling goroutine once the others are done.
func Parallel(n, grain int, f func(lo, hi int)) { parallel(Threads(), n, grain, f) }

// parallel is Parallel on at most threads goroutines.
func parallel(threads, n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	chunks := (n-1)/grain + 1
	if threads = min(threads, chunks); threads <= 1 {
		for lo := 0; lo < n; lo += grain {
			f(lo, min(lo+grain, n))
		}
		return
	}

	// Chunks come from a counter rather than in equal shares: a core that is busy elsewhere then takes fewer
	// of them instead of holding the others up.
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		once   sync.Once
		failed any
	)
	work := func() {
		defer func() {
			if r := recover(); r != nil {
				once.Do(func() { failed = r })
				next.Store(int64(chunks))
			}
		}()
		for {
			i := int(next.Add(1)) - 1
			if i >= chunks {
				return
			}
			f(i*grain, min((i+1)*grain, n))
		}
	}
	for range threads - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if failed != nil {
		panic(failed)
	}
}
