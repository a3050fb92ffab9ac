package dispatch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"swath/sweeps"
)

func (s *State) onStarted(now time.Time, e Started) {
	sw, t := s.live(e.Worker, e.Ref)
	if t == nil {
		s.send(Forget{e.Worker, e.Ref})
		return
	}
	if t.Started.IsZero() {
		t.Started = past(now, e.Ago, t.Assigned)
		if len(s.kept) > 0 {
			s.settled = false // it may have been recalled for a slot that is kept for it
		}
		s.touch(sw)
		s.dirtyTrials[t.TrialKey] = t
	}
}

func (s *State) onExited(now time.Time, e Exited) {
	sw, t := s.live(e.Worker, e.Ref)
	if t != nil {
		ended := past(now, e.Ago, latest(t.Assigned, t.Started))
		if t.Started.IsZero() && e.Ran > 0 {
			t.Started = past(ended, e.Ran, t.Assigned)
		}
		s.end(now, ended, sw, t, e.Outcome, e.Metrics)
	}
	// A repeated or fenced report is acknowledged like the first one, so that the
	// worker stops telling.
	s.send(Forget{e.Worker, e.Ref})
}

// past is the time so long ago, as a worker tells it, but none that came before something
// else.
func past(now time.Time, ago time.Duration, notBefore time.Time) time.Time {
	return latest(now.Add(-max(0, ago)), notBefore)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// end records that a trial's live attempt ended then, and decides what becomes of the trial.
func (s *State) end(now, ended time.Time, sw *sweep, t *sweeps.Trial, out sweeps.Outcome, metrics map[string]sweeps.Summary) {
	w := s.workers[t.Worker]
	if out.OK() {
		w.tempo.note(now, s.cfg.Backlog)
	}
	crowded := out.Class == sweeps.ClassOOM && !t.Alone && w.Slots > 1
	s.release(sw, t)
	t.Outcome, t.Ended, t.Metrics = out, ended, metrics
	charged := !out.OK() && out.Class.Charged() && !crowded && sw.policy.Unread == ""
	if out.Class == sweeps.ClassPreempted && t.Started.IsZero() {
		t.Returned++
	}
	if out.Class == sweeps.ClassLost {
		t.Losses++
	} else {
		t.Losses = 0
	}
	if charged {
		t.Charged++
	}
	// Memory that ran out beside other trials may suffice without them: one attempt
	// alone is on the house.
	t.Alone = t.Alone || crowded
	to := s.verdict(sw, t, charged)
	s.move(sw, t, to)
	if to == sweeps.TrialPending {
		t.NotBefore = time.Time{}
		switch {
		case charged:
			t.NotBefore = now.Add(s.cfg.backoff(t.Charged))
		case t.Losses > 1:
			// A worker that cannot start anything loses trial after trial in no time.
			t.NotBefore = now.Add(s.cfg.backoff(t.Losses - 1))
		}
		sw.waiting.push(t)
	}
	s.noteWorker(now, sw, w, t, charged)
	s.follow(now, sw, t) // unless the worker took the blame
	s.retain(sw, t)
	s.noteEnd(now, sw, w, t)
	s.settle(now, sw)
}

// verdict is the state that a trial moves to after the attempt that just ended.
func (s *State) verdict(sw *sweep, t *sweeps.Trial, charged bool) sweeps.TrialState {
	c := t.Outcome.Class
	switch {
	case c == sweeps.ClassOK:
		return sweeps.TrialFinished
	case sw.State == sweeps.SweepCancelling, c == sweeps.ClassCancelled:
		return sweeps.TrialCancelled
	case !c.Retryable():
		return sweeps.TrialFailed
	case t.Losses >= s.cfg.MaxLosses:
		t.Outcome.Message = fmt.Sprintf("lost with its worker %d times in a row, last with %s: %s", t.Losses, t.WorkerName, t.Outcome.Describe())
		return sweeps.TrialFailed
	case charged && t.Charged > sw.policy.Retries:
		return sweeps.TrialFailed
	default:
		return sweeps.TrialPending
	}
}

// begin hands a trial to a worker: a new attempt.
func (s *State) begin(now time.Time, sw *sweep, w *worker, t *sweeps.Trial) {
	s.begun++
	sw.served = s.begun
	s.move(sw, t, sweeps.TrialRunning) // first, for it is counted by its attempts up to here
	t.Attempt++
	t.Worker, t.WorkerName = w.ID, w.Name
	t.Assigned, t.Started, t.Ended = now, time.Time{}, time.Time{}
	if !w.settleIn(t, sw.policy.Needs) {
		s.illegal = append(s.illegal, fmt.Errorf("I11: trial %s is given to worker %s, which has no GPU for it", t.TrialKey, w.ID))
	}
	s.hold(sw, w, t)
	s.handed++
	s.sendStart(t)
}

func (s *State) sendStart(t *sweeps.Trial) {
	start := Start{
		Worker: t.Worker,
		Ref:    refOf(t),
		ID:     t.ID, Params: t.Params,
		GPUs: s.workers[t.Worker].places[t.TrialKey],
	}
	if len(t.Checkpoints) > 0 {
		start.From = t.Checkpoints[0]
	}
	s.send(start)
}

// refOf names a trial's latest attempt.
func refOf(t *sweeps.Trial) sweeps.AttemptRef {
	return sweeps.AttemptRef{TrialKey: t.TrialKey, Attempt: t.Attempt}
}

func isExcluded(err error) bool { return errors.Is(err, sweeps.ErrExcluded) }

func sortedIndices(m map[int64]*sweeps.Trial) []int64 { return slices.Sorted(maps.Keys(m)) }
