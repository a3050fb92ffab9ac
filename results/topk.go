package results

import (
	"container/heap"
	"slices"
)

// Top keeps the first k rows of an order, out of any number that are added to it. It
// holds no more than k of them at a time.
type Top struct {
	heap    rankedHeap
	k       int
	seq     int
	scratch []value
}

// NewTop returns a Top for the first k rows of an order.
func NewTop(order Order, k int) *Top {
	return &Top{heap: rankedHeap{order: order}, k: k}
}

// Add offers a row.
func (t *Top) Add(r Row) { t.add(&r) }

// add does not keep r, so that the caller may reuse it.
func (t *Top) add(r *Row) {
	if t.k <= 0 {
		return
	}
	candidate := t.heap.order.rank(r, t.seq, t.scratch[:0])
	t.scratch = candidate.keys
	t.seq++
	full := len(t.heap.list) == t.k
	if full && t.heap.order.compare(candidate, t.heap.list[0]) >= 0 {
		return
	}
	kept := *r
	candidate.row = &kept
	candidate.keys = slices.Clone(candidate.keys)
	if full {
		t.heap.list[0] = candidate
		heap.Fix(&t.heap, 0)
		return
	}
	heap.Push(&t.heap, candidate)
}

// Rows returns the rows kept, in order.
func (t *Top) Rows() []Row {
	list := slices.Clone(t.heap.list)
	slices.SortFunc(list, t.heap.order.compare)
	rows := make([]Row, len(list))
	for i, r := range list {
		rows[i] = *r.row
	}
	return rows
}

// rankedHeap has the row that comes last at its root.
type rankedHeap struct {
	order Order
	list  []ranked
}

func (h *rankedHeap) Len() int           { return len(h.list) }
func (h *rankedHeap) Less(i, j int) bool { return h.order.compare(h.list[i], h.list[j]) > 0 }
func (h *rankedHeap) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *rankedHeap) Push(x any)         { h.list = append(h.list, x.(ranked)) }
func (h *rankedHeap) Pop() any {
	last := len(h.list) - 1
	r := h.list[last]
	h.list = h.list[:last]
	return r
}
