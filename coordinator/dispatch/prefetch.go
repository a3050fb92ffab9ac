package dispatch

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"swath/sweeps"
)

// A worker may hold a few trials more than it has slots: it starts them, those of the highest
// priority first and of equal ones the first that came, the moment a slot falls free, without
// asking. The dispatcher calls those queued; they use nothing of the worker yet. When slots
// fall free elsewhere and nothing else of their priority is left to fill them, queued trials
// are recalled; see rebalance.
//
// Trials of lower priorities are not in the way of a higher one: it is queued as if they were
// not there, and if they have taken all places, one of them is recalled.
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

// ahead is how many of the queued trials begin before one of this priority that comes now.
func (w *worker) ahead(priority int) int {
	n := len(w.queue)
	if n == 0 || w.queue[n-1].request.priority >= priority {
		return n // as mostly
	}
	return sort.Search(n, func(i int) bool { return w.queue[i].request.priority < priority })
}

// takesMore reports whether the worker may be given trials of this priority beyond its slots,
// once those are taken.
func (w *worker) takesMore(priority int) bool {
	return w.open() && w.alone == nil && w.ahead(priority) < w.depth()
}

// queues reports whether a worker that could run it may, if it has a place for it. Whichever of the
// worker's trials ends first has to make room, or else what was queued could start into resources
// that are not free.
func (w *worker) queues(r *request) bool {
	if r.needs.WantsGPU() || w.busy() < w.Slots {
		return false
	}
	for other := range w.of {
		if !other.needs.Fits(r.needs) {
			return false
		}
	}
	return true
}

// enqueue puts a trial into the queue, behind those of its priority.
func (w *worker) enqueue(t *sweeps.Trial, r *request) {
	w.queue = slices.Insert(w.queue, w.ahead(r.priority), &queued{trial: t, request: r})
	r.queued++
}

// makePlace recalls, where the places of the queue are taken, the trial of a lower priority that
// would begin last, if there is one: another takes its place.
func (s *State) makePlace(w *worker, priority int) {
	lower := w.queue[w.ahead(priority):]
	if len(lower) == 0 {
		return
	}
	if count(w.queue, func(q *queued) bool { return !q.recalled }) < w.depth() {
		return
	}
	for _, q := range slices.Backward(lower) {
		if q.recallable() {
			s.recall(q)
			return
		}
	}
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
		return cmp.Or(cmp.Compare(s.sweeps[b.Sweep].policy.Priority, s.sweeps[a.Sweep].policy.Priority), a.Assigned.Compare(b.Assigned))
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
		w := sw.request.queue.first(func(w *worker) bool { return s.mayTake(w, sw) && !s.pressed(w, sw) && s.offersBeside(now, sw, w) })
		if w == nil {
			return nil
		}
		w.tempo.roll(now, s.cfg.Backlog)
		if w.takesMore(sw.policy.Priority) {
			return w
		}
		s.index.note(w)
	}
}

func count[T any](list []T, which func(T) bool) (n int) {
	for _, x := range list {
		if which(x) {
			n++
		}
	}
	return n
}

// recallable reports whether the trial is still to be asked back, and not known to have
// started.
func (q *queued) recallable() bool { return !q.recalled && q.trial.Started.IsZero() }

func (s *State) recall(q *queued) {
	q.recalled = true
	s.send(Recall{q.trial.Worker, refOf(q.trial)})
}

// recallQueued recalls those of the trials queued on the worker that which picks.
func (s *State) recallQueued(w *worker, which func(*queued) bool) {
	for _, q := range w.queue {
		if q.recallable() && which(q) {
			s.recall(q)
		}
	}
}

func anyTrial(*queued) bool { return true }

// recallSweep recalls what is queued of a sweep.
func (s *State) recallSweep(sw *sweep) {
	for _, w := range s.byID {
		s.recallQueued(w, func(q *queued) bool { return q.trial.Sweep == sw.ID })
	}
}

func (s *State) onReturned(now time.Time, e Returned) {
	sw, t := s.live(e.Worker, e.Ref)
	if t == nil {
		return // a repetition, or it went elsewhere already
	}
	s.end(now, now, sw, t, sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: "given back by " + t.WorkerName + " before it was started"}, nil)
}
