package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"swath/sweeps"
)

// onHello reconciles what the worker holds with what it should hold. Afterwards both
// agree: what the worker runs and should not is forgotten, what it should run and never
// received is sent again, and what it had started and has lost goes elsewhere. What was
// taken for lost, and nobody else has begun meanwhile, is its own again. A second agent of the
// same worker is refused.
func (s *State) onHello(now time.Time, e Hello) error {
	w := s.workers[e.Worker.ID]
	replaces := w != nil && w.connected && w.session != e.Session
	switch {
	case w == nil:
		w = s.meet(e.Worker.ID, e.Worker.Name)
	case w.session > e.Session:
		return nil // another connection came after this one, and was faster
	case w.lease.After(now) && elsewhere(w.Agent, e.Worker.Agent):
		return s.refuseSecond(w, e.Worker.Agent)
	case replaces:
		s.send(Disconnect{w.ID, w.session, "another connection presented itself as this worker"})
	}
	if w.since.IsZero() || w.Agent.Place != e.Worker.Agent.Place {
		w.since = now
	}
	w.Worker, w.session, w.connected, w.draining = e.Worker, e.Session, true, false
	w.offer++
	w.lease = now.Add(s.cfg.Lease)
	s.noteLease(w)

	s.unsay(w.ID)
	held := make(map[sweeps.AttemptRef]bool, len(e.Attempts))
	w.places = nil
	for ref, shares := range e.GPUs {
		if s.Live(w.ID, ref) {
			w.occupy(ref.TrialKey, shares)
		}
	}
	for _, ref := range e.Attempts {
		held[ref] = true
		if !s.Live(w.ID, ref) && !s.regain(w, ref, e.GPUs[ref]) {
			s.send(Forget{w.ID, ref})
		}
	}
	s.requeue(w)
	s.index.note(w)
	for _, key := range sortedKeys(w.running) {
		t := w.running[key]
		sw := s.sweeps[key.Sweep]
		ref := refOf(t)
		switch {
		case held[ref] && sw.State == sweeps.SweepCancelling:
			s.send(Stop{w.ID, ref})
		case held[ref]:
			if t.Started.IsZero() && !w.isQueued(t) {
				// Its report of the start was lost on the way.
				t.Started = now
				s.dirtyTrials[key] = t
			}
		case t.Started.IsZero() && (sw.policy.Rests || replaces):
			// It never arrived, or it did where the connection before led: that may be another agent
			// of this identity, of a copied home. So the trial is handed out anew.
			s.end(now, now, sw, t, sweeps.Outcome{
				Class: sweeps.ClassPreempted, ExitCode: -1,
				Message: "it had not reached worker " + w.Name + " when that connected again",
			}, nil)
		case t.Started.IsZero() && w.isQueued(t) && len(w.queue) > w.most():
			s.end(now, now, sw, t, sweeps.Outcome{
				Class: sweeps.ClassPreempted, ExitCode: -1,
				Message: "worker " + w.Name + " came back with fewer slots, and had not received it",
			}, nil)
		case t.Started.IsZero() && sw.State != sweeps.SweepCancelling && w.settleIn(t, sw.policy.Needs):
			// The worker keeps every attempt that it received, so this one never
			// arrived: the same attempt is sent again.
			s.sendStart(t)
		case t.Started.IsZero() && sw.State != sweeps.SweepCancelling:
			s.end(now, now, sw, t, sweeps.Outcome{
				Class: sweeps.ClassPreempted, ExitCode: -1,
				Message: "worker " + w.Name + " came back without a GPU for it, and had not received it",
			}, nil)
		default:
			s.end(now, now, sw, t, sweeps.Outcome{
				Class: sweeps.ClassLost, ExitCode: -1,
				Message: "worker " + w.Name + " came back without it",
			}, nil)
		}
	}
	w.excess = max(0, len(w.queue)-w.most())
	s.holdBack(w, e.Hold)
	// What had been recalled before may not have heard of it.
	s.recallQueued(w, func(q *queued) bool { return w.aside != "" || s.sweeps[q.trial.Sweep].State == sweeps.SweepPaused })
	return nil
}

