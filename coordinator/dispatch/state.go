package dispatch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"swath/sweeps"
)

// State is everything that dispatch depends on. It has one owner, the coordinator's
// loop; nothing in it is safe for concurrent use.
type State struct {
	cfg     Config
	sweeps  map[sweeps.SweepID]*sweep // those that have not ended
	order   []*sweep                  // the same, first submitted first
	names   map[string]sweeps.SweepID // of all sweeps, ended ones too
	known   map[sweeps.SweepID]bool   // all sweeps ever submitted
	workers map[sweeps.WorkerID]*worker
	byID    []*worker // the same, by id
	index   index     // which of them Assign looks at
	// kept are the workers that are kept for a sweep, and pressing the sweeps that are next where
	// a trial ends; see press. Those that are reserved are given nothing by the Assign at hand;
	// see reserve.
	kept     map[*worker]*sweep
	pressing []pressing
	reserved map[*worker]bool

	// settled says that nothing happened since the last Assign that could make it hand
	// anything out, or take anything back.
	settled bool
	handed  int    // trials by the last Assign
	begun   uint64 // how many trials were handed out, to sort sweeps by who was served last
	// expiry is a bound from below of the leases' ends; zero without workers. Leases are
	// renewed far more often than they end, so the exact one is found when it is reached.
	expiry time.Time
	ticked time.Time // the time of the last Tick

	dirtySweeps map[sweeps.SweepID]*sweeps.Sweep
	dirtyTrials map[sweeps.TrialKey]*sweeps.Trial
	dirtyAside  map[sweeps.WorkerID]*worker
	removed     []sweeps.SweepID
	effects     []Effect
	halt        string  // why no trials are handed out; empty if they are
	illegal     []error // moves that the tables do not have; for Check
	again       bool    // the last step stopped at ScanLimit
}

// sweep is a sweep that has not ended.
type sweep struct {
	*sweeps.Sweep
	plan    Plan
	policy  Policy
	request *request // what its trials ask of a worker
	// head is the trial at the cursor once it is known not to be excluded.
	head    *sweeps.Planned
	ahead   ahead   // of a sweep that reuses
	waiting waiting // pending trials that had an attempt before
	running map[int64]*sweeps.Trial
	alike   alike
	record
	served uint64 // grows with each of its trials that is handed out, see State.begun
}

// worker is a worker that holds, or may be given, trials.
type worker struct {
	sweeps.Worker
	session   uint64
	connected bool
	draining  bool
	lease     time.Time // the end of it; zero for one that is gone and was set aside
	since     time.Time // when its agent, or one in the same place before it, came first
	running   map[sweeps.TrialKey]*sweeps.Trial
	of        map[*request]int // how many of the running ask for what
	used      sweeps.Resources // by those that are not queued
	queue     []*queued        // of the running, those that wait on the worker for a slot
	excess    int              // how many more than it takes it came back with
	tempo     tempo
	// places are the devices of the running trials that have any.
	places map[sweeps.TrialKey][]sweeps.GPUShare
	offer  int           // counts the changes of what the worker offers
	alone  *sweeps.Trial // the trial that has the worker to itself
	aside  string        // why it is given no trials, by a user's word or the dispatcher's
	held   string        // why it takes none, by its own
	blamed bool          // it was set aside for its failures; what else fails on it is not the trials' fault
}

// open reports whether the worker may be given trials at all.
func (w *worker) open() bool {
	return w.connected && !w.draining && w.aside == "" && w.held == ""
}

// shut says why the worker is given no trials; empty if it is.
func (w *worker) shut() string {
	switch {
	case w.aside != "":
		return w.aside
	case w.held != "":
		return w.held
	case w.draining:
		return "it is shutting down"
	}
	return ""
}

// hasSlot reports whether the worker may be given a trial, if there is one that fits.
func (w *worker) hasSlot() bool { return w.open() && w.alone == nil && w.busy() < w.Slots }

// couldRun reports whether the worker may be given a trial that asks for this, now or when it
// is empty enough.
func (w *worker) couldRun(r *request) bool { return w.open() && w.Slots > 0 && r.fit(w).could }

// yields reports whether, on a worker that could run such a trial, one of those that are there
// leaves room for it when it ends.
func (w *worker) yields(r *request) bool {
	if w.alone != nil {
		return false
	}
	left := w.Total.Sub(w.used)
	for other := range w.of {
		if other.needs == r.needs {
			return true
		}
		if left.Add(other.needs).Fits(r.needs) {
			if _, ok := w.place(r.needs); ok {
				return true
			}
		}
	}
	return false
}

// hasRoom reports whether it may be given one now.
func (w *worker) hasRoom(r *request) bool {
	if !w.hasSlot() || !w.Total.Sub(w.used).Fits(r.needs) || !w.couldRun(r) {
		return false
	}
	_, ok := w.place(r.needs)
	return ok
}

