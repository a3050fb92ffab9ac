package worker

import (
	"time"

	"swath/sweeps"
)

// watchRoom follows whether the disk has room for further trials, until the agent shuts
// down. While it has none, nothing that waits is started; what runs goes on. The sessions
// tell the coordinator.
func (a *Agent) watchRoom() {
	if a.cfg.Room == nil && a.cfg.Full == nil {
		return
	}
	tick := time.NewTicker(a.times.room)
	defer tick.Stop()
	for {
		a.look()
		select {
		case <-a.draining:
			return
		case <-tick.C:
		}
	}
}

// look asks once.
func (a *Agent) look() {
	a.lookFull()
	var full string
	if a.cfg.Room != nil {
		// What is kept for convenience goes first.
		if full = a.cfg.Room(); full != "" && a.cache.empty() {
			full = a.cfg.Room()
		}
	}
	a.mu.Lock()
	was := a.full
	a.full = full
	if full == "" && was != "" {
		a.fill()
	}
	a.mu.Unlock()
	switch {
	case was == "" && full != "":
		a.log.Warn("no more trials are taken until there is room; what runs goes on", "why", full)
	case was != "" && full == "":
		a.log.Warn("there is room again: trials are taken")
	}
}

// noRoom says why the agent takes no trials; empty if it does.
func (a *Agent) noRoom() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.full
}

// lookFull asks whether the disk is full, and returns when it was last seen to be.
func (a *Agent) lookFull() time.Time {
	full := a.cfg.Full != nil && a.cfg.Full()
	if full {
		a.cache.empty()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if full {
		a.lastFull = time.Now()
	}
	return a.lastFull
}

// blameDisk takes the failure of a process that was started then for the machine's if the
// disk was full while it ran: what the trainer reports had no place there, and no trainer
// can do anything about it. There may be room again by the time that it ends. Such a trial
// is lost with the worker, which is not charged, and happens five times in a row at most:
// it may be the one that fills the disk.
func (a *Agent) blameDisk(started time.Time, out sweeps.Outcome) sweeps.Outcome {
	switch out.Class {
	case sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassSpec:
	default:
		return out
	}
	if started.IsZero() { // nothing was: what counts is now
		started = time.Now()
	}
	// Between two looks it may have been full unseen.
	if full := a.lookFull(); full.IsZero() || full.Before(started.Add(-a.times.room)) {
		return out
	}
	out.Message = "the disk of worker " + a.cfg.Name + " was full: " + out.Describe()
	out.Class = sweeps.ClassLost
	return out
}
