package dispatch

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

var (
	simSeeds = flag.Int("sim.seeds", 300, "simulation: how many seeds to run")
	simSeed  = flag.Uint64("sim.seed", 0, "simulation: run this seed only, and print every step")
)

// TestSimulation runs whole clusters, each driven by one seed: workers that die, stall,
// repeat, delay, reorder and lie late, a coordinator that crashes, a store that fails, also
// in the way that the write happened and the writer saw an error. After every step the
// invariants hold; in the end every trial has ended exactly once.
//
// A failing seed is replayed with -sim.seed N, more are run with -sim.seeds N.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		runSim(t, *simSeed, true)
		return
	}
	steps := 0
	for seed := uint64(1); seed <= uint64(*simSeeds) && !t.Failed(); seed++ {
		steps += runSim(t, seed, false)
	}
	t.Logf("%d seeds, %d steps", *simSeeds, steps)
}

// simPlan is a plan of n indices, every excludeEvery-th of them excluded, some broken.
type simPlan struct{ n, excludeEvery, breakEvery int64 }

func (p simPlan) Size() int64 { return p.n }

func (p simPlan) excluded(i int64) bool { return p.excludeEvery > 0 && i%p.excludeEvery == 1 }

func (p simPlan) At(i int64) (sweeps.Planned, error) {
	if p.excluded(i) {
		return sweeps.Planned{}, fmt.Errorf("%w by a constraint", sweeps.ErrExcluded)
	}
	planned := sweeps.Planned{Index: i, ID: sweeps.TrialID(fmt.Sprintf("%016x", i)), Params: sweeps.Params{"x": i}}
	if p.breakEvery > 0 && i%p.breakEvery == 2 {
		return planned, fmt.Errorf("%w: the expression divides by zero here", sweeps.ErrInvalid)
	}
	return planned, nil
}

// sim is a simulated cluster.
type sim struct {
	t       *testing.T
	rng     *rand.Rand
	verbose bool
	now     time.Time
	cfg     Config
	state   *State
	plans   map[sweeps.SweepID]simPlan
	subs    map[sweeps.SweepID]Submit
	// The disk: what was committed.
	sweeps map[sweeps.SweepID]*sweeps.Sweep
	trials map[sweeps.TrialKey]*sweeps.Trial

	workers  []*simWorker
	session  uint64
	mail     []letter // in flight, both ways
	accepted map[sweeps.TrialKey]int
	calm     bool // no more faults: the cluster must come to an end
	steps    int
}

type letter struct {
	at       time.Time
	toWorker *simWorker // nil: to the coordinator
	session  uint64
	event    Event
	effect   Effect
}

// simWorker keeps its attempts on its disk, as the real one does.
type simWorker struct {
	sweeps.Worker
	session   uint64
	connected bool
	stalled   time.Time // says nothing before
	held      map[sweeps.AttemptRef]*simAttempt
	nextBeat  time.Time
	luck      int // in 10, attempts that end well; a bad machine has little
}

type simAttempt struct {
	came    time.Time
	ends    time.Time // zero while it waits for a slot
	outcome sweeps.Outcome
	ended   bool
	repeat  time.Time
}

func runSim(t *testing.T, seed uint64, verbose bool) int {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 17)), verbose: verbose,
		now:      time.Unix(1_700_000_000, 0),
		plans:    map[sweeps.SweepID]simPlan{},
		subs:     map[sweeps.SweepID]Submit{},
		sweeps:   map[sweeps.SweepID]*sweeps.Sweep{},
		trials:   map[sweeps.TrialKey]*sweeps.Trial{},
		accepted: map[sweeps.TrialKey]int{},
	}
	s.cfg = Config{
		Lease: 10 * time.Second, Backoff: time.Second, BackoffMax: 20 * time.Second,
		// No bound on losses: the simulation's machines die more often than any fleet's.
		MaxLosses: 1 << 30, ScanLimit: 1 + s.rng.IntN(50),
		Alike: s.rng.IntN(6), Quarantine: s.rng.IntN(5),
	}
	s.state = New(s.cfg)
	for i := range 1 + s.rng.IntN(5) {
		s.workers = append(s.workers, &simWorker{
			Worker: sweeps.Worker{
				ID: sweeps.WorkerID(fmt.Sprintf("w%d", i)), Name: fmt.Sprintf("host-%d", i),
				Slots: 1 + s.rng.IntN(4), Prefetch: s.rng.IntN(4), Total: sweeps.Resources{CPUs: 4, GPUs: 2},
			},
			held: map[sweeps.AttemptRef]*simAttempt{},
			luck: []int{7, 7, 9, 1}[s.rng.IntN(4)],
		})
	}
	for i := range 1 + s.rng.IntN(3) {
		s.submit(sweeps.SweepID(fmt.Sprintf("s%d", i)))
	}
	const faulty = 400
	for ; s.steps < 20_000; s.steps++ {
		s.calm = s.steps > faulty
		if s.calm && s.finished() {
			break
		}
		s.step()
		if err := s.state.Check(); err != nil {
			t.Errorf("seed %d, step %d: %v", seed, s.steps, err)
			return s.steps
		}
	}
	if err := s.verdict(); err != nil {
		t.Errorf("seed %d after %d steps: %v", seed, s.steps, err)
	}
	return s.steps
}

