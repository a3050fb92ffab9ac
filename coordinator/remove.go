package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Remove removes a sweep that has ended, with its trials, series, logs and checkpoints, and
// returns its last record. First the sweep is gone, in one commit; then what it took is freed,
// which the next coordinator on the home goes on with if this one dies meanwhile. A sweep that
// has not ended, or whose results others took over, gives ErrConflict.
func (c *Coordinator) Remove(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, err
	}
	if !sw.State.Terminal() {
		return nil, fmt.Errorf("%w: sweep %q has not ended, it is %s: cancel it first", sweeps.ErrConflict, sw.Name, sw.State)
	}
	if err := c.do(ctx, dispatch.Remove{Sweep: sw.ID}); err != nil {
		return nil, err
	}
	c.cfg.Log.Info("sweep removed", "sweep", sw.Name, "id", sw.ID)
	if err := c.purge(sw.ID); err != nil {
		return nil, fmt.Errorf("sweep %q is removed, but not all that it took is freed (the next coordinator on this home tries again): %w", sw.Name, err)
	}
	return &SweepStatus{Sweep: sw, Total: c.total(sw)}, nil
}

// step hands an event to the dispatcher; the removal of a sweep only if it is known that
// nobody took over its results.
func (c *Coordinator) step(state *dispatch.State, now time.Time, ev dispatch.Event) error {
	if e, is := ev.(dispatch.Remove); is {
		if err := c.unused(e.Sweep); err != nil {
			return err
		}
	}
	return state.Step(now, ev)
}

// unused is an error if others took over results of the sweep: their series and logs are here.
func (c *Coordinator) unused(id sweeps.SweepID) error {
	reusers, err := c.store.Reusers(id)
	if err != nil {
		return fmt.Errorf("look for who took over results of sweep %q: %w", c.bases[id].name, err)
	}
	if len(reusers) == 0 {
		return nil
	}
	var names []string
	for i, other := range reusers {
		if i == 3 {
			names = append(names, fmt.Sprintf("and %d more", len(reusers)-i))
			break
		}
		names = append(names, fmt.Sprintf("%q", c.bases[other].name))
	}
	return fmt.Errorf("%w: results of sweep %q were taken over by %s, whose series and logs they are: remove those first",
		sweeps.ErrConflict, c.bases[id].name, strings.Join(names, ", "))
}

// purge frees what a removed sweep takes, its records last: they tell that there is something
// to free.
func (c *Coordinator) purge(id sweeps.SweepID) error {
	if err := errors.Join(c.metrics.Remove(id), c.logs.Remove(id)); err != nil {
		return err
	}
	return c.store.Purge(id)
}

// purgeAll goes on where an earlier coordinator was interrupted.
func (c *Coordinator) purgeAll(ctx context.Context) {
	left, err := c.store.Removed()
	for _, id := range left {
		if ctx.Err() != nil {
			return
		}
		err = errors.Join(err, c.purge(id))
	}
	if err != nil {
		c.cfg.Log.Warn("freeing what removed sweeps took failed: the next coordinator on this home tries again", "err", err)
	}
}
