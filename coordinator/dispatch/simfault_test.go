package dispatch

import (
	"maps"
	"slices"
	"time"

	"swath/sweeps"
)

// fault lets something go wrong, or a user do something, now and then.
func (s *sim) fault() {
	w := s.workers[s.rng.IntN(len(s.workers))]
	switch s.rng.IntN(64) {
	case 0:
		s.die(w)
	case 1: // silence
		s.logf("%s stalls", w.ID)
		w.stalled = s.now.Add(time.Duration(s.rng.IntN(30_000)) * time.Millisecond)
	case 2: // the connection breaks and the coordinator notices
		if w.connected {
			s.post(w, Gone{w.ID, w.session})
			w.connected = false
		}
	case 3: // the connection breaks and the coordinator does not notice
		w.connected = false
	case 4:
		s.restart()
	case 5:
		s.lie(w)
	case 6: // the agent ends in order; what it could not give back yet it reports later
		s.post(w, Drain{w.ID, w.session})
		s.post(w, Gone{w.ID, w.session})
		w.connected = false
	case 7:
		if s.rng.IntN(4) == 0 {
			s.command(func(id sweeps.SweepID) Event { return Cancel{id} })
		}
	case 8, 9:
		s.command(func(id sweeps.SweepID) Event {
			return []Event{Pause{id}, Resume{id}, Resume{id}, Admit{w.ID, false}, Admit{w.ID, true}}[s.rng.IntN(5)]
		})
	case 10: // a user reruns what failed or was cancelled
		if ids := slices.Sorted(maps.Keys(s.disk.sweeps)); len(ids) > 0 {
			s.rerun(ids[s.rng.IntN(len(ids))])
		}
	case 11:
		s.replaceAgent(w)
	case 12, 13: // somebody begins to use devices, or ceases
		s.offer(w, func() bool { return s.rng.IntN(2) == 0 })
	case 14: // the worker's disk fills up, or is emptied
		w.hold = []string{"", "its disk is full"}[s.rng.IntN(2)]
		s.post(w, Hold{w.ID, w.session, w.hold})
	case 15: // and so does the coordinator's
		s.halt = []string{"", "", "the disk is full"}[s.rng.IntN(3)]
		s.turn(Halt{s.halt})
	case 16: // a sweep is removed, while another user looks at what to rerun of it
		if ids := slices.Sorted(maps.Keys(s.disk.sweeps)); len(ids) > 0 {
			id := ids[s.rng.IntN(len(ids))]
			rerun := s.rerunOf(id)
			if _, ok := s.turn(Remove{id}); ok && s.rng.IntN(2) == 0 {
				s.turn(rerun)
			}
		}
	}
}