func (s *sim) submit(id sweeps.SweepID) {
	p := simPlan{n: s.rng.Int64N(40), excludeEvery: s.rng.Int64N(6), breakEvery: s.rng.Int64N(12)}
	pol := Policy{Retries: s.rng.IntN(3), Priority: s.rng.IntN(2)}
	if s.rng.IntN(8) == 0 {
		pol.TimeLimit = time.Duration(1+s.rng.IntN(200)) * time.Second
	}
	if s.rng.IntN(3) == 0 {
		pol.RunCap = 1 + s.rng.Int64N(30)
	}
	if s.rng.IntN(2) == 0 {
		pol.Needs = sweeps.Resources{GPUs: 0.5}
	}
	s.plans[id] = p
	sub := Submit{Sweep: &sweeps.Sweep{ID: id, Name: "name-" + string(id)}, Plan: p, Policy: pol}
	s.subs[id] = sub
	s.post(nil, sub)
}

func (s *sim) logf(format string, args ...any) {
	if s.verbose {
		s.t.Logf("%d %s "+format, append([]any{s.steps, s.now.Format("05.000")}, args...)...)
	}
}

// post puts an event into the mail to the coordinator, late, and now and then twice.
func (s *sim) post(w *simWorker, ev Event) {
	copies := 1
	if !s.calm && s.rng.IntN(10) == 0 {
		copies = 2
	}
	for range copies {
		l := letter{at: s.now.Add(s.delay()), event: ev}
		if w != nil {
			l.session = w.session
		}
		s.mail = append(s.mail, l)
	}
}

func (s *sim) delay() time.Duration {
	if !s.calm && s.rng.IntN(20) == 0 {
		return time.Duration(s.rng.IntN(15_000)) * time.Millisecond
	}
	return time.Duration(s.rng.IntN(50)) * time.Millisecond
}

// step lets a little time pass, and everything happen that is due.
func (s *sim) step() {
	s.now = s.now.Add(time.Duration(1+s.rng.IntN(400)) * time.Millisecond)
	if !s.calm {
		s.fault()
	} else {
		s.relent()
	}
	for _, w := range s.workers {
		s.live(w)
	}
	var due []letter
	s.mail = slices.DeleteFunc(s.mail, func(l letter) bool {
		if l.at.After(s.now) {
			return false
		}
		due = append(due, l)
		return true
	})
	s.rng.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	// As in the coordinator's loop, a Tick comes when one is due, and not otherwise.
	var events []Event
	if wake := s.state.NextWake(); s.state.Again() || (!wake.IsZero() && !wake.After(s.now)) {
		events = append(events, Tick{})
	}
	for _, l := range due {
		if l.toWorker != nil {
			s.receive(l)
		} else {
			events = append(events, l.event)
		}
	}
	s.turn(events)
}

