package dispatch

import (
	"slices"
	"time"

	"swath/sweeps"
)

// record is how a sweep's trials ended on its workers, as far as it tells a worker that is
// broken from trials that fail by themselves.
type record struct {
	streaks  map[*worker]*streak // of the workers on which the last one failed
	suspects []*worker           // those whose streak is long enough, if it is not the trials' fault
	passed   int64               // trials that finished
	natural  int64               // failures on workers that finished another afterwards
	proven   time.Time           // when the latest of those that finished was handed out
}

// streak is a worker's failures in a row, of different trials of one sweep.
type streak struct {
	begun  time.Time
	passed int64 // the record's, when it began
	length int64
	// unsure says that among the failures are some that the trials' parameters explain as
	// well: of a grid those that take too long or too much memory come in a row.
	unsure bool
	trials []*sweeps.Trial // the last of them, at most maxSpoilt
	last   string          // how the last one failed
	// suspect says that the worker is among the record's suspects.
	suspect bool
}

// maxSpoilt is how many failures are remembered of a streak, to be taken back if it was the
// worker. Where nothing finishes anywhere a streak has no end.
const maxSpoilt = 100

// pass takes note of a trial that finished.
func (r *record) pass(w *worker, t *sweeps.Trial) {
	if st := r.streaks[w]; st != nil {
		r.natural += st.length
		r.clear(w)
	}
	r.passed++
	r.proven = latest(r.proven, t.Assigned)
}

// clear forgets a worker's failures.
func (r *record) clear(w *worker) {
	st := r.streaks[w]
	delete(r.streaks, w)
	if st != nil && st.suspect {
		r.suspects = slices.DeleteFunc(r.suspects, func(other *worker) bool { return other == w })
	}
}

// blames reports whether a streak is the worker's fault: it is of n failures, others finished
// since it began, and it is too long for chance. Where trials fail on workers that finish
// others, at a rate of p, n + 2n·p/(1-p) in a row are as improbable as n are where one in six
// fails, about 1 in 10,000. Failures that a trial's parameters explain count against the
// worker only if a trial finished that was handed out after them: what comes later in a grid.
func (r *record) blames(st *streak, n int64) bool {
	return r.passed > st.passed && st.length >= n+2*n*r.natural/r.passed && (!st.unsure || r.proven.After(st.begun))
}

// faulty reports whether the worker may be to blame for how an attempt ended, and whether it
// is as likely that the trial is.
func (w *worker) faulty(now time.Time, t *sweeps.Trial, charged bool) (is, unsure bool) {
	switch t.Outcome.Class {
	case sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassSpec:
		return true, false
	case sweeps.ClassTimeout:
		return true, true
	case sweeps.ClassOOM:
		return charged, true // beside others, it may only have too many slots
	case sweeps.ClassLost:
		// It could not even begin. Of one that fell silent that is not known.
		return t.Started.IsZero() && w.lease.After(now), false
	}
	return false, false
}

// forgive takes trials of the sweep out of all streaks: they are rerun, and what is remembered
// of them is of the past.
func (sw *sweep) forgive(rerun map[int64]bool) {
	for _, st := range sw.streaks {
		before := len(st.trials)
		st.trials = slices.DeleteFunc(st.trials, func(t *sweeps.Trial) bool { return rerun[t.Index] })
		st.length -= int64(before - len(st.trials))
	}
}
