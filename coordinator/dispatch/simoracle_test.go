package dispatch

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"swath/sweeps"
)

// disk is what was committed.
type disk struct {
	sweeps   map[sweeps.SweepID]*sweeps.Sweep
	trials   map[sweeps.TrialKey]*sweeps.Trial
	alive    map[sweeps.SweepID]int // trials that are pending or running
	finished map[sweeps.TrialKey]int
	told     map[sweeps.TrialKey]time.Time // when a finished trial was written
	removed  map[sweeps.SweepID]bool
	gone     []*sweeps.Trial // of sweeps that were removed
	aside    map[sweeps.WorkerID]Aside
}

func newDisk() disk {
	return disk{
		sweeps:   map[sweeps.SweepID]*sweeps.Sweep{},
		trials:   map[sweeps.TrialKey]*sweeps.Trial{},
		alive:    map[sweeps.SweepID]int{},
		finished: map[sweeps.TrialKey]int{},
		told:     map[sweeps.TrialKey]time.Time{},
		removed:  map[sweeps.SweepID]bool{},
		aside:    map[sweeps.WorkerID]Aside{},
	}
}

// rows are the trials of a sweep, by index.
func (d *disk) rows(id sweeps.SweepID) []*sweeps.Trial {
	var list []*sweeps.Trial
	for key, t := range d.trials {
		if key.Sweep == id {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *sweeps.Trial) int { return compareKeys(a.TrialKey, b.TrialKey) })
	return list
}

// witness remembers what the dispatcher was told and what it said, so as not to have to
// believe it.
type witness struct {
	began map[sweeps.AttemptRef]sweeps.WorkerID // every attempt whose process was ever started
	wiped map[sweeps.AttemptRef]bool            // of those, the ones that nobody may know of any more
	ends  map[reported]bool                     // every end that a worker reported
	aside map[sweeps.WorkerID]bool              // drained by a user, or found aside on the disk
	// heard is when a worker was heard last, and stalled for how long the coordinator stood still
	// in all, stalls times.
	heard   map[sweeps.WorkerID]hearing
	stalled time.Duration
	stalls  int
	// tallies are how trials ended, and blamed the workers that were set aside for it.
	tallies map[onWorker]*tally
	blamed  map[sweeps.WorkerID]bool
	// Since the coordinator began:
	up       map[sweeps.WorkerID]uint64 // connected, in this session
	draining map[sweeps.WorkerID]bool   // shutting down, by their own word
	held     map[sweeps.WorkerID]bool   // taking no trials for now, by their own word
	stopped  map[sweeps.AttemptRef]uint64
}

// hearing is when a worker was heard.
type hearing struct {
	at      time.Time
	stalled time.Duration // as the witness's, then
	stalls  int
}

type reported struct {
	sweeps.AttemptRef
	worker sweeps.WorkerID
	class  sweeps.Class
}

func newWitness() witness {
	w := witness{began: map[sweeps.AttemptRef]sweeps.WorkerID{}, wiped: map[sweeps.AttemptRef]bool{}, ends: map[reported]bool{}, tallies: map[onWorker]*tally{}, blamed: map[sweeps.WorkerID]bool{}}
	w.forget(disk{})
	return w
}

// forget is the end of a coordinator, and the beginning of another with what is on the disk.
func (w *witness) forget(d disk) {
	w.aside = map[sweeps.WorkerID]bool{}
	for id := range d.aside {
		w.aside[id] = true
	}
	w.heard = map[sweeps.WorkerID]hearing{}
	w.up = map[sweeps.WorkerID]uint64{}
	w.draining = map[sweeps.WorkerID]bool{}
	w.held = map[sweeps.WorkerID]bool{}
	w.stopped = map[sweeps.AttemptRef]uint64{}
}

// sees takes note of an event before it is applied.
func (w *witness) sees(now time.Time, state *State, ev Event) {
	switch e := ev.(type) {
	case Alive:
		if known := state.current(e.Worker, e.Session); known != nil && known.connected {
			w.heard[e.Worker] = hearing{now, w.stalled, w.stalls}
		}
	case Hello:
		w.heard[e.Worker.ID] = hearing{now, w.stalled, w.stalls}
		w.up[e.Worker.ID] = e.Session
		delete(w.draining, e.Worker.ID)
		w.held[e.Worker.ID] = e.Hold != ""
	case Gone:
		if w.up[e.Worker] == e.Session {
			delete(w.up, e.Worker)
		}
	case Hold:
		if w.up[e.Worker] == e.Session {
			w.held[e.Worker] = e.Reason != ""
		}
	case Drain:
		if w.up[e.Worker] == e.Session {
			w.draining[e.Worker] = true
		}
	case Exited:
		w.ends[reported{e.Ref, e.Worker, e.Outcome.Class}] = true
	case Admit:
		if state.workers[e.Worker] != nil {
			w.aside[e.Worker] = !e.Admit
		}
	}
}

