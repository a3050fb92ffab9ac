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
)

// scaleBench is what `swath bench scale` is told.
type scaleBench struct {
	workers, connections int
	length, trial        time.Duration
	profile              string
}

// scaleResult is what it found; the JSON of one line.
type scaleResult struct {
	Workers     int     `json:"workers"`
	Connections int     `json:"connections"` // the sessions of the workers share them
	Seconds     float64 `json:"seconds"`
	Connect     float64 `json:"connect_s"` // until all workers were accepted
	Trials      float64 `json:"trials_per_second"`
	Cores       float64 `json:"coordinator_cores"`
	RSS         float64 `json:"rss_mb"` // of the coordinator at its highest, in 10⁶ bytes
}

func (a *app) benchScaleCommand() *cobra.Command {
	var (
		b        scaleBench
		jsonForm bool
	)
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Measure what many connected workers cost a coordinator",
		Long: `Scale starts a coordinator in a process of its own and connects simulated workers to it, each
with a session of its own and heartbeats as often as the coordinator wants them. The sessions
share some TCP connections, several to each. Once all are accepted it measures for some
seconds how many processor cores the coordinator uses, and its memory. With --trial the
workers are not idle: each runs one trial after the other, of that length.`,
		Example: `  swath bench scale
  swath bench scale --workers 10000 --trial 30s --seconds 30 --json`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.workers < 1 || b.connections < 1 {
				return fmt.Errorf("--workers %d, --connections %d: want at least 1", b.workers, b.connections)
			}
			if b.length < time.Second {
				return fmt.Errorf("--seconds %s: want at least 1s", b.length)
			}
			r, err := a.benchScale(cmd.Context(), b)
			if err != nil {
				return err
			}
			if jsonForm {
				return json.NewEncoder(a.stdout).Encode(r)
			}
			fmt.Fprintf(a.stdout, "%d workers on %d connections, for %.0f s\n", r.Workers, r.Connections, r.Seconds)
			fmt.Fprintf(a.stdout, "  coordinator  %.2f cores, %.0f MB at its highest\n", r.Cores, r.RSS)
			fmt.Fprintf(a.stdout, "  connecting   %.1f s until all were accepted\n", r.Connect)
			fmt.Fprintf(a.stdout, "  dispatch     %.0f trials a second\n", r.Trials)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.workers, "workers", 10_000, "workers")
	f.IntVar(&b.connections, "connections", 100, "connections that their sessions share")
	seconds := f.Int("seconds", 20, "how long to measure")
	f.DurationVar(&b.trial, "trial", 0, "how long each worker's trials take; without it they are idle")
	f.StringVar(&b.profile, "profile", "", "write a processor profile of the coordinator to this file")
	f.BoolVar(&jsonForm, "json", false, "print one line of JSON")
	cmd.PreRun = func(*cobra.Command, []string) { b.length = time.Duration(*seconds) * time.Second }
	return cmd
}

func (a *app) benchScale(ctx context.Context, b scaleBench) (r scaleResult, err error) {
	dir, remove, err := a.benchHome()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	c, err := startUnderLoad(ctx, loadOptions{home: filepath.Join(dir, "home"), profile: b.profile})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if b.trial > 0 {
		n := int(float64(b.workers)*(b.length.Seconds()+60)/b.trial.Seconds()) + 2*b.workers
		if _, err := c.Submit(ctx, load.Sweep("bench", n, "true")); err != nil {
			return r, err
		}
	}
	begun := time.Now()
	stop, err := load.Fleet{
		Addr: c.addr, Workers: b.workers, Connections: b.connections, Slots: 1, Prefetch: 1, Run: b.trial, Heartbeat: true,
	}.Start(ctx)
	if err != nil {
		return r, err
	}
	r = scaleResult{Workers: b.workers, Connections: min(b.connections, b.workers), Connect: round3(time.Since(begun).Seconds())}
	err = a.watchScale(ctx, b, c, &r)
	return r, errors.Join(err, stop())
}

// watchScale measures while the workers are connected.
func (a *app) watchScale(ctx context.Context, b scaleBench, c *underLoad, r *scaleResult) error {
	ended := func() (int64, error) {
		if b.trial == 0 {
			return 0, nil
		}
		st, err := load.Status(ctx, c, "bench")
		if err != nil {
			return 0, err
		}
		return st.Counts.Ended(), nil
	}
	endedBefore, err := ended()
	if err != nil {
		return err
	}
	before, err := c.usage()
	if err != nil {
		return err
	}
	begun := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.length):
	}
	after, err := c.usage()
	if err != nil {
		return err
	}
	elapsed := time.Since(begun).Seconds()
	endedAfter, err := ended()
	if err != nil {
		return err
	}
	workers, err := c.Workers(ctx)
	if err != nil {
		return err
	}
	connected := 0
	for _, w := range workers {
		if w.Connected {
			connected++
		}
	}
	if connected != b.workers {
		return fmt.Errorf("%d of %d workers are connected at the end: the coordinator lost the others", connected, b.workers)
	}
	r.Seconds = round3(elapsed)
	r.Cores = round3((after.CPU - before.CPU).Seconds() / elapsed)
	r.RSS = megabytes(after.PeakRSS)
	r.Trials = round3(float64(endedAfter-endedBefore) / elapsed)
	return nil
}
