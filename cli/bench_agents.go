package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"swath/bench/load"
	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker"
)

func (a *app) benchAgentsCommand() *cobra.Command {
	var (
		b    dispatchBench
		addr string
	)
	cmd := &cobra.Command{
		Use:         "agents",
		Annotations: serving,
		Short:       "The process whose agents the benchmarks have run trials",
		Hidden:      true,
		Args:        exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop, err := a.benchAgents(cmd.Context(), b, addr, a.cfg.Home, nil)
			if err != nil {
				return err
			}
			return errors.Join(a.answerUsage("ready", nil), stop())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "address HOST:PORT of the coordinator")
	cmd.Flags().IntVar(&b.workers, "workers", 1, "agents")
	cmd.Flags().IntVar(&b.slots, "slots", 1, "slots of each")
	cmd.Flags().IntVar(&b.prefetch, "prefetch", 0, "trials that each holds beyond its slots")
	cmd.Flags().BoolVar(&b.noSpawn, "no-spawn", false, "start no processes")
	return cmd
}

// startAgents starts the process.
func startAgents(b dispatchBench, addr, home string) (*benchProcess, error) {
	return startBench("the benchmark's agents", "agents", "--home", home, "--addr", addr, fmt.Sprintf("--workers=%d", b.workers),
		fmt.Sprintf("--slots=%d", b.slots), fmt.Sprintf("--prefetch=%d", b.prefetch), fmt.Sprintf("--no-spawn=%t", b.noSpawn))
}

// benchAgents runs agents in this process, each with a home of its own.
func (a *app) benchAgents(ctx context.Context, b dispatchBench, addr, home string, refills *load.Refills) (stop func() error, err error) {
	roomyHeap()
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var (
		wg      sync.WaitGroup
		clients []*wire.Client
		ready   = make(chan struct{}, b.workers)
		ended   = make(chan error, b.workers)
	)
	stop = func() error {
		cancel()
		wg.Wait()
		for _, c := range clients {
			_ = c.Close() // nobody uses it any more
		}
		close(ended)
		var errs []error
		for err := range ended {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	for i := range b.workers {
		c, err := wire.Dial(addr)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		clients = append(clients, c)
		agent, err := worker.New(worker.Config{
			Home: filepath.Join(home, fmt.Sprint(i)), Name: fmt.Sprintf("bench-%d", i), Slots: b.slots,
			Prefetch: b.prefetch, NoSpawn: b.noSpawn,
			Resources: machineResources(), WorkDir: home, Binary: binary, Grace: time.Second,
			Dial: func(ctx context.Context) (worker.Session, error) {
				s, err := c.Session(ctx)
				if err != nil || refills == nil {
					return s, err
				}
				return refills.Watch(s, b.slots), nil
			},
			Log:     slog.New(slog.DiscardHandler),
			OnReady: func(sweeps.WorkerID) { ready <- struct{}{} },
			Version: version(),
		})
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		wg.Go(func() { ended <- agent.Run(ctx) })
	}
	for range b.workers {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), stop())
		}
	}
	return stop, nil
}
