package dispatch

import (
	"cmp"
	"slices"
	"time"

	"swath/sweeps"
)

// A worker may hold a few trials more than it has slots: it starts them, in the order in
// which they came, the moment a slot falls free, without asking. The dispatcher calls
// those queued; they use nothing of the worker yet. When slots fall free elsewhere and
// nothing else is left to fill them, queued trials are recalled.
//
// How many is what the worker says, mostly one a slot. Trials that are over before another
// one could arrive would leave its slots empty even so: a worker that takes bursts is given
// as many as it finished of late.

// queued is a trial that waits on its worker for a slot.
type queued struct {
	trial    *sweeps.Trial
	request  *request
	recalled bool
}

// tempo is how many trials a worker finished of late: those that failed are no reason to give
// it more.
type tempo struct {
	begun       time.Time // of the span of time that is counted
	now, before int       // trials that finished in it, and in the one before
}

// note counts one.
func (p *tempo) note(now time.Time, span time.Duration) {
	p.roll(now, span)
	p.now++
}

// roll forgets what is long ago.
func (p *tempo) roll(now time.Time, span time.Duration) {
	switch d := now.Sub(p.begun); {
	case d < span:
	case d < 2*span:
		*p = tempo{begun: p.begun.Add(span), before: p.now}
	default:
		*p = tempo{begun: now}
	}
}

// most is how many trials the worker ever queues, and depth how many now.
func (w *worker) most() int { return max(w.Prefetch, w.Burst) }

func (w *worker) depth() int { return max(w.Prefetch, min(w.Burst, max(w.tempo.now, w.tempo.before))) }

// busy is how many of the worker's slots are taken.
func (w *worker) busy() int { return len(w.running) - len(w.queue) }

// takesMore reports whether the worker may be given trials beyond its slots, once those are
// taken.
func (w *worker) takesMore() bool {
	return w.open() && w.alone == nil && len(w.queue) < w.depth()
}

// mayQueue reports whether the worker may be given a trial that asks for this beyond its
// slots. Whichever of its trials ends first has to make room for it, or else what was queued
// could start into resources that are not free.
func (w *worker) mayQueue(r *request) bool {
	if r.needs.WantsGPU() || !w.takesMore() || w.busy() < w.Slots || !w.couldRun(r) {
		return false
	}
	for other := range w.of {
		if !other.needs.Fits(r.needs) {
			return false
		}
	}
	return true
}

// enqueue puts a trial at the end of the queue.
func (w *worker) enqueue(t *sweeps.Trial, r *request) {
	w.queue = append(w.queue, &queued{trial: t, request: r})
	r.queued++
}

