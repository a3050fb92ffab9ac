package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"swath/sweeps"
)

// fleet is a few machines that a dispatcher hands trials to, with a clock.
type fleet struct {
	t        *testing.T
	state    *State
	now      time.Time
	machines []*machine
	rows     map[sweeps.TrialKey]sweeps.Trial
	blamed   []sweeps.WorkerID
}

type machine struct {
	id    sweeps.WorkerID
	slots int
	// run says how an attempt ends there, and after how long.
	run     func(t sweeps.TrialKey) (time.Duration, sweeps.Outcome)
	running []attempt
}

type attempt struct {
	ref  sweeps.AttemptRef
	ends time.Time
	out  sweeps.Outcome
}

func newFleet(t *testing.T, machines ...*machine) *fleet {
	f := &fleet{t: t, state: New(DefaultConfig()), now: time.Unix(1_700_000_000, 0), machines: machines, rows: map[sweeps.TrialKey]sweeps.Trial{}}
	for i, m := range machines {
		f.step(Hello{Worker: sweeps.Worker{ID: m.id, Name: string(m.id), Slots: m.slots}, Session: uint64(i + 1)})
	}
	return f
}

func (f *fleet) step(ev Event) {
	f.t.Helper()
	if err := f.state.Step(f.now, ev); err != nil {
		f.t.Fatal(err)
	}
}

// run plays until all sweeps have ended.
func (f *fleet) run(subs ...Submit) *fleet {
	f.t.Helper()
	for _, sub := range subs {
		f.step(sub)
	}
	for begun := f.now; len(f.state.sweeps) > 0; {
		f.turn()
		next := f.state.NextWake()
		for _, m := range f.machines {
			for _, a := range m.running {
				if next.IsZero() || a.ends.Before(next) {
					next = a.ends
				}
			}
		}
		f.now = latest(f.now, next)
		if f.now.Sub(begun) > time.Hour {
			f.t.Fatal("the sweeps do not end")
		}
		f.step(Tick{})
		for i, m := range f.machines {
			f.step(Alive{m.id, uint64(i + 1)})
			m.running = slices.DeleteFunc(m.running, func(a attempt) bool {
				if a.ends.After(f.now) {
					return false
				}
				f.step(Exited{Worker: m.id, Ref: a.ref, Outcome: a.out})
				return true
			})
		}
	}
	f.turn()
	return f
}

// turn hands out what is ready.
func (f *fleet) turn() {
	f.t.Helper()
	f.state.Assign(f.now)
	if err := f.state.Check(); err != nil {
		f.t.Fatal(err)
	}
	for _, e := range f.state.TakeEffects() {
		start, is := e.(Start)
		if !is {
			continue
		}
		m := f.machines[slices.IndexFunc(f.machines, func(m *machine) bool { return m.id == start.Worker })]
		d, out := m.run(start.Ref.TrialKey)
		m.running = append(m.running, attempt{start.Ref, f.now.Add(d), out})
		if out.Class != sweeps.ClassLost {
			f.step(Started{Worker: m.id, Ref: start.Ref})
		}
	}
	changes := f.state.TakeChanges()
	for _, t := range changes.Trials {
		f.rows[t.TrialKey] = *t
	}
	for _, a := range changes.Aside {
		f.blamed = append(f.blamed, a.Worker)
	}
}

// failed counts the trials that ended so.
func (f *fleet) failed() (n int) {
	for _, t := range f.rows {
		if t.State == sweeps.TrialFailed {
			n++
		}
	}
	return n
}

// always is a machine's way to end every attempt.
func always(d time.Duration, class sweeps.Class) func(sweeps.TrialKey) (time.Duration, sweeps.Outcome) {
	n := 0
	return func(sweeps.TrialKey) (time.Duration, sweeps.Outcome) {
		n++
		return d, sweeps.Outcome{Class: class, ExitCode: 1, Message: fmt.Sprint("in words of its own, ", n)}
	}
}

// A worker on which every trial fails, in whichever way and of whichever sweep, is set aside,
// and nothing that it spoilt is lost.
func TestBrokenWorkersAreSetAside(t *testing.T) {
	fast, slow := 300*time.Millisecond, 3*time.Second
	for _, c := range []struct {
		name string
		bad  func(sweeps.TrialKey) (time.Duration, sweeps.Outcome)
	}{
		{"exit", always(fast, sweeps.ClassExit)},
		{"timeout", always(slow, sweeps.ClassTimeout)},
		{"out of memory", always(fast, sweeps.ClassOOM)},
		{"nothing begins", always(0, sweeps.ClassLost)},
	} {
		for _, n := range []int{1, 2, 3} {
			t.Run(fmt.Sprint(c.name, ", ", n, " sweeps"), func(t *testing.T) {
				f := newFleet(t,
					&machine{id: "good", slots: 2, run: always(1500*time.Millisecond, sweeps.ClassOK)},
					&machine{id: "bad", slots: 2, run: c.bad})
				var subs []Submit
				for i := range n {
					subs = append(subs, submission(sweeps.SweepID(fmt.Sprint("s", i)), 40, Policy{}))
				}
				f.run(subs...)
				if !slices.Equal(f.blamed, []sweeps.WorkerID{"bad"}) {
					t.Errorf("set aside were %q", f.blamed)
				}
				if n := f.failed(); n > 0 {
					t.Errorf("%d trials failed in the end", n)
				}
			})
		}
	}
}

