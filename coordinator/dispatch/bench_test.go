package dispatch

import (
	"fmt"
	"testing"
	"time"

	"swath/sweeps"
)

// bench is a dispatcher that a benchmark drives.
type bench struct {
	*State
	b       *testing.B
	now     time.Time
	running []Start // oldest first
}

func newBench(b *testing.B) *bench {
	cfg := DefaultConfig()
	cfg.Alike, cfg.Quarantine, cfg.Backoff = 0, 0, 0
	return &bench{State: New(cfg), b: b, now: time.Unix(0, 0)}
}

func (s *bench) step(ev Event) {
	s.b.Helper()
	if err := s.Step(s.now, ev); err != nil {
		s.b.Fatal(err)
	}
}

// submit adds a sweep of a billion trials, or of as many as the policy allows.
func (s *bench) submit(id sweeps.SweepID, pol Policy) {
	s.b.Helper()
	spec, err := sweeps.Parse([]byte(`{name: s, method: grid, command: ["true"], parameters: {seed: {distribution: int_uniform, min: 1, max: 1000000000}, lr: {value: 0.1}}}`), "s.yaml")
	if err != nil {
		s.b.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		s.b.Fatal(err)
	}
	s.step(Submit{Sweep: &sweeps.Sweep{ID: id, Name: string(id)}, Plan: plan, Policy: pol})
}

// connect lets workers present themselves, each as fn says.
func (s *bench) connect(workers int, fn func(i int, w *sweeps.Worker)) {
	s.b.Helper()
	for i := range workers {
		id := sweeps.WorkerID(fmt.Sprintf("w%06d", i))
		w := sweeps.Worker{ID: id, Name: string(id), Slots: 1, Prefetch: 1, Total: sweeps.Resources{CPUs: 2}}
		if fn != nil {
			fn(i, &w)
		}
		s.step(Hello{Worker: w, Session: 1})
	}
}

// started takes in what was handed out since the last call, and returns how much that was.
func (s *bench) started() int {
	before := len(s.running)
	for _, e := range s.TakeEffects() {
		if start, ok := e.(Start); ok {
			s.running = append(s.running, start)
		}
	}
	s.TakeChanges()
	return len(s.running) - before
}

// fill hands out all that the workers take.
func (s *bench) fill() {
	for more := true; more; more = s.Again() {
		s.step(Tick{})
		s.Assign(s.now)
		s.started()
	}
}

// ends measures the end of one trial after the other, and what is handed out for each.
func (s *bench) ends(out sweeps.Outcome) {
	s.fill()
	for s.b.Loop() {
		first := s.running[0]
		s.running = s.running[1:]
		s.step(Exited{Worker: first.Worker, Ref: first.Ref, Outcome: out})
		s.Assign(s.now)
		s.started()
	}
}

var benchOK = sweeps.Outcome{Class: sweeps.ClassOK}

// BenchmarkConnect measures the trials that thousands of workers are given which came at once;
// ms/turn is how long one Assign keeps the coordinator's loop.
func BenchmarkConnect(b *testing.B) {
	turns, handed := 0, 0
	for b.Loop() {
		b.StopTimer()
		s := newBench(b)
		s.submit("s", Policy{})
		s.connect(10_000, nil)
		for more := true; more; more = s.Again() {
			s.step(Tick{})
			b.StartTimer()
			s.Assign(s.now)
			b.StopTimer()
			turns++
			handed += s.started()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(handed)/float64(b.N), "trials")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(turns), "ms/turn")
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(handed), "us/trial")
}

// BenchmarkAssign measures what one trial's end costs among thousands of workers.
func BenchmarkAssign(b *testing.B) {
	for _, workers := range []int{10, 10_000} {
		b.Run(fmt.Sprint(workers, " busy workers"), func(b *testing.B) {
			s := newBench(b)
			s.submit("s", Policy{})
			s.connect(workers, nil)
			s.ends(benchOK)
		})
	}
	const workers = 10_000
	b.Run("half of them idle, without the GPU that is asked for", func(b *testing.B) {
		s := newBench(b)
		s.submit("s", Policy{Needs: sweeps.Resources{GPUs: 1}})
		s.connect(workers, func(i int, w *sweeps.Worker) {
			if i%2 == 0 {
				w.GPUs = []sweeps.GPU{{ID: "GPU-0", Memory: 80 << 30}}
			}
		})
		s.ends(benchOK)
	})
	b.Run("half of them idle, without the label that is required", func(b *testing.B) {
		s := newBench(b)
		s.submit("s", Policy{Requires: requires(`labels.zone == "lab"`)})
		s.connect(workers, func(i int, w *sweeps.Worker) {
			w.Labels = map[string]string{"zone": []string{"lab", "hall"}[i%2]}
		})
		s.ends(benchOK)
	})
	b.Run("half of them idle, since there are few trials", func(b *testing.B) {
		s := newBench(b)
		s.submit("s", Policy{RunCap: workers / 2, Retries: 1 << 30})
		s.connect(workers, nil)
		s.ends(sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 1}) // and each is tried again
	})
	b.Run("20 sweeps of different priorities that fit nowhere", func(b *testing.B) {
		s := newBench(b)
		s.submit("small", Policy{Needs: sweeps.Resources{CPUs: 1}})
		s.connect(workers, func(_ int, w *sweeps.Worker) { w.Slots = 2 })
		s.fill()
		for i := range 20 {
			s.submit(sweeps.SweepID(fmt.Sprint("large", i)), Policy{Needs: sweeps.Resources{CPUs: 1.5 + float64(i)/100}, Priority: 1 + i})
		}
		s.ends(benchOK)
	})
}

// BenchmarkRerun measures how long a rerun of thousands of trials keeps the coordinator's loop
// where there are thousands of workers.
func BenchmarkRerun(b *testing.B) {
	const trials, workers = 10_000, 10_000
	for b.Loop() {
		b.StopTimer()
		s := newBench(b)
		s.connect(workers, nil)
		s.submit("s", Policy{RunCap: trials})
		s.fill()
		var failed []*sweeps.Trial
		for _, r := range s.running {
			failed = append(failed, s.sweeps["s"].running[r.Ref.Index])
			s.step(Exited{Worker: r.Worker, Ref: r.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 1}})
		}
		s.submit("t", Policy{})
		e := Rerun{Trials: failed}
		e.Submit = Submit{Sweep: &sweeps.Sweep{ID: "s", Name: "s", State: sweeps.SweepFinished}, Plan: s.sweeps["t"].plan}
		b.StartTimer()
		s.step(e)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/rerun")
}
