package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
	waiting := sw.waiting.find(key.Index)
	if key.Index >= sw.plan.Size() {
		return nil // there is none
	}
	if waiting == nil && sw.goesOn(key.Index) {
		return s.explainChain(sw, key.Index)
	}
	if waiting == nil {
		if _, err := sw.plan.At(key.Index); isExcluded(err) || key.Index < sw.Next {
			return nil // it ended, or is excluded
		}
	}
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	switch {
	case waiting != nil && waiting.Attempt == 0:
		say("the trial that it goes on from has ended")
	case waiting != nil:
		say("attempt %d ended: %s", waiting.Attempt, waiting.Outcome.Describe())
		if waiting.NotBefore.After(now) {
			say("its next attempt waits %s, as after every failure", waiting.NotBefore.Sub(now).Round(time.Second))
		}
		if waiting.Alone {
			say("it ran out of memory beside others, so it waits for a worker to itself")
		}
	case key.Index > sw.Next:
		before := key.Index - sw.Next
		say("up to %s of the sweep come before it", trials(before))
		if sw.policy.RunCap > 0 && sw.Dispatched+before >= sw.policy.RunCap {
			say("the sweep hands out %s in all, its run cap, and may not come to it", trials(sw.policy.RunCap))
		}
	}
	if waiting != nil && len(waiting.Checkpoints) > 0 {
		say("it will go on from %s", describe(waiting.Checkpoints[0]))
	}
	if sw.State == sweeps.SweepRunning && waiting == nil && sw.capped() {
		say("the sweep has handed out all %s of its run cap", trials(sw.policy.RunCap))
		return why
	}
	return append(why, s.explainSweep(sw)...)
}

// ExplainNext says of which of a sweep's trials that wait is the next one's turn, and what it
// waits for. It is nil for a sweep that has ended.
func (s *State) ExplainNext(now time.Time, id sweeps.SweepID) []string {
	sw := s.sweeps[id]
	if sw == nil {
		return nil
	}
	next := sw.waiting.shared.peek()
	if t := sw.waiting.alone.peek(); next == nil || t != nil && t.NotBefore.Before(next.NotBefore) {
		next = t
	}
	if next == nil {
		return s.explainSweep(sw)
	}
	why := s.Explain(now, next.TrialKey)
	why[0] = fmt.Sprintf("trial %d: %s", next.Index, why[0])
	return why
}

// explainSweep says what all trials of a sweep wait for that could begin.
func (s *State) explainSweep(sw *sweep) []string {
	switch {
	case sw.State != sweeps.SweepRunning:
		return []string{sw.describe()}
	case sw.policy.Unread != "":
		return []string{sw.policy.Unread}
	case sw.policy.Rests:
		return []string{"the sweep rests while a `swath run` works on another sweep of this home"}
	case s.halt != "":
		return []string{s.halt}
	}
	return s.explainWorkers(sw)
}

func trials(n int64) string {
	if n == 1 {
		return "1 trial"
	}
	return fmt.Sprintf("%d trials", n)
}

func (s *State) explainRunning(now time.Time, t *sweeps.Trial) []string {
	w := s.workers[t.Worker]
	why := []string{fmt.Sprintf("attempt %d is on worker %s since %s ago", t.Attempt, t.WorkerName, now.Sub(t.Assigned).Round(time.Second))}
	switch {
	case !t.Started.IsZero():
	case w.isQueued(t):
		why = append(why, fmt.Sprintf("it waits there until one of the worker's %d slots is free", w.Slots))
	default:
		why = append(why, "the worker has not reported its start")
	}
	for _, share := range w.places[t.TrialKey] {
		why = append(why, "it has "+w.describe(share))
	}
	if len(t.Checkpoints) > 0 {
		c := t.Checkpoints[0]
		if c.Attempt == t.Attempt {
			why = append(why, fmt.Sprintf("its last checkpoint is %s, kept since %s ago", describe(c), now.Sub(c.Saved).Round(time.Second)))
		} else {
			why = append(why, "it goes on from "+describe(c))
		}
	}
	switch {
	case w.connected:
	case w.lease.IsZero():
		why = append(why, "the worker is not connected")
	default:
		why = append(why, fmt.Sprintf("the worker is not connected; if it stays silent, the trial goes elsewhere in %s", w.lease.Sub(now).Round(time.Second)))
	}
	return why
}

