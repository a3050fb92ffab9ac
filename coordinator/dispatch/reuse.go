package dispatch

import (
	"time"

	"swath/sweeps"
)

// A sweep that reuses looks ahead of its cursor: the dispatcher computes the next trials and
// asks whether equal ones have finished in other sweeps (Lookup), for it knows no store. The
// answer (Found) comes before the first of them is handed out. Those that were found are
// recorded as finished when the cursor comes to them, without a worker; the others are
// handed out as ever.

// ahead are the trials that were looked up, from the cursor on.
type ahead struct {
	trials []glance
	asked  bool // and not yet answered
}

// glance is an index of the plan, computed.
type glance struct {
	planned sweeps.Planned
	err     error         // as of Plan.At
	origin  *sweeps.Trial // an equal trial that finished; nil for none
}

// next returns what is at the cursor, to be dealt with by the caller; false if that is not
// known yet.
func (s *State) next(sw *sweep) (glance, bool) {
	if !sw.Reuse {
		p, err := sw.plan.At(sw.Next)
		return glance{planned: p, err: err}, true
	}
	a := &sw.ahead
	if len(a.trials) == 0 {
		s.lookAhead(sw)
	}
	if a.asked {
		return glance{}, false
	}
	g := a.trials[0]
	a.trials = a.trials[1:]
	return g, true
}

// lookAhead computes the next trials and asks for their equals. There is at least one index
// left.
func (s *State) lookAhead(sw *sweep) {
	n := min(int64(max(s.cfg.LookAhead, 1)), sw.plan.Size()-sw.Next)
	sw.ahead.trials = make([]glance, 0, n)
	ids := make([]sweeps.TrialID, 0, n)
	wanted := false
	for i := sw.Next; i < sw.Next+n; i++ {
		p, err := sw.plan.At(i)
		sw.ahead.trials = append(sw.ahead.trials, glance{planned: p, err: err})
		if err != nil {
			p.ID = ""
		}
		ids = append(ids, p.ID)
		wanted = wanted || p.ID != ""
	}
	if wanted {
		sw.ahead.asked = true
		s.send(Lookup{Sweep: sw.ID, First: sw.Next, IDs: ids})
	}
}

func (s *State) onFound(now time.Time, e Found) {
	sw := s.sweeps[e.Sweep]
	if sw == nil || !sw.ahead.asked || e.First != sw.Next || len(e.Origins) != len(sw.ahead.trials) {
		return // nobody asked, or the sweep has ended
	}
	sw.ahead.asked = false
	for i, t := range e.Origins {
		sw.ahead.trials[i].origin = t
	}
	s.advance(now, sw)
	s.settle(now, sw)
}

// reuse records the trial at the cursor as finished, with the result of another.
func (s *State) reuse(sw *sweep, p sweeps.Planned, origin *sweeps.Trial) {
	t := &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: sw.ID, Index: p.Index}, ID: p.ID, Params: p.Params,
		Worker: origin.Worker, WorkerName: origin.WorkerName,
		Assigned: origin.Assigned, Started: origin.Started, Ended: origin.Ended,
		Outcome: origin.Outcome, Metrics: origin.Metrics, ReusedFrom: origin.ReusedFrom,
	}
	sw.Next++
	sw.Dispatched++
	sw.Reused++
	s.move(sw, t, sweeps.TrialFinished)
}

// ran is how many trials of the sweep finished in it: what others did elsewhere, and
// earlier, says nothing of the workers there are.
func (sw *sweep) ran() int64 { return sw.Counts.Finished - sw.Reused }
