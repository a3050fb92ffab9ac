package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"swath/sweeps"
	"swath/worker/exec"
	"swath/worker/keeper"
)

// recover takes on the attempts that an earlier agent in this place left behind. The
// lock says that it runs no more.
//
// What its keeper still runs goes on: the attempt is adopted, and its end is learned when
// it comes. What ended meanwhile is reported as it ended: the keeper knows, or it was
// written down. What is left without a keeper is given up: what runs of it is killed, and
// it is reported as lost, with all the points and output that its files hold; the
// coordinator then runs the trial again, uncharged.
func (a *Agent) recover() error {
	entries, err := os.ReadDir(a.home.attempts())
	if err != nil {
		return a.errPlace(err)
	}
	if st, err := os.Lstat(a.home.attempts()); err == nil {
		a.spares.mode = st.Mode() // made by an agent, as they are
	}
	kept := a.launcher.find()
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), sparePrefix) {
			_ = os.RemoveAll(filepath.Join(a.home.attempts(), e.Name())) // there may be worse
			continue
		}
		k, isKept := kept[e.Name()]
		if a.takeOn(filepath.Join(a.home.attempts(), e.Name()), k, isKept) {
			delete(kept, e.Name())
		}
	}
	for key, k := range kept {
		if k.Outcome == nil {
			a.log.Warn("the keeper runs an attempt of which nothing else is left: it is ended", "attempt", key)
		}
		a.launcher.drop(key)
	}
	return nil
}

// takeOn takes on the attempt of a directory, and reports whether it could.
func (a *Agent) takeOn(dir string, k keeper.Attempt, isKept bool) bool {
	record, err := os.ReadFile(filepath.Join(dir, attemptFile))
	recorded := err == nil && len(record) > 0
	if !recorded && isKept {
		record, err = k.Record, nil
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(record) == 0 {
		// It never came to run, or agent and keeper died together just then.
		if _, err := exec.KillOrphan(dir); err != nil {
			a.log.Error("a trainer that an earlier worker left behind may still run: look for it and end it", "dir", dir, "err", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			a.log.Warn("removing the directory of an attempt that never ran failed: remove it by hand", "dir", dir, "err", err)
		}
		return false
	}
	was, start, bad := parseRecord(record, dir)
	if err = errors.Join(err, bad); err != nil {
		a.log.Error("an attempt of an earlier worker cannot be read and is left alone: remove its directory by hand", "dir", dir, "err", err)
		return false
	}
	at := newAttempt(a, start)
	at.dir = dir
	if was.Rules != nil || at.spec == nil { // what was read must be read alike again
		at.needs, at.rules = was.Needs, was.Rules
	}
	at.recorded = recorded
	at.restorePlace()
	close(at.turn) // it had one
	a.attempts[start.Ref] = at
	end, unknown := exec.LoadEnd(dir)
	switch {
	case isKept && k.Outcome == nil:
		at.log.Info("attempt of an earlier worker adopted", "pid", k.PID)
		at.proc, at.began, at.started = k.Process(), true, k.Began
		at.writeRecord()
		a.enter(at)
		a.beside[at.spec]++
		a.crew.Go(at.adopt)
		return true
	case isKept:
		end = exec.End{Outcome: *k.Outcome, Began: k.Began, Ended: k.Ended}
	case unknown != nil:
		end.Outcome = at.giveUp()
	}
	at.started, at.ended = end.Began, end.Ended
	at.end(end.Outcome)
	a.crew.Go(at.await)
	return true
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
