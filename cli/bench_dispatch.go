package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"swath/bench/load"
	"swath/proto/wire"
	"swath/sweeps"
)

// dispatchBench is what `swath bench dispatch` is told.
type dispatchBench struct {
	trials, workers, slots, prefetch int
	noSpawn, simulate                bool
	noSync, restart                  bool
	profile                          string
}

// dispatchResult is what it found; the JSON of one line.
type dispatchResult struct {
	Trials          int     `json:"trials"`
	TrialsPerSecond float64 `json:"trials_per_second"`
	Durable         bool    `json:"durable"`
	Spawn           bool    `json:"spawn"`
	Workers         int     `json:"workers"`
	Slots           int     `json:"slots"` // of each worker
	// BarePerSecond is how many processes a second a loop starts and awaits without any of
	// swath, as many at a time as there are slots, and Ratio what part of that swath has
	// reached; both only where processes were started. The loop throws the output away;
	// LoggedPerSecond and LoggedRatio are of one that keeps it, in files as swath does.
	BarePerSecond   float64 `json:"bare_per_second,omitempty"`
	Ratio           float64 `json:"ratio,omitempty"`
	LoggedPerSecond float64 `json:"logged_per_second,omitempty"`
	LoggedRatio     float64 `json:"logged_ratio,omitempty"`
	// ShellPerSecond and ShellRatio are of xargs -P, where there is one.
	ShellPerSecond float64 `json:"shell_per_second,omitempty"`
	ShellRatio     float64 `json:"shell_ratio,omitempty"`
	// The refills are those of a second, short sweep, whose trials take long enough for a
	// next one to be there.
	RefillP50  float64 `json:"refill_p50_ms"`
	RefillP99  float64 `json:"refill_p99_ms"`
	Refills    int     `json:"refills"`
	Submit     float64 `json:"submit_ms"`
	Restart    float64 `json:"restart_ms,omitempty"` // from a kill to the answer to a submission
	RSS        float64 `json:"rss_mb"`               // of the coordinator at its highest, in 10⁶ bytes
	CPUPer1000 float64 `json:"coordinator_cpu_ms_per_1000"`
	// WorkersCPU is the processor time of the process in which the workers are, without that
	// of their keepers and of the trials.
	WorkersCPU float64 `json:"workers_cpu_ms_per_1000"`
	BytesTrial float64 `json:"bytes_per_trial"`
}

func (a *app) benchDispatchCommand() *cobra.Command {
	var (
		b        dispatchBench
		jsonForm bool
	)
	cmd := &cobra.Command{
		Use:   "dispatch",
		Short: "Measure how many trials a second go through a coordinator",
		Long: `Dispatch starts a coordinator in a process of its own, on new files beside the home's, gives
it a sweep of trials that do nothing (the command true), and measures the time from the
submission to the last result. Every change of state is synced to the disk before anybody is
told of it, unless --no-sync leaves that out.

Each trial is a process, as in a real sweep. Bare loops that start the same processes and wait
for each, as many at a time, are measured beside it, half before and half after: one that
throws their output away, one that keeps it as a shell script would, the standard output and
the standard error of each in a file, and xargs -P, the loop of a shell, if there is one. With
--no-spawn the workers start nothing, and what is left is swath's own work; with --simulate in
addition, the coordinator's.

A second, short sweep of trials that take 50 ms measures how long a slot is free between two
trials, one of which is prefetched.`,
		Example: `  swath bench dispatch
  swath bench dispatch --no-spawn --trials 100000 --json
  swath bench dispatch --no-spawn --trials 1000000 --restart`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.simulate && !b.noSpawn {
				return errors.New("--simulate: simulated workers start nothing: say --no-spawn as well")
			}
			if !cmd.Flags().Changed("slots") && b.noSpawn {
				b.slots = 256 / max(1, min(b.workers, 256))
			}
			if b.simulate && b.prefetch == 0 {
				b.prefetch = b.slots
			}
			for name, n := range map[string]int{"trials": b.trials, "workers": b.workers, "slots": b.slots} {
				if n < 1 {
					return fmt.Errorf("--%s %d: want at least 1", name, n)
				}
			}
			r, err := a.benchDispatch(cmd.Context(), b)
			if err != nil {
				return err
			}
			if jsonForm {
				return json.NewEncoder(a.stdout).Encode(r)
			}
			a.printDispatch(r)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.trials, "trials", 20_000, "trials of the sweep")
	f.IntVar(&b.workers, "workers", 1, "workers")
	f.IntVar(&b.slots, "slots", 2*processors(), "slots of each worker (with --no-spawn, default 256 over all workers)")
	f.IntVar(&b.prefetch, "prefetch", 0, "trials that a worker holds beyond its slots (default what a worker takes)")
	f.BoolVar(&b.noSpawn, "no-spawn", false, "start no processes: every trial ends at once, well")
	f.BoolVar(&b.simulate, "simulate", false, "with --no-spawn: workers that are no agents, but only their end of the wire")
	f.BoolVar(&b.noSync, "no-sync", false, "do not sync to the disk: how much of the time that is")
	f.BoolVar(&b.restart, "restart", false, "kill the coordinator at the half, and measure how long until it serves again")
	f.StringVar(&b.profile, "profile", "", "write a processor profile of the coordinator to this file")
	f.BoolVar(&jsonForm, "json", false, "print one line of JSON")
	return cmd
}

