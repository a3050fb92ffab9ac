package coordinator

import (
	"context"
	"sync"
	"time"

	"swath/coordinator/dispatch"
)

// lookInterval is the shortest time between two looks at the disk.
const lookInterval = time.Second

// look tells the dispatcher whether the disk has room for something new, if that changed.
func (c *Coordinator) look(state *dispatch.State, now time.Time) {
	if c.cfg.Room == nil {
		return
	}
	if now.Sub(c.looked) >= lookInterval || now.Before(c.looked) {
		c.looked, c.full = now, c.cfg.Room()
	}
	was := state.Halted()
	if c.full == was {
		return
	}
	switch {
	case was == "":
		c.cfg.Log.Warn("no more sweeps and trials are taken until there is room; what runs goes on", "why", c.full)
	case c.full == "":
		c.cfg.Log.Warn("there is room again: sweeps and trials are taken")
	}
	_ = state.Step(now, dispatch.Halt{Reason: c.full}) // nobody asked
}

// trouble follows what keeps the coordinator from its work.
type trouble struct {
	mu     sync.Mutex
	halted string    // as the dispatcher's
	idle   bool      // no worker holds a trial
	failed error     // the last failure to write
	at     time.Time // of it
	logged time.Time // when a failure was last logged
}

// recent is how long a failure to write counts. Where something waits to be written it is
// tried more often.
const recent = 10 * time.Second

// Obstacle says what keeps the coordinator from going on: a disk below its reserve, or one
// that cannot be written. The text is empty if nothing does. stuck says that nothing else
// goes on either: no trial runs, or what it reports cannot be recorded.
func (c *Coordinator) Obstacle() (what string, stuck bool) {
	t := &c.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failed != nil && c.cfg.Now().Sub(t.at) < recent:
		return t.failed.Error(), true
	case t.halted != "":
		return t.halted, t.idle
	}
	return "", false
}

func (t *trouble) note(halted string, idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.halted, t.idle = halted, idle
}

// cannotWrite notes that writing failed, and logs it, though not again and again: what
// cannot be written is tried every few seconds.
func (c *Coordinator) cannotWrite(ctx context.Context, what string, err error) {
	t := &c.trouble
	now := c.cfg.Now()
	t.mu.Lock()
	again := t.failed != nil && t.failed.Error() == err.Error() && now.Sub(t.logged) < time.Minute
	t.failed, t.at = err, now
	if !again {
		t.logged = now
	}
	t.mu.Unlock()
	if !again {
		c.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
}
