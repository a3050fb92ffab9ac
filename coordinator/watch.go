package coordinator

import (
	"context"
	"sync"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Progress is what a watcher of a sweep is told.
type Progress struct {
	SweepStatus
	Ended   []*sweeps.Trial // trials that ended since the last message, once each
	Workers int             // connected
	Slots   int             // of them
}

// watchers are those who follow sweeps.
type watchers struct {
	mu sync.Mutex
	m  map[sweeps.SweepID]map[*watcher]bool
}

type watcher struct {
	wake  chan struct{}
	ended []*sweeps.Trial // guarded by watchers.mu
}

func (w *watchers) add(id sweeps.SweepID) *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := &watcher{wake: make(chan struct{}, 1)}
	if w.m == nil {
		w.m = map[sweeps.SweepID]map[*watcher]bool{}
	}
	if w.m[id] == nil {
		w.m[id] = map[*watcher]bool{}
	}
	w.m[id][x] = true
	return x
}

func (w *watchers) remove(id sweeps.SweepID, x *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m[id], x)
	if len(w.m[id]) == 0 {
		delete(w.m, id)
	}
}

// publish tells the watchers what was committed.
func (w *watchers) publish(c dispatch.Changes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.m) == 0 {
		return
	}
	for _, t := range c.Trials {
		if !t.State.Terminal() {
			continue
		}
		for x := range w.m[t.Sweep] {
			clone := *t
			x.ended = append(x.ended, &clone)
		}
	}
	for _, sw := range c.Sweeps {
		w.signal(sw.ID)
	}
}

// touch tells the watchers that something of the sweep moved (points arrived).
func (w *watchers) touch(id sweeps.SweepID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signal(id)
}

func (w *watchers) signal(id sweeps.SweepID) {
	for x := range w.m[id] {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watchers) take(x *watcher) []*sweeps.Trial {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended := x.ended
	x.ended = nil
	return ended
}

// watchInterval is the shortest time between two messages of a watch.
const watchInterval = 200 * time.Millisecond

// Watch calls fn with the sweep's progress, at once and whenever it changed, until the
// sweep has ended, fn returns an error, or ctx is done.
func (c *Coordinator) Watch(ctx context.Context, nameOrID string, fn func(*Progress) error) error {
	sw, err := c.find(nameOrID)
	if err != nil {
		return err
	}
	x := c.watch.add(sw.ID)
	defer c.watch.remove(sw.ID, x)
	for {
		st, err := c.Sweep(string(sw.ID))
		if err != nil {
			return err
		}
		workers, err := c.Workers(ctx)
		if err != nil {
			return err
		}
		// Taken last: the loop answered for its workers after it published the commit
		// that the status shows, so every end that the status counts is in the list.
		p := &Progress{SweepStatus: *st, Ended: c.watch.take(x)}
		for _, w := range workers {
			if w.Connected {
				p.Workers++
				p.Slots += w.Slots
			}
		}
		if err := fn(p); err != nil || st.State.Terminal() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return errNotRunning
		case <-time.After(watchInterval):
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return errNotRunning
		case <-x.wake:
		}
	}
}
