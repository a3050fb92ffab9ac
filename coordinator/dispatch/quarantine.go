package dispatch

import (
	"fmt"
	"slices"
	"time"

	"swath/sweeps"
)

// noteWorker follows how attempts end on a worker. One on which trial after trial fails,
// while the same sweep's trials finish elsewhere, is broken (a full disk, a dead GPU, a
// driver of the wrong version): it is set aside, and what it spoilt is taken back.
func (s *State) noteWorker(now time.Time, sw *sweep, w *worker, t *sweeps.Trial, charged bool) {
	if s.cfg.Quarantine == 0 || sw.State == sweeps.SweepCancelling {
		return
	}
	rec := &sw.record
	if t.Outcome.OK() {
		rec.pass(w, t)
		for _, other := range slices.Clone(rec.suspects) {
			s.judge(now, sw, other)
		}
		return
	}
	is, unsure := w.faulty(now, t, charged)
	if !is {
		return
	}
	if w.blamed {
		s.takeBack(now, sw, w, t) // it was on the worker when that was set aside
		return
	}
	st := rec.streaks[w]
	switch {
	case st == nil:
		st = &streak{begun: now, passed: rec.passed}
		if rec.streaks == nil {
			rec.streaks = map[*worker]*streak{}
		}
		rec.streaks[w] = st
	case slices.Contains(st.trials, t):
		return // the same trial again says nothing of the worker
	case len(st.trials) == maxSpoilt:
		st.trials = slices.Delete(st.trials, 0, 1)
	}
	st.length++
	st.unsure = st.unsure || unsure
	st.trials, st.last = append(st.trials, t), t.Outcome.Describe()
	if st.length >= int64(s.cfg.Quarantine) && !st.suspect {
		st.suspect = true
		rec.suspects = append(rec.suspects, w)
	}
	s.judge(now, sw, w)
}

// judge sets the worker aside if it is to blame for its failures.
func (s *State) judge(now time.Time, sw *sweep, w *worker) {
	st := sw.streaks[w]
	if !sw.blames(st, int64(s.cfg.Quarantine)) {
		return
	}
	w.blamed = true
	s.setAside(w, fmt.Sprintf("%d trials in a row failed on it while others finished elsewhere, last: %s", st.length, st.last))
	s.index.note(w)
	for _, other := range s.order {
		if st := other.streaks[w]; st != nil {
			for _, t := range st.trials {
				s.takeBack(now, other, w, t)
			}
		}
	}
	s.absolve(w)
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
	t.Losses = 0
	t.NotBefore = time.Time{}
	s.dirtyTrials[t.TrialKey] = t
	sw.waiting.push(t)
}

// absolve forgets all streaks of a worker.
func (s *State) absolve(w *worker) {
	for _, sw := range s.order {
		sw.clear(w)
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
	s.absolve(w)
	w.aside, w.blamed = "", false
	s.dirtyAside[w.ID] = w
	switch {
	case !e.Admit:
		s.setAside(w, "drained by a user")
	case w.lease.IsZero() && len(w.running) == 0:
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
