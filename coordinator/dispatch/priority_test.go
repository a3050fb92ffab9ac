package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"swath/sweeps"
)

// floor is a state and its workers, who begin what they hold as the real ones do.
type floor struct {
	*State
	t       *testing.T
	now     time.Time
	workers []*floorWorker
	mail    []Effect         // that the workers have not read yet
	jumped  []sweeps.SweepID // of which sweeps trials began while a higher one had more to hand out than there are workers
	begun   []sweeps.SweepID // of which sweeps trials began, in order
	recalls int
}

type floorWorker struct {
	sweeps.Worker
	running []sweeps.AttemptRef // first begun first
	waiting []sweeps.AttemptRef // in the order in which they came
}

func newFloor(t *testing.T, workers ...sweeps.Worker) *floor {
	f := &floor{State: New(DefaultConfig()), t: t, now: time.Unix(1_700_000_000, 0)}
	for _, w := range workers {
		f.join(w)
	}
	return f
}

func (f *floor) join(w sweeps.Worker) {
	w.ID = sweeps.WorkerID(fmt.Sprintf("w%d", len(f.workers)))
	w.Name = string(w.ID)
	f.workers = append(f.workers, &floorWorker{Worker: w})
	f.step(Hello{Worker: w, Session: uint64(len(f.workers))})
	f.turn()
}

func (f *floor) step(ev Event) {
	f.t.Helper()
	if err := f.Step(f.now, ev); err != nil {
		f.t.Fatal(err)
	}
}

// assign is a turn of the coordinator; what it says is on its way.
func (f *floor) assign() {
	f.t.Helper()
	f.Assign(f.now)
	if err := f.Check(); err != nil {
		f.t.Fatal(err)
	}
	f.mail = append(f.mail, f.TakeEffects()...)
}

// turn lets everybody read and answer until all has been said.
func (f *floor) turn() {
	f.t.Helper()
	for f.assign(); len(f.mail) > 0; f.assign() {
		mail := f.mail
		f.mail = nil
		for _, e := range mail {
			switch e := e.(type) {
			case Start:
				w := f.worker(e.Worker)
				w.waiting = append(w.waiting, e.Ref)
				f.begin(w)
			case Recall:
				f.recalls++
				w := f.worker(e.Worker)
				if i := slices.Index(w.waiting, e.Ref); i >= 0 {
					w.waiting = slices.Delete(w.waiting, i, i+1)
					f.step(Returned(e))
				}
			}
		}
	}
}

func (f *floor) worker(id sweeps.WorkerID) *floorWorker {
	return f.workers[slices.IndexFunc(f.workers, func(w *floorWorker) bool { return w.ID == id })]
}

// begin gives free slots to what waits, of the highest priority first.
func (f *floor) begin(w *floorWorker) {
	for len(w.running) < w.Slots && len(w.waiting) > 0 {
		next := slices.MaxFunc(w.waiting, func(a, b sweeps.AttemptRef) int {
			return f.sweeps[a.Sweep].policy.Priority - f.sweeps[b.Sweep].policy.Priority
		})
		w.waiting = slices.DeleteFunc(w.waiting, func(ref sweeps.AttemptRef) bool { return ref == next })
		w.running = append(w.running, next)
		f.begun = append(f.begun, next.Sweep)
		if slices.ContainsFunc(f.order, func(sw *sweep) bool {
			return sw.policy.Priority > f.sweeps[next.Sweep].policy.Priority && sw.plan.Size()-sw.Next >= int64(len(f.workers))
		}) {
			f.jumped = append(f.jumped, next.Sweep)
		}
		f.step(Started{Worker: w.ID, Ref: next})
	}
}

// end ends the trial of a worker that began first, and the worker begins another at once.
func (f *floor) end(w *floorWorker, class sweeps.Class) {
	f.t.Helper()
	ref := w.running[0]
	w.running = w.running[1:]
	f.begin(w)
	f.step(Exited{Worker: w.ID, Ref: ref, Outcome: sweeps.Outcome{Class: class}})
}

// ends lets trials end, one on each worker in turn, until all of the sweep have begun, and returns
// how many others began meanwhile.
func (f *floor) ends(id sweeps.SweepID, trials int) (others int) {
	f.t.Helper()
	from := len(f.begun)
	for i := 0; ; i++ {
		f.turn()
		mine := 0
		for n, other := range f.begun[from:] {
			if other == id {
				mine++
			}
			if mine == trials {
				return n + 1 - trials
			}
		}
		if i == 1000 {
			f.t.Fatalf("%d trials of %s have begun: %v", mine, id, f.begun[from:])
		}
		if w := f.workers[i%len(f.workers)]; len(w.running) > 0 {
			f.now = f.now.Add(time.Second)
			f.end(w, sweeps.ClassOK)
		}
	}
}

func computer(slots, prefetch int, cpus float64, gpus int) sweeps.Worker {
	w := withGPUs("", gpus)
	w.Slots, w.Prefetch, w.Total.CPUs = slots, prefetch, cpus
	return w
}

