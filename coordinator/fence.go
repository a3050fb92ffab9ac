package coordinator

import (
	"sync"

	"swath/sweeps"
)

// fence knows the current attempt of every running trial, as committed. What an attempt
// reports that is not in it, is refused.
type fence struct {
	mu   sync.RWMutex
	held map[sweeps.TrialKey]holder
}

type holder struct {
	attempt int
	worker  sweeps.WorkerID
}

func (f *fence) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = map[sweeps.TrialKey]holder{}
}

func (f *fence) update(trials []*sweeps.Trial) {
	if len(trials) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range trials {
		if t.State == sweeps.TrialRunning {
			f.held[t.TrialKey] = holder{t.Attempt, t.Worker}
		} else {
			delete(f.held, t.TrialKey)
		}
	}
}

// passes reports whether ref is the current attempt of its trial, on this worker.
func (f *fence) passes(worker sweeps.WorkerID, ref sweeps.AttemptRef) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.held[ref.TrialKey] == holder{ref.Attempt, worker}
}

// live reports whether ref is the current attempt of its trial, wherever it runs.
func (f *fence) live(ref sweeps.AttemptRef) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	h, ok := f.held[ref.TrialKey]
	return ok && h.attempt == ref.Attempt
}
