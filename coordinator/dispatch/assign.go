package dispatch

import (
	"maps"
	"slices"
	"time"

	"swath/sweeps"
)

// Assign gives trials to free slots. It is called once after the steps of a batch, so
// that its cost is shared by them. It works in rounds of one trial a worker, so
// that few trials spread over many machines:
//
//  1. Take the workers that have room at all, by id.
//  2. For each, find the first sweep in order of submission that has a trial ready and
//     whose request fits, and hand it over.
//  3. Repeat until a round hands out nothing.
func (s *State) Assign(now time.Time) {
	if !s.anyReady(now) {
		return
	}
	var free []*worker
	for _, id := range slices.Sorted(maps.Keys(s.workers)) {
		if w := s.workers[id]; w.hasRoom(sweeps.Resources{}) {
			free = append(free, w)
		}
	}
	for len(free) > 0 {
		free = slices.DeleteFunc(free, func(w *worker) bool { return !s.assignOne(now, w) })
	}
}

func (s *State) anyReady(now time.Time) bool {
	for _, sw := range s.order {
		if s.ready(now, sw) {
			return true
		}
	}
	return false
}

// ready reports whether the sweep has a trial that may start now.
func (s *State) ready(now time.Time, sw *sweep) bool {
	return sw.State == sweeps.SweepRunning && (sw.waiting.due(now) || s.advance(now, sw))
}

// assignOne hands one trial to the worker, if there is one for it.
func (s *State) assignOne(now time.Time, w *worker) bool {
	for _, sw := range s.order {
		if !w.hasRoom(sw.policy.Needs) || !s.ready(now, sw) {
			continue
		}
		s.begin(now, sw, w, s.take(now, sw))
		return true
	}
	return false
}

// take returns the sweep's next trial: one that is due for another attempt, else the
// one at the cursor.
func (s *State) take(now time.Time, sw *sweep) *sweeps.Trial {
	if sw.waiting.due(now) {
		return sw.waiting.pop()
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
