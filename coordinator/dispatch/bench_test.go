package dispatch

import (
	"fmt"
	"testing"
	"time"

	"swath/sweeps"
)

// crowd returns a dispatcher with a sweep without an end and workers of one slot and one place
// to prefetch, that have just connected.
func crowd(b *testing.B, now time.Time, workers int) *State {
	b.Helper()
	spec, err := sweeps.Parse([]byte(`{name: s, method: grid, command: ["true"], parameters: {seed: {distribution: int_uniform, min: 1, max: 1000000000}, lr: {value: 0.1}}}`), "s.yaml")
	if err != nil {
		b.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		b.Fatal(err)
	}
	s := New(DefaultConfig())
	step := func(ev Event) {
		if err := s.Step(now, ev); err != nil {
			b.Fatal(err)
		}
	}
	step(Submit{Sweep: &sweeps.Sweep{ID: "s", Name: "s"}, Plan: plan})
	for i := range workers {
		id := sweeps.WorkerID(fmt.Sprintf("w%06d", i))
		step(Hello{Worker: sweeps.Worker{ID: id, Slots: 1, Prefetch: 1, Total: sweeps.Resources{CPUs: 2}}, Session: 1})
	}
	return s
}

// starts are the attempts that were handed out since the last call.
func starts(s *State) (list []Start) {
	for _, e := range s.TakeEffects() {
		if start, ok := e.(Start); ok {
			list = append(list, start)
		}
	}
	s.TakeChanges()
	return list
}

// BenchmarkConnect measures the trials that thousands of workers are given which came at once;
// ms/turn is how long one Assign keeps the coordinator's loop.
func BenchmarkConnect(b *testing.B) {
	const workers = 10_000
	now := time.Unix(0, 0)
	turns, handed := 0, 0
	for b.Loop() {
		b.StopTimer()
		s := crowd(b, now, workers)
		for more := true; more; more = s.Again() {
			_ = s.Step(now, Tick{})
			b.StartTimer()
			s.Assign(now)
			b.StopTimer()
			turns++
			handed += len(starts(s))
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(handed)/float64(b.N), "trials")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(turns), "ms/turn")
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(handed), "us/trial")
}

// BenchmarkAssign measures what one trial's end costs among thousands of busy workers.
func BenchmarkAssign(b *testing.B) {
	for _, workers := range []int{10, 10_000} {
		b.Run(fmt.Sprint(workers, " workers"), func(b *testing.B) {
			now := time.Unix(0, 0)
			s := crowd(b, now, workers)
			for more := true; more; more = s.Again() {
				_ = s.Step(now, Tick{})
				s.Assign(now)
			}
			running := starts(s)
			for b.Loop() {
				w := running[0].Worker
				_ = s.Step(now, Exited{Worker: w, Ref: running[0].Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
				s.Assign(now)
				running = append(running[1:], starts(s)...)
			}
		})
	}
}
