package kernel

import (
	"slices"
	"sync"
	"testing"
)

func TestParallelCoversEveryChunkOnce(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	for n := range 4 {
		for _, size := range []int{0, 1, 9, 10, 11, 100} {
			SetThreads(n)
			var (
				mu  sync.Mutex
				got [][2]int
			)
			Parallel(size, 10, func(lo, hi int) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, [2]int{lo, hi})
			})
			slices.SortFunc(got, func(a, b [2]int) int { return a[0] - b[0] })
			var want [][2]int
			for lo := 0; lo < size; lo += 10 {
				want = append(want, [2]int{lo, min(lo+10, size)})
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d threads, %d elements: got chunks %v, want %v", n, size, got, want)
			}
		}
	}
}

func TestParallelRaisesPanicOnTheCaller(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	for n := 1; n <= 3; n++ {
		SetThreads(n)
		func() {
			defer func() {
				if r := recover(); r != "broken" {
					t.Errorf("%d threads: recovered %v", n, r)
				}
			}()
			Parallel(100, 1, func(lo, _ int) {
				if lo == 50 {
					panic("broken")
				}
			})
		}()
	}
}

func TestThreads(t *testing.T) {
	t.Cleanup(func() { SetThreads(0) })
	if Threads() < 1 {
		t.Errorf("default is %d threads", Threads())
	}
	if SetThreads(3); Threads() != 3 {
		t.Errorf("after SetThreads(3): %d", Threads())
	}
}
