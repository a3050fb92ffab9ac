package dispatch

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"swath/sweeps"
)

// Check verifies the invariants of the package's doc and returns every one that is
// broken.
func (s *State) Check() error {
	errs := slices.Clone(s.illegal)
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	held := map[sweeps.TrialKey]sweeps.WorkerID{}
	if len(s.byID) != len(s.workers) || !slices.IsSortedFunc(s.byID, func(a, b *worker) int { return compare(a.ID, b.ID) }) {
		bad("I10: the list of %d workers is not that of the %d there are, by id", len(s.byID), len(s.workers))
	}
	s.checkIndex(bad)
	for id, w := range s.workers {
		if away := w.lease.IsZero() && !w.connected && w.restsOnly(s); !away && (w.lease.Before(s.expiry) || s.expiry.IsZero()) {
			bad("I10: the lease of worker %s ends at %s, before the next look at the leases at %s", id, w.lease, s.expiry)
		}
		var used sweeps.Resources
		waits := map[*sweeps.Trial]bool{}
		for _, q := range w.queue {
			waits[q.trial] = true
			if sw := s.sweeps[q.trial.Sweep]; w.connected && q.recallable() && (w.aside != "" || w.held != "" || sw != nil && sw.State == sweeps.SweepPaused) {
				bad("I14: %s waits in the queue of worker %s, is to begin no more, and is not recalled", q.trial.TrialKey, id)
			}
			if w.running[q.trial.TrialKey] != q.trial {
				bad("I2: %s waits in the queue of worker %s, which does not hold it", q.trial.TrialKey, id)
			}
		}
		for key, t := range w.running {
			if other, twice := held[key]; twice {
				bad("I1: %s runs on %s and on %s", key, other, id)
			}
			held[key] = id
			sw := s.sweeps[key.Sweep]
			if sw == nil || sw.running[key.Index] != t {
				bad("I1: worker %s holds %s, which its sweep does not know", id, key)
				continue
			}
			if !waits[t] {
				used = used.Add(sw.policy.Needs)
			}
		}
		if w.connected && w.busy() > w.Slots {
			bad("I2: worker %s runs %d trials in %d slots", id, w.busy(), w.Slots)
		}
		if n := count(w.queue, (*queued).recallable); w.connected && n > w.most()+w.excess {
			bad("I2: worker %s queues %d trials, it said %d", id, n, w.most())
		}
		if !slices.IsSortedFunc(w.queue, func(a, b *queued) int { return cmp.Compare(b.request.priority, a.request.priority) }) {
			bad("I2: the queue of worker %s is not in the order of priorities", id)
		}
		if w.alone != nil && (len(w.running) != 1 || w.running[w.alone.TrialKey] != w.alone) {
			bad("I9: %s is alone on worker %s beside %d others", w.alone.TrialKey, id, len(w.running)-1)
		}
		w.checkGPUs(s, bad)
		if d := used.Sub(w.used); !(sweeps.Resources{CPUs: 1e-6}).Fits(d) {
			bad("I2: worker %s accounts for %v but uses %v", id, w.used, used)
		}
	}
	for id, sw := range s.sweeps {
		s.checkSweep(id, sw, held, bad)
	}
	return errors.Join(errs...)
}