// turn is a turn of the coordinator's loop.
func (s *sim) turn(events []Event) {
	for _, ev := range events {
		if sub, is := ev.(Submit); is {
			rec := *sub.Sweep // the dispatcher takes ownership, and letters may be repeated
			sub.Sweep = &rec
			ev = sub
		}
		if x, is := ev.(Exited); is && s.state.Live(x.Worker, x.Ref) && x.Outcome.OK() {
			s.logf("accepts the end of %v", x.Ref)
		}
		if err := s.state.Step(s.now, ev); err != nil && !errors.Is(err, sweeps.ErrConflict) && !errors.Is(err, sweeps.ErrNotFound) {
			s.t.Errorf("step %T: %v", ev, err)
		}
	}
	s.state.Assign(s.now)
	changes, effects := s.state.TakeChanges(), s.state.TakeEffects()
	fails := !s.calm && s.rng.IntN(40) == 0
	written := !fails || s.rng.IntN(2) == 0
	if written {
		s.write(changes)
	}
	if fails {
		s.logf("commit fails, written %v", written)
		s.restart()
		return
	}
	for _, e := range effects {
		s.send(e)
	}
}

// write commits the changes to the simulated disk, and checks that no record moves
// against the tables, and that no trial finishes twice.
func (s *sim) write(c Changes) {
	for _, sw := range c.Sweeps {
		clone := *sw
		s.sweeps[sw.ID] = &clone
	}
	for _, t := range c.Trials {
		old := s.trials[t.TrialKey]
		if old != nil && t.Attempt < old.Attempt {
			s.t.Errorf("I3: attempt of %v falls from %d to %d", t.TrialKey, old.Attempt, t.Attempt)
		}
		// Failed and cancelled trials may be rerun, or taken back from a bad worker;
		// within a batch they may come further than to pending.
		again := old != nil && old.State != sweeps.TrialFinished
		if old != nil && old.State.Terminal() && !again {
			s.t.Errorf("trial %v ended as %s, and is written again as %s", t.TrialKey, old.State, t.State)
		}
		if t.State == sweeps.TrialFinished {
			s.accepted[t.TrialKey]++
			if got := t.Metrics["attempt"].Last; got != float64(t.Attempt) {
				s.t.Errorf("trial %v finished as attempt %d with the metrics of attempt %v", t.TrialKey, t.Attempt, got)
			}
		}
		clone := *t
		s.trials[t.TrialKey] = &clone
	}
}

// restart is the coordinator's end and return: its memory is gone, and all connections.
func (s *sim) restart() {
	s.state = New(s.cfg)
	ids := slices.Sorted(maps.Keys(s.sweeps))
	for _, id := range ids {
		rec := *s.sweeps[id]
		s.state.Name(id, rec.Name)
		if rec.State.Terminal() {
			continue
		}
		sub := s.subs[id]
		sub.Sweep = &rec
		var live []*sweeps.Trial
		for _, key := range slices.SortedFunc(maps.Keys(s.trials), compareKeys) {
			if t := s.trials[key]; key.Sweep == id && !t.State.Terminal() {
				clone := *t
				live = append(live, &clone)
			}
		}
		s.state.Restore(s.now, sub, live)
	}
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if s.sweeps[id] == nil {
			s.post(nil, s.subs[id]) // nobody was told that it was taken: the client repeats
		}
	}
	for _, w := range s.workers {
		w.connected = false
	}
}

func (s *sim) send(e Effect) {
	if f, is := e.(Forget); is {
		if t := s.trials[f.Ref.TrialKey]; t != nil && t.State == sweeps.TrialRunning && t.Attempt == f.Ref.Attempt && t.Worker == f.Worker {
			s.t.Errorf("persist, then speak: %v is forgotten, and the disk says it runs there", f.Ref)
		}
	}
	for _, w := range s.workers {
		to, session := target(e)
		if w.ID == to && w.connected && (session == 0 || session == w.session) {
			s.mail = append(s.mail, letter{at: s.now.Add(s.delay()), toWorker: w, session: w.session, effect: e})
		}
	}
}

func target(e Effect) (id sweeps.WorkerID, session uint64) {
	switch e := e.(type) {
	case Start:
		return e.Worker, 0
	case Stop:
		return e.Worker, 0
	case Forget:
		return e.Worker, 0
	case Recall:
		return e.Worker, 0
	case Disconnect:
		return e.Worker, e.Session
	}
	return "", 0
}