// said takes note of an effect that was sent.
func (w *witness) said(e Effect) {
	switch e := e.(type) {
	case Stop:
		w.stopped[e.Ref] = w.up[e.Worker]
	case Disconnect:
		if w.up[e.Worker] == e.Session {
			delete(w.up, e.Worker)
		}
	}
}

// begins is an attempt's process being started.
func (s *sim) begins(w *simWorker, ref sweeps.AttemptRef) {
	if other, again := s.witness.began[ref]; again && !s.witness.wiped[ref] {
		s.failf("%v begins on %s, and had begun on %s", ref, w.ID, other)
	}
	s.witness.began[ref] = w.ID
	delete(s.witness.wiped, ref)
}

// write commits the changes to the simulated disk, and checks that every record is one that
// may come after the one that was there.
func (s *sim) write(c Changes) {
	for _, a := range c.Aside {
		s.disk.aside[a.Worker] = a
		if a.Why == "" {
			delete(s.disk.aside, a.Worker)
		}
	}
	for _, sw := range c.Sweeps {
		clone := *sw
		s.disk.sweeps[sw.ID] = &clone
	}
	before := map[sweeps.TrialKey]*sweeps.Trial{} // of those that change
	for _, t := range c.Trials {
		before[t.TrialKey] = s.disk.trials[t.TrialKey]
	}
	for _, t := range c.Trials {
		old := s.disk.trials[t.TrialKey]
		s.checkMove(old, t)
		s.checkCheckpoints(before, old, t)
		if old != nil && !old.State.Terminal() {
			s.disk.alive[t.Sweep]--
		}
		if !t.State.Terminal() {
			s.disk.alive[t.Sweep]++
		}
		clone := *t
		s.disk.trials[t.TrialKey] = &clone
	}
	for _, id := range c.Removed {
		s.remove(id)
	}
}

// checkCheckpoints checks that nobody who goes on from a checkpoint that is on the disk loses
// it, and that nothing goes on from a trial that has not ended. before holds the rows that
// the commit changes, as they were.
func (s *sim) checkCheckpoints(before map[sweeps.TrialKey]*sweeps.Trial, old, t *sweeps.Trial) {
	from := old
	if i, is := s.plans[t.Sweep].Before(t.Index); is && s.subs[t.Sweep].Policy.Continues && old == nil {
		key := sweeps.TrialKey{Sweep: t.Sweep, Index: i}
		// Rows come in order of index, so that of the trial before is written.
		if p := s.disk.trials[key]; p == nil || !p.Continued {
			s.failf("trial %v has a record, and %v, which it goes on from, was not continued", t.TrialKey, key)
		}
		from = before[key]
	}
	// A trial that was cancelled, or failed so that another attempt could end differently, is
	// rerun from where it was.
	resumable := t.Outcome.Class == "" || t.Outcome.Class.Resumable()
	if from == nil || len(from.Checkpoints) == 0 || t.State == sweeps.TrialFinished || !resumable {
		return
	}
	if len(t.Checkpoints) == 0 || t.Checkpoints[0].Step < from.Checkpoints[0].Step {
		s.failf("trial %v has checkpoints %v, and %v had %v", t.TrialKey, t.Checkpoints, from.TrialKey, from.Checkpoints)
	}
}

