package dispatch

import (
	"math"
	"slices"
	"time"
)

// What of a sweep is ready and fits nowhere, not even into a queue, waits for trials to end. What
// they leave must not go to lower priorities. Where one end is enough, none of those is queued:
// the worker would begin it without asking. Such workers are pressed. Where a trial asks for more
// than one end leaves it would wait for ever while small ones come and go; for its sweep a worker
// is kept: nothing of a lower priority is begun there until it is empty enough. Between sweeps of
// equal priority, to keep a machine idle is not what anybody asked for, and the small ones fill it.

// pressing is a sweep that waits for ends.
type pressing struct {
	*sweep
	most int // trials that could begin, so for how many ends it waits; the first workers of those that will do
}

// keep decides which workers are kept for sweeps of one priority: for each that is ready, fits
// nowhere and waits for more than one end, of those that could run its trials the one with the
// fewest. What waits there for a slot, of lower sweeps, is recalled.
func (s *State) keep(now time.Time, l level) {
	if l.lowest || s.enough() {
		return
	}
	for _, sw := range l.ready {
		if len(sw.request.short.list) > 0 || !s.ready(now, sw) || !sw.startsBeside(now) || s.fits(now, sw) {
			continue
		}
		if w := sw.request.suited.first(func(w *worker) bool { return s.kept[w] == nil && !s.doubts(sw, w) && s.offersBeside(now, sw, w) }); w != nil {
			s.kept[w] = sw
			s.recallLower(w, l.priority)
		}
	}
}

// press has the sweeps of one priority that are ready and fit nowhere wait for an end, where one
// is enough, and recalls what is queued there of lower ones.
func (s *State) press(now time.Time, l level) {
	if l.lowest || s.enough() {
		return
	}
	for _, sw := range l.ready {
		short := sw.request.short.list
		if len(short) == 0 || !s.ready(now, sw) || !sw.startsBeside(now) {
			continue
		}
		most := min(sw.most(now), len(short))
		s.pressing = append(s.pressing, pressing{sw, most})
		for _, m := range short[:most] {
			s.recallLower(m.w, l.priority)
		}
		for _, k := range s.kept {
			s.again = s.again || k == sw // needlessly: lower ones filled the slots of another worker
		}
	}
}

// pressed reports whether one of a higher priority waits for the next end on the worker.
func (s *State) pressed(w *worker, sw *sweep) bool {
	return slices.ContainsFunc(s.pressing, func(p pressing) bool {
		i, is := p.request.short.at[w]
		return is && i < p.most && p.policy.Priority > sw.policy.Priority
	})
}

// keptFrom reports whether the worker is kept for a sweep of a higher priority than this.
func (s *State) keptFrom(w *worker, sw *sweep) bool {
	k := s.kept[w]
	return k != nil && sw.policy.Priority < k.policy.Priority
}

// fits reports whether a trial of the sweep may be given to a worker now, as a running or a
// queued one.
func (s *State) fits(now time.Time, sw *sweep) bool {
	may := func(w *worker) bool { return s.mayTake(w, sw) && s.offersBeside(now, sw, w) }
	return sw.request.room.first(may) != nil || sw.request.queue.first(may) != nil
}

// recallLower recalls what is queued on a worker of lower priorities.
func (s *State) recallLower(w *worker, priority int) {
	s.recallQueued(w, func(q *queued) bool { return q.request.priority < priority })
}

// most is how many trials of a sweep that is ready could begin now, at most.
func (sw *sweep) most(now time.Time) (n int) {
	if sw.waiting.shared.due(now) {
		n = len(sw.waiting.shared)
	}
	switch {
	case !sw.unseen():
		return n
	case sw.policy.Continues:
		return n + 1 // the others may wait for those that run
	}
	rest := min(sw.plan.Size()-sw.Next, math.MaxInt32)
	if sw.policy.RunCap > 0 {
		rest = min(rest, sw.policy.RunCap-sw.Dispatched)
	}
	return n + int(rest)
}