// receive is a worker reading an effect; one of an earlier connection never arrives.
func (s *sim) receive(l letter) {
	w := l.toWorker
	if !w.connected || w.session != l.session {
		return
	}
	switch e := l.effect.(type) {
	case Start:
		if w.held[e.Ref] != nil {
			return
		}
		w.held[e.Ref] = &simAttempt{came: s.now, outcome: s.outcome(w)}
		s.startQueued(w)
	case Recall:
		if a := w.held[e.Ref]; a != nil && a.ends.IsZero() && !a.ended {
			delete(w.held, e.Ref)
			s.post(w, Returned{w.ID, e.Ref})
		}
	case Stop:
		if a := w.held[e.Ref]; a != nil && !a.ended {
			a.ended, a.outcome = true, sweeps.Outcome{Class: sweeps.ClassCancelled, ExitCode: -1}
		}
	case Forget:
		delete(w.held, e.Ref)
	case Disconnect:
		w.connected = false
	}
}

// startQueued starts what waits on the worker, first come first served, in its free slots.
func (s *sim) startQueued(w *simWorker) {
	for {
		var next sweeps.AttemptRef
		var first *simAttempt
		busy := 0
		for _, ref := range sortedRefs(w.held) {
			a := w.held[ref]
			switch {
			case a.ended:
			case !a.ends.IsZero():
				busy++
			case first == nil || a.came.Before(first.came):
				next, first = ref, a
			}
		}
		if first == nil || busy >= w.Slots {
			return
		}
		first.ends = s.now.Add(time.Duration(1+s.rng.IntN(8000)) * time.Millisecond)
		s.logf("%s starts %v", w.ID, next)
		s.post(w, Started{w.ID, next})
	}
}

func (s *sim) outcome(w *simWorker) sweeps.Outcome {
	classes := []sweeps.Class{
		sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassDiverged, sweeps.ClassTimeout, sweeps.ClassPreempted,
		sweeps.ClassOOM, sweeps.ClassSpec,
	}
	if s.rng.IntN(10) < w.luck {
		return sweeps.Outcome{Class: sweeps.ClassOK}
	}
	return sweeps.Outcome{Class: classes[s.rng.IntN(len(classes))], ExitCode: 1, Message: "simulated"}
}

// live is a worker's own doing: connect, beat, notice ends, report and repeat.
func (s *sim) live(w *simWorker) {
	if w.stalled.After(s.now) {
		return
	}
	if !w.connected {
		s.session++
		w.session, w.connected = s.session, true
		h := Hello{Worker: w.Worker, Session: w.session}
		h.Attempts = append(h.Attempts, sortedRefs(w.held)...)
		// A connection's first message is not reordered with what the coordinator
		// then sends, so Hello is a turn of its own.
		s.turn([]Event{h})
		w.nextBeat = s.now.Add(2 * time.Second)
		return
	}
	if !w.nextBeat.After(s.now) {
		w.nextBeat = s.now.Add(2 * time.Second)
		s.post(w, Alive{w.ID, w.session})
	}
	s.startQueued(w)
	for _, ref := range sortedRefs(w.held) {
		a := w.held[ref]
		if !a.ended && !a.ends.IsZero() && !a.ends.After(s.now) {
			a.ended = true
		}
		if a.ended && !a.repeat.After(s.now) {
			a.repeat = s.now.Add(time.Second)
			s.post(w, Exited{w.ID, ref, a.outcome, map[string]sweeps.Summary{"attempt": {Count: 1, Last: float64(ref.Attempt)}}})
		}
	}
}

func sortedRefs(m map[sweeps.AttemptRef]*simAttempt) []sweeps.AttemptRef {
	return slices.SortedFunc(maps.Keys(m), func(a, b sweeps.AttemptRef) int {
		if c := compareKeys(a.TrialKey, b.TrialKey); c != 0 {
			return c
		}
		return a.Attempt - b.Attempt
	})
}

