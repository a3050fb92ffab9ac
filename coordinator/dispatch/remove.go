package dispatch

import (
	"fmt"
	"maps"

	"swath/sweeps"
)

// onRemove lets a sweep go. Whether others took over its results the store knows; here it is
// refused only while that is not written yet. Who was about to take one over runs the trial.
func (s *State) onRemove(e Remove) error {
	sw, err := s.find(e.Sweep)
	if err != nil {
		return err
	}
	if sw != nil {
		return fmt.Errorf("%w: sweep %q has not ended, it is %s: cancel it first", sweeps.ErrConflict, sw.Name, sw.State)
	}
	for _, t := range s.dirtyTrials {
		if t.ReusedFrom.Sweep == e.Sweep {
			return fmt.Errorf("%w: a result of sweep %q is being taken over by another: try again", sweeps.ErrConflict, t.ReusedFrom.SweepName)
		}
	}
	for _, other := range s.order {
		for i, g := range other.ahead.trials {
			if g.origin != nil && g.origin.ReusedFrom.Sweep == e.Sweep {
				other.ahead.trials[i].origin = nil
			}
		}
	}
	maps.DeleteFunc(s.names, func(_ string, id sweeps.SweepID) bool { return id == e.Sweep })
	delete(s.known, e.Sweep)
	s.removed = append(s.removed, e.Sweep)
	return nil
}