// explainChain says why a trial that goes on from another has no record.
func (s *State) explainChain(sw *sweep, i int64) []string {
	if _, err := sw.plan.At(i); isExcluded(err) {
		return nil
	}
	before, _ := sw.plan.Before(i)
	why := fmt.Sprintf("it goes on from trial %d, and waits until that has ended", before)
	switch t := sw.running[before]; {
	case t != nil:
		why += ", which is on worker " + t.WorkerName
	case sw.has(before):
		why += ", which waits for an attempt itself"
	default:
		why += ", which has not begun or just ended"
	}
	return []string{why}
}

// describe says how the sweep is, and why.
func (sw *sweep) describe() string {
	if sw.Reason == "" {
		return fmt.Sprintf("the sweep is %s", sw.State)
	}
	return fmt.Sprintf("the sweep is %s, %s", sw.State, sw.Reason)
}

// describe names a checkpoint.
func describe(c sweeps.Checkpoint) string {
	by := fmt.Sprintf("attempt %d", c.Attempt)
	if c.Attempt == 0 {
		by = "the trial that it goes on from"
	}
	return fmt.Sprintf("the checkpoint of step %d that %s left", c.Step, by)
}

// explainWorkers says what the sweep's trials wait for, of the workers there are.
func (s *State) explainWorkers(sw *sweep) []string {
	needs := sw.policy.Needs
	var open, away []*worker // that take trials, and that are connected and do not
	for _, w := range s.byID {
		switch {
		case w.open():
			open = append(open, w)
		case w.connected:
			away = append(away, w)
		}
	}
	var suit []*worker
	for _, w := range open {
		if w.suits(sw.request) {
			suit = append(suit, w)
		}
	}
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	switch {
	case len(open)+len(away) == 0:
		say("no worker is connected: start one with `swath worker`")
	case len(open) == 0:
		say("no worker takes trials: %s", away[len(away)-1].shut())
	case len(suit) == 0:
		why = append(why, explainMisfit(sw, open)...)
		for _, w := range away {
			if w.suits(sw.request) && len(why) < manyNames {
				say("worker %s could run it, but takes no trials: %s", w.Name, w.shut())
			}
		}
	default:
		say("it waits for %s to be free on %s", short(needs, suit), oneOf(len(suit)))
	}
	if needs.WantsGPU() {
		why = append(why, explainBusy(suit)...)
	}
	for _, w := range s.byID {
		switch {
		case s.kept[w] == sw:
			say("worker %s is kept for it until enough is free there: no trials of a lower priority begin on it", w.Name)
		case s.keptFrom(w, sw):
			say("worker %s is kept for sweep %s, which is of priority %d", w.Name, s.kept[w].Name, s.kept[w].policy.Priority)
		}
		if s.reserved[w] {
			say("worker %s is given nothing for now: a trial that ran out of memory waits until it is empty", w.Name)
		}
		if s.doubts(sw, w) {
			why = append(why, fmt.Sprintf("worker %s is given none for now: all that ended of the sweep failed alike there, and a trial elsewhere has still to show whether it does better", w.Name))
		}
	}
	if len(suit) > 0 {
		for _, other := range s.order {
			if other != sw && s.handsOut(other) && other.policy.Priority == sw.policy.Priority && asksForLess(other.policy.Needs, needs) {
				say("sweep %s asks for less, and takes what falls free until there is enough for this one: with a higher priority a worker would be kept for it", other.Name)
			}
		}
	}
	for _, other := range s.order {
		if other != sw && other.State == sweeps.SweepRunning && other.policy.Priority > sw.policy.Priority {
			say("sweep %s of priority %d is served first", other.Name, other.policy.Priority)
		}
	}
	return why
}

func oneOf(workers int) string {
	if workers == 1 {
		return "the one worker that can run it"
	}
	return fmt.Sprintf("one of %d workers", workers)
}

// asksForLess reports whether a request fits where another does not, of cores or memory.
func asksForLess(a, b sweeps.Resources) bool { return b.Fits(a) && !a.Fits(b) }

