package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// Fleet is a number of simulated workers that share connections.
type Fleet struct {
	Addr        string // of the coordinator
	Workers     int
	Connections int // to share; each worker has a session of its own on one of them
	Slots       int // of each worker
	Prefetch    int // of each worker
	Run         time.Duration
	Heartbeat   bool
	Refills     *Refills
}

// Start connects the workers and returns when the coordinator has accepted all of them.
// stop disconnects them; it returns what went wrong meanwhile.
func (f Fleet) Start(ctx context.Context) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		wg    sync.WaitGroup
		once  sync.Once
		ready = make(chan struct{}, f.Workers)
		first = make(chan error, 1)
	)
	fail := func(err error) { once.Do(func() { first <- err }) }
	var clients []*wire.Client
	stop = func() error {
		cancel()
		wg.Wait()
		for _, c := range clients {
			_ = c.Close() // nobody uses it any more
		}
		select {
		case err := <-first:
			return err
		default:
			return nil
		}
	}
	for range max(1, min(f.Connections, f.Workers)) {
		c, err := wire.Dial(f.Addr)
		if err != nil {
			_ = stop() // the error at hand came first
			return nil, err
		}
		clients = append(clients, c)
	}
	// A coordinator is greeted by a crowd, but not by one of ten thousand at once: they
	// would wait for each other in any case.
	greeting := make(chan struct{}, 256)
	for i := range f.Workers {
		name := fmt.Sprintf("bench-%05d", i)
		w := &Worker{
			Worker: sweeps.Worker{ID: sweeps.WorkerID(name), Name: name, Slots: f.Slots, Prefetch: f.Prefetch},
			Run:    f.Run, Heartbeat: f.Heartbeat, Refills: f.Refills,
			Ready: func() { <-greeting; ready <- struct{}{} },
		}
		c := clients[i%len(clients)]
		select {
		case greeting <- struct{}{}:
		case err := <-first:
			first <- err
			return nil, stop()
		case <-ctx.Done():
			return nil, stop()
		}
		wg.Go(func() {
			s, err := c.Session(ctx)
			if err == nil {
				err = w.Serve(ctx, s)
			}
			if err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for range f.Workers {
		select {
		case <-ready:
		case err := <-first:
			first <- err
			return nil, stop()
		case <-ctx.Done():
			_ = stop() // it was told to
			return nil, ctx.Err()
		}
	}
	return stop, nil
}
