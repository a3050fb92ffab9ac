package dispatch

import (
	"fmt"
	"time"

	"swath/sweeps"
)

// Step applies one event. Assign hands out what it made ready. The error is the answer to whoever caused the event (a
// refused submit, say), not a failure of the dispatcher, and an event that is refused
// changes nothing.
func (s *State) Step(now time.Time, ev Event) error {
	if s.ticked.IsZero() {
		s.ticked = now // the first turn
	}
	switch ev.(type) {
	case Alive, Started, Checkpointed: // nothing becomes free by these, and nothing ready; but see onStarted
	default:
		s.settled = false
	}
	var err error
	switch e := ev.(type) {
	case Submit:
		err = s.onSubmit(now, e)
	case Cancel:
		err = s.onCancel(now, e)
	case Pause:
		err = s.onPause(now, e)
	case Resume:
		err = s.onResume(now, e)
	case Admit:
		err = s.onAdmit(e)
	case Rerun:
		err = s.onRerun(now, e)
	case Remove:
		err = s.onRemove(e)
	case Hello:
		err = s.onHello(now, e)
	case Offer:
		s.onOffer(e)
	case Alive:
		s.onAlive(now, e)
	case Hold:
		s.onHold(e)
	case Halt:
		s.onHalt(now, e)
	case Gone:
		s.onGone(e)
	case Drain:
		s.onDrain(e)
	case Started:
		s.onStarted(now, e)
	case Returned:
		s.onReturned(now, e)
	case Checkpointed:
		err = s.onCheckpointed(now, e)
	case Exited:
		s.onExited(now, e)
	case Found:
		s.onFound(now, e)
	case Tick:
		s.again = false
		s.onTick(now)
	}
	return err
}

func (s *State) onSubmit(now time.Time, e Submit) error {
	if s.known[e.Sweep.ID] {
		return nil
	}
	if _, taken := s.names[e.Sweep.Name]; taken {
		return fmt.Errorf("%w: a sweep named %q is there already: choose another name with --name", sweeps.ErrExists, e.Sweep.Name)
	}
	if err := s.refuseHalted(e.Sweep.Name); err != nil {
		return err
	}
	e.Sweep.State = sweeps.SweepRunning
	e.Sweep.Created = now
	sw := s.adopt(e)
	s.touch(sw)
	s.settle(now, sw)
	return nil
}

func (s *State) onRerun(now time.Time, e Rerun) error {
	id := e.Submit.Sweep.ID
	sw, err := s.find(id)
	if err != nil {
		return err
	}
	state := e.Submit.Sweep.State
	if sw != nil {
		state = sw.State
	}
	if state == sweeps.SweepCancelling {
		return fmt.Errorf("%w: sweep %q is being cancelled: wait until its last trial has stopped", sweeps.ErrConflict, e.Submit.Sweep.Name)
	}
	if sw == nil && !state.Terminal() {
		return fmt.Errorf("%w: sweep %q ended while its failed trials were looked up: try again", sweeps.ErrConflict, e.Submit.Sweep.Name)
	}
	alive := map[int64]bool{} // rerun since the rows were read
	if sw != nil {
		for i := range sw.running {
			alive[i] = true
		}
		for _, t := range sw.waiting.all() {
			alive[t.Index] = true
		}
	}
	rerun := map[int64]bool{}
	for _, t := range e.Trials {
		if alive[t.Index] || !t.State.Terminal() || !t.State.CanMove(sweeps.TrialPending) {
			continue
		}
		if sw == nil {
			sw = s.adopt(e.Submit)
			s.moveSweep(sw, sweeps.SweepRunning, "")
			sw.Ended, sw.Revived = time.Time{}, now
		}
		rerun[t.Index] = true
		s.move(sw, t, sweeps.TrialPending)
		t.Charged, t.Losses, t.NotBefore = 0, 0, time.Time{}
		sw.waiting.push(t)
	}
	if sw != nil {
		sw.forgive(rerun)
	}
	return nil
}

func (s *State) onTick(now time.Time) {
	s.excuse(now)
	s.ticked = now
	s.expire(now)
	for _, sw := range s.inOrder() {
		s.limit(now, sw)
		s.settle(now, sw)
	}
}

// handsOut reports whether trials of the sweep are handed out.
func (s *State) handsOut(sw *sweep) bool {
	return sw.State == sweeps.SweepRunning && !sw.policy.Rests && s.halt == ""
}

// advance moves the sweep's cursor to the next index that has a trial, and remembers
// that trial. It reports whether there is one. Indices that a constraint excludes are
// skipped, at most ScanLimit a step; trials that cannot be computed fail on the spot,
// and those whose result is reused finish.
func (s *State) advance(now time.Time, sw *sweep) bool {
	if !s.handsOut(sw) {
		return false
	}
	for n := 0; sw.head == nil; n++ {
		if !sw.unseen() {
			return false
		}
		if n >= s.cfg.ScanLimit {
			s.again = true
			return false
		}
		g, known := s.next(sw)
		if !known {
			return false
		}
		p, err := g.planned, g.err
		switch {
		case g.origin != nil:
			s.reuse(sw, p, g.origin)
		case err == nil && sw.goesOn(sw.Next):
			sw.Next++ // it gets its turn when the trial before it has ended
			s.touch(sw)
		case err == nil:
			sw.head = &p
		case isExcluded(err):
			sw.Next++
			sw.Excluded++
			s.touch(sw)
		case sw.goesOn(sw.Next):
			sw.Next++
			s.touch(sw)
		default:
			t := s.stillborn(now, sw, sw.Next, p, err)
			sw.Next++
			s.follow(now, sw, t)
		}
	}
	return true
}

// settle ends the sweep if nothing of it is left to do.
func (s *State) settle(now time.Time, sw *sweep) {
	if s.sweeps[sw.ID] != sw || len(sw.running) > 0 || sw.waiting.len() > 0 {
		return
	}
	if s.advance(now, sw) || sw.head != nil || sw.unseen() || sw.waiting.len() > 0 {
		return
	}
	if sw.State == sweeps.SweepCancelling {
		s.moveSweep(sw, sweeps.SweepCancelled, sw.Reason)
	} else {
		s.moveSweep(sw, sweeps.SweepFinished, "")
	}
	sw.Ended = now
	s.drop(sw)
}

// unseen reports whether there are indices that the cursor has not come to, so that
// nothing can be said about what is left.
func (sw *sweep) unseen() bool {
	return !sw.Closed && sw.Next < sw.plan.Size() && !sw.capped()
}
