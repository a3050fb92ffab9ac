package dispatch

import (
	"fmt"
	"strings"
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
	sw.Closed, sw.head, sw.ahead = true, nil, ahead{}
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
	if sw.policy.TimeLimit <= 0 || sw.policy.Rests || sw.State == sweeps.SweepCancelling {
		return time.Time{}
	}
	began := sw.Created
	if sw.Revived.After(began) {
		began = sw.Revived
	}
	return began.Add(sw.policy.TimeLimit)
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
	s.recallSweep(sw)
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
	on       map[sweeps.WorkerID]bool
}

// noteEnd follows the ends of a sweep's trials, and pauses the sweep if they all failed
// alike, wherever they ran.
func (s *State) noteEnd(now time.Time, sw *sweep, w *worker, t *sweeps.Trial) {
	a := &sw.alike
	if s.cfg.Alike == 0 || a.broken {
		return
	}
	if t.State != sweeps.TrialPending {
		message := string(t.Outcome.Class) + ": " + t.Outcome.Message
		if t.State != sweeps.TrialFailed || sw.ran() > 0 || (a.failures > 0 && a.message != message) {
			*a = alike{broken: true}
			return
		}
		if a.on == nil {
			a.on = map[sweeps.WorkerID]bool{}
		}
		a.failures++
		a.message = message
		a.on[w.ID] = true
	}
	if a.failures < s.cfg.Alike || sw.State != sweeps.SweepRunning {
		return
	}
	for _, other := range sw.running {
		if !a.on[other.Worker] {
			return // it may be the workers' fault: one has still to show that it does no better
		}
	}
	_, what, _ := strings.Cut(a.message, ": ")
	s.pause(now, sw, fmt.Sprintf("its first %d trials all failed alike: %s", a.failures, what))
}

// doubts reports whether the worker is given none of the sweep for now: all that it ran
// failed alike, and elsewhere a trial still runs that will show whose fault that is. A broken
// worker would fail the whole sweep meanwhile.
func (s *State) doubts(sw *sweep, w *worker) bool {
	return s.cfg.Alike > 0 && sw.alike.failures >= s.cfg.Alike && sw.alike.on[w.ID]
}
