package dispatch

import (
	"container/heap"
	"slices"
	"time"

	"swath/sweeps"
)

// waiting holds a sweep's pending trials that had an attempt before. Those that want a
// worker to themselves are apart from the others, which need not wait until there is one.
type waiting struct {
	shared, alone retryQueue
	by            map[int64]*waiter // both, by the trial's index
}

// waiter is a trial's place in its queue.
type waiter struct {
	*sweeps.Trial
	at int
}

// of returns the queue that a trial belongs in.
func (w *waiting) of(t *sweeps.Trial) *retryQueue {
	if t.Alone {
		return &w.alone
	}
	return &w.shared
}

func (w *waiting) push(t *sweeps.Trial) {
	if w.by == nil {
		w.by = map[int64]*waiter{}
	}
	p := &waiter{Trial: t}
	w.by[t.Index] = p
	heap.Push(w.of(t), p)
}

// find returns the trial of an index; nil if it does not wait.
func (w *waiting) find(i int64) *sweeps.Trial {
	if p := w.by[i]; p != nil {
		return p.Trial
	}
	return nil
}

// remove takes a trial out, wherever it stands.
func (w *waiting) remove(t *sweeps.Trial) {
	if p := w.by[t.Index]; p != nil && p.Trial == t {
		heap.Remove(w.of(t), p.at)
		delete(w.by, t.Index)
	}
}

func (w *waiting) len() int { return len(w.by) }

// all are the trials that wait, in no order.
func (w *waiting) all() []*sweeps.Trial {
	list := make([]*sweeps.Trial, 0, w.len())
	for _, p := range slices.Concat(w.shared, w.alone) {
		list = append(list, p.Trial)
	}
	return list
}

// retryQueue is a heap: the trial that may start earliest is first.
type retryQueue []*waiter

func (q retryQueue) peek() *sweeps.Trial {
	if len(q) == 0 {
		return nil
	}
	return q[0].Trial
}

// due reports whether a trial may start now.
func (q retryQueue) due(now time.Time) bool {
	t := q.peek()
	return t != nil && !t.NotBefore.After(now)
}

// next is when the next trial becomes due that was not at the last Tick; zero if none will
// before others are handed out. Those whose wait is over wait for a worker, not for time, and
// the others come after them.
func (q retryQueue) next(ticked time.Time) (at time.Time) {
	t := q.peek()
	switch {
	case t == nil:
		return at
	case t.NotBefore.After(ticked):
		return t.NotBefore
	case !lostUnbegun(t):
		return at
	}
	for _, t := range q { // the first waits for another worker, and the others need not
		if t.NotBefore.After(ticked) && (at.IsZero() || t.NotBefore.Before(at)) {
			at = t.NotBefore
		}
	}
	return at
}

// lostUnbegun reports whether the trial's last attempt was lost with its worker before it
// began.
func lostUnbegun(t *sweeps.Trial) bool { return t.Losses > 0 && t.Started.IsZero() }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (q retryQueue) Len() int { return len(q) }
func (q retryQueue) Less(i, j int) bool {
	if !q[i].NotBefore.Equal(q[j].NotBefore) {
		return q[i].NotBefore.Before(q[j].NotBefore)
	}
	return q[i].Index < q[j].Index
}
func (q retryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}
func (q *retryQueue) Push(x any) {
	p := x.(*waiter)
	p.at = len(*q)
	*q = append(*q, p)
}
func (q *retryQueue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}

// backoff is the wait after a trial's n-th charged failure, n ≥ 1.
func (c Config) backoff(n int) time.Duration {
	d := c.Backoff
	for i := 1; i < n && d < c.BackoffMax; i++ {
		d *= 2
	}
	return min(d, c.BackoffMax)
}
