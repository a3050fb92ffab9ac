//go:build unix

package worker

import (
	"context"
	osexec "os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// BenchmarkTrials measures what a trial of the program true costs, from Start to Forget,
// beside a loop that only starts and awaits the same program. cpu-us/op is the time of
// all processors in all processes, which tells more than the rate where others work, too.
func BenchmarkTrials(b *testing.B) {
	const parallel = 4
	program, err := osexec.LookPath("true")
	if err != nil {
		b.Skip(err)
	}
	b.Run("bare loop", func(b *testing.B) {
		before := cpuTime(b)
		var wg sync.WaitGroup
		var next atomic.Int64
		for range parallel {
			wg.Go(func() {
				for next.Add(1) <= int64(b.N) {
					if err := osexec.Command(program).Run(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		reportAttempts(b, before)
	})
	for _, bc := range []struct {
		name   string
		change func(*Config)
	}{
		{"keeper", func(cfg *Config) { cfg.Binary = self(b) }},
		{"direct", nil},
		{"no spawn", func(cfg *Config) { cfg.NoSpawn = true }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			source := []byte("name: bench\nmethod: grid\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {value: 0.1}}\ncommand: [" + program + "]\n")
			c := &feeder{source: source, n: int64(b.N), waiting: 2 * parallel, over: make(chan struct{})}
			a := newAgent(b, nil, b.TempDir(), func(cfg *Config) {
				cfg.Slots, cfg.Prefetch, cfg.Dial = parallel, parallel, c.dial
				if bc.change != nil {
					bc.change(cfg)
				}
			})
			a.times = defaultTimes
			before := cpuTime(b)
			b.ResetTimer()
			r := run(b, a)
			<-c.over
			b.StopTimer()
			r.stop() // the keeper's time counts when it has ended
			reportAttempts(b, before)
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return total
}

func reportAttempts(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trials/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// feeder is a coordinator that hands out n trials as fast as they end, and acknowledges
// everything at once.
type feeder struct {
	source  []byte
	n       int64
	waiting int64 // how many the agent holds at a time
	over    chan struct{}

	mu          sync.Mutex
	next, ended int64
	ctx         context.Context
	replies     chan wire.CoordinatorMessage
}

func (f *feeder) dial(ctx context.Context) (Session, error) {
	f.ctx, f.replies = ctx, make(chan wire.CoordinatorMessage, 100*f.waiting)
	return f, nil
}

func (f *feeder) Recv() (wire.CoordinatorMessage, error) {
	select {
	case m := <-f.replies:
		return m, nil
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
}

func (f *feeder) CloseSend() error { return nil }

func (f *feeder) Send(m wire.WorkerMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := m.(type) {
	case wire.Hello:
		f.replies <- wire.Welcome{Heartbeat: time.Second, Lease: time.Minute}
		for range f.waiting {
			f.start()
		}
	case wire.Exited:
		if !m.Outcome.OK() {
			panic(m.Outcome.Message)
		}
		f.replies <- wire.Forget{Ref: m.Ref}
		f.start()
		if f.ended++; f.ended == f.n {
			close(f.over)
		}
	}
	return nil
}

func (f *feeder) start() {
	if f.next == f.n {
		return
	}
	f.next++
	f.replies <- wire.Start{
		Ref:     sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: f.next}, Attempt: 1},
		TrialID: "0123456789abcdef", Params: sweeps.Params{"lr": 0.1}, SweepName: "bench", Source: f.source, File: "bench.yaml",
	}
}