// elsewhere reports whether two agents keep the identity of their worker in different places. In
// one place the second has the lock that the first had, so that one is dead, whatever has become of
// its connection; of one elsewhere only its silence says so. An agent that does not say where it
// is, is let in.
func elsewhere(a, b sweeps.Agent) bool { return a.Place != "" && b.Place != "" && a.Place != b.Place }

// refuseSecond is the answer to an agent that presents itself as a worker that another one is.
func (s *State) refuseSecond(w *worker, second sweeps.Agent) error {
	first := w.Agent
	return fmt.Errorf("%w: worker %s (%s) is another agent already: process %d on host %s, since %s. "+
		"If the home of this one is a copy, as on machines made from one image, remove %s and start it again, which makes it a worker of its own, or give it another --home. "+
		"If the other one runs no more, this one is let in %s after that was last heard of",
		sweeps.ErrConflict, w.Name, w.ID, first.PID, first.Host, w.since.UTC().Format("2006-01-02 15:04:05 UTC"), second.File, s.cfg.Lease)
}

// unsay takes back what was to be said to a worker before it presented itself: it would come
// after that, and was meant for who had not.
func (s *State) unsay(id sweeps.WorkerID) {
	s.effects = slices.DeleteFunc(s.effects, func(e Effect) bool { return e.To() == id })
}

// What is said of trials that were lost with a worker whose lease ended.
const (
	wasSilent = "worker %s was silent for longer than its lease"
	wasAway   = "the sweep was cancelled while worker %s was not there to stop it"
)

// presumedLost reports whether only the worker's silence says that the trial was lost. One of
// which the worker itself said so it holds until it has read that it may forget it.
func presumedLost(t *sweeps.Trial) bool {
	said := func(what string) bool { return strings.Contains(t.Outcome.Message, fmt.Sprintf(what, t.WorkerName)) }
	return t.Outcome.Class == sweeps.ClassLost && (said(wasSilent) || said(wasAway))
}

// regain gives a worker an attempt again that was taken for lost with it, and that it holds, if
// the trial still waits for another one. That attempt goes on, or has ended and is still to be
// reported.
func (s *State) regain(w *worker, ref sweeps.AttemptRef, shares []sweeps.GPUShare) bool {
	sw := s.sweeps[ref.Sweep]
	if sw == nil {
		return false
	}
	t := sw.waiting.find(ref.Index)
	if t == nil || t.Attempt != ref.Attempt || t.Worker != w.ID || !presumedLost(t) {
		return false
	}
	needs := sw.policy.Needs
	if w.alone != nil || t.Alone && len(w.running) > 0 || !w.couldPlace(shares, needs) ||
		w.busy() < w.Slots && !w.Total.Sub(w.used).Fits(needs) {
		return false // what it has was given to others
	}
	sw.waiting.remove(t)
	s.move(sw, t, sweeps.TrialRunning)
	t.Outcome, t.Metrics, t.Ended, t.NotBefore = sweeps.Outcome{}, nil, time.Time{}, time.Time{}
	t.Losses = max(0, t.Losses-1)
	s.hold(sw, w, t)
	if len(shares) > 0 {
		w.occupy(t.TrialKey, shares)
	}
	return true
}

func (s *State) onAlive(now time.Time, e Alive) {
	if w := s.current(e.Worker, e.Session); w != nil {
		w.lease = now.Add(s.cfg.Lease)
		s.noteLease(w)
	}
}

func (s *State) onGone(e Gone) {
	if w := s.current(e.Worker, e.Session); w != nil {
		w.connected = false
		s.index.note(w)
		if len(w.running) == 0 && w.aside == "" {
			s.part(w)
		}
	}
}