// fault lets something go wrong.
func (s *sim) fault() {
	w := s.workers[s.rng.IntN(len(s.workers))]
	switch s.rng.IntN(60) {
	case 0: // the machine dies and comes back without what ran; ended attempts are on its disk
		s.logf("%s dies", w.ID)
		maps.DeleteFunc(w.held, func(_ sweeps.AttemptRef, a *simAttempt) bool { return !a.ended })
		w.connected = false
		w.stalled = s.now.Add(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
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
	case 4: // the coordinator crashes
		s.logf("the coordinator crashes")
		s.restart()
	case 5: // the worker lies late: it reports an attempt that it does not hold
		keys := slices.SortedFunc(maps.Keys(s.trials), compareKeys)
		if len(keys) == 0 {
			break
		}
		t := s.trials[keys[s.rng.IntN(len(keys))]]
		if t.Attempt == 0 {
			break // it could not be computed and never ran
		}
		ref := sweeps.AttemptRef{TrialKey: t.TrialKey, Attempt: 1 + s.rng.IntN(t.Attempt)}
		if t.Attempt != ref.Attempt || t.Worker != w.ID {
			s.post(w, Exited{w.ID, ref, sweeps.Outcome{Class: sweeps.ClassOK}, nil})
		}
	case 6:
		s.post(w, Drain{w.ID, w.session})
		s.post(w, Gone{w.ID, w.session})
		w.connected = false
	case 9: // a user reruns what failed or was cancelled
		ids := slices.Sorted(maps.Keys(s.sweeps))
		if len(ids) > 0 {
			s.rerun(ids[s.rng.IntN(len(ids))])
		}
	case 8: // users do what they like
		ids := slices.Sorted(maps.Keys(s.sweeps))
		if len(ids) == 0 {
			break
		}
		id := ids[s.rng.IntN(len(ids))]
		s.turn([]Event{[]Event{Pause{id}, Resume{id}, Resume{id}, Admit{w.ID, false}, Admit{w.ID, true}}[s.rng.IntN(5)]})
	case 7:
		if s.rng.IntN(4) == 0 {
			ids := slices.Sorted(maps.Keys(s.sweeps))
			if len(ids) > 0 {
				s.turn([]Event{Cancel{ids[s.rng.IntN(len(ids))]}})
			}
		}
	}
}

// rerun makes the failed and cancelled trials of a sweep pending again, as the disk has
// them.
func (s *sim) rerun(id sweeps.SweepID) {
	rec := *s.sweeps[id]
	e := Rerun{Submit: s.subs[id]}
	e.Submit.Sweep = &rec
	for _, key := range slices.SortedFunc(maps.Keys(s.trials), compareKeys) {
		if t := s.trials[key]; key.Sweep == id && (t.State == sweeps.TrialFailed || t.State == sweeps.TrialCancelled) {
			clone := *t
			e.Trials = append(e.Trials, &clone)
		}
	}
	s.turn([]Event{e})
}

// relent takes back what a user, or the dispatcher for one, holds up: the cluster is to
// come to an end.
func (s *sim) relent() {
	for _, id := range slices.Sorted(maps.Keys(s.sweeps)) {
		if s.sweeps[id].State == sweeps.SweepPaused {
			s.turn([]Event{Resume{id}})
		}
	}
	for _, w := range s.workers {
		if known := s.state.workers[w.ID]; known != nil && known.aside != "" {
			s.turn([]Event{Admit{w.ID, true}})
		}
	}
}

func (s *sim) finished() bool {
	if len(s.sweeps) < len(s.subs) {
		return false
	}
	for _, sw := range s.sweeps {
		if !sw.State.Terminal() {
			return false
		}
	}
	return true
}

// verdict checks what the disk says in the end.
func (s *sim) verdict() error {
	if !s.finished() {
		var open []string
		for _, sw := range s.sweeps {
			if !sw.State.Terminal() {
				open = append(open, fmt.Sprintf("%s (%s, %+v)", sw.ID, sw.State, sw.Counts))
			}
		}
		return fmt.Errorf("sweeps do not end: %s", strings.Join(open, "; "))
	}
	var errs []error
	for id, sw := range s.sweeps {
		var counts sweeps.Counts
		p, rows := s.plans[id], int64(0)
		for key, t := range s.trials {
			if key.Sweep != id {
				continue
			}
			rows++
			counts.Move("", t.State)
			if !t.State.Terminal() {
				errs = append(errs, fmt.Errorf("sweep %s ended and its trial %v is %s", id, key, t.State))
			}
			if p.excluded(key.Index) {
				errs = append(errs, fmt.Errorf("excluded trial %v was run", key))
			}
			if n := s.accepted[key]; t.State == sweeps.TrialFinished && n != 1 {
				errs = append(errs, fmt.Errorf("trial %v finished %d times", key, n))
			}
			if budget := s.subs[id].Policy.Retries + 1; t.Charged > budget {
				errs = append(errs, fmt.Errorf("trial %v was charged %d failures of %d", key, t.Charged, budget))
			}
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
