package coordinator_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// remove removes a sweep, or is refused with words among which are these.
func (w *world) remove(id sweeps.SweepID, refusal string) {
	w.Helper()
	_, err := w.Remove(w.Context(), string(id))
	switch {
	case refusal == "" && err != nil:
		w.Errorf("remove %s: %v", id, err)
	case refusal != "" && (!errors.Is(err, sweeps.ErrConflict) || !strings.Contains(err.Error(), refusal)):
		w.Errorf("remove %s: %v, want %q", id, err, refusal)
	}
}

// wantGone verifies that nothing is left of a sweep of one trial.
func (w *world) wantGone(id sweeps.SweepID) {
	w.Helper()
	synctest.Wait()
	if _, err := w.Sweep(string(id)); !errors.Is(err, sweeps.ErrNotFound) {
		w.Errorf("sweep %s: %v", id, err)
	}
	if m, err := w.metrics.Summaries(at(id, 0, 1)); err != nil || len(m) > 0 {
		w.Errorf("series of %s: %v, %v", id, m, err)
	}
	if b, err := w.logs.Read(at(id, 0, 1), "stdout", 0, 100); err != nil || len(b) > 0 {
		w.Errorf("log of %s: %q, %v", id, b, err)
	}
	if left, err := w.store.Removed(); err != nil || len(left) > 0 {
		w.Errorf("still to be purged: %v, %v", left, err)
	}
	w.wantFiles(0)
}

func TestRemove(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		w.submit("s", 1, "checkpoints: {keep_last: 1, keep_best: 1}")
		w.remove("s", "has not ended, it is running")
		ref := at("s", 0, 1)
		m.Started(ref, 0)
		must(t, w.save("a", ref, 5, content("five", 100), 1))
		must(t, m.Log(w.Context(), ref, "stdout", 0, []byte("said")))
		m.run(ref, sweeps.ClassOK, 10)
		w.wantFiles(1)
		m.Close()
		w.submitReusing("t", 1, "", "")
		w.want("t", sweeps.SweepFinished, "0 finished 0 loss 10")
		w.remove("s", `taken over by "name-t"`)
		w.restart()
		w.remove("s", `taken over by "name-t"`)
		w.remove("t", "")
		w.remove("s", "")
		w.wantGone("s")
		if _, err := w.Remove(w.Context(), "s"); !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("removed again: %v", err)
		}
		// Its name and its trials are free; nothing is there to be reused.
		w.submitReusing("s", 1, "", "")
		w.want("s", sweeps.SweepRunning, "")
		w.restart()
		w.want("s", sweeps.SweepRunning, "")
	})
}

// Whatever becomes of the commit, the sweep is there wholly or gone; and what is left of it
// after a crash the next coordinator frees.
func TestRemoveWhileTheStoreFails(t *testing.T) {
	for _, verdict := range []storetest.Verdict{storetest.FailBefore, storetest.FailAfter} {
		bubble(t, func(w *world) {
			w.submit("s", 1, "")
			w.finish("s", 1)
			w.store.Decide = func(c dispatch.Changes) storetest.Verdict {
				if len(c.Removed) > 0 {
					w.store.Decide = nil
					return verdict
				}
				return storetest.Pass
			}
			if _, err := w.Remove(w.Context(), "s"); !errors.Is(err, sweeps.ErrStorage) {
				t.Errorf("removed: %v", err)
			}
			if verdict == storetest.FailBefore {
				w.want("s", sweeps.SweepFinished, "0 finished 1 loss 10")
				w.remove("s", "")
			}
			w.restart()
			w.wantGone("s")
		})
	}
}
