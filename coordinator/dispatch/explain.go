package dispatch

import (
	"fmt"
	"time"

	"swath/sweeps"
)

// Explain says why a trial that has not ended is where it is, and what it waits for: a
// sentence a string, the most telling first. It is nil for a trial of a sweep that has
// ended.
func (s *State) Explain(now time.Time, key sweeps.TrialKey) []string {
	sw := s.sweeps[key.Sweep]
	if sw == nil {
		return nil
	}
	if t := sw.running[key.Index]; t != nil {
		return s.explainRunning(now, t)
	}
	var waiting *sweeps.Trial
	for _, t := range sw.waiting.all() {
		if t.Index == key.Index {
			waiting = t
		}
	}
	if waiting == nil && key.Index < sw.Next {
		return nil // it ended, or is excluded
	}
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if waiting != nil {
		say("attempt %d ended: %s", waiting.Attempt, waiting.Outcome.Describe())
		if waiting.NotBefore.After(now) {
			say("its next attempt waits %s, as after every failure", waiting.NotBefore.Sub(now).Round(time.Second))
		}
		if waiting.Alone {
			say("it ran out of memory beside others, so it waits for a worker to itself")
		}
	} else if ahead := key.Index - sw.Next; ahead > 0 {
		say("up to %d trials of the sweep come before it", ahead)
	}
	if sw.State != sweeps.SweepRunning {
		say("the sweep is %s, %s", sw.State, sw.Reason)
		return why
	}
	if sw.policy.RunCap > 0 && waiting == nil && sw.Dispatched >= sw.policy.RunCap {
		say("the sweep has handed out all %d trials of its run cap", sw.policy.RunCap)
		return why
	}
	return append(why, s.explainWorkers(sw)...)
}

func (s *State) explainRunning(now time.Time, t *sweeps.Trial) []string {
	w := s.workers[t.Worker]
	why := []string{fmt.Sprintf("attempt %d is on worker %s since %s ago", t.Attempt, t.WorkerName, now.Sub(t.Assigned).Round(time.Second))}
	if t.Started.IsZero() {
		why = append(why, "the worker has not reported its start")
	}
	if !w.connected {
		why = append(why, fmt.Sprintf("the worker is not connected; if it stays silent, the trial goes elsewhere in %s", w.lease.Sub(now).Round(time.Second)))
	}
	return why
}

// explainWorkers says which workers cannot take a trial of the sweep, and why not.
func (s *State) explainWorkers(sw *sweep) []string {
	var open, aside, small int
	var last string
	for _, w := range s.workers {
		switch {
		case !w.connected:
		case !w.open():
			aside++
			last = w.aside
		case !w.Total.Fits(sw.policy.Needs):
			small++
		default:
			open++
		}
	}
	var why []string
	switch {
	case open+aside+small == 0:
		why = append(why, "no worker is connected: start one with `swath worker`")
	case open == 0 && small > 0:
		why = append(why, fmt.Sprintf("no worker offers what it asks for (%s)", sw.policy.Needs))
	case open == 0:
		why = append(why, "no worker takes trials: "+last)
	default:
		why = append(why, fmt.Sprintf("it waits for a free slot on one of %d workers", open))
	}
	for _, other := range s.order {
		if other != sw && other.State == sweeps.SweepRunning && other.policy.Priority > sw.policy.Priority {
			why = append(why, fmt.Sprintf("sweep %s of priority %d is served first", other.Name, other.policy.Priority))
		}
	}
	return why
}
