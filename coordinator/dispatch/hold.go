package dispatch

import (
	"fmt"
	"time"

	"swath/sweeps"
)

// onHalt stops and begins again to hand out trials, on all workers. What runs goes on, and
// what it reports is recorded: the reserve is for that.
func (s *State) onHalt(now time.Time, e Halt) {
	s.halt = e.Reason
	if e.Reason != "" {
		return
	}
	for _, sw := range s.inOrder() {
		s.settle(now, sw)
	}
}

// Halted says why no trials are handed out; empty if they are.
func (s *State) Halted() string { return s.halt }

// Idle reports whether no worker holds a trial.
func (s *State) Idle() bool {
	for _, w := range s.workers {
		if len(w.running) > 0 {
			return false
		}
	}
	return true
}

func (s *State) onHold(e Hold) {
	if w := s.current(e.Worker, e.Session); w != nil {
		s.holdBack(w, e.Reason)
	}
}

// holdBack gives a worker no more trials for a reason of its own, or gives it some again if
// there is none, and asks for those back that it has not started.
func (s *State) holdBack(w *worker, reason string) {
	w.held = reason
	s.index.note(w)
	if reason == "" {
		return
	}
	for _, key := range sortedKeys(w.running) {
		if t := w.running[key]; t.Started.IsZero() && !w.isQueued(t) {
			s.send(Recall{w.ID, refOf(t)}) // it has a slot, but may wait for room before it starts
		}
	}
	s.recallQueued(w, anyTrial)
}

// refuseHalted is the answer to who wants something new while nothing may begin.
func (s *State) refuseHalted(name string) error {
	if s.halt == "" {
		return nil
	}
	return fmt.Errorf("%w: sweep %q is not taken: %s: free some space on that disk, or lower the reserve with --disk-reserve", sweeps.ErrStorage, name, s.halt)
}