func (a *app) benchDispatch(ctx context.Context, b dispatchBench) (r dispatchResult, err error) {
	dir, remove, err := a.benchHome()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r = dispatchResult{
		Trials: b.trials, Durable: !b.noSync, Spawn: !b.noSpawn, Workers: b.workers, Slots: b.slots,
	}
	loops := bareLoops{dir: filepath.Join(dir, "bare"), n: min(b.trials, 5000) / 2, parallel: b.workers * b.slots}
	if !b.noSpawn {
		if err := loops.run(ctx); err != nil {
			return r, err
		}
	}
	if err := a.dispatchTrials(ctx, b, filepath.Join(dir, "trials"), &r); err != nil {
		return r, err
	}
	if !b.noSpawn {
		if err := loops.run(ctx); err != nil {
			return r, err
		}
		r.BarePerSecond, r.LoggedPerSecond = round3(loops.bare.perSecond()), round3(loops.logged.perSecond())
		r.Ratio, r.LoggedRatio = round3(r.TrialsPerSecond/r.BarePerSecond), round3(r.TrialsPerSecond/r.LoggedPerSecond)
		if loops.shell.n > 0 {
			r.ShellPerSecond = round3(loops.shell.perSecond())
			r.ShellRatio = round3(r.TrialsPerSecond / r.ShellPerSecond)
		}
	}
	if err := a.refills(ctx, b, filepath.Join(dir, "refills"), &r); err != nil {
		return r, err
	}
	return r, nil
}

