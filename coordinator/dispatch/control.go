package dispatch

import (
	"fmt"
	"time"

	"swath/sweeps"
)

func (s *State) onCancel(now time.Time, e Cancel) error {
	sw, err := s.find(e.Sweep)
	if sw != nil {
		s.cancel(now, sw, "")
	}
	return err
}

// cancel hands out no more trials of the sweep and stops the running ones; what waits
// ends at once.
func (s *State) cancel(now time.Time, sw *sweep, reason string) {
	if sw.State == sweeps.SweepCancelling {
		return
	}
	for _, t := range sw.waiting.all() {
		s.move(sw, t, sweeps.TrialCancelled)
		t.Ended = now
	}
	sw.waiting = waiting{}
	s.moveSweep(sw, sweeps.SweepCancelling, reason)
	sw.Closed, sw.head = true, nil
	for _, i := range sortedIndices(sw.running) {
		t := sw.running[i]
		s.send(Stop{t.Worker, refOf(t)})
	}
	s.settle(now, sw)
}

// limit cancels the sweep if its time is up.
func (s *State) limit(now time.Time, sw *sweep) {
	if end := sw.deadline(); !end.IsZero() && !end.After(now) {
		s.cancel(now, sw, fmt.Sprintf("its time limit of %s was up", sw.policy.TimeLimit))
	}
}

// deadline is when the sweep's time is up; zero for never.
func (sw *sweep) deadline() time.Time {
	if sw.policy.TimeLimit <= 0 || sw.Closed {
		return time.Time{}
	}
	return sw.Created.Add(sw.policy.TimeLimit)
}

func (s *State) onPause(now time.Time, e Pause) error {
	sw, err := s.find(e.Sweep)
	if sw != nil && sw.State == sweeps.SweepRunning {
		s.pause(now, sw, "by a user")
	}
	return err
}

func (s *State) pause(now time.Time, sw *sweep, reason string) {
	s.moveSweep(sw, sweeps.SweepPaused, reason)
	s.recallAll(sw)
	s.settle(now, sw)
}

func (s *State) onResume(now time.Time, e Resume) error {
	sw, err := s.find(e.Sweep)
	if sw != nil && sw.State == sweeps.SweepPaused {
		s.moveSweep(sw, sweeps.SweepRunning, "")
		sw.alike = alike{}
		s.settle(now, sw)
	}
	return err
}

// find returns the sweep if it has not ended; nil without an error if it has.
func (s *State) find(id sweeps.SweepID) (*sweep, error) {
	sw := s.sweeps[id]
	if sw == nil && !s.known[id] {
		return nil, fmt.Errorf("%w: no sweep %q", sweeps.ErrNotFound, id)
	}
	return sw, nil
}

// alike follows whether all trials of a sweep that ended so far failed alike: a wrong
// path, a missing package. Going on would only waste the rest.
type alike struct {
	failures int
	message  string
	broken   bool // a trial did not fail, or failed otherwise
}

// noteEnd follows the ends of a sweep's trials, and pauses the sweep if they all failed
// alike.
func (s *State) noteEnd(now time.Time, sw *sweep, t *sweeps.Trial) {
	if s.cfg.Alike == 0 || sw.alike.broken || t.State == sweeps.TrialPending {
		return
	}
	a := &sw.alike
	message := string(t.Outcome.Class) + ": " + t.Outcome.Message
	if t.State != sweeps.TrialFailed || sw.Counts.Finished > 0 || (a.failures > 0 && a.message != message) {
		a.broken = true
		return
	}
	a.failures++
	a.message = message
	if a.failures >= s.cfg.Alike && sw.State == sweeps.SweepRunning {
		s.pause(now, sw, fmt.Sprintf("its first %d trials all failed alike: %s", a.failures, t.Outcome.Message))
	}
}
