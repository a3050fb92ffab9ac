package dispatch

import (
	"cmp"
	"slices"
)

// index is which workers Assign has a reason to look at, so that it need not look at
// thousands of busy or idle ones to find the few of which something changed.
type index struct {
	vacant set // those that have a slot free
	short  set // those that take more than they hold, beyond their slots
	queues set // those on which trials wait for a slot
}

// note takes note of a change of the worker.
func (x *index) note(w *worker) {
	x.vacant.put(w, w.hasSlot())
	x.short.put(w, w.takesMore())
	x.queues.put(w, len(w.queue) > 0)
}

// drop takes out a worker that is let go.
func (x *index) drop(w *worker) {
	x.vacant.put(w, false)
	x.short.put(w, false)
	x.queues.put(w, false)
}

// set is a set of workers that costs what is in it, not what once was. The zero value is
// empty.
type set struct {
	list []*worker // in no order
	at   map[*worker]int
}

func (s *set) put(w *worker, in bool) {
	i, is := s.at[w]
	switch {
	case in == is:
	case in:
		if s.at == nil {
			s.at = map[*worker]int{}
		}
		s.at[w] = len(s.list)
		s.list = append(s.list, w)
	default:
		last := len(s.list) - 1
		moved := s.list[last]
		s.list[i], s.at[moved] = moved, i
		s.list[last] = nil
		s.list = s.list[:last]
		delete(s.at, w)
	}
}

// inTurn lists the workers of the set: those with the fewest trials first, so that few trials
// spread over many machines, and of equal ones by id.
func (s *set) inTurn() []*worker {
	list := slices.Clone(s.list)
	slices.SortFunc(list, func(a, b *worker) int {
		return cmp.Or(cmp.Compare(len(a.running), len(b.running)), compare(a.ID, b.ID))
	})
	return list
}