// New returns the state of a coordinator without any sweep.
func New(cfg Config) *State {
	return &State{
		cfg:         cfg,
		sweeps:      map[sweeps.SweepID]*sweep{},
		names:       map[string]sweeps.SweepID{},
		known:       map[sweeps.SweepID]bool{},
		workers:     map[sweeps.WorkerID]*worker{},
		kept:        map[*worker]*sweep{},
		reserved:    map[*worker]bool{},
		dirtySweeps: map[sweeps.SweepID]*sweeps.Sweep{},
		dirtyTrials: map[sweeps.TrialKey]*sweeps.Trial{},
		dirtyAside:  map[sweeps.WorkerID]*worker{},
	}
}

// Name tells the state of a sweep that has ended: its name is taken.
func (s *State) Name(id sweeps.SweepID, name string) {
	s.names[name] = id
	s.known[id] = true
}

// Restore puts back a sweep that had not ended when the store was last written, with
// its rows that are pending or running. The workers of running ones get a fresh lease:
// they have had nobody to report to. Of one that rests they get none: if they do not come, it
// is as it was for the coordinator that goes on with it. Of one whose trials go on from each
// other, the rows that have ended and do not say that others went on from them, come too: they
// ended while the sweep's file was not understood.
func (s *State) Restore(now time.Time, sub Submit, trials []*sweeps.Trial) {
	sw := s.adopt(sub)
	s.settled, s.ticked = false, now
	unstarted := int64(0)
	var ended []*sweeps.Trial
	for _, t := range trials {
		switch t.State {
		case sweeps.TrialRunning:
			w := s.workers[t.Worker]
			if w == nil {
				w = s.meet(t.Worker, t.WorkerName)
			}
			if w.lease.IsZero() && !sw.policy.Rests {
				w.lease = now.Add(2 * s.cfg.Lease)
				s.noteLease(w)
			}
			s.hold(sw, w, t)
		case sweeps.TrialPending:
			sw.waiting.push(t)
			if t.Attempts() == 0 {
				unstarted++
			}
		default:
			ended = append(ended, t)
		}
	}
	if n := unstarted - sw.Counts.Unstarted; n != 0 {
		// It is a version's that counted them among the others.
		sw.Counts.Unstarted += n
		sw.Counts.Retrying -= n
		s.touch(sw)
	}
	for _, t := range ended {
		s.follow(now, sw, t)
	}
	s.settle(now, sw)
}

// adopt takes a sweep into memory.
func (s *State) adopt(sub Submit) *sweep {
	sw := &sweep{
		Sweep: sub.Sweep, plan: sub.Plan, policy: sub.Policy,
		request: s.index.ask(sub.Policy, s.byID), running: map[int64]*sweeps.Trial{},
	}
	s.sweeps[sw.ID] = sw
	s.order = append(s.order, sw)
	slices.SortStableFunc(s.order, func(a, b *sweep) int { return a.Created.Compare(b.Created) })
	s.names[sw.Name] = sw.ID
	s.known[sw.ID] = true
	return sw
}

// inOrder are the sweeps, first submitted first, in a list of its own: to settle one takes
// it out of that of the state.
func (s *State) inOrder() []*sweep { return slices.Clone(s.order) }

// drop lets an ended sweep go.
func (s *State) drop(sw *sweep) {
	delete(s.sweeps, sw.ID)
	s.index.leave(sw.request)
	s.order = slices.DeleteFunc(s.order, func(x *sweep) bool { return x == sw })
}

// hold puts a trial's attempt on a worker; release takes it off.
func (s *State) hold(sw *sweep, w *worker, t *sweeps.Trial) {
	defer s.index.note(w)
	sw.running[t.Index] = t
	w.running[t.TrialKey] = t
	w.of[sw.request]++
	if w.busy() > w.Slots && w.Slots > 0 {
		w.enqueue(t, sw.request)
		return
	}
	w.used = w.used.Add(sw.policy.Needs)
	if t.Alone {
		w.alone = t
	}
}

func (s *State) release(sw *sweep, t *sweeps.Trial) {
	delete(sw.running, t.Index)
	w := s.workers[t.Worker]
	defer s.index.note(w)
	delete(w.running, t.TrialKey)
	delete(w.places, t.TrialKey)
	if w.of[sw.request]--; w.of[sw.request] == 0 {
		delete(w.of, sw.request)
	}
	if w.dequeue(t) {
		return
	}
	w.used = w.used.Sub(sw.policy.Needs)
	if w.alone == t {
		w.alone = nil
	}
	w.promote()
	if len(w.running) == 0 {
		w.used = sweeps.Resources{} // sums of fractions leave no dust
	}
}

// live returns the running trial of ref if ref is its current attempt and on this
// worker, and nil for a report that is fenced.
func (s *State) live(id sweeps.WorkerID, ref sweeps.AttemptRef) (*sweep, *sweeps.Trial) {
	sw := s.sweeps[ref.Sweep]
	if sw == nil {
		return nil, nil
	}
	t := sw.running[ref.Index]
	if t == nil || t.Attempt != ref.Attempt || t.Worker != id {
		return nil, nil
	}
	return sw, t
}

