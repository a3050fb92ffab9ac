package dispatch

import (
	"container/heap"
	"slices"
	"time"

	"swath/sweeps"
)

// waiting holds a sweep's pending trials that had an attempt before. Those that want a
// worker to themselves are apart from the others, which need not wait until there is one.
type waiting struct{ shared, alone retryQueue }

// of returns the queue that a trial belongs in.
func (w *waiting) of(t *sweeps.Trial) *retryQueue {
	if t.Alone {
		return &w.alone
	}
	return &w.shared
}

func (w *waiting) push(t *sweeps.Trial) { heap.Push(w.of(t), t) }

// remove takes a trial out, wherever it stands.
func (w *waiting) remove(t *sweeps.Trial) {
	q := w.of(t)
	if i := slices.Index(*q, t); i >= 0 {
		heap.Remove(q, i)
	}
}

func (w *waiting) len() int { return len(w.shared) + len(w.alone) }

// all are the trials that wait, in no order.
func (w *waiting) all() []*sweeps.Trial { return slices.Concat(w.shared, w.alone) }

// retryQueue is a heap: the trial that may start earliest is first.
type retryQueue []*sweeps.Trial

func (q retryQueue) peek() *sweeps.Trial {
	if len(q) == 0 {
		return nil
	}
	return q[0]
}

// due reports whether a trial may start now.
func (q retryQueue) due(now time.Time) bool {
	t := q.peek()
	return t != nil && !t.NotBefore.After(now)
}

func (q *retryQueue) pop() *sweeps.Trial { return heap.Pop(q).(*sweeps.Trial) }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (q retryQueue) Len() int { return len(q) }
func (q retryQueue) Less(i, j int) bool {
	if !q[i].NotBefore.Equal(q[j].NotBefore) {
		return q[i].NotBefore.Before(q[j].NotBefore)
	}
	return q[i].Index < q[j].Index
}
func (q retryQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *retryQueue) Push(x any)   { *q = append(*q, x.(*sweeps.Trial)) }
func (q *retryQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
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