// A sweep that comes later is served before everything of a lower priority that has not begun, be it
// queued on workers or not: there is no more than a slot's end between it and a slot.
func TestPriorityGoesBeforeWhatIsQueued(t *testing.T) {
	cpus := func(n float64) sweeps.Resources { return sweeps.Resources{CPUs: n} }
	gpu := sweeps.Resources{GPUs: 1}
	type layout struct {
		name      string
		workers   []sweeps.Worker
		low, high int64
		lowNeeds  sweeps.Resources
		highNeeds sweeps.Resources
		recalls   int // at most
	}
	two := computer(2, 2, 8, 2)
	for _, c := range []layout{
		{"one slot", []sweeps.Worker{computer(1, 1, 8, 0)}, 2, 1, cpus(0), cpus(0), 1},
		{"a trial", []sweeps.Worker{two}, 100, 1, cpus(0), cpus(0), 1},
		{"no prefetch", []sweeps.Worker{computer(2, 0, 8, 0)}, 100, 5, cpus(0), cpus(0), 0},
		{"deep prefetch", []sweeps.Worker{computer(2, 9, 8, 0)}, 100, 5, cpus(0), cpus(0), 5},
		{"places left", []sweeps.Worker{computer(4, 4, 8, 0)}, 6, 2, cpus(0), cpus(0), 0},
		{"all of the lower ones are queued", []sweeps.Worker{computer(4, 4, 8, 0)}, 8, 4, cpus(0), cpus(0), 4},
		{"more than there are places", []sweeps.Worker{two}, 100, 30, cpus(0), cpus(0), 2},
		{"machines", []sweeps.Worker{two, two, computer(1, 1, 8, 0)}, 100, 30, cpus(0), cpus(0), 5},
		{"it asks for less", []sweeps.Worker{two}, 100, 7, cpus(4), cpus(1), 2},
		{"it asks for more, which there is", []sweeps.Worker{two}, 100, 7, cpus(1), cpus(4), 30},
		{"machines, and it asks for more", []sweeps.Worker{two, two, two}, 100, 30, cpus(1), cpus(4), 100},
		{"GPUs", []sweeps.Worker{two}, 100, 7, cpus(0), gpu, 30},
		{"machines with GPUs", []sweeps.Worker{two, two, two}, 100, 30, cpus(0), gpu, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			for high, lower := range map[int]int{10: 0, 0: -3} {
				f := newFloor(t, c.workers...)
				f.step(submission("low", c.low, Policy{Needs: c.lowNeeds, Priority: lower}))
				f.turn()
				f.step(submission("high", c.high, Policy{Needs: c.highNeeds, Priority: high}))
				others := f.ends("high", int(c.high))
				if len(c.workers) > 1 {
					others = len(f.jumped) // the last are to begin on some workers, and the others go on
				}
				if others > 0 || f.recalls > c.recalls {
					t.Errorf("before the last of %d trials %d of a lower priority began, %d were recalled: %v", c.high, others, f.recalls, f.begun)
				}
				f.ends("low", int(c.low)-count(f.begun, func(id sweeps.SweepID) bool { return id == "low" }))
			}
			for name, priority := range map[string]int{"equal": 0, "lower": -1} {
				f := newFloor(t, c.workers...)
				f.step(submission("first", c.low, Policy{Needs: c.lowNeeds}))
				f.turn()
				before := f.recalls
				f.step(submission("second", c.high, Policy{Needs: c.highNeeds, Priority: priority}))
				f.turn()
				if f.recalls > before {
					t.Errorf("for a sweep of %s priority, %d trials were recalled", name, f.recalls-before)
				}
				if priority < 0 {
					rest := int(c.low) - count(f.begun, func(id sweeps.SweepID) bool { return id == "first" })
					if others := f.ends("first", rest); others > 0 {
						t.Errorf("before the last of the first sweep, %d of a lower priority began", others)
					}
				}
			}
		})
	}
}

// A worker may begin a trial before it hears that it is wanted back: then that runs, and what is to
// take its place begins next.
func TestPriorityWhileARecallIsOnItsWay(t *testing.T) {
	f := newFloor(t, computer(1, 2, 8, 0))
	f.step(submission("low", 100, Policy{}))
	f.turn()
	w := f.workers[0]
	f.step(submission("high", 3, Policy{Priority: 1}))
	f.assign() // two trials are recalled for two, which are on their way
	if n := count(f.mail, func(e Effect) bool { _, is := e.(Recall); return is }); n != 2 || len(f.mail) != 4 {
		t.Errorf("it says %v", f.mail)
	}
	f.step(submission("highest", 1, Policy{Priority: 2}))
	f.assign() // the place of one that is on its way, too
	begun := len(f.begun)
	f.end(w, sweeps.ClassOK)
	f.turn()
	if got := f.begun[begun:]; !slices.Equal(got, []sweeps.SweepID{"low"}) {
		t.Fatalf("begun are %v", got)
	}
	for range 4 {
		f.end(w, sweeps.ClassOK)
		f.turn()
	}
	if got, want := f.begun[begun:], []sweeps.SweepID{"low", "highest", "high", "high", "high"}; !slices.Equal(got, want) {
		t.Errorf("begun are %v, want %v", got, want)
	}
}

// Slots that fall free elsewhere are not given to lower priorities while higher ones are queued.
func TestFreeSlotsGoToWhatIsQueuedOfAHigherPriority(t *testing.T) {
	f := newFloor(t, computer(2, 4, 8, 0))
	f.step(submission("low", 100, Policy{}))
	f.turn()
	f.step(submission("high", 3, Policy{Priority: 1}))
	f.turn()
	begun := len(f.begun)
	f.join(computer(4, 0, 8, 0))
	if got, want := f.begun[begun:], []sweeps.SweepID{"high", "high", "high", "low"}; !slices.Equal(got, want) {
		t.Errorf("on a worker that joins, begun are %v, want %v", got, want)
	}
}

// A trial that waits for a worker of its own does not keep it from higher priorities.
func TestAWorkerIsNotReservedFromHigherPriorities(t *testing.T) {
	f := newFloor(t, computer(2, 2, 8, 0))
	f.step(submission("low", 2, Policy{}))
	f.turn()
	f.end(f.workers[0], sweeps.ClassOOM)
	f.step(submission("high", 5, Policy{Priority: 1}))
	if others := f.ends("high", 5); others > 0 {
		t.Errorf("%d of a lower priority began before it: %v", others, f.begun)
	}
	f.ends("low", 1)
}