// checkIndex compares the accounts of the workers with what is to be in them, looked up anew.
func (s *State) checkIndex(bad func(string, ...any)) {
	account := func(what string, in *set, holds func(*worker) bool, burden func(*worker) int) {
		n := 0
		for id, w := range s.workers {
			i, listed := in.at[w]
			if listed != holds(w) {
				bad("I10: worker %s is listed among those that %s: %t", id, what, listed)
			}
			if !listed {
				continue
			}
			n++
			if m := in.list[i]; m.w != w || m.burden != burden(w) || i > 0 && in.Less(i, (i-1)/2) {
				bad("I10: worker %s is out of order among those that %s", id, what)
			}
		}
		if n != len(in.list) || n != len(in.at) {
			bad("I10: %d workers are listed that %s and that are gone", len(in.list)-n, what)
		}
	}
	running := func(w *worker) int { return len(w.running) }
	asking, waiting := map[*request]int{}, map[*request]int{}
	for id, sw := range s.sweeps {
		asking[sw.request]++
		if sw.request.needs != sw.policy.Needs || sw.request.priority != sw.policy.Priority || len(sw.request.requires) != len(sw.policy.Requires) {
			bad("I10: sweep %s asks for %v, and is listed among those that ask for %v", id, sw.policy.Needs, sw.request.needs)
		}
	}
	for _, w := range s.workers {
		for _, q := range w.queue {
			waiting[q.request]++
		}
	}
	for _, r := range s.index.requests {
		could := func(w *worker) bool { return w.open() && w.Slots > 0 && r.try(w).could }
		account("could run "+r.needs.String(), &r.suited, could, running)
		account("have room for "+r.needs.String(), &r.room, func(w *worker) bool { return could(w) && w.hasRoom(r) }, running)
		account("may be given when one ends "+r.needs.String(), &r.short, func(w *worker) bool {
			return could(w) && w.yields(r) && w.busy() >= w.Slots && !w.queues(r)
		}, running)
		account("may queue "+r.needs.String(), &r.queue, func(w *worker) bool { return could(w) && w.takesMore(r.priority) && w.queues(r) }, func(w *worker) int {
			return count(w.queue, func(q *queued) bool { return q.request.priority >= r.priority })
		})
		if r.sweeps != asking[r] || r.queued != waiting[r] {
			bad("I10: %d sweeps ask for %v, and %d of its trials are queued; counted were %d and %d", asking[r], r.needs, waiting[r], r.sweeps, r.queued)
		}
		delete(asking, r)
	}
	if len(asking) > 0 {
		bad("I10: %d requests of sweeps are not listed", len(asking))
	}
	account("have a queue", &s.index.queues, func(w *worker) bool { return len(w.queue) > 0 }, func(*worker) int { return 0 })
}

// restsOnly reports whether all that is on the worker is of sweeps that rest.
func (w *worker) restsOnly(s *State) bool {
	for key := range w.running {
		if !s.sweeps[key.Sweep].policy.Rests {
			return false
		}
	}
	return true
}

// checkGPUs verifies what is kept of a worker's devices.
func (w *worker) checkGPUs(s *State, bad func(string, ...any)) {
	for key, shares := range w.places {
		if w.running[key] == nil {
			bad("I11: worker %s keeps devices for %s, which it does not run", w.ID, key)
			continue
		}
		if n := s.sweeps[key.Sweep].policy.Needs.GPUCount(); n != len(shares) {
			bad("I11: %s has %d devices of worker %s and asked for %d", key, len(shares), w.ID, n)
		}
	}
	for key := range w.running {
		if w.connected && w.places[key] == nil && s.sweeps[key.Sweep].policy.Needs.WantsGPU() {
			bad("I11: %s has no device of worker %s", key, w.ID)
		}
	}
	load := w.load()
	for _, g := range w.GPUs {
		if u := load[g.ID]; u.Part > sweeps.WholeGPU || u.Memory > g.Memory {
			bad("I11: device %s of worker %s is given %d millionths and %d of %d bytes", g.ID, w.ID, u.Part, u.Memory, g.Memory)
		}
	}
}