// checkMove checks a trial's record against the one before it; nil for the first.
func (s *sim) checkMove(old, t *sweeps.Trial) {
	if t.State == sweeps.TrialFinished {
		s.disk.finished[t.TrialKey]++
		s.disk.told[t.TrialKey] = s.now
		if t.Reused() {
			s.checkReuse(old, t)
		} else if got := t.Metrics["attempt"].Last; got != float64(t.Attempt) {
			s.failf("trial %v finished as attempt %d with the metrics of attempt %v", t.TrialKey, t.Attempt, got)
		}
		if !t.Outcome.OK() {
			s.failf("trial %v finished and its outcome is %s", t.TrialKey, t.Outcome.Class)
		}
	}
	if old == nil {
		old = &sweeps.Trial{TrialKey: t.TrialKey}
	}
	if t.Attempt < old.Attempt || t.Attempt > old.Attempt+1 {
		s.failf("I3: attempt of %v goes from %d to %d", t.TrialKey, old.Attempt, t.Attempt)
	}
	if old.State == sweeps.TrialFinished {
		s.failf("trial %v had finished, and is written again as %s", t.TrialKey, t.State)
	}
	policy, class := s.subs[t.Sweep].Policy, t.Outcome.Class
	if t.State == sweeps.TrialRunning && t.Attempt > old.Attempt && s.now.Before(old.NotBefore) && t.NotBefore.Equal(old.NotBefore) {
		s.failf("trial %v is tried again %s too early", t.TrialKey, old.NotBefore.Sub(s.now))
	}
	if t.State == sweeps.TrialRunning && !t.Started.IsZero() && s.witness.began[refOf(t)] != t.Worker && s.sim(t.Worker).held[refOf(t)] == nil {
		s.failf("trial %v is said to have begun on %s as attempt %d, which knows nothing of it", t.TrialKey, t.Worker, t.Attempt)
	}
	if t.Ended.IsZero() || old.State != sweeps.TrialRunning {
		return
	}
	if last, is := s.witness.heard[t.Worker]; is && strings.Contains(t.Outcome.Message, "silent for longer") {
		// When the coordinator stood still it heard nobody. How long that was it knows but roughly.
		silent := s.now.Sub(last.at) - (s.witness.stalled - last.stalled)
		if slack := time.Duration(s.witness.stalls-last.stalls) * 2 * s.cfg.pulse(); silent+slack < s.cfg.Lease {
			s.failf("trial %v is taken from %s, which was silent for %s", t.TrialKey, t.Worker, silent)
		}
	}
	// An attempt has just ended.
	if t.Ended.Before(latest(t.Assigned, t.Started)) || t.Ended.After(s.now) || !t.Started.IsZero() && t.Started.Before(t.Assigned) {
		s.failf("trial %v is said to have been handed out %v, begun %v and ended %v", t.TrialKey, t.Assigned, t.Started, t.Ended)
	}
	charged := t.Charged - old.Charged
	switch {
	case charged > 0 && !s.witness.ends[reported{refOf(old), old.Worker, class}]:
		s.failf("trial %v is charged for an end that %s did not report: %s", t.TrialKey, old.Worker, class)
	case charged > 1, charged > 0 && (class == sweeps.ClassOK || !class.Charged()):
		s.failf("trial %v is charged %d for an attempt that ended as %s", t.TrialKey, charged, class)
	case class == sweeps.ClassLost && (t.Losses > s.cfg.MaxLosses || t.Losses == s.cfg.MaxLosses && t.State == sweeps.TrialPending):
		s.failf("trial %v is %s after %d losses of %d", t.TrialKey, t.State, t.Losses, s.cfg.MaxLosses)
	case class != sweeps.ClassLost && t.Losses > 0:
		s.failf("trial %v counts %d losses in a row, and then it ended as %s", t.TrialKey, t.Losses, class)
	case charged == 1 && t.State == sweeps.TrialPending && t.NotBefore.Before(s.now.Add(s.cfg.Backoff)):
		s.failf("trial %v is charged and tried again without a back-off", t.TrialKey)
	case charged == 1 && t.State == sweeps.TrialPending && !class.Retryable():
		s.failf("trial %v is tried again after an end as %s", t.TrialKey, class)
	case t.State == sweeps.TrialFailed && class.Retryable() && class != sweeps.ClassLost && t.Charged != policy.Retries+1:
		s.failf("trial %v failed after %d charged failures, and has %d retries", t.TrialKey, t.Charged, policy.Retries)
	case t.State == sweeps.TrialPending && class == sweeps.ClassOOM && !t.Alone && s.slots(t.Worker) > 1:
		s.failf("trial %v ran out of memory beside others, and is not to be alone", t.TrialKey)
	}
}

