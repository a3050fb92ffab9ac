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

	"swath/bench/load"
	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker"
)

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
