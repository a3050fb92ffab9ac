package dispatch

import (
	"maps"
	"slices"

	"swath/sweeps"
)

// tally is how a sweep's trials ended on one worker, as far as the dispatcher took note.
type tally struct {
	failed map[int64]bool // since one finished there
	passed int            // trials that finished elsewhere, since the first of these failed
}

type onWorker struct {
	sweep  sweeps.SweepID
	worker sweeps.WorkerID
}

// witnessEnd takes note of an end that a worker reports, and that is the live attempt's.
func (s *sim) witnessEnd(ev Event) {
	e, is := ev.(Exited)
	if !is || !s.state.Live(e.Worker, e.Ref) {
		return
	}
	at := onWorker{e.Ref.Sweep, e.Worker}
	if e.Outcome.OK() {
		delete(s.witness.tallies, at)
		for other, n := range s.witness.tallies {
			if other.sweep == at.sweep {
				n.passed++
			}
		}
		return
	}
	n := s.witness.tallies[at]
	if n == nil {
		n = &tally{failed: map[int64]bool{}}
		s.witness.tallies[at] = n
	}
	n.failed[e.Ref.Index] = true
}

// checkBlame checks that only a worker is blamed on which as many trials of one sweep failed in a
// row as it takes, while others of it finished elsewhere.
func (s *sim) checkBlame(ev Event) {
	for _, id := range slices.Sorted(maps.Keys(s.state.workers)) {
		w := s.state.workers[id]
		if !w.blamed || s.witness.blamed[id] {
			continue
		}
		s.witness.blamed[id] = true
		guilty := false
		for at, n := range s.witness.tallies {
			guilty = guilty || at.worker == id && n.passed > 0 && len(n.failed) >= s.cfg.Quarantine
		}
		if _, found := s.disk.aside[id]; !guilty && !found || s.cfg.Quarantine == 0 {
			s.failf("%T: worker %s is set aside for its failures: %s", ev, id, w.aside)
		}
	}
	maps.DeleteFunc(s.witness.blamed, func(id sweeps.WorkerID, _ bool) bool {
		w := s.state.workers[id]
		return w == nil || !w.blamed
	})
}
