package dispatch

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"swath/sweeps"
)

var (
	simSeeds = flag.Uint64("sim.seeds", 600, "simulation: how many seeds to run")
	simFirst = flag.Uint64("sim.first", 1, "simulation: the first of them")
	simSeed  = flag.Uint64("sim.seed", 0, "simulation: run this seed only, and print every step")
)

// TestSimulation runs whole clusters, each driven by one seed: workers that die, stall,
// repeat, delay, reorder and lie late, agents that are replaced and adopt what runs, machines
// that never come back, a coordinator that crashes and begins again from its disk, a store
// that fails, also in the way that the write happened and the writer saw an error, and users
// who pause, resume, cancel, drain and rerun. After every step the invariants hold and what
// was done is what the records allow; in the end every trial has ended exactly once, and
// every sweep has ended.
//
// A failing seed is replayed, step by step, with -sim.seed N; more are run with -sim.seeds N,
// others with -sim.first N.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if _, err := simulate(*simSeed, t.Logf); err != nil {
			t.Error(err)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many clusters, each of them small
	var next, steps atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= *simSeeds {
					return
				}
				seed := *simFirst + i
				n, err := simulate(seed, nil)
				steps.Add(uint64(n))
				if err != nil {
					t.Errorf("seed %d: %v\nreplay it with go test ./coordinator/dispatch -run TestSimulation$ -sim.seed %d", seed, err, seed)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds from %d on, %d steps", *simSeeds, *simFirst, steps.Load())
}

// A seed says all: what happens in a cluster happens again.
func TestSimulationRepeats(t *testing.T) {
	run := func(seed uint64) uint64 {
		digest := fnv.New64a()
		if _, err := simulate(seed, func(format string, args ...any) { fmt.Fprintf(digest, format, args...) }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return digest.Sum64()
	}
	for seed := uint64(1); seed <= 20; seed++ {
		if a, b := run(seed), run(seed); a != b {
			t.Errorf("seed %d runs in two ways", seed)
		}
	}
}

// sim is a simulated cluster.
type sim struct {
	rng   *rand.Rand
	trace func(format string, args ...any) // nil: nobody listens
	now   time.Time
	cfg   Config
	state *State
	plans map[sweeps.SweepID]simPlan
	subs  map[sweeps.SweepID]Submit

	disk    disk
	witness witness

	workers []*simWorker
	halt    string                  // why the coordinator hands out no trials
	rests   map[sweeps.SweepID]bool // that this coordinator leaves alone
	session uint64
	mail    []letter // in flight, both ways
	calm    bool     // no more faults: the cluster must come to an end
	steps   int
	errs    []error
}

// simulate runs the cluster of a seed to its end. It returns the number of steps, and what
// was wrong first.
func simulate(seed uint64, trace func(string, ...any)) (int, error) {
	s := newSim(seed, trace)
	const faulty, most = 400, 20_000
	for ; s.steps < most; s.steps++ {
		s.calm = s.steps > faulty
		if s.calm && s.finished() && s.forgotten() {
			break
		}
		s.step()
		if err := s.state.Check(); err != nil {
			s.errs = append(s.errs, err)
		}
		if err := errors.Join(s.errs...); err != nil {
			return s.steps, fmt.Errorf("step %d: %w", s.steps, err)
		}
	}
	if err := s.verdict(); err != nil {
		return s.steps, fmt.Errorf("after %d steps: %w", s.steps, err)
	}
	return s.steps, nil
}

func newSim(seed uint64, trace func(string, ...any)) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 17)), trace: trace,
		now:     time.Unix(1_700_000_000, 0),
		plans:   map[sweeps.SweepID]simPlan{},
		subs:    map[sweeps.SweepID]Submit{},
		disk:    newDisk(),
		witness: newWitness(),
	}
	s.cfg = Config{
		Lease: 10 * time.Second, Backoff: time.Second, BackoffMax: 20 * time.Second,
		// Mostly no bound on losses: the simulation's machines die more often than any fleet's.
		MaxLosses: []int{1 << 30, 1 << 30, 2, 3}[s.rng.IntN(4)], ScanLimit: 1 + s.rng.IntN(50),
		Alike: s.rng.IntN(6), Quarantine: s.rng.IntN(5), LookAhead: 1 + s.rng.IntN(20),
		Backlog: []time.Duration{0, 200 * time.Millisecond, 5 * time.Second, 20 * time.Second}[s.rng.IntN(4)],
	}
	s.state = New(s.cfg)
	for range 1 + s.rng.IntN(5) {
		s.addWorker()
	}
	for i := range 1 + s.rng.IntN(3) {
		s.submit(sweeps.SweepID(fmt.Sprintf("s%d", i)))
	}
	return s
}

