package cli

import (
	"context"
	"errors"
	"time"
)

// errDiskFull says that a run waited in vain for room on its disk; told already.
var errDiskFull = errors.New("the disk is full")

// watchDisk follows a run of a coordinator in this process: it says when the disk keeps it
// from going on, and when there is room again. If there is none for DiskWait, the context
// that it returns ends. done ends the watch, and returns errDiskFull then.
func (a *app) watchDisk(ctx context.Context, s *server, sweep string) (watched context.Context, done func() error) {
	watched, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		said := ""
		var stuckSince time.Time
		for {
			select {
			case <-watched.Done():
				return
			case <-tick.C:
			}
			what, stuck := s.coord.Obstacle()
			switch {
			case what != "" && said == "":
				a.note("waiting: %s (it goes on by itself when there is room)", oneLine(errors.New(what)))
			case what == "" && said != "":
				a.note("there is room again: going on")
			}
			said = what
			if !stuck {
				stuckSince = time.Time{}
				continue
			}
			if stuckSince.IsZero() {
				stuckSince = time.Now()
			}
			if a.cfg.DiskWait > 0 && time.Since(stuckSince) >= a.cfg.DiskWait {
				a.note("swath: giving up after %s: %s; nothing that was recorded is lost: free some space, and the same command goes on with %s",
					a.cfg.DiskWait, oneLine(errors.New(what)), sweep)
				cancel(errDiskFull)
				return
			}
		}
	}()
	return watched, func() error {
		cancel(nil)
		<-ended
		if errors.Is(context.Cause(watched), errDiskFull) {
			return errDiskFull
		}
		return nil
	}
}