// dispatchTrials measures the throughput.
func (a *app) dispatchTrials(ctx context.Context, b dispatchBench, home string, r *dispatchResult) (err error) {
	options := loadOptions{home: home, noSync: b.noSync, profile: b.profile}
	c, err := startUnderLoad(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	workers, err := a.benchWorkers(ctx, b, c.addr, filepath.Join(home, "workers"), 0, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	before, err := measure(c, workers)
	if err != nil {
		return err
	}

	sweep := load.Sweep("bench", b.trials, "true")
	errHalf := errors.New("half of the trials have ended")
	begun := time.Now()
	ran, err := load.RunSweep(ctx, c, sweep, b.trials, func(ended int64) error {
		if b.restart && ended >= int64(b.trials/2) {
			return errHalf
		}
		return nil
	})
	var first usage // of the coordinator that was killed
	if errors.Is(err, errHalf) {
		if first, err = c.usage(); err != nil {
			return err
		}
		options.listen = c.addr
		c.kill()
		if b.simulate {
			_ = workers.stop() // they say that they lost their coordinator
		}
		down := time.Now()
		if c, err = resumeUnderLoad(ctx, options, sweep); err != nil {
			return err
		}
		r.Restart = milliseconds(time.Since(down))
		if b.simulate {
			if workers, err = a.benchWorkers(ctx, b, c.addr, filepath.Join(home, "workers"), 0, nil); err != nil {
				return err
			}
		}
		err = load.Wait(ctx, c, sweep, b.trials, nil)
		ran.Elapsed = time.Since(begun)
	}
	if err != nil {
		return err
	}
	after, err := measure(c, workers)
	if err != nil {
		return err
	}
	trials := float64(b.trials)
	r.TrialsPerSecond = round3(trials / ran.Elapsed.Seconds())
	r.Submit = milliseconds(ran.Submit)
	r.RSS = megabytes(max(first.PeakRSS, after.coordinator.PeakRSS))
	r.CPUPer1000 = round3((first.CPU + after.coordinator.CPU - before.coordinator.CPU).Seconds() * 1e6 / trials)
	r.WorkersCPU = round3((after.workers.CPU - before.workers.CPU).Seconds() * 1e6 / trials)
	r.BytesTrial = round3(float64(after.coordinator.Files["state.db"]) / trials)
	return nil
}

// usages are what a coordinator under load and the workers' process have used.
type usages struct{ coordinator, workers usage }

func measure(c *underLoad, w benchWorkers) (u usages, err error) {
	if u.coordinator, err = c.usage(); err != nil {
		return u, err
	}
	u.workers, err = w.usage()
	return u, err
}

// resumeUnderLoad starts a coordinator on the files of one that was killed, and returns when
// it answers a repeated submission: that goes through its loop, and changes nothing.
func resumeUnderLoad(ctx context.Context, o loadOptions, sweep wire.Submission) (*underLoad, error) {
	c, err := startUnderLoad(ctx, o)
	if err != nil {
		return nil, err
	}
	for {
		_, err := c.Submit(ctx, sweep)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, sweeps.ErrUnavailable) || ctx.Err() != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
}

// refillTime is how long the trials take with which refills are measured, and refillRounds
// how many each slot runs.
const (
	refillTime   = 50 * time.Millisecond
	refillRounds = 40
)

// refills measures how long slots are free.
func (a *app) refills(ctx context.Context, b dispatchBench, home string, r *dispatchResult) (err error) {
	c, err := startUnderLoad(ctx, loadOptions{home: home, noSync: b.noSync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var refills load.Refills
	// As many slots as processors, so that the trials themselves wait for nothing, and one
	// trial prefetched for each.
	b.workers, b.slots = 1, processors()
	b.prefetch = b.slots
	b.simulate = b.noSpawn // an agent that starts nothing has nothing that takes time
	workers, err := a.benchWorkers(ctx, b, c.addr, filepath.Join(home, "workers"), refillTime, &refills)
	if err != nil {
		return err
	}
	n := refillRounds * b.slots
	_, err = load.RunSweep(ctx, c, load.Sweep("refill", n, "sleep", fmt.Sprint(refillTime.Seconds())), n, nil)
	if err = errors.Join(err, workers.stop()); err != nil {
		return err
	}
	r.RefillP50, r.RefillP99 = milliseconds(refills.Quantile(0.5)), milliseconds(refills.Quantile(0.99))
	r.Refills = refills.Count()
	return nil
}

// benchWorkers are the workers of a benchmark.
type benchWorkers interface {
	usage() (usage, error) // of the process in which they are
	stop() error
}

// ownWorkers are in this process.
type ownWorkers struct{ end func() error }

func (w ownWorkers) usage() (usage, error) { return processUsage() }
func (w ownWorkers) stop() error           { return w.end() }

// benchWorkers starts workers: simulated ones in this process, or agents as `swath worker` runs
// them, in a process of theirs unless their sessions are to be watched.
func (a *app) benchWorkers(ctx context.Context, b dispatchBench, addr, home string, run time.Duration, refills *load.Refills) (w benchWorkers, err error) {
	var end func() error
	switch {
	case b.simulate:
		end, err = load.Fleet{
			Addr: addr, Workers: b.workers, Connections: min(b.workers, 100), Slots: b.slots, Prefetch: b.prefetch, Run: run, Refills: refills,
		}.Start(ctx)
	case refills != nil:
		end, err = a.benchAgents(ctx, b, addr, home, refills)
	default:
		return startAgents(b, addr, home)
	}
	return ownWorkers{end}, err
}

func (a *app) printDispatch(r dispatchResult) {
	how, what := "synced to disk", "processes"
	if !r.Durable {
		how = "not synced"
	}
	if !r.Spawn {
		what = "not started"
	}
	fmt.Fprintf(a.stdout, "%d trials (%s), %d workers of %d slots, every change %s\n", r.Trials, what, r.Workers, r.Slots, how)
	fmt.Fprintf(a.stdout, "  dispatch     %.0f trials a second, submission %.1f ms\n", r.TrialsPerSecond, r.Submit)
	if r.Spawn {
		fmt.Fprintf(a.stdout, "  bare loop    %.0f processes a second: dispatch reaches %.0f %% of it\n", r.BarePerSecond, 100*r.Ratio)
		fmt.Fprintf(a.stdout, "  with output  %.0f processes a second, in a loop that keeps it: %.0f %%\n", r.LoggedPerSecond, 100*r.LoggedRatio)
		if r.ShellPerSecond > 0 {
			fmt.Fprintf(a.stdout, "  xargs -P     %.0f processes a second, their output thrown away: %.0f %%\n", r.ShellPerSecond, 100*r.ShellRatio)
		}
	}
	fmt.Fprintf(a.stdout, "  refill       %.1f ms at the median, %.1f ms at the 99th percentile of %d\n", r.RefillP50, r.RefillP99, r.Refills)
	fmt.Fprintf(a.stdout, "  coordinator  %.0f MB at its highest, %.0f ms of processor per 1000 trials, %.0f bytes a trial on disk\n", r.RSS, r.CPUPer1000, r.BytesTrial)
	if r.Restart > 0 {
		fmt.Fprintf(a.stdout, "  restart      %.0f ms from the kill at the half to the answer to a submission\n", r.Restart)
	}
}
