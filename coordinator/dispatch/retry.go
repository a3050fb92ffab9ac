package dispatch

import (
	"container/heap"
	"time"

	"swath/sweeps"
)

// retryQueue holds a sweep's pending trials that had an attempt before, the one that
// may start earliest first.
type retryQueue struct{ h retryHeap }

func (q *retryQueue) push(t *sweeps.Trial) { heap.Push(&q.h, t) }
func (q *retryQueue) len() int             { return len(q.h) }

func (q *retryQueue) peek() *sweeps.Trial {
	if len(q.h) == 0 {
		return nil
	}
	return q.h[0]
}

// due reports whether a trial may start now.
func (q *retryQueue) due(now time.Time) bool {
	t := q.peek()
	return t != nil && !t.NotBefore.After(now)
}

func (q *retryQueue) pop() *sweeps.Trial { return heap.Pop(&q.h).(*sweeps.Trial) }

// remove takes a trial out, wherever it stands.
func (q *retryQueue) remove(t *sweeps.Trial) {
	for i, x := range q.h {
		if x == t {
			heap.Remove(&q.h, i)
			return
		}
	}
}

type retryHeap []*sweeps.Trial

func (h retryHeap) Len() int { return len(h) }
func (h retryHeap) Less(i, j int) bool {
	if !h[i].NotBefore.Equal(h[j].NotBefore) {
		return h[i].NotBefore.Before(h[j].NotBefore)
	}
	return h[i].Index < h[j].Index
}
func (h retryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *retryHeap) Push(x any)   { *h = append(*h, x.(*sweeps.Trial)) }
func (h *retryHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}

// backoff is the wait after a trial's n-th charged failure, n ≥ 1.
func (c Config) backoff(n int) time.Duration {
	d := c.Backoff
	for i := 1; i < n && d < c.BackoffMax; i++ {
		d *= 2
	}
	return min(d, c.BackoffMax)
}
