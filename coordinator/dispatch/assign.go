package dispatch

import (
	"cmp"
	"math"
	"slices"
	"time"

	"swath/sweeps"
)

// Assign gives trials to free slots. It is called once after the steps of a batch, so
// that its cost is shared by them. One priority after the other, the highest first:
//
//  1. If a trial waits for a worker of its own and none is empty, the emptiest that would do
//     is given nothing more until it is, and what is queued there is recalled.
//  2. Of the sweeps that have a trial ready and whose request fits somewhere, take the one that
//     has the fewest trials running, so that they share the slots; of several the one served
//     longest ago, so that they take turns where there are few slots. Hand its next trial to
//     that worker with room for it that has the fewest, so that few trials spread over many
//     machines. Repeat this until nothing fits.
//  3. For each of them that fits nowhere, and would not where one trial ends, keep a worker from
//     the sweeps of lower priorities.
//  4. If slots are still free, and trials of the same priority wait in the queues of others,
//     recall them.
//
// Then, likewise:
//
//  5. With what is left, fill the queues of the workers that prefetch.
//  6. What fits nowhere is next where a trial ends: nothing of a lower priority is queued there.
//
// It stops when it is enough for one commit; another Assign goes on.
func (s *State) Assign(now time.Time) {
	if s.settled {
		return
	}
	s.settled = true
	s.handed = 0
	clear(s.kept)
	clear(s.reserved)
	s.pressing = s.pressing[:0]
	levels := s.levels(now)
	for _, l := range levels {
		s.reserve(now, l)
		s.serve(now, l, s.slotFor)
		s.keep(now, l)
		s.rebalance(l)
	}
	for _, l := range levels {
		s.serve(now, l, s.queueFor)
		s.press(now, l)
	}
	if s.enough() {
		s.settled, s.again = false, true
	}
}

// level is the sweeps of one priority.
type level struct {
	priority int
	ready    []*sweep // that have a trial ready, first submitted first
	lowest   bool     // there is no sweep of a lower priority
}

// levels are the priorities of which there are trials that are ready or queued, the highest
// first.
func (s *State) levels(now time.Time) (levels []level) {
	at := func(priority int) *level {
		i, is := slices.BinarySearchFunc(levels, priority, func(l level, p int) int { return cmp.Compare(p, l.priority) })
		if !is {
			levels = slices.Insert(levels, i, level{priority: priority})
		}
		return &levels[i]
	}
	lowest := math.MaxInt
	for _, sw := range s.order {
		lowest = min(lowest, sw.policy.Priority)
		if s.ready(now, sw) {
			l := at(sw.policy.Priority)
			l.ready = append(l.ready, sw)
		}
	}
	for _, r := range s.index.requests {
		if r.queued > 0 {
			at(r.priority)
		}
	}
	for i := range levels {
		levels[i].lowest = levels[i].priority == lowest
	}
	return levels
}

// enough reports whether so much was handed out that the rest had better wait until that is
// committed and told.
func (s *State) enough() bool { return s.handed >= maxHanded }

// maxHanded is how many trials one Assign hands out. When thousands of workers come at once
// the first of them are not to wait for the last.
const maxHanded = 4096

// reserve keeps, for each sweep with a trial that wants a worker to itself, the emptiest that
// could take it from being given anything else, unless one is empty already. What waits there
// for a slot is recalled: the worker would start one after the other, and never be empty.
func (s *State) reserve(now time.Time, l level) {
	for _, sw := range l.ready {
		if !sw.waiting.alone.due(now) {
			continue
		}
		w := sw.request.suited.first(func(w *worker) bool {
			return w.alone == nil && !s.reserved[w] && !s.keptFrom(w, sw) && !s.doubts(sw, w) && s.offers(now, sw, sw.waiting.alone, w)
		})
		if w != nil && len(w.running) > 0 {
			s.reserved[w] = true
			s.recallQueued(w, func(q *queued) bool { return q.request.priority <= l.priority })
		}
	}
}

// ready reports whether the sweep has a trial that may start now.
func (s *State) ready(now time.Time, sw *sweep) bool {
	return s.handsOut(sw) && (sw.waiting.shared.due(now) || s.advance(now, sw) ||
		// The cursor may have passed a trial that cannot be computed, and another goes on from it.
		sw.waiting.shared.due(now) || sw.waiting.alone.due(now))
}

