package dispatch

import (
	"cmp"
	"container/heap"
	"slices"

	"swath/sweeps"
)

// Which workers may be given a trial depends on what it asks for, and on its priority. Many
// sweeps agree in both. So for each request there is an account of the workers that have room for it,
// kept as workers change: thousands that are busy, or that are idle and of no use for what is
// ready, are not looked at.

// index is what spares Assign to look at every worker.
type index struct {
	requests []*request // of the sweeps that have not ended
	queues   set        // the workers on which trials wait for a slot
}

// request is what the trials of one sweep or several ask of a worker.
type request struct {
	needs    sweeps.Resources
	requires []sweeps.Requirement
	priority int
	sweeps   int // that ask for it
	queued   int // trials that ask for it and wait on a worker for a slot
	fits     map[*worker]fit

	suited set // the workers that could run it once idle; those that run the fewest first
	room   set // those that may be given a trial now; likewise
	short  set // those whose slots are taken, that may be given one when a trial ends, and cannot queue it; likewise
	queue  set // those that may be given one beyond their slots; those that queue the fewest before it first
}

// ask returns the request of a policy, for a sweep more.
func (x *index) ask(pol Policy, workers []*worker) *request {
	i := slices.IndexFunc(x.requests, func(r *request) bool {
		return r.needs == pol.Needs && r.priority == pol.Priority && slices.EqualFunc(r.requires, pol.Requires, func(a, b sweeps.Requirement) bool { return a.String() == b.String() })
	})
	if i < 0 {
		i = len(x.requests)
		r := &request{needs: pol.Needs, requires: pol.Requires, priority: pol.Priority, fits: map[*worker]fit{}}
		x.requests = append(x.requests, r)
		for _, w := range workers {
			r.note(w)
		}
	}
	x.requests[i].sweeps++
	return x.requests[i]
}

// leave takes back one ask.
func (x *index) leave(r *request) {
	if r.sweeps--; r.sweeps == 0 {
		x.requests = slices.DeleteFunc(x.requests, func(other *request) bool { return other == r })
	}
}

// note takes note of a change of the worker.
func (x *index) note(w *worker) {
	for _, r := range x.requests {
		r.note(w)
	}
	x.queues.put(w, len(w.queue) > 0, 0)
}

func (r *request) note(w *worker) {
	could := w.couldRun(r)
	full := could && w.busy() >= w.Slots
	queues := full && w.queues(r)
	r.suited.put(w, could, len(w.running))
	r.room.put(w, could && !full && w.hasRoom(r), len(w.running))
	r.short.put(w, full && !queues && w.yields(r), len(w.running))
	r.queue.put(w, queues && w.takesMore(r.priority), w.ahead(r.priority))
}

// drop takes out a worker that is let go.
func (x *index) drop(w *worker) {
	for _, r := range x.requests {
		r.suited.put(w, false, 0)
		r.room.put(w, false, 0)
		r.short.put(w, false, 0)
		r.queue.put(w, false, 0)
		delete(r.fits, w)
	}
	x.queues.put(w, false, 0)
}

// set is a set of workers with the least burdened first, and of equal ones the first by id.
// It is a heap; the zero value is empty.
type set struct {
	list []member
	at   map[*worker]int
}

type member struct {
	w      *worker
	burden int
}

// put takes the worker in, or takes note of its burden; or takes it out.
func (s *set) put(w *worker, in bool, burden int) {
	i, is := s.at[w]
	switch {
	case !in && is:
		heap.Remove(s, i)
	case in && !is:
		heap.Push(s, member{w, burden})
	case in && s.list[i].burden != burden:
		s.list[i].burden = burden
		heap.Fix(s, i)
	}
}

// idle reports whether one of the workers has no burden.
func (s *set) idle() bool { return len(s.list) > 0 && s.list[0].burden == 0 }

// first returns the first worker that will do, nil if none does. It looks at those before it.
func (s *set) first(does func(*worker) bool) *worker {
	found := -1
	var look func(int)
	look = func(i int) {
		switch {
		case i >= len(s.list) || found >= 0 && s.Less(found, i): // and so are all below it
		case does(s.list[i].w):
			found = i
		default:
			look(2*i + 1)
			look(2*i + 2)
		}
	}
	look(0)
	if found < 0 {
		return nil
	}
	return s.list[found].w
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (s *set) Len() int { return len(s.list) }
func (s *set) Less(i, j int) bool {
	a, b := s.list[i], s.list[j]
	return cmp.Or(cmp.Compare(a.burden, b.burden), compare(a.w.ID, b.w.ID)) < 0
}
func (s *set) Swap(i, j int) {
	s.list[i], s.list[j] = s.list[j], s.list[i]
	s.at[s.list[i].w], s.at[s.list[j].w] = i, j
}
func (s *set) Push(x any) {
	m := x.(member)
	if s.at == nil {
		s.at = map[*worker]int{}
	}
	s.at[m.w] = len(s.list)
	s.list = append(s.list, m)
}
func (s *set) Pop() any {
	last := len(s.list) - 1
	m := s.list[last]
	s.list[last] = member{}
	s.list = s.list[:last]
	delete(s.at, m.w)
	return m
}