// short says what of a request is not free, on those workers that have a slot free.
func short(needs sweeps.Resources, workers []*worker) string {
	var missing sweeps.Resources
	for _, w := range workers {
		if !w.hasSlot() {
			continue
		}
		free := w.Total.Sub(w.used)
		if !free.Fits(sweeps.Resources{CPUs: needs.CPUs}) {
			missing.CPUs = needs.CPUs
		}
		if !free.Fits(sweeps.Resources{Memory: needs.Memory}) {
			missing.Memory = needs.Memory
		}
		if _, ok := w.place(needs); !ok {
			missing.GPUs, missing.GPUMemory = needs.GPUs, needs.GPUMemory
		}
	}
	switch {
	case !missing.IsZero():
		return missing.String()
	case needs.IsZero() || slices.ContainsFunc(workers, (*worker).hasSlot):
		return "a slot"
	}
	return "a slot, with " + needs.String() + ","
}

// explainMisfit says why none of the workers could ever run the sweep's trials.
func explainMisfit(sw *sweep, workers []*worker) (why []string) {
	needs := sw.policy.Needs
	for _, r := range sw.policy.Requires {
		if !slices.ContainsFunc(workers, func(w *worker) bool { return r.Met(w.Worker) }) {
			why = append(why, fmt.Sprintf("no worker meets requires: %s (labels seen: %s)", r, labelsSeen(workers)))
		}
	}
	if asked, has := largest(needs, workers).Lacks(needs); asked != "" {
		why = append(why, fmt.Sprintf("it asks for %s, the largest worker has %s", asked, has))
	}
	if len(why) == 0 {
		what := needs.String()
		for _, r := range sw.policy.Requires {
			what += ", " + r.String()
		}
		why = append(why, "no one worker has all that it asks for: "+what)
	}
	for _, w := range workers {
		if w.GPUNote != "" && needs.WantsGPU() && len(why) < manyNames {
			why = append(why, fmt.Sprintf("worker %s: %s", w.Name, w.GPUNote))
		}
	}
	return why
}

// largest returns a worker that has the most that any has, of each.
func largest(needs sweeps.Resources, workers []*worker) (most sweeps.Worker) {
	asked := true
	for _, w := range workers {
		most.Total.CPUs = max(most.Total.CPUs, w.Total.CPUs)
		most.Total.Memory = max(most.Total.Memory, w.Total.Memory)
		gpus := sweeps.Worker{Total: sweeps.Resources{CPUs: needs.CPUs, Memory: needs.Memory}, GPUs: w.GPUs}
		lacks, _ := gpus.Lacks(needs)
		if fits := lacks == ""; fits && asked || fits == !asked && moreGPU(w.GPUs, most.GPUs) {
			most.GPUs, asked = w.GPUs, !fits
		}
	}
	return most
}

// moreGPU reports whether a worker's devices are more, or as many and larger.
func moreGPU(a, b []sweeps.GPU) bool {
	size := func(list []sweeps.GPU) (most int64) {
		for _, g := range list {
			most = max(most, g.Memory)
		}
		return most
	}
	return len(a) > len(b) || len(a) == len(b) && size(a) > size(b)
}

// manyNames is how much of a list is worth reading.
const manyNames = 12

// labelsSeen lists the labels of the workers, each once.
func labelsSeen(workers []*worker) string {
	seen := map[string]bool{}
	for _, w := range workers {
		for name, value := range w.Labels {
			seen[name+"="+value] = true
		}
	}
	if len(seen) == 0 {
		return "none"
	}
	list := slices.Sorted(maps.Keys(seen))
	if n := len(list); n > manyNames {
		list = append(list[:manyNames], fmt.Sprintf("and %d more", n-manyNames))
	}
	return strings.Join(list, ", ")
}

// explainBusy says which devices others use.
func explainBusy(workers []*worker) (why []string) {
	for _, w := range workers {
		for _, g := range w.GPUs {
			if g.Busy != "" && len(why) < manyNames {
				why = append(why, fmt.Sprintf("GPU %d of worker %s is left alone: %s", g.Index, w.Name, g.Busy))
			}
		}
	}
	return why
}