// dequeue takes a trial out of the queue, and reports whether it was in it.
func (w *worker) dequeue(t *sweeps.Trial) bool {
	i := slices.IndexFunc(w.queue, func(q *queued) bool { return q.trial == t })
	if i < 0 {
		return false
	}
	w.queue[i].request.queued--
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// isQueued reports whether a trial waits for a slot.
func (w *worker) isQueued(t *sweeps.Trial) bool {
	return slices.ContainsFunc(w.queue, func(q *queued) bool { return q.trial == t })
}

// promote gives a slot that fell free to a queued trial: to one that is known to have
// started, else to the first.
func (w *worker) promote() {
	if len(w.queue) == 0 || w.busy() >= w.Slots {
		return
	}
	i := max(0, slices.IndexFunc(w.queue, func(q *queued) bool { return !q.trial.Started.IsZero() }))
	w.used = w.used.Add(w.queue[i].request.needs)
	w.dequeue(w.queue[i].trial)
}

// requeue divides what the worker holds anew into what has a slot and what waits, after
// the worker said how many slots it has. More may have started than there are slots: those
// whose end is still to be reported make up for it.
func (s *State) requeue(w *worker) {
	for _, q := range w.queue {
		q.request.queued--
	}
	w.queue, w.used = nil, sweeps.Resources{}
	trials := make([]*sweeps.Trial, 0, len(w.running))
	for _, key := range sortedKeys(w.running) {
		trials = append(trials, w.running[key])
	}
	slices.SortStableFunc(trials, func(a, b *sweeps.Trial) int {
		if a.Started.IsZero() != b.Started.IsZero() {
			if b.Started.IsZero() {
				return -1
			}
			return 1
		}
		return a.Assigned.Compare(b.Assigned)
	})
	for i, t := range trials {
		r := s.sweeps[t.Sweep].request
		if i < w.Slots {
			w.used = w.used.Add(r.needs)
		} else {
			w.enqueue(t, r)
		}
	}
}

// queueFor returns the worker that is given the sweep's next trial beyond its slots: of those
// that may be, one that queues the fewest; nil if there is none.
func (s *State) queueFor(now time.Time, sw *sweep) *worker {
	if !sw.startsBeside(now) {
		return nil
	}
	for {
		w := sw.request.queue.first(func(w *worker) bool { return !s.reserved[w] && s.mayTake(w, sw) && s.offersBeside(now, sw, w) })
		if w == nil {
			return nil
		}
		w.tempo.roll(now, s.cfg.Backlog)
		if w.takesMore() {
			return w
		}
		s.index.note(w)
	}
}

// rebalance recalls queued trials for slots that would stay free and that could run them:
// those that would start last, of the workers with the most that could be recalled. One that
// fits nowhere else would only come back to where it was.
func (s *State) rebalance() {
	free := 0
	roomy := map[*worker]bool{} // that have the free slots
	fits := map[*request]bool{} // a slot that is free
	for _, r := range s.index.requests {
		if r.queued == 0 {
			continue
		}
		for _, m := range r.room.list {
			if s.kept[m.w] != nil || s.reserved[m.w] {
				continue
			}
			fits[r] = true
			if !roomy[m.w] {
				roomy[m.w] = true
				free += m.w.Slots - m.w.busy()
			}
		}
	}
	if free == 0 {
		return
	}
	type queue struct {
		w    *worker
		last []*queued // that could be recalled
	}
	var queues []queue
	for _, m := range s.index.queues.list {
		c := queue{w: m.w}
		for _, q := range m.w.queue {
			switch {
			case q.recalled:
				free-- // it is on its way
			case m.w.connected && q.recallable() && fits[q.request]:
				c.last = append(c.last, q)
			}
		}
		if len(c.last) > 0 {
			queues = append(queues, c)
		}
	}
	if free <= 0 || len(queues) == 0 {
		return
	}
	slices.SortFunc(queues, func(a, b queue) int {
		return cmp.Or(cmp.Compare(len(b.last), len(a.last)), compare(a.w.ID, b.w.ID))
	})
	for n := len(queues[0].last); n > 0; n-- { // the longest are shortened to n - 1
		for _, c := range queues {
			if len(c.last) < n {
				break
			}
			s.recall(c.last[n-1])
			if free--; free == 0 {
				return
			}
		}
	}
}

// recallable reports whether the trial is still to be asked back, and not known to have
// started.
func (q *queued) recallable() bool { return !q.recalled && q.trial.Started.IsZero() }

func (s *State) recall(q *queued) {
	q.recalled = true
	s.send(Recall{q.trial.Worker, refOf(q.trial)})
}

// recallQueued recalls those of the trials queued on the worker that which picks.
func (s *State) recallQueued(w *worker, which func(*sweeps.Trial) bool) {
	for _, q := range w.queue {
		if q.recallable() && which(q.trial) {
			s.recall(q)
		}
	}
}

func anyTrial(*sweeps.Trial) bool { return true }

// recallSweep recalls what is queued of a sweep.
func (s *State) recallSweep(sw *sweep) {
	for _, w := range s.byID {
		s.recallQueued(w, func(t *sweeps.Trial) bool { return t.Sweep == sw.ID })
	}
}

func (s *State) onReturned(now time.Time, e Returned) {
	sw, t := s.live(e.Worker, e.Ref)
	if t == nil {
		return // a repetition, or it went elsewhere already
	}
	s.end(now, now, sw, t, sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: "given back by " + t.WorkerName + " before it was started"}, nil)
}