// serve hands out trials of sweeps of one priority, to the workers that where finds for them,
// as long as it finds any.
func (s *State) serve(now time.Time, l level, where func(time.Time, *sweep) *worker) {
	ready := slices.Clone(l.ready)
	for !s.enough() {
		var next *sweep
		var to *worker
		// What has no place now has none later: workers only fill up.
		ready = slices.DeleteFunc(ready, func(sw *sweep) bool {
			if !s.ready(now, sw) {
				return true
			}
			w := where(now, sw)
			if w != nil && (next == nil || before(sw, next)) {
				next, to = sw, w
			}
			return w == nil
		})
		if next == nil {
			return
		}
		s.makePlace(to, next.policy.Priority) // first: the worker reads in order
		s.begin(now, next, to, s.take(now, next, to))
	}
}

// slotFor returns the worker that runs the sweep's next trial, at once: of those that have room
// for it, one that has the fewest. A trial that wants to be alone goes to an empty one only.
func (s *State) slotFor(now time.Time, sw *sweep) *worker {
	if !sw.startsBeside(now) && !sw.request.room.idle() {
		return nil
	}
	return sw.request.room.first(func(w *worker) bool {
		return s.mayTake(w, sw) && (s.offersBeside(now, sw, w) || len(w.running) == 0 && s.offers(now, sw, sw.waiting.alone, w))
	})
}

// mayTake reports whether nothing is against giving a trial of the sweep to a worker that has
// a place for it.
func (s *State) mayTake(w *worker, sw *sweep) bool {
	return !s.reserved[w] && !s.keptFrom(w, sw) && !s.doubts(sw, w)
}

// before orders sweeps of one priority that both could be served.
func before(a, b *sweep) bool {
	return cmp.Or(
		cmp.Compare(len(a.running), len(b.running)),
		cmp.Compare(a.served, b.served),
	) < 0
}

// startsBeside reports whether a trial of a sweep that is ready may start beside others.
func (sw *sweep) startsBeside(now time.Time) bool {
	return sw.head != nil || sw.waiting.shared.due(now)
}

// offers reports whether one of those that wait is due and may begin on the worker.
func (s *State) offers(now time.Time, sw *sweep, q retryQueue, w *worker) bool {
	return s.firstFor(now, sw, q, w) != nil
}

// offersBeside reports whether a sweep that is ready has a trial for the worker that need not
// be alone there.
func (s *State) offersBeside(now time.Time, sw *sweep, w *worker) bool {
	return s.offers(now, sw, sw.waiting.shared, w) || sw.head != nil ||
		// As in ready.
		sw.waiting.shared.due(now) && (s.advance(now, sw) || s.offers(now, sw, sw.waiting.shared, w))
}

// firstFor returns the first trial of the queue that is due and may begin on the worker, nil if
// none is. One that the worker has just lost without having run it, as one does that is broken,
// waits for another worker if there is one.
func (s *State) firstFor(now time.Time, sw *sweep, q retryQueue, w *worker) *sweeps.Trial {
	if !q.due(now) {
		return nil
	}
	lost := func(t *sweeps.Trial) bool { return lostUnbegun(t) && t.Worker == w.ID }
	if !lost(q.peek()) || sw.request.suited.first(func(other *worker) bool { return other != w && !s.doubts(sw, other) }) == nil {
		return q.peek()
	}
	first := -1
	for i, p := range q {
		if !lost(p.Trial) && !p.NotBefore.After(now) && (first < 0 || q.Less(i, first)) {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	return q[first].Trial
}

// take returns the sweep's next trial for the worker: one that is due for another attempt,
// first of all one that wants a worker like this to itself, else the one at the cursor.
func (s *State) take(now time.Time, sw *sweep, w *worker) *sweeps.Trial {
	var t *sweeps.Trial
	if len(w.running) == 0 {
		t = s.firstFor(now, sw, sw.waiting.alone, w)
	}
	if t == nil {
		t = s.firstFor(now, sw, sw.waiting.shared, w)
	}
	if t != nil {
		sw.waiting.remove(t)
		return t
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