// failf notes something wrong; the step at hand is the last.
func (s *sim) failf(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

func (s *sim) logf(format string, args ...any) {
	if s.trace != nil {
		s.trace("%d %s "+format, append([]any{s.steps, s.now.Format("05.000")}, args...)...)
	}
}

// simPlan is a plan of n indices, every excludeEvery-th of them excluded, some broken. With
// a chain of more than 1, so many indices that lie stride apart go on from each other.
type simPlan struct{ n, excludeEvery, breakEvery, chain, stride int64 }

func (p simPlan) Before(i int64) (int64, bool) { return p.neighbour(i, -1) }
func (p simPlan) After(i int64) (int64, bool)  { return p.neighbour(i, 1) }

func (p simPlan) neighbour(i, by int64) (int64, bool) {
	for digit := i/p.stride%p.chain + by; digit >= 0 && digit < p.chain; digit += by {
		if i += by * p.stride; i < p.n && !p.excluded(i) {
			return i, true
		}
	}
	return 0, false
}

func (p simPlan) Size() int64 { return p.n }

func (p simPlan) excluded(i int64) bool { return p.excludeEvery > 0 && i%p.excludeEvery == 1 }

func (p simPlan) At(i int64) (sweeps.Planned, error) {
	if p.excluded(i) {
		return sweeps.Planned{}, errSimExcluded
	}
	planned := sweeps.Planned{Index: i, ID: simIDs[i]}
	if p.breakEvery > 0 && i%p.breakEvery == 2 {
		return planned, errSimBroken
	}
	return planned, nil
}

// simIDs are the trials' ids, by index: those of different sweeps are equal.
var simIDs = func() (ids [1000]sweeps.TrialID) {
	for i := range ids {
		ids[i] = sweeps.TrialID(fmt.Sprintf("%016x", i))
	}
	return ids
}()

var (
	errSimExcluded = fmt.Errorf("%w by a constraint", sweeps.ErrExcluded)
	errSimBroken   = fmt.Errorf("%w: the expression divides by zero here", sweeps.ErrInvalid)
)

// inTheLab is a requirement that the first worker meets, and perhaps others.
var inTheLab = requires(`labels.zone == "lab"`)

func (s *sim) submit(id sweeps.SweepID) {
	p := simPlan{n: s.rng.Int64N(40), excludeEvery: s.rng.Int64N(6), breakEvery: s.rng.Int64N(12)}
	pol := Policy{Retries: s.rng.IntN(3), Priority: s.rng.IntN(3)}
	if s.rng.IntN(8) == 0 {
		pol.TimeLimit = time.Duration(1+s.rng.IntN(200)) * time.Second
	}
	if s.rng.IntN(3) == 0 {
		pol.RunCap = 1 + s.rng.Int64N(30)
	}
	if s.rng.IntN(2) == 0 {
		pol.Needs = []sweeps.Resources{
			{}, {GPUs: 0.5}, {GPUs: 1}, {GPUs: 2}, {GPUs: 0.3, GPUMemory: 20 * gib}, {GPUs: 1, GPUMemory: 30 * gib},
			{GPUMemory: 11 * gib}, {GPUMemory: 24 * gib},
		}[s.rng.IntN(8)]
		pol.Needs.CPUs = float64(s.rng.IntN(4))
	}
	if s.rng.IntN(4) == 0 {
		pol.Requires = inTheLab
	}
	p.chain, p.stride = 1, 1
	if s.rng.IntN(2) == 0 {
		p.chain, p.stride = 2+s.rng.Int64N(3), 1+s.rng.Int64N(12)
		pol.Continues = true
	}
	pol.Keep = sweeps.Keep{Last: s.rng.IntN(3), Best: s.rng.IntN(3)}
	pol.Goal = []sweeps.Goal{sweeps.Minimize, sweeps.Maximize}[s.rng.IntN(2)]
	s.plans[id] = p
	sub := Submit{Sweep: &sweeps.Sweep{ID: id, Name: "name-" + string(id), Reuse: !pol.Continues && s.rng.IntN(3) == 0}, Plan: p, Policy: pol}
	s.subs[id] = sub
	s.post(nil, sub)
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
	if s.rng.IntN(300) == 0 && !s.calm {
		s.stall()
	}
	// As in the coordinator's loop, a Tick comes when one is due, and not otherwise.
	var events []Event
	if wake := s.state.NextWake(); s.state.Again() || (!wake.IsZero() && !wake.After(s.now)) {
		events = append(events, Tick{})
	}
	for _, l := range s.due() {
		if l.toWorker != nil {
			s.receive(l)
		} else {
			events = append(events, l.event)
		}
	}
	if _, committed := s.turn(events...); !committed {
		return
	}
	for id, sw := range s.state.sweeps {
		if end := sw.deadline(); !end.IsZero() && !end.After(s.now) {
			s.failf("the time limit of sweep %s was up %s ago, and it is %s", id, s.now.Sub(end), sw.State)
		}
	}
}

// stall stops the coordinator for a while, longer than the leases now and then. All others go on.
func (s *sim) stall() {
	d := time.Duration(s.rng.IntN(20_000)) * time.Millisecond
	s.logf("the coordinator stands still for %s", d)
	begun := s.now
	for s.now.Sub(begun) < d {
		s.now = s.now.Add(time.Second)
		for _, w := range s.workers {
			if w.connected { // who is not would wait for an answer
				s.live(w)
			}
		}
	}
	s.witness.stalls, s.witness.stalled = s.witness.stalls+1, s.witness.stalled+s.now.Sub(begun)
}

// turn is a turn of the coordinator's loop: step, assign, commit, speak. It returns what was
// said, and false if the commit failed.
func (s *sim) turn(events ...Event) ([]Effect, bool) {
	events = slices.DeleteFunc(events, func(ev Event) bool { return !s.comes(ev) })
	if len(events) == 0 {
		return nil, true
	}
	for _, ev := range events {
		if sub, is := ev.(Submit); is {
			rec := *sub.Sweep // the dispatcher takes ownership, and letters may be repeated
			sub.Sweep = &rec
			ev = sub
		}
		if s.trace != nil {
			s.logf("%s", describeEvent(ev))
		}
		s.witness.sees(s.now, s.state, ev)
		s.witnessEnd(ev)
		err := s.state.Step(s.now, ev)
		s.checkBlame(ev)
		if sub, is := ev.(Submit); is && err != nil && s.disk.sweeps[sub.Sweep.ID] != nil {
			s.failf("a submission that is repeated is refused: %v", err)
		}
		if sub, is := ev.(Submit); is && s.halt != "" && errors.Is(err, sweeps.ErrStorage) {
			// Whoever is refused tries again.
			s.mail = append(s.mail, letter{at: s.now.Add(time.Second), event: s.subs[sub.Sweep.ID]})
			continue
		}
		if err != nil && !errors.Is(err, sweeps.ErrConflict) && !errors.Is(err, sweeps.ErrNotFound) && !errors.Is(err, sweeps.ErrFenced) {
			s.failf("%T: %v", ev, err)
		}
	}
	effects := s.state.TakeEffects()
	s.state.Assign(s.now)
	begun := s.state.TakeEffects()
	s.checkAssigned(begun)
	effects = append(effects, begun...)
	changes := s.state.TakeChanges()
	fails := !s.calm && s.rng.IntN(40) == 0
	written := !fails || s.rng.IntN(2) == 0
	if written {
		s.write(changes)
	}
	if fails {
		s.logf("commit fails, written %v", written)
		s.restart()
		return nil, false
	}
	if !changes.Empty() {
		s.checkMemory()
	}
	for _, e := range effects {
		if s.trace != nil {
			s.logf("  -> %T%+v", e, e)
		}
		s.send(e)
	}
	s.checkStops()
	return effects, true
}

// comes reports whether the loop would let the event through. It answers a question in its next
// turn, before anything else, so that an answer knows of every sweep that is gone; and what
// others took over it does not remove.
func (s *sim) comes(ev Event) bool {
	switch e := ev.(type) {
	case Submit: // repeated by the network, after its sweep came and went
		return !s.disk.removed[e.Sweep.ID]
	case Remove:
		return !s.disk.taken(e.Sweep)
	case Cancel:
		return !s.rests[e.Sweep]
	case Pause:
		return !s.rests[e.Sweep]
	case Resume:
		return !s.rests[e.Sweep]
	case Rerun:
		return !s.rests[e.Submit.Sweep.ID]
	case Found:
		for i, t := range e.Origins {
			if t != nil && s.disk.removed[t.ReusedFrom.Sweep] {
				e.Origins[i] = nil
			}
		}
	}
	return true
}

// describeEvent is an event in words, the same in every run.
func describeEvent(ev Event) string {
	switch e := ev.(type) {
	case Submit:
		return fmt.Sprintf("Submit %s: %+v, %+v", e.Sweep.ID, e.Plan, e.Policy)
	case Found:
		text := fmt.Sprintf("Found %s from %d on:", e.Sweep, e.First)
		for _, t := range e.Origins {
			if t != nil {
				text += " " + t.ReusedFrom.String()
			}
		}
		return text
	case Rerun:
		return fmt.Sprintf("Rerun %s, %d trials", e.Submit.Sweep.ID, len(e.Trials))
	}
	return fmt.Sprintf("%T%+v", ev, ev)
}

// restart is the coordinator's end and return: its memory is gone, and all connections.
func (s *sim) restart() {
	s.logf("the coordinator begins again")
	s.state, s.rests = New(s.cfg), map[sweeps.SweepID]bool{}
	s.witness.forget(s.disk)
	s.state.SetAside(slices.Collect(maps.Values(s.disk.aside)))
	for _, id := range slices.Sorted(maps.Keys(s.disk.sweeps)) {
		rec := *s.disk.sweeps[id]
		s.state.Name(id, rec.Name)
		if rec.State.Terminal() {
			continue
		}
		sub := s.subs[id]
		sub.Sweep = &rec
		sub.Policy.Rests = !s.calm && s.rng.IntN(8) == 0
		s.rests[id] = sub.Policy.Rests
		var live []*sweeps.Trial
		for _, t := range s.disk.rows(id) {
			if !t.State.Terminal() {
				clone := *t
				live = append(live, &clone)
			}
		}
		s.state.Restore(s.now, sub, live)
	}
	if s.halt != "" {
		_ = s.state.Step(s.now, Halt{s.halt}) // the loop looks before it does anything
	}
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if s.disk.sweeps[id] == nil && !s.disk.removed[id] {
			s.post(nil, s.subs[id]) // nobody was told that it was taken: the client repeats
		}
	}
	for _, w := range s.workers {
		w.connected = false
	}
}

// answer looks on the disk for results to reuse, and says so late.
func (s *sim) answer(q Lookup) {
	f := Found{Sweep: q.Sweep, First: q.First, Origins: make([]*sweeps.Trial, len(q.IDs))}
	for i, id := range q.IDs {
		for _, other := range slices.Sorted(maps.Keys(s.disk.sweeps)) {
			t := s.disk.trials[sweeps.TrialKey{Sweep: other, Index: q.First + int64(i)}]
			if id == "" || other == q.Sweep || t == nil || t.State != sweeps.TrialFinished {
				continue
			}
			clone := *t
			if !t.Reused() {
				clone.ReusedFrom = sweeps.Origin{AttemptRef: refOf(t), SweepName: "name-" + string(other)}
			}
			if clone.ReusedFrom.Sweep != q.Sweep {
				f.Origins[i] = &clone
			}
		}
	}
	s.post(nil, f)
}

// finished reports whether every sweep was taken and has ended.
func (s *sim) finished() bool {
	if len(s.disk.sweeps)+len(s.disk.removed) < len(s.subs) {
		return false
	}
	for _, sw := range s.disk.sweeps {
		if !sw.State.Terminal() {
			return false
		}
	}
	return true
}