// checkReuse checks that a result that was taken over is that of an equal trial.
func (s *sim) checkReuse(old, t *sweeps.Trial) {
	from := t.ReusedFrom
	origin := s.disk.trials[from.TrialKey]
	switch {
	case !s.subs[t.Sweep].Sweep.Reuse || from.Sweep == t.Sweep || old != nil || t.Attempt != 0:
		s.failf("trial %v, attempt %d, took over the result of %v; its record was %+v", t.TrialKey, t.Attempt, from, old)
	case origin == nil || origin.ID != t.ID || origin.State != sweeps.TrialFinished || origin.Attempt != from.Attempt || origin.Reused():
		s.failf("trial %v took over the result of %v, which is %+v", t.TrialKey, from, origin)
	case t.Metrics["attempt"].Last != float64(from.Attempt):
		s.failf("trial %v took over the result of %v, with the metrics of attempt %v", t.TrialKey, from, t.Metrics["attempt"].Last)
	}
}

// taken reports whether a result of the sweep is another's too, as far as the disk knows.
func (d *disk) taken(id sweeps.SweepID) bool {
	for _, t := range d.trials {
		if t.ReusedFrom.Sweep == id {
			return true
		}
	}
	return false
}

// remove deletes a sweep from the disk, and checks that it may.
func (s *sim) remove(id sweeps.SweepID) {
	if sw := s.disk.sweeps[id]; sw == nil || !sw.State.Terminal() || s.disk.alive[id] != 0 || s.disk.taken(id) {
		s.failf("sweep %s is removed: %+v, %d of its trials are alive, taken over %v", id, sw, s.disk.alive[id], s.disk.taken(id))
	}
	s.disk.gone = append(s.disk.gone, s.disk.rows(id)...)
	delete(s.disk.sweeps, id)
	delete(s.disk.alive, id)
	maps.DeleteFunc(s.disk.trials, func(key sweeps.TrialKey, _ *sweeps.Trial) bool { return key.Sweep == id })
	maps.DeleteFunc(s.disk.finished, func(key sweeps.TrialKey, _ int) bool { return key.Sweep == id })
	s.disk.removed[id] = true
}

func (s *sim) slots(id sweeps.WorkerID) int {
	if w := s.state.workers[id]; w != nil {
		return w.Slots
	}
	return 0
}

// checkMemory checks that all that the dispatcher believes is on the disk.
func (s *sim) checkMemory() {
	for id, is := range s.witness.aside {
		if _, known := s.disk.aside[id]; is && !known {
			s.failf("worker %s is set aside, and the disk does not say so", id)
		}
	}
	for id, a := range s.disk.aside {
		if w := s.state.workers[id]; w == nil || w.aside != a.Why || w.blamed != a.Blamed {
			s.failf("the disk says %+v, in memory it is %+v", a, w)
		}
	}
	for id, w := range s.state.workers {
		if _, known := s.disk.aside[id]; !known && w.aside != "" {
			s.failf("worker %s is aside, %s, and the disk does not say so", id, w.aside)
		}
	}
	open := 0
	for _, sw := range s.disk.sweeps {
		if !sw.State.Terminal() {
			open++
		}
	}
	if open != len(s.state.sweeps) {
		s.failf("%d sweeps are open on the disk, %d in memory", open, len(s.state.sweeps))
	}
	for id, sw := range s.state.sweeps {
		d := s.disk.sweeps[id]
		if d == nil || d.State != sw.State || d.Reason != sw.Reason || d.Counts != sw.Counts || d.Next != sw.Next ||
			d.Dispatched != sw.Dispatched || d.Reused != sw.Reused || d.Excluded != sw.Excluded || d.Closed != sw.Closed {
			s.failf("sweep %s is %+v in memory and %+v on the disk", id, sw.Sweep, d)
		}
		if n := len(sw.running) + sw.waiting.len(); n != s.disk.alive[id] {
			s.failf("%d trials of sweep %s are alive on the disk, %d in memory", s.disk.alive[id], id, n)
		}
		for _, t := range sw.running {
			s.checkRow(t)
		}
		for _, t := range sw.waiting.all() {
			s.checkRow(t)
		}
	}
}

func (s *sim) checkRow(t *sweeps.Trial) {
	d := s.disk.trials[t.TrialKey]
	if d == nil || d.State != t.State || d.Attempt != t.Attempt || d.Worker != t.Worker || d.Charged != t.Charged ||
		d.Losses != t.Losses || d.Returned != t.Returned || d.Alone != t.Alone ||
		!d.NotBefore.Equal(t.NotBefore) || !d.Started.Equal(t.Started) {
		s.failf("trial %v is %+v in memory and %+v on the disk", t.TrialKey, t, d)
	}
}