// die is the end of a machine.
func (s *sim) die(w *simWorker) {
	w.connected = false
	w.stalled = s.now.Add(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
	switch s.rng.IntN(4) {
	case 0: // for good; another takes its place
		if len(s.workers) < 9 {
			s.logf("%s is lost", w.ID)
			w.gone = true
			s.addWorker()
			last := s.workers[len(s.workers)-1]
			last.Total, last.GPUs, last.Labels = sweeps.Resources{CPUs: 6}, s.gpus(2, 80), map[string]string{"zone": "lab"}
		}
	case 1: // it comes back without a trace of what ran; what had ended is on its disk
		s.logf("%s dies, and what was not yet on its disk is lost", w.ID)
		maps.DeleteFunc(w.held, func(ref sweeps.AttemptRef, a *simAttempt) bool {
			if !a.ended {
				s.witness.wiped[ref] = true
			}
			return !a.ended
		})
	default: // it comes back and knows what had begun
		s.logf("%s dies", w.ID)
		maps.DeleteFunc(w.held, func(_ sweeps.AttemptRef, a *simAttempt) bool { return !a.ended && a.ends.IsZero() })
		for _, a := range w.held {
			if !a.ended {
				a.ended, a.outcome = true, sweeps.Outcome{Class: sweeps.ClassLost, ExitCode: -1, Message: "the trainer was gone"}
			}
		}
	}
}

// replaceAgent is the end of an agent, killed or upgraded. What had begun goes on, and may
// end, while there is none; the new agent adopts it, and may have other slots. What waited
// for a slot is lost.
func (s *sim) replaceAgent(w *simWorker) {
	s.logf("the agent of %s is replaced", w.ID)
	w.connected = false
	w.stalled = s.now.Add(time.Duration(s.rng.IntN(15_000)) * time.Millisecond)
	maps.DeleteFunc(w.held, func(_ sweeps.AttemptRef, a *simAttempt) bool { return !a.ended && a.ends.IsZero() })
	if s.rng.IntN(2) == 0 {
		w.Slots, w.Prefetch, w.Burst, w.resized = 1+s.rng.IntN(4), s.rng.IntN(4), s.rng.IntN(9), true
	}
}

// lie is a worker reporting, late, an attempt that it does not hold.
func (s *sim) lie(w *simWorker) {
	keys := slices.SortedFunc(maps.Keys(s.disk.trials), compareKeys)
	if len(keys) == 0 {
		return
	}
	t := s.disk.trials[keys[s.rng.IntN(len(keys))]]
	if t.Attempt == 0 {
		return // it could not be computed and never ran
	}
	ref := sweeps.AttemptRef{TrialKey: t.TrialKey, Attempt: 1 + s.rng.IntN(t.Attempt)}
	if t.Attempt == ref.Attempt && t.Worker == w.ID {
		return // that would be no lie
	}
	lie := Exited{Worker: w.ID, Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}, Ran: s.age(), Ago: s.age()}
	s.post(w, []Event{lie, lie, Started{w.ID, ref, s.age()}, Returned{w.ID, ref}}[s.rng.IntN(4)])
}

// command is a user's word on a sweep, which comes at once or is on its way for a while.
func (s *sim) command(event func(sweeps.SweepID) Event) {
	ids := slices.Sorted(maps.Keys(s.disk.sweeps))
	if len(ids) == 0 {
		return
	}
	if ev := event(ids[s.rng.IntN(len(ids))]); s.rng.IntN(2) == 0 {
		s.turn(ev)
	} else {
		s.post(nil, ev)
	}
}

// rerun makes the failed and cancelled trials of a sweep pending again, as the disk has
// them.
func (s *sim) rerun(id sweeps.SweepID) { s.turn(s.rerunOf(id)) }

// rerunOf is the event of a user who reruns what failed or was cancelled.
func (s *sim) rerunOf(id sweeps.SweepID) Rerun {
	rec := *s.disk.sweeps[id]
	e := Rerun{Submit: s.subs[id]}
	e.Submit.Sweep = &rec
	for _, t := range s.disk.rows(id) {
		if t.State == sweeps.TrialFailed || t.State == sweeps.TrialCancelled {
			clone := *t
			e.Trials = append(e.Trials, &clone)
		}
	}
	return e
}

// relent takes back what a user, or the dispatcher for one, holds up: the cluster is to
// come to an end.
func (s *sim) relent() {
	if slices.Contains(slices.Collect(maps.Values(s.rests)), true) {
		s.restart()
	}
	for _, id := range slices.Sorted(maps.Keys(s.disk.sweeps)) {
		if s.disk.sweeps[id].State == sweeps.SweepPaused {
			s.turn(Resume{id})
		}
	}
	if s.halt != "" {
		s.halt = ""
		s.turn(Halt{})
	}
	for _, w := range s.workers {
		if slices.ContainsFunc(w.GPUs, func(g sweeps.GPU) bool { return g.Busy != "" }) {
			s.offer(w, func() bool { return false })
		}
		if known := s.state.workers[w.ID]; w.hold != "" || known != nil && known.held != "" && !w.gone {
			w.hold = ""
			w.connected = false // words may have overtaken each other; a new connection tells
		}
		if known := s.state.workers[w.ID]; known != nil && known.aside != "" {
			s.turn(Admit{w.ID, true})
		}
	}
}
