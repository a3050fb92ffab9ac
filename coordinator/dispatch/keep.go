package dispatch

import (
	"cmp"
	"slices"
	"time"

	"swath/sweeps"
)

// A trial that asks for much fits nowhere as long as small trials come and go everywhere:
// what one of them leaves is given to the next. Where the sweep that asks for much has the
// higher priority, a worker is kept for it: nothing of a lower one is begun there, until it
// is empty enough. Between sweeps of equal priority, to keep a machine idle is not what
// anybody asked for, and the small ones fill it.

// keep decides which workers are kept, and for which sweep: for each that is ready and fits
// nowhere, of those that could run its trials the one with the fewest. What waits there for a
// slot, of lower sweeps, is recalled.
func (s *State) keep(now time.Time, ready []*sweep) {
	clear(s.kept)
	if len(ready) < 2 {
		return
	}
	byPriority := slices.Clone(ready)
	slices.SortStableFunc(byPriority, func(a, b *sweep) int { return cmp.Compare(b.policy.Priority, a.policy.Priority) })
	lowest := byPriority[len(byPriority)-1].policy.Priority
	for _, sw := range byPriority {
		if sw.policy.Priority == lowest {
			return
		}
		if !s.ready(now, sw) || !sw.startsBeside(now) || s.fits(sw) {
			continue
		}
		if w := s.emptiest(sw); w != nil {
			if s.kept == nil {
				s.kept = map[*worker]*sweep{}
			}
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
func (s *State) fits(sw *sweep) bool {
	return slices.ContainsFunc(s.index.vacant.list, func(w *worker) bool { return w.hasRoom(sw) && !s.keptFrom(w, sw) && !s.doubts(sw, w) }) ||
		slices.ContainsFunc(s.index.short.list, func(w *worker) bool { return w.mayQueue(sw) && !s.keptFrom(w, sw) && !s.doubts(sw, w) })
}

// emptiest returns the worker that is not kept and runs the fewest trials, of those that could run the
// sweep's once they are idle; nil if there is none.
func (s *State) emptiest(sw *sweep) *worker {
	var best *worker
	for _, w := range s.byID {
		if w.open() && w.Slots > 0 && s.kept[w] == nil && (best == nil || len(w.running) < len(best.running)) && w.suits(sw) && w.unused(sw) && !s.doubts(sw, w) {
			best = w
		}
	}
	return best
}