// checkAssigned checks what Assign handed out, and what it left.
func (s *sim) checkAssigned(begun []Effect) {
	// How many trials of each sweep ran when the next one was handed out.
	running := map[sweeps.SweepID]int{}
	for id, sw := range s.state.sweeps {
		running[id] = len(sw.running)
	}
	for _, e := range begun {
		if start, is := e.(Start); is {
			running[start.Ref.Sweep]--
		}
	}
	for _, e := range begun {
		start, is := e.(Start)
		if !is {
			continue
		}
		id, a := start.Worker, s.state.sweeps[start.Ref.Sweep]
		w, t := s.state.workers[id], a.running[start.Ref.Index]
		switch {
		case s.witness.up[id] == 0, s.witness.draining[id], s.witness.aside[id]:
			s.failf("%v is handed to %s: connected %v, shutting down %v, drained %v",
				start.Ref, id, s.witness.up[id] != 0, s.witness.draining[id], s.witness.aside[id])
		case s.witness.held[id], s.halt != "":
			s.failf("%v is handed to %s: its disk is full %v, the coordinator's %q", start.Ref, id, s.witness.held[id], s.halt)
		case a.State != sweeps.SweepRunning:
			s.failf("%v is handed out, and its sweep is %s", start.Ref, a.State)
		case s.before(w, a) > max(w.Prefetch, min(w.Burst, s.finishedOfLate(id))) && w.isQueued(t):
			s.failf("%v is queued on %s as number %d of its priority or a higher one, it said %d, or %d when they end in moments: %d did",
				start.Ref, id, s.before(w, a), w.Prefetch, w.Burst, s.finishedOfLate(id))
		case s.rests[a.ID]:
			s.failf("%v is handed out, and its sweep rests", start.Ref)
		case t.NotBefore.After(s.now):
			s.failf("%v is handed out %s too early", start.Ref, t.NotBefore.Sub(s.now))
		}
		for _, other := range w.running {
			if other.Alone && len(w.running) > 1 && (other == t || other == w.alone) {
				s.failf("%v and %v are on %s, and %v is to be alone", start.Ref, refOf(other), id, other.TrialKey)
			}
		}
		if !s.sim(id).resized && !w.Total.Fits(w.used) {
			s.failf("%v is handed to %s, which offers %v: its trials ask for %v", start.Ref, id, w.Total, w.used)
		}
		for _, b := range s.state.order {
			if b == a || !s.couldGive(b) || s.refuses(b, w) || !covers(a, b) {
				continue
			}
			if b.policy.Priority > a.policy.Priority || b.policy.Priority == a.policy.Priority && running[a.ID] > running[b.ID] {
				s.failf("%v of priority %d, sweep with %d running, was served before %s of %d with %d",
					start.Ref, a.policy.Priority, running[a.ID], b.ID, b.policy.Priority, running[b.ID])
			}
		}
		running[a.ID]++
	}
	s.checkKept(begun)
	s.checkKeptFor()
	s.checkOvertaken(begun)
	s.checkIdle()
}

// finishedOfLate is how many trials finished on a worker within the last moments.
func (s *sim) finishedOfLate(id sweeps.WorkerID) (n int) {
	of := func(t *sweeps.Trial) {
		if t.State == sweeps.TrialFinished && t.Worker == id && s.now.Sub(s.disk.told[t.TrialKey]) < 2*s.cfg.Backlog {
			n++
		}
	}
	for _, t := range s.disk.trials {
		of(t)
	}
	for _, t := range s.disk.gone {
		of(t)
	}
	for _, t := range s.state.dirtyTrials { // not yet on the disk
		if _, told := s.disk.told[t.TrialKey]; !told && t.State == sweeps.TrialFinished && t.Worker == id {
			n++
		}
	}
	return n
}

