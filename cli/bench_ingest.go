package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"swath/bench/load"
	"swath/sweeps"
)

// ingestBench is what `swath bench ingest` is told.
type ingestBench struct {
	points, attempts, workers int
	noSync                    bool
	profile                   string
}

// ingestResult is what it found; the JSON of one line.
type ingestResult struct {
	Points          int     `json:"points"`
	Attempts        int     `json:"attempts"`
	Workers         int     `json:"workers"`
	PointsPerSecond float64 `json:"points_per_second"`
	BytesPerPoint   float64 `json:"bytes_per_point"`
	Durable         bool    `json:"durable"`
	RSS             float64 `json:"rss_mb"` // of the coordinator at its highest, in 10⁶ bytes
	CPUPerMillion   float64 `json:"coordinator_cpu_ms_per_million"`
}

func (a *app) benchIngestCommand() *cobra.Command {
	var (
		b        ingestBench
		jsonForm bool
	)
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Measure how many metric points a second a coordinator records",
		Long: `Ingest starts a coordinator in a process of its own, on new files beside the home's, and
sends it the points of typical training runs (a loss and an accuracy, logged every 50 ms), in
messages of 1000 points as a worker does. The time is that from the first point sent to the
last one acknowledged, and a point is acknowledged when it is on the disk. What a point takes
on the disk is what is in use of metrics.db: up to its last page, with pages that are free and
without what the file has reserved to grow into.`,
		Example: `  swath bench ingest
  swath bench ingest --points 10000000 --attempts 100 --json`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case b.workers < 1 || b.attempts < b.workers:
				return fmt.Errorf("--attempts %d, --workers %d: want at least one worker, and an attempt for each", b.attempts, b.workers)
			case b.points < b.attempts:
				return fmt.Errorf("--points %d: want at least one for each of %d attempts", b.points, b.attempts)
			}
			r, err := a.benchIngest(cmd.Context(), b)
			if err != nil {
				return err
			}
			if jsonForm {
				return json.NewEncoder(a.stdout).Encode(r)
			}
			how := "synced to disk"
			if !r.Durable {
				how = "not synced"
			}
			fmt.Fprintf(a.stdout, "%d points of %d attempts on %d workers, every commit %s\n", r.Points, r.Attempts, r.Workers, how)
			fmt.Fprintf(a.stdout, "  ingest       %.0f points a second, %.2f bytes a point on disk\n", r.PointsPerSecond, r.BytesPerPoint)
			fmt.Fprintf(a.stdout, "  coordinator  %.0f MB at its highest, %.0f ms of processor per million points\n", r.RSS, r.CPUPerMillion)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.points, "points", 5_000_000, "points to send in all")
	f.IntVar(&b.attempts, "attempts", 20, "attempts that report at the same time")
	f.IntVar(&b.workers, "workers", 2, "workers that they run on")
	f.BoolVar(&b.noSync, "no-sync", false, "do not sync to the disk: how much of the time that is")
	f.StringVar(&b.profile, "profile", "", "write a processor profile of the coordinator to this file")
	f.BoolVar(&jsonForm, "json", false, "print one line of JSON")
	return cmd
}

func (a *app) benchIngest(ctx context.Context, b ingestBench) (r ingestResult, err error) {
	dir, remove, err := a.benchHome()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	c, err := startUnderLoad(ctx, loadOptions{home: filepath.Join(dir, "home"), noSync: b.noSync, profile: b.profile})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	perWorker := b.attempts / b.workers
	r = ingestResult{Points: b.points, Attempts: perWorker * b.workers, Workers: b.workers, Durable: !b.noSync}
	sweep := load.Sweep("bench", r.Attempts, "true")
	if _, err := c.Submit(ctx, sweep); err != nil {
		return r, err
	}
	before, err := c.usage()
	if err != nil {
		return r, err
	}
	r.Points = 0
	times := make([]time.Duration, b.workers)
	all, allCtx := errgroup.WithContext(ctx)
	for i := range b.workers {
		g := load.Ingest{Points: b.points / b.workers, Attempts: perWorker}
		r.Points += g.Points / perWorker * perWorker
		all.Go(func() error {
			s, err := c.Session(allCtx)
			if err != nil {
				return err
			}
			times[i], err = g.Send(allCtx, s, sweeps.WorkerID(fmt.Sprintf("bench-%d", i)))
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return r, err
	}
	used, err := c.usage()
	if err != nil {
		return r, err
	}
	if err := load.Wait(ctx, c, sweep, r.Attempts, nil); err != nil {
		return r, err
	}
	longest := time.Duration(0)
	for _, t := range times {
		longest = max(longest, t)
	}
	r.PointsPerSecond = round3(float64(r.Points) / longest.Seconds())
	r.BytesPerPoint = round3(float64(used.Files["metrics.db"]) / float64(r.Points))
	r.RSS = megabytes(used.PeakRSS)
	r.CPUPerMillion = round3((used.CPU - before.CPU).Seconds() * 1e3 / float64(r.Points) * 1e6)
	return r, nil
}
