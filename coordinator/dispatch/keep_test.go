package dispatch

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

// A sweep that asks for a whole machine and has the higher priority is served though trials
// that ask for little never leave one empty by themselves; at equal priority they go on.
func TestLargeTrialsOfHighPriorityAreServed(t *testing.T) {
	for _, c := range []struct {
		name         string
		small, large sweeps.Resources
		workers      []sweeps.Worker
	}{
		{"GPUs", sweeps.Resources{GPUs: 1}, sweeps.Resources{GPUs: 2}, []sweeps.Worker{withGPUs("a", 2), withGPUs("b", 2)}},
		{"CPUs, with a queue", sweeps.Resources{CPUs: 1}, sweeps.Resources{CPUs: 4}, []sweeps.Worker{
			{ID: "a", Name: "a", Slots: 4, Prefetch: 2, Total: sweeps.Resources{CPUs: 4}},
			{ID: "b", Name: "b", Slots: 4, Prefetch: 2, Total: sweeps.Resources{CPUs: 4}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := func(priority int) (after int, why string) {
				rng := rand.New(rand.NewPCG(1, 1))
				s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
				step := func(events ...Event) {
					t.Helper()
					for _, ev := range events {
						if err := s.Step(now, ev); err != nil {
							t.Fatal(err)
						}
					}
				}
				assign := func() {
					s.Assign(now)
					if err := s.Check(); err != nil {
						t.Fatal(err)
					}
				}
				for i, w := range c.workers {
					step(Hello{Worker: w, Session: uint64(i + 1)})
				}
				step(submission("small", 40, Policy{Needs: c.small}))
				assign()
				running := startsOf(s)
				step(submission("large", 1, Policy{Needs: c.large, Priority: priority}))
				assign()
				for ends := range 24 {
					for _, e := range s.TakeEffects() {
						switch e := e.(type) {
						case Start:
							if e.Ref.Sweep == "large" {
								return ends, why
							}
							running = append(running, e)
						case Recall: // the worker gives back what it has not started
							step(Returned(e))
						}
					}
					why = strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "large"}), "; ")
					// One of those that run ends; the others go on, so that no worker is ever empty.
					var live []Start
					for _, r := range running {
						w := s.workers[r.Worker]
						if s.Live(r.Worker, r.Ref) && !w.isQueued(w.running[r.Ref.TrialKey]) {
							live = append(live, r)
						}
					}
					if len(live) > 0 {
						r := live[rng.IntN(len(live))]
						now = now.Add(time.Second)
						step(Exited{Worker: r.Worker, Ref: r.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
					}
					assign()
				}
				return -1, why
			}
			if after, why := served(1); after < 0 || !strings.Contains(why, "is kept for it") {
				t.Errorf("at a higher priority, it was begun after %d ends; before that: %s", after, why)
			}
			if after, why := served(0); after >= 0 || strings.Contains(why, "is kept for it") {
				t.Errorf("at equal priority, it was begun after %d ends: %s", after, why)
			}
		})
	}
}

func withGPUs(name string, n int) sweeps.Worker {
	w := sweeps.Worker{ID: sweeps.WorkerID(name), Name: name, Slots: n}
	for i := range n {
		w.GPUs = append(w.GPUs, sweeps.GPU{ID: name + string(rune('0'+i)), Index: i, Memory: 80 * gib})
	}
	return w
}

func submission(id sweeps.SweepID, trials int64, pol Policy) Submit {
	return Submit{Sweep: &sweeps.Sweep{ID: id, Name: string(id)}, Plan: simPlan{n: trials, chain: 1, stride: 1}, Policy: pol}
}
