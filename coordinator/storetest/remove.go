package storetest

import (
	"errors"
	"fmt"
	"testing"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

func testRemoved(t *testing.T, s coordinator.Store) {
	const rows = 2500 // more than one commit deletes
	var of []any
	for i := range int64(rows) {
		tr := newTrial("a", i, sweeps.TrialFinished)
		tr.ID = sweeps.TrialID(fmt.Sprintf("%016x", i))
		tr.Checkpoints = []sweeps.Checkpoint{{Attempt: 1, Digest: "d"}}
		of = append(of, tr)
	}
	a := newSweep("a", 0)
	commit(t, s, append([]any{a, newSweep("b", 1)}, of...)...)
	took := newTrial("b", 0, sweeps.TrialFinished)
	took.ID, took.ReusedFrom = "0000000000000003", sweeps.Origin{AttemptRef: ref("a", 3, 1), SweepName: "name"}
	commit(t, s, took)

	// b, which took over a result of a, goes first, in the commit in which it is recorded
	// once more.
	remove := func(c dispatch.Changes) {
		t.Helper()
		if err := s.Commit(c); err != nil {
			t.Fatal(err)
		}
	}
	remove(dispatch.Changes{Trials: []*sweeps.Trial{took}, Removed: []sweeps.SweepID{"b"}})
	reusers, err := s.Reusers("a")
	if err != nil || len(reusers) != 0 {
		t.Errorf("reusers of a: %v, error %v", reusers, err)
	}
	remove(dispatch.Changes{Removed: []sweeps.SweepID{"a", "nobody"}})

	gone := func(when string) {
		t.Helper()
		list, err := s.Sweeps()
		if err != nil || len(list) != 0 {
			t.Errorf("%s: sweeps %v, error %v", when, list, err)
		}
		for _, name := range []string{"a", a.Name} {
			if _, err := s.Sweep(name); !errors.Is(err, sweeps.ErrNotFound) {
				t.Errorf("%s: sweep %q: %v", when, name, err)
			}
		}
		n := 0
		count := func(*sweeps.Trial) bool { n++; return true }
		if err := s.Trials("a", 0, count); err != nil || n != 0 {
			t.Errorf("%s: %d trials, error %v", when, n, err)
		}
		if err := s.Checkpointed(count); err != nil || n != 0 {
			t.Errorf("%s: %d trials with checkpoints, error %v", when, n, err)
		}
		if found, err := s.FindTrial("0000", 10); err != nil || len(found) != 0 {
			t.Errorf("%s: found %v, error %v", when, found, err)
		}
		found, err := s.Finished([]sweeps.TrialID{"0000000000000003"}, map[sweeps.SweepID]bool{"a": true, "b": true})
		if err != nil || found[0] != nil {
			t.Errorf("%s: finished %v, error %v", when, found, err)
		}
	}
	gone("before the purge")
	left, err := s.Removed()
	if err != nil || len(left) != 2 {
		t.Errorf("to be purged: %v, error %v", left, err)
	}
	for _, id := range append(left, left[0], "nobody") {
		if err := s.Purge(id); err != nil {
			t.Fatal(err)
		}
	}
	gone("after the purge")
	if left, err := s.Removed(); err != nil || len(left) != 0 {
		t.Errorf("still to be purged: %v, error %v", left, err)
	}
	// The name is free, and what comes then is found.
	again := newSweep("c", 2)
	again.Name = a.Name
	commit(t, s, again, newTrial("c", 0, sweeps.TrialFinished))
	if sw, err := s.Sweep(a.Name); err != nil || sw.ID != "c" {
		t.Errorf("by name: %v, error %v", sw, err)
	}
	// A name that another took in the same commit stays its own.
	other := newSweep("d", 3)
	other.Name = a.Name
	remove(dispatch.Changes{Sweeps: []*sweeps.Sweep{other}, Removed: []sweeps.SweepID{"c"}})
	if sw, err := s.Sweep(a.Name); err != nil || sw.ID != "d" {
		t.Errorf("by name: %v, error %v", sw, err)
	}
}

func testRemovedPoints(t *testing.T, s coordinator.MetricStore) {
	var batches []coordinator.Batch
	for i := range int64(1200) { // a thousand attempts of three series: more than one commit deletes
		batches = append(batches, coordinator.Batch{Ref: ref("a", i, 1), Points: []sweeps.Point{
			{Metric: "x", Step: 1, Value: 1, Time: epoch}, {Metric: "y", Step: 1, Value: 1, Time: epoch}, {Metric: "z", Step: 1, Value: 1, Time: epoch},
		}})
	}
	batches = append(batches, coordinator.Batch{Ref: ref("b", 0, 1), Points: []sweeps.Point{{Metric: "x", Step: 1, Value: 7, Time: epoch}}})
	if _, err := s.Append(batches); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
	for r, want := range map[sweeps.AttemptRef]int{ref("a", 0, 1): 0, ref("a", 1199, 1): 0, ref("b", 0, 1): 1} {
		got, err := s.Summaries(r)
		if err != nil || len(got) != want {
			t.Errorf("summaries of %s: %v, error %v", r, got, err)
		}
	}
	next, err := s.Append(batches[:1])
	if err != nil || next[0] != 3 {
		t.Errorf("recorded anew: %v, error %v", next, err)
	}
}

func testRemovedLogs(t *testing.T, l coordinator.LogStore) {
	for _, id := range []sweeps.SweepID{"a", "b"} {
		if _, err := l.Append(ref(id, 3, 1), "stdout", 0, []byte("said")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[sweeps.SweepID]string{"a": "", "b": "said"} {
		if got, err := l.Read(ref(id, 3, 1), "stdout", 0, 100); err != nil || string(got) != want {
			t.Errorf("log of %s: %q, error %v", id, got, err)
		}
	}
}
