package dispatch

import (
	"fmt"
	"slices"
	"time"

	"swath/sweeps"
)

// streak is a worker's failures in a row, of different trials of one sweep.
type streak struct {
	sweep  sweeps.SweepID
	others int64 // trials of the sweep that had finished in it when the streak began
	trials []*sweeps.Trial
}

// noteWorker follows how attempts end on a worker. One on which trial after trial fails,
// while the same sweep's trials finish elsewhere, is broken (a full disk, a dead GPU, a
// driver of the wrong version): it is set aside, and what it spoilt is taken back.
func (s *State) noteWorker(now time.Time, sw *sweep, w *worker, t *sweeps.Trial) {
	switch t.Outcome.Class {
	case sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassSpec:
	case sweeps.ClassOK:
		w.streak = streak{}
		return
	default:
		return
	}
	if w.blamed {
		s.takeBack(now, sw, w, t) // it was on the worker when that was set aside
		return
	}
	if w.streak.sweep != sw.ID {
		w.streak = streak{sweep: sw.ID, others: sw.ran()}
	}
	for _, other := range w.streak.trials {
		if other == t {
			return // the same trial again says nothing of the worker
		}
	}
	w.streak.trials = append(w.streak.trials, t)
	n := s.cfg.Quarantine
	if n == 0 || len(w.streak.trials) < n || sw.ran() == w.streak.others {
		return
	}
	w.blamed = true
	s.setAside(w, fmt.Sprintf("%d trials in a row failed on it while others finished elsewhere, last: %s", n, t.Outcome.Message))
	s.index.note(w)
	for _, t := range w.streak.trials {
		s.takeBack(now, sw, w, t)
	}
	w.streak = streak{}
}

// takeBack undoes the charge of a failure that was the worker's fault, and gives the trial
// another attempt if the failure was its last.
func (s *State) takeBack(now time.Time, sw *sweep, w *worker, t *sweeps.Trial) {
	if t.Worker != w.ID || t.Ended.IsZero() || s.sweeps[sw.ID] != sw || sw.State == sweeps.SweepCancelling {
		return // it runs elsewhere by now, or nobody waits for it
	}
	switch t.State {
	case sweeps.TrialPending:
		sw.waiting.remove(t)
	case sweeps.TrialFailed:
		s.move(sw, t, sweeps.TrialPending)
	default:
		return
	}
	if t.Outcome.Class.Charged() && t.Charged > 0 {
		t.Charged--
	}
	t.NotBefore = time.Time{}
	s.dirtyTrials[t.TrialKey] = t
	sw.waiting.push(t)
}

// forgive takes trials out of all streaks: they are rerun, and what is remembered of them is
// of the past.
func (s *State) forgive(rerun map[sweeps.TrialKey]bool) {
	for _, w := range s.workers {
		w.streak.trials = slices.DeleteFunc(w.streak.trials, func(t *sweeps.Trial) bool { return rerun[t.TrialKey] })
	}
}

// setAside gives a worker no more trials. It finishes what it runs; what waits there for a
// slot is recalled.
func (s *State) setAside(w *worker, why string) {
	w.aside = why
	s.dirtyAside[w.ID] = w
	s.recallQueued(w, anyTrial)
}

func (s *State) onAdmit(e Admit) error {
	w := s.workers[e.Worker]
	if w == nil {
		return fmt.Errorf("%w: no worker %q", sweeps.ErrNotFound, e.Worker)
	}
	w.streak = streak{}
	w.aside, w.blamed = "", false
	s.dirtyAside[w.ID] = w
	switch {
	case !e.Admit:
		s.setAside(w, "drained by a user")
	case w.lease.IsZero():
		s.part(w) // it was known for its being set aside only
	}
	s.index.note(w)
	return nil
}

// SetAside takes in workers that an earlier coordinator had set aside, before anything else
// happens.
func (s *State) SetAside(list []Aside) {
	for _, a := range list {
		w := s.meet(a.Worker, a.Name)
		w.aside, w.blamed = a.Why, a.Blamed
	}
}
