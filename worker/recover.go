package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"swath/sweeps"
	"swath/worker/exec"
)

// recover takes on the attempts that an earlier agent in this place left behind. The
// lock says that it runs no more.
//
// One that had ended is reported as it ended. One that had not is given up: what runs of
// it is killed, and it is reported as lost, with all the points and output that its
// files hold; the coordinator then runs the trial again, uncharged. An agent that adopts
// running attempts instead would do so here, in giveUp's place.
func (a *Agent) recover() error {
	entries, err := os.ReadDir(a.home.attempts())
	if err != nil {
		return a.errPlace(err)
	}
	for _, e := range entries {
		dir := filepath.Join(a.home.attempts(), e.Name())
		b, err := os.ReadFile(filepath.Join(dir, attemptFile))
		start, _, err2 := parseRecord(b, dir)
		if errors.Is(err, fs.ErrNotExist) {
			// Its process never was: the record comes first.
			if err := os.RemoveAll(dir); err != nil {
				return a.errPlace(err)
			}
			continue
		}
		if err == nil {
			err = err2
		}
		if err != nil {
			a.log.Error("an attempt of an earlier worker cannot be read and is left alone: remove its directory by hand", "dir", dir, "err", err)
			continue
		}
		at := newAttempt(a, start)
		at.dir = dir
		close(at.turn)
		outcome, err := exec.LoadEnd(dir)
		if err != nil {
			outcome = at.giveUp()
			at.end(outcome)
		} else {
			at.outcome = &outcome
			close(at.done)
		}
		at.log.Info("attempt of an earlier worker found", "class", string(outcome.Class))
		a.attempts[start.Ref] = at
		a.wg.Go(at.await)
	}
	return nil
}

// giveUp ends what an earlier agent left running of the attempt.
func (at *attempt) giveUp() sweeps.Outcome {
	killed, err := exec.KillOrphan(at.dir)
	if err != nil {
		at.log.Error("a trainer that an earlier worker left behind may still run: look for it and end it", "dir", at.dir, "err", err)
	}
	message := "the worker was killed, and came back when the trainer was gone"
	if killed {
		message = "the worker was killed; the trainer that it left running was ended when it came back"
	}
	return sweeps.Outcome{Class: sweeps.ClassLost, ExitCode: -1, Message: message}
}
