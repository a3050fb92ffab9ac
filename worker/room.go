package worker

import (
	"time"

	"swath/sweeps"
)

// watchRoom follows whether the disk has room for further trials, until the agent shuts
// down. While it has none, nothing that waits is started; what runs goes on. The sessions
// tell the coordinator.
func (a *Agent) watchRoom() {
	if a.cfg.Room == nil {
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
	full := a.cfg.Room()
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

// blameDisk takes a failure for the machine's that came on a disk that is full: what the
// trainer reports has no place there, and no trainer can do anything about it. Such a
// trial is lost with the worker, which is not charged, and happens five times in a row at
// most: it may be the one that fills the disk.
func (a *Agent) blameDisk(out sweeps.Outcome) sweeps.Outcome {
	switch out.Class {
	case sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassSpec:
	default:
		return out
	}
	if a.cfg.Full == nil || !a.cfg.Full() {
		return out
	}
	out.Message = "the disk of worker " + a.cfg.Name + " was full: " + out.Describe()
	out.Class = sweeps.ClassLost
	return out
}