// checkKept checks that a sweep whose trials fit nowhere has a worker kept from the sweeps of lower
// priorities.
func (s *sim) checkKept(begun []Effect) {
	highest := math.MinInt // priority of what was begun
	for _, e := range begun {
		if start, is := e.(Start); is {
			highest = max(highest, s.state.sweeps[start.Ref.Sweep].policy.Priority)
		}
	}
	for _, b := range s.state.order {
		if !s.couldGive(b) || highest >= b.policy.Priority {
			continue // it, or a sweep like it, was served, and nothing can be said of the moment before
		}
		if slices.ContainsFunc(s.state.byID, func(w *worker) bool { return s.waitsForAnEnd(w, b) }) {
			continue
		}
		suit, spoilt := 0, 0
		for id, w := range s.state.workers {
			if !w.couldRun(b.request) || s.refuses(b, w) {
				continue
			}
			suit++
			if slices.ContainsFunc(begun, func(e Effect) bool { start, is := e.(Start); return is && start.Worker == id }) {
				spoilt++
			}
		}
		if suit > 0 && spoilt == suit {
			s.failf("sweep %s of priority %d fits nowhere, and all %d workers that suit it were given trials of lower ones", b.ID, b.policy.Priority, suit)
		}
	}
}

// checkKeptFor checks that workers are kept from lower priorities for who has a use for that:
// for a sweep that fits nowhere, or for a trial that was recalled for a slot there. And where a sweep
// waits for an end, nothing of a lower priority is queued, as far as it has trials.
func (s *sim) checkKeptFor() {
	coming := map[int]int{} // trials that were recalled, by priority
	for _, w := range s.state.workers {
		for _, q := range w.queue {
			if q.recalled && w.connected && q.trial.Started.IsZero() {
				coming[s.policy(q).Priority]++
			}
		}
	}
	for _, w := range s.state.byID {
		sw := s.state.kept[w]
		if sw == nil {
			continue
		}
		p := sw.policy.Priority
		if !slices.ContainsFunc(s.state.order, func(other *sweep) bool { return other.policy.Priority < p }) {
			s.failf("%s is kept for %s, and there is nobody to keep it from", w.ID, sw.ID)
		}
		waits := s.couldGive(sw) && !slices.ContainsFunc(s.state.byID, func(w *worker) bool { return s.takes(w, sw) })
		switch {
		case waits || s.state.again:
		case w.hasSlot() && coming[p] > 0:
			coming[p]-- // it takes one of the slots, at least
		default:
			s.failf("%s is kept for %s, which has nothing for it, or a place elsewhere", w.ID, sw.ID)
		}
	}
	for _, sw := range s.state.order {
		if !s.couldGive(sw) {
			continue
		}
		clear := 0
		var missed []*worker
		for _, w := range s.state.byID {
			if !s.waitsForAnEnd(w, sw) {
				continue
			}
			lower := func(q *queued) bool { return q.recallable() && s.policy(q).Priority < sw.policy.Priority }
			if slices.ContainsFunc(w.queue, lower) && !s.refuses(sw, w) {
				missed = append(missed, w)
			} else {
				clear++
			}
			if s.state.kept[w] == sw {
				s.failf("%s is kept for %s, which fits there when a trial ends", w.ID, sw.ID)
			}
		}
		due := count(sw.waiting.shared, func(t *waiter) bool { return !t.NotBefore.After(s.now) })
		if sw.head != nil {
			due++
		}
		if len(missed) > 0 && clear < due {
			s.failf("%s has %d trials for %d workers, and %s, which will have room for one when another ends, begins others of a lower priority", sw.ID, due, clear, missed[0].ID)
		}
	}
}

// waitsForAnEnd reports whether the worker has room for a trial of the sweep as soon as another has
// ended, and cannot have it before.
func (s *sim) waitsForAnEnd(w *worker, sw *sweep) bool {
	return w.couldRun(sw.request) && w.busy() >= w.Slots && !w.queues(sw.request) && w.yields(sw.request)
}

// policy is that of a queued trial's sweep.
func (s *sim) policy(q *queued) Policy { return s.state.sweeps[q.trial.Sweep].policy }

// takes reports whether the worker may be given a trial of the sweep now, be it into its queue:
// what is queued of lower priorities is not in the way.
func (s *sim) takes(w *worker, sw *sweep) bool {
	if s.refuses(sw, w) || s.state.reserved[w] || s.state.keptFrom(w, sw) || !w.open() || w.alone != nil {
		return false
	}
	pressed := slices.ContainsFunc(s.state.order, func(other *sweep) bool {
		return other.policy.Priority > sw.policy.Priority && s.couldGive(other) && s.waitsForAnEnd(w, other)
	})
	return w.hasRoom(sw.request) || w.couldRun(sw.request) && w.queues(sw.request) && !pressed && s.before(w, sw) < w.depth()
}