func (s *State) onDrain(e Drain) {
	if w := s.current(e.Worker, e.Session); w != nil {
		w.draining = true
		s.index.note(w)
	}
}

// current returns the worker if the session is its latest.
func (s *State) current(id sweeps.WorkerID, session uint64) *worker {
	if w := s.workers[id]; w != nil && w.session == session {
		return w
	}
	return nil
}

// meet takes a worker into memory, and part lets it go.
func (s *State) meet(id sweeps.WorkerID, name string) *worker {
	w := &worker{
		Worker:  sweeps.Worker{ID: id, Name: name},
		running: map[sweeps.TrialKey]*sweeps.Trial{},
		of:      map[*request]int{},
	}
	s.workers[id] = w
	i, _ := slices.BinarySearchFunc(s.byID, id, compareWorker)
	s.byID = slices.Insert(s.byID, i, w)
	return w
}

func (s *State) part(w *worker) {
	delete(s.workers, w.ID)
	s.index.drop(w)
	s.absolve(w)
	if i, ok := slices.BinarySearchFunc(s.byID, w.ID, compareWorker); ok {
		s.byID = slices.Delete(s.byID, i, i+1)
	}
}

func compareWorker(w *worker, id sweeps.WorkerID) int { return compare(w.ID, id) }

// noteLease keeps the bound of the leases below that of a worker whose lease was set.
func (s *State) noteLease(w *worker) {
	if s.expiry.IsZero() || w.lease.Before(s.expiry) {
		s.expiry = w.lease
	}
}

// pulse is how often a Tick comes at least while there are leases, so that one that comes late
// shows that the coordinator itself did not run: it was stopped, or its store was stuck.
func (c Config) pulse() time.Duration { return max(c.Lease/10, time.Second) }

// excuse extends the leases by the time in which nobody could be heard, for that was the
// coordinator's doing. What was said meanwhile is still to be read.
func (s *State) excuse(now time.Time) {
	deaf := now.Sub(s.ticked)
	if deaf <= 2*s.cfg.pulse() {
		return
	}
	for _, w := range s.byID {
		end := w.lease.Add(deaf)
		if fresh := now.Add(s.cfg.Lease); end.After(fresh) {
			end = fresh
		}
		if !w.lease.IsZero() {
			w.lease = latest(w.lease, end)
		}
	}
}

// expire takes the attempts of workers whose lease has ended away from them.
func (s *State) expire(now time.Time) {
	if s.expiry.After(now) {
		return
	}
	s.expiry = time.Time{}
	for _, w := range slices.Clone(s.byID) { // those that expire go out of it
		if w.lease.IsZero() {
			continue
		}
		if w.lease.After(now) {
			s.noteLease(w)
			continue
		}
		for _, key := range sortedKeys(w.running) {
			sw := s.sweeps[key.Sweep]
			if sw.policy.Rests && w.session == 0 {
				continue // nobody waited for the worker
			}
			why := fmt.Sprintf(wasSilent, w.Name)
			if sw.State == sweeps.SweepCancelling {
				why = fmt.Sprintf(wasAway, w.Name)
			}
			s.end(now, now, sw, w.running[key], sweeps.Outcome{Class: sweeps.ClassLost, ExitCode: -1, Message: why}, nil)
		}
		if w.connected {
			s.send(Disconnect{w.ID, w.session, "the lease expired: no heartbeat arrived in time"})
		}
		if w.aside == "" && len(w.running) == 0 {
			s.part(w)
			continue
		}
		// That it is given no trials holds until a user says otherwise, also if it comes back.
		w.connected, w.lease = false, time.Time{}
		s.index.note(w)
	}
}

func sortedKeys(m map[sweeps.TrialKey]*sweeps.Trial) []sweeps.TrialKey {
	return slices.SortedFunc(maps.Keys(m), compareKeys)
}
