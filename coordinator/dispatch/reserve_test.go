package dispatch

import (
	"testing"
	"time"

	"swath/sweeps"
)

// A trial that ran out of memory beside others gets a worker to itself while trials without
// an end wait for its slots, though the workers start what they queue without asking.
func TestATrialThatWantsToBeAloneIsServed(t *testing.T) {
	for _, prefetch := range []int{0, 2} {
		s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
		step := func(ev Event) {
			t.Helper()
			if err := s.Step(now, ev); err != nil {
				t.Fatal(err)
			}
		}
		for i, id := range []sweeps.WorkerID{"a", "b"} {
			step(Hello{Worker: sweeps.Worker{ID: id, Name: string(id), Slots: 2, Prefetch: prefetch}, Session: uint64(i + 1)})
		}
		step(submission("many", 1000, Policy{}))
		var running []Start // oldest first
		var big sweeps.AttemptRef
		begun := func() bool {
			s.Assign(now)
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			for _, e := range s.TakeEffects() {
				switch e := e.(type) {
				case Start:
					if e.Ref.TrialKey == big.TrialKey {
						return true
					}
					running = append(running, e)
				case Recall: // the worker gives back what it has not started
					step(Returned(e))
				}
			}
			return false
		}
		begun()
		big = running[0].Ref
		step(Exited{Worker: running[0].Worker, Ref: big, Outcome: sweeps.Outcome{Class: sweeps.ClassOOM}})
		ends := 0
		for ; !begun() && ends < 20; ends++ {
			for len(running) > 0 {
				r := running[0]
				running = running[1:]
				if s.Live(r.Worker, r.Ref) && !s.workers[r.Worker].isQueued(s.workers[r.Worker].running[r.Ref.TrialKey]) {
					now = now.Add(time.Second)
					step(Exited{Worker: r.Worker, Ref: r.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
					break
				}
			}
		}
		if ends == 20 {
			t.Errorf("with %d trials queued, it is not begun after %d others ended", prefetch, ends)
		}
	}
}