// before is how many of the trials that are queued on a worker are not of a lower priority than the sweep.
func (s *sim) before(w *worker, sw *sweep) int {
	return count(w.queue, func(q *queued) bool { return s.policy(q).Priority >= sw.policy.Priority })
}

// checkOvertaken checks that nothing of a lower priority begins before what is ready of a higher one
// and could have its place: not in a slot, while one that could begin there is queued elsewhere, and
// not from a queue.
func (s *sim) checkOvertaken(begun []Effect) {
	for _, sw := range s.state.order {
		for _, w := range s.state.byID {
			if s.couldGive(sw) && s.takes(w, sw) {
				s.failf("%s of priority %d has a trial for %s, and that is not given it", sw.ID, sw.policy.Priority, w.ID)
			}
		}
	}
	fresh := map[sweeps.AttemptRef]bool{} // there was no slot for those
	for _, e := range begun {
		if start, is := e.(Start); is {
			fresh[start.Ref] = true
		}
	}
	for _, e := range begun {
		start, is := e.(Start)
		if !is {
			continue
		}
		a, w := s.state.sweeps[start.Ref.Sweep], s.state.workers[start.Worker]
		if w.isQueued(a.running[start.Ref.Index]) {
			continue
		}
		for _, other := range s.state.byID {
			for _, q := range other.queue {
				b := s.state.sweeps[q.trial.Sweep]
				if other.connected && q.recallable() && !fresh[refOf(q.trial)] && b.policy.Priority > a.policy.Priority && s.state.handsOut(b) && !s.state.doubts(b, w) && covers(a, b) {
					s.failf("%v begins on %s, and %v of a higher priority waits on %s", start.Ref, w.ID, q.trial.TrialKey, other.ID)
				}
			}
		}
	}
}

// fitsSomewhere reports whether a worker that is kept for none has a slot and all else for a trial of the sweep.
func (s *sim) fitsSomewhere(sw *sweep) bool {
	return slices.ContainsFunc(s.state.byID, func(w *worker) bool { return s.hasUse(w, sw) })
}

// hasUse reports whether the worker, which is kept for none, has a slot and all else for a trial of the sweep.
func (s *sim) hasUse(w *worker, sw *sweep) bool {
	return s.state.kept[w] == nil && !s.state.reserved[w] && !s.state.doubts(sw, w) && w.hasRoom(sw.request)
}

func (s *sim) sim(id sweeps.WorkerID) *simWorker {
	i := slices.IndexFunc(s.workers, func(w *simWorker) bool { return w.ID == id })
	return s.workers[i]
}

// couldGive reports whether the sweep has a trial for any worker with room for it.
func (s *sim) couldGive(sw *sweep) bool {
	return sw.State == sweeps.SweepRunning && !s.rests[sw.ID] && s.halt == "" && !s.state.again && sw.startsBeside(s.now)
}

// refuses reports whether the worker is given none of the sweep: the dispatcher doubts it, or the
// trials that are ready were just lost there before they began, and may have another worker.
func (s *sim) refuses(sw *sweep, w *worker) bool {
	if s.state.doubts(sw, w) {
		return true
	}
	if sw.head != nil || slices.ContainsFunc(sw.waiting.shared, func(t *waiter) bool {
		return !t.NotBefore.After(s.now) && (t.Losses == 0 || t.Worker != w.ID || !t.Started.IsZero())
	}) {
		return false
	}
	for _, other := range s.state.workers {
		if other != w && other.couldRun(sw.request) && !s.state.doubts(sw, other) {
			return true
		}
	}
	return false
}