// Live reports whether ref is the current attempt of its trial and runs on this worker:
// whether what the worker says of it may be believed.
func (s *State) Live(id sweeps.WorkerID, ref sweeps.AttemptRef) bool {
	_, t := s.live(id, ref)
	return t != nil
}

// move changes a trial's state, in the trial and in its sweep's counts.
func (s *State) move(sw *sweep, t *sweeps.Trial, to sweeps.TrialState) {
	if t.State != "" && !t.State.CanMove(to) {
		s.illegal = append(s.illegal, fmt.Errorf("I8: trial %s moves from %s to %s", t.TrialKey, t.State, to))
	}
	sw.Counts.Add(t.State, t.Attempts(), -1)
	t.State = to
	sw.Counts.Add(t.State, t.Attempts(), 1)
	s.touch(sw)
	s.dirtyTrials[t.TrialKey] = t
}

// moveSweep changes a sweep's state; the reason is for people, and may be empty.
func (s *State) moveSweep(sw *sweep, to sweeps.SweepState, reason string) {
	if !sw.State.CanMove(to) {
		s.illegal = append(s.illegal, fmt.Errorf("I8: sweep %s moves from %s to %s", sw.ID, sw.State, to))
	}
	sw.State, sw.Reason = to, reason
	s.touch(sw)
}

func (s *State) touch(sw *sweep) { s.dirtySweeps[sw.ID] = sw.Sweep }

func (s *State) send(e Effect) { s.effects = append(s.effects, e) }

// TakeChanges returns what is to be persisted since the last call. The records are the
// dispatcher's own: they must be written before the next Step.
func (s *State) TakeChanges() Changes {
	c := Changes{Removed: s.removed}
	s.removed = nil
	for _, sw := range s.dirtySweeps {
		c.Sweeps = append(c.Sweeps, sw)
	}
	for _, t := range s.dirtyTrials {
		c.Trials = append(c.Trials, t)
	}
	slices.SortFunc(c.Sweeps, func(a, b *sweeps.Sweep) int { return compare(a.ID, b.ID) })
	slices.SortFunc(c.Trials, func(a, b *sweeps.Trial) int { return compareKeys(a.TrialKey, b.TrialKey) })
	for _, w := range s.dirtyAside {
		c.Aside = append(c.Aside, Aside{w.ID, w.Name, w.aside, w.blamed})
	}
	slices.SortFunc(c.Aside, func(a, b Aside) int { return compare(a.Worker, b.Worker) })
	clear(s.dirtyAside)
	clear(s.dirtySweeps)
	clear(s.dirtyTrials)
	return c
}

// TakeEffects returns the messages to send once the changes are persisted, in order.
func (s *State) TakeEffects() []Effect {
	e := s.effects
	s.effects = nil
	return e
}

// Again reports whether something stopped early, at the limit on skipped indices,
// since the last Tick: another one goes on.
func (s *State) Again() bool { return s.again }

// NextWake returns an instant before which no Tick has anything to do, or zero if none will
// have without another event.
func (s *State) NextWake() time.Time {
	var wake time.Time
	sooner := func(t time.Time) {
		if wake.IsZero() || t.Before(wake) {
			wake = t
		}
	}
	if !s.expiry.IsZero() {
		sooner(s.expiry)
		sooner(s.ticked.Add(s.cfg.pulse()))
	}
	for _, sw := range s.order {
		for _, q := range []retryQueue{sw.waiting.shared, sw.waiting.alone} {
			if t := q.next(s.ticked); !t.IsZero() {
				sooner(t)
			}
		}
		if end := sw.deadline(); !end.IsZero() {
			sooner(end)
		}
	}
	return wake
}

// WorkerStatus is what a query shows of a worker.
type WorkerStatus struct {
	sweeps.Worker
	Connected, Draining bool
	Aside               string // why it is given no trials; empty if it is
	Running             int    // not those that wait there for a slot
	Lease               time.Time
}

// Workers lists the workers, by name.
func (s *State) Workers() []WorkerStatus {
	list := make([]WorkerStatus, 0, len(s.workers))
	for _, w := range s.workers {
		list = append(list, WorkerStatus{w.Worker, w.connected, w.draining, cmp.Or(w.aside, w.held), w.busy(), w.lease})
	}
	slices.SortFunc(list, func(a, b WorkerStatus) int {
		if c := compare(a.Name, b.Name); c != 0 {
			return c
		}
		return compare(a.ID, b.ID)
	})
	return list
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareKeys(a, b sweeps.TrialKey) int {
	if c := compare(a.Sweep, b.Sweep); c != 0 {
		return c
	}
	switch {
	case a.Index < b.Index:
		return -1
	case a.Index > b.Index:
		return 1
	}
	return 0
}