func (s *State) checkSweep(id sweeps.SweepID, sw *sweep, held map[sweeps.TrialKey]sweeps.WorkerID, bad func(string, ...any)) {
	for i, t := range sw.running {
		if t.State != sweeps.TrialRunning || t.Attempt < 1 || t.Worker == "" {
			bad("I4: %s is in the running set in state %s, attempt %d, worker %q", t.TrialKey, t.State, t.Attempt, t.Worker)
		}
		if held[t.TrialKey] != t.Worker || t.Index != i {
			bad("I1: %s says it runs on %q, but %q holds it", t.TrialKey, t.Worker, held[t.TrialKey])
		}
	}
	for w, st := range sw.streaks {
		if s.workers[w.ID] != w || len(st.trials) > maxSpoilt || int64(len(st.trials)) > st.length {
			bad("I10: of %d failures in a row on worker %s, %d are kept", st.length, w.ID, len(st.trials))
		}
	}
	for _, t := range sw.waiting.all() {
		if t.State != sweeps.TrialPending {
			bad("I4: %s waits in state %s", t.TrialKey, t.State)
		}
		if w, ok := held[t.TrialKey]; ok {
			bad("I4: %s waits, but %s holds it", t.TrialKey, w)
		}
		if t.Charged > sw.policy.Retries {
			bad("I6: %s waits after %d charged failures of %d retries", t.TrialKey, t.Charged, sw.policy.Retries)
		}
	}
	for _, list := range [][]*sweeps.Trial{slices.Collect(maps.Values(sw.running)), sw.waiting.all()} {
		for _, t := range list {
			if n := len(t.Checkpoints); n > max(sw.policy.Keep.Last, 1) {
				bad("I12: %s has %d checkpoints", t.TrialKey, n)
			}
			for _, c := range t.Checkpoints {
				if c.Attempt > t.Attempt {
					bad("I12: %s has a checkpoint of attempt %d, and is at attempt %d", t.TrialKey, c.Attempt, t.Attempt)
				}
			}
			if t.Continued && sw.policy.Continues {
				continue // it is run again
			}
			if sw.policy.Continues {
				if next, is := sw.plan.After(t.Index); is && sw.has(next) {
					bad("I13: %s has a record, and %s, which it goes on from, has not ended", sweeps.TrialKey{Sweep: id, Index: next}, t.TrialKey)
				}
			}
		}
	}
	seen := map[int64]bool{}
	for i, c := range sw.Best {
		if seen[c.Index] || len(sw.Best) > sw.policy.Keep.Best || i > 0 && c.Value != sw.Best[i-1].Value && (c.Value > sw.Best[i-1].Value) != (sw.policy.Goal != sweeps.Maximize) {
			bad("I12: the best checkpoints of sweep %s are %v", id, sw.Best)
		}
		seen[c.Index] = true
	}
	if n := int64(len(sw.running)); n != sw.Counts.Running {
		bad("I5: sweep %s counts %d running trials, there are %d", id, sw.Counts.Running, n)
	}
	var waiting sweeps.Counts
	for _, t := range sw.waiting.all() {
		waiting.Add(t.State, t.Attempts(), 1)
	}
	if c := sw.Counts; waiting.Retrying != c.Retrying || waiting.Unstarted != c.Unstarted {
		bad("I5: sweep %s counts %d retrying trials and %d unstarted ones, there are %d and %d", id, c.Retrying, c.Unstarted, waiting.Retrying, waiting.Unstarted)
	}
	if got := sw.Counts.Ended() + sw.Counts.Running + sw.Counts.Pending(); got != sw.Dispatched {
		bad("I5: sweep %s dispatched %d trials, its counts add up to %d", id, sw.Dispatched, got)
	}
	if sw.Reused < 0 || sw.Reused > sw.Counts.Finished {
		bad("I5: sweep %s reused %d results, and %d of its trials have finished", id, sw.Reused, sw.Counts.Finished)
	}
	if !sw.policy.Continues && sw.Dispatched+sw.Excluded != sw.Next {
		bad("I5: sweep %s dispatched %d and excluded %d of %d indices", id, sw.Dispatched, sw.Excluded, sw.Next)
	}
	if c := sw.policy.RunCap; c > 0 && sw.Dispatched > c {
		bad("I5: sweep %s dispatched %d trials over its cap of %d", id, sw.Dispatched, c)
	}
	if sw.State.Terminal() {
		bad("I7: sweep %s is %s and still in memory", id, sw.State)
	}
}