// checkIdle checks that no slot stays free for which there is a trial, wherever it waits.
func (s *sim) checkIdle() {
	kept := 0 // workers that may be kept free for a trial that wants to be alone
	for _, sw := range s.state.order {
		if sw.State == sweeps.SweepRunning && !s.rests[sw.ID] && sw.waiting.alone.due(s.now) {
			kept++
		}
	}
	if n := len(s.state.reserved); n > kept && !s.state.again {
		s.failf("%d workers are reserved for trials that want to be alone, of which there are %d", n, kept)
	}
	for priority := range 3 {
		free, recalled, queued := 0, 0, 0
		var waits []*sweep
		for _, w := range s.state.byID {
			for _, q := range w.queue {
				sw := s.state.sweeps[q.trial.Sweep]
				if sw.policy.Priority != priority || !s.state.handsOut(sw) {
					continue
				}
				waits = append(waits, sw)
				switch {
				case q.recalled:
					recalled++
				case q.trial.Losses > 0: // it may be here since what is free has just lost it
				case w.connected && q.trial.Started.IsZero() && s.fitsSomewhere(sw):
					queued++
				}
			}
		}
		for _, w := range s.state.byID {
			if slices.ContainsFunc(waits, func(sw *sweep) bool { return s.hasUse(w, sw) }) {
				free += w.Slots - w.busy()
			}
		}
		if free > recalled && queued > 0 && !s.state.again {
			s.failf("%d slots are free for priority %d, %d trials recalled for them, and %d are queued elsewhere", free, priority, recalled, queued)
		}
	}
}

// covers reports whether a worker that was given a trial of one sweep had room for one of
// another: it asks for no more.
func covers(a, b *sweep) bool {
	return a.policy.Needs.Fits(b.policy.Needs) && len(b.policy.Requires) <= len(a.policy.Requires) &&
		(!b.policy.Needs.WantsGPU() || a.policy.Needs.GPUs == b.policy.Needs.GPUs && a.policy.Needs.GPUMemory == b.policy.Needs.GPUMemory)
}

// checkStops checks that workers were told to stop what is cancelled.
func (s *sim) checkStops() {
	for id, sw := range s.state.sweeps {
		if sw.State != sweeps.SweepCancelling {
			continue
		}
		for _, t := range sw.running {
			if up := s.witness.up[t.Worker]; up != 0 && s.witness.stopped[refOf(t)] != up {
				s.failf("sweep %s is cancelled, and %s was not told to stop %v", id, t.Worker, refOf(t))
			}
		}
	}
}

// verdict checks what the disk says in the end.
func (s *sim) verdict() error {
	if !s.finished() {
		var open []string
		for _, sw := range s.disk.sweeps {
			if !sw.State.Terminal() {
				open = append(open, fmt.Sprintf("%s (%s, %+v)", sw.ID, sw.State, sw.Counts))
			}
		}
		return fmt.Errorf("sweeps do not end: %s", strings.Join(open, "; "))
	}
	if !s.forgotten() {
		return errors.New("all sweeps have ended, and workers still hold attempts")
	}
	var errs []error
	for id, sw := range s.disk.sweeps {
		var counts sweeps.Counts
		p, rows, reused := s.plans[id], int64(0), int64(0)
		for _, t := range s.disk.rows(id) {
			key := t.TrialKey
			rows++
			if t.Reused() {
				reused++
			}
			counts.Add(t.State, t.Attempts(), 1)
			if !t.State.Terminal() {
				errs = append(errs, fmt.Errorf("sweep %s ended and its trial %v is %s", id, key, t.State))
			}
			if p.excluded(key.Index) {
				errs = append(errs, fmt.Errorf("excluded trial %v was run", key))
			}
			if n := s.disk.finished[key]; t.State == sweeps.TrialFinished && n != 1 {
				errs = append(errs, fmt.Errorf("trial %v finished %d times", key, n))
			}
			if budget := s.subs[id].Policy.Retries + 1; t.Charged > budget {
				errs = append(errs, fmt.Errorf("trial %v was charged %d failures of %d", key, t.Charged, budget))
			}
		}
		if reused != sw.Reused {
			errs = append(errs, fmt.Errorf("sweep %s says that it reused %d results, its rows say %d", id, sw.Reused, reused))
		}
		if counts != sw.Counts {
			errs = append(errs, fmt.Errorf("sweep %s counts %+v, its rows say %+v", id, sw.Counts, counts))
		}
		want := int64(0)
		for i := range p.n {
			if !p.excluded(i) {
				want++
			}
		}
		if c := s.subs[id].Policy.RunCap; c > 0 {
			want = min(want, c)
		}
		if sw.State == sweeps.SweepFinished && !sw.Closed && rows != want {
			errs = append(errs, fmt.Errorf("sweep %s ended with %d trials of %d", id, rows, want))
		}
	}
	return errors.Join(errs...)
}
