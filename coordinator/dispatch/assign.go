package dispatch

import (
	"cmp"
	"slices"
	"time"

	"swath/sweeps"
)

// Assign gives trials to free slots. It is called once after the steps of a batch, so
// that its cost is shared by them. It works in rounds of one trial a worker, so that few
// trials spread over many machines:
//
//  1. Take the sweeps that have a trial ready.
//  2. Take the workers that have a slot free, those with the fewest trials first. If a trial waits for a worker of its
//     own and none is empty, the emptiest that would do is given nothing more, until it is.
//     If a sweep's trials fit nowhere, one is kept from the sweeps of a lower priority.
//  3. For each worker, take the sweep of the highest priority whose request fits; of
//     several the one that has the fewest trials running, so that they share the slots;
//     of several again the one served longest ago, so that they take turns where there are
//     few slots. Hand its next trial over.
//  4. Repeat from 3 until a round hands out nothing.
//  5. With what is left, in the same order, fill the queues of the workers that prefetch.
//  6. Stop when it is enough for one commit; another Assign goes on.
//  7. If slots are still free, and trials wait in the queues of others, recall them.
func (s *State) Assign(now time.Time) {
	if s.settled {
		return
	}
	s.settled = true
	var ready []*sweep
	for _, sw := range s.order {
		if s.ready(now, sw) {
			ready = append(ready, sw)
		}
	}
	s.keep(now, ready)
	if len(ready) == 0 {
		s.rebalance()
		return
	}
	s.handed = 0
	free := s.index.vacant.inTurn()
	for _, sw := range ready {
		if sw.waiting.alone.due(now) {
			free = s.reserve(sw, free)
		}
	}
	for len(free) > 0 {
		free = slices.DeleteFunc(free, func(w *worker) bool { return s.enough() || !s.assignOne(now, ready, w) })
		s.keep(now, ready)
	}
	s.prefetch(now, ready)
	if s.enough() {
		s.settled, s.again = false, true
		return
	}
	s.rebalance()
}

// enough reports whether so much was handed out that the rest had better wait until that is
// committed and told.
func (s *State) enough() bool { return s.handed >= maxHanded }

// maxHanded is how many trials one Assign hands out. When thousands of workers come at once
// the first of them are not to wait for the last.
const maxHanded = 4096

// reserve keeps the emptiest worker that could take the sweep's trial alone from being
// given anything else, unless one is empty already.
func (s *State) reserve(sw *sweep, free []*worker) []*worker {
	var best *worker
	for _, w := range free {
		if w.suits(sw) && w.unused(sw) && (best == nil || len(w.running) < len(best.running)) {
			best = w
		}
	}
	if best == nil || len(best.running) == 0 {
		return free
	}
	return slices.DeleteFunc(free, func(w *worker) bool { return w == best })
}

// ready reports whether the sweep has a trial that may start now.
func (s *State) ready(now time.Time, sw *sweep) bool {
	return sw.State == sweeps.SweepRunning && s.halt == "" && (sw.waiting.shared.due(now) || s.advance(now, sw) ||
		// The cursor may have passed a trial that cannot be computed, and another goes on from it.
		sw.waiting.shared.due(now) || sw.waiting.alone.due(now))
}

// assignOne hands one trial to the worker, if there is one for it.
func (s *State) assignOne(now time.Time, ready []*sweep, w *worker) bool {
	sw := s.choose(now, ready, func(sw *sweep) bool {
		return w.hasRoom(sw) && sw.startsOn(now, w) && !s.keptFrom(w, sw) && !s.doubts(sw, w)
	})
	if sw == nil {
		return false
	}
	s.begin(now, sw, w, s.take(now, sw, w))
	return true
}

// choose returns the sweep to serve next of those that fit; nil if there is none.
func (s *State) choose(now time.Time, ready []*sweep, fits func(*sweep) bool) *sweep {
	var best *sweep
	for _, sw := range ready {
		if s.ready(now, sw) && fits(sw) && (best == nil || before(sw, best)) {
			best = sw
		}
	}
	return best
}

// before orders sweeps that both could be served.
func before(a, b *sweep) bool {
	return cmp.Or(
		cmp.Compare(b.policy.Priority, a.policy.Priority),
		cmp.Compare(len(a.running), len(b.running)),
		cmp.Compare(a.served, b.served),
	) < 0
}

// startsOn reports whether a trial of a sweep that is ready may start on this worker: one
// that wants to be alone only on an empty one.
func (sw *sweep) startsOn(now time.Time, w *worker) bool {
	return sw.startsBeside(now) || len(w.running) == 0
}

// startsBeside reports whether a trial of a sweep that is ready may start beside others.
func (sw *sweep) startsBeside(now time.Time) bool {
	return sw.head != nil || sw.waiting.shared.due(now)
}

// take returns the sweep's next trial for the worker: one that is due for another attempt,
// first of all one that wants a worker like this to itself, else the one at the cursor.
func (s *State) take(now time.Time, sw *sweep, w *worker) *sweeps.Trial {
	if len(w.running) == 0 && sw.waiting.alone.due(now) {
		return sw.waiting.alone.pop()
	}
	if sw.waiting.shared.due(now) {
		return sw.waiting.shared.pop()
	}
	p := sw.head
	sw.head = nil
	sw.Next++
	sw.Dispatched++
	return &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: sw.ID, Index: p.Index},
		ID:       p.ID,
		Params:   p.Params,
	}
}
