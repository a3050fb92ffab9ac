package dispatch

import (
	"time"

	"swath/sweeps"
)

// A trial that asks for much fits nowhere as long as small trials come and go everywhere:
// what one of them leaves is given to the next. Where the sweep that asks for much has the
// higher priority, a worker is kept for it: nothing of a lower one is begun there, until it
// is empty enough. Between sweeps of equal priority, to keep a machine idle is not what
// anybody asked for, and the small ones fill it.

// keep decides which workers are kept for sweeps of one priority: for each that is ready and
// fits nowhere, of those that could run its trials the one with the fewest. What waits there
// for a slot, of lower sweeps, is recalled.
func (s *State) keep(now time.Time, level []*sweep) {
	for _, sw := range level {
		if !s.ready(now, sw) || !sw.startsBeside(now) || s.fits(now, sw) {
			continue
		}
		if w := sw.request.suited.first(func(w *worker) bool { return s.kept[w] == nil && !s.doubts(sw, w) && s.offersBeside(now, sw, w) }); w != nil {
			s.kept[w] = sw
			s.recallQueued(w, func(t *sweeps.Trial) bool { return s.keptFrom(w, s.sweeps[t.Sweep]) })
		}
	}
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