// Trials that fail by themselves, wherever they run, are no reason to set a worker aside: of a
// grid, those that need too much come in a row.
func TestGoodWorkersAreNotSetAside(t *testing.T) {
	ends := func(fails func(i int64) bool, class sweeps.Class) func(sweeps.TrialKey) (time.Duration, sweeps.Outcome) {
		return func(t sweeps.TrialKey) (time.Duration, sweeps.Outcome) {
			if fails(t.Index) {
				return 2 * time.Second, sweeps.Outcome{Class: class, ExitCode: 1, Message: fmt.Sprint("of trial ", t.Index)}
			}
			return time.Duration(1+t.Index%7) * time.Second, sweeps.Outcome{Class: sweeps.ClassOK}
		}
	}
	for _, class := range []sweeps.Class{sweeps.ClassTimeout, sweeps.ClassOOM} {
		for name, fails := range map[string]func(int64) bool{
			"all":                  func(int64) bool { return true },
			"the second half":      func(i int64) bool { return i >= 50 },
			"the first half":       func(i int64) bool { return i < 50 },
			"ten of each thirty":   func(i int64) bool { return i%30 >= 20 },
			"all but every fourth": func(i int64) bool { return i%4 > 0 },
		} {
			t.Run(string(class)+", "+name, func(t *testing.T) {
				var machines []*machine
				for i := range 4 {
					machines = append(machines, &machine{id: sweeps.WorkerID(fmt.Sprint("w", i)), slots: 1, run: ends(fails, class)})
				}
				f := newFleet(t, machines...)
				f.run(submission("s", 100, Policy{}))
				want := 0
				for i := range int64(100) {
					if fails(i) {
						want++
					}
				}
				if len(f.blamed) > 0 || f.failed() != want {
					t.Errorf("set aside were %q; %d trials failed, want %d", f.blamed, f.failed(), want)
				}
			})
		}
	}
}

// Where three of ten trials fail by chance, hardly ever enough of them fail in a row on one
// worker for it to be set aside; one where all do is found among them nevertheless.
func TestChanceSetsNoWorkerAside(t *testing.T) {
	const runs = 40
	blamed := map[sweeps.WorkerID]int{}
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 1))
		chance := func(sweeps.TrialKey) (time.Duration, sweeps.Outcome) {
			out := sweeps.Outcome{Class: sweeps.ClassOK}
			if rng.IntN(10) < 3 {
				out = sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 1, Message: fmt.Sprint(rng.Int())}
			}
			return time.Duration(1+rng.IntN(5000)) * time.Millisecond, out
		}
		var machines []*machine
		for i := range 4 {
			machines = append(machines, &machine{id: sweeps.WorkerID(fmt.Sprint("w", i)), slots: 2, run: chance})
		}
		machines = append(machines, &machine{id: "bad", slots: 2, run: always(time.Second, sweeps.ClassExit)})
		f := newFleet(t, machines...)
		f.run(submission("s", 500, Policy{}))
		for _, id := range f.blamed {
			blamed[id]++
		}
	}
	if blamed["bad"] != runs || blamed["w0"]+blamed["w1"]+blamed["w2"]+blamed["w3"] > 2 {
		t.Errorf("in %d runs, set aside were %v", runs, blamed)
	}
}

// Where nothing finishes, what is kept of the failures is bounded. (That it is no more than it
// may be, Check says.)
func TestStreaksAreBounded(t *testing.T) {
	f := newFleet(t, &machine{id: "w", slots: 4, run: always(time.Millisecond, sweeps.ClassExit)})
	f.step(submission("s", 1000, Policy{}))
	for len(f.rows) < 900 {
		f.turn()
		m := f.machines[0]
		for _, a := range m.running {
			f.step(Exited{Worker: m.id, Ref: a.ref, Outcome: a.out})
		}
		m.running = nil
	}
	st := f.state.sweeps["s"].streaks[f.state.workers["w"]]
	if len(st.trials) != maxSpoilt || st.length < 900-4 {
		t.Errorf("of %d failures in a row, %d are kept", st.length, len(st.trials))
	}
	f.step(Gone{"w", 1})
	if n := len(f.state.sweeps["s"].streaks); n != 0 {
		t.Errorf("%d streaks are kept of workers that are gone", n)
	}
}
