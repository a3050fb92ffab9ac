package storetest_test

import (
	"errors"
	"testing"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// byHome returns an open function that makes a store for each home, once.
func byHome[T any](fresh func() T) func(*testing.T, string) T {
	stores := map[string]T{}
	return func(_ *testing.T, home string) T {
		s, ok := stores[home]
		if !ok {
			s = fresh()
			stores[home] = s
		}
		return s
	}
}

func TestMem(t *testing.T) {
	storetest.TestStore(t, byHome(func() coordinator.Store { return storetest.NewMem() }))
}

func TestMemMetrics(t *testing.T) {
	storetest.TestMetricStore(t, byHome(func() coordinator.MetricStore { return &storetest.MemMetrics{} }))
}

func TestMemLogs(t *testing.T) {
	storetest.TestLogStore(t, byHome(func() coordinator.LogStore { return &storetest.MemLogs{} }))
}

func TestFaultThatPassesIsAStore(t *testing.T) {
	storetest.TestStore(t, byHome(func() coordinator.Store { return &storetest.Fault{Store: storetest.NewMem()} }))
}

func TestFaultsThatPassAreStores(t *testing.T) {
	storetest.TestMetricStore(t, byHome(func() coordinator.MetricStore {
		return &storetest.FaultMetrics{MetricStore: &storetest.MemMetrics{}}
	}))
	storetest.TestLogStore(t, byHome(func() coordinator.LogStore { return &storetest.FaultLogs{LogStore: &storetest.MemLogs{}} }))
}

func TestFaultMetricsAndLogs(t *testing.T) {
	verdict := storetest.Pass
	points := &storetest.FaultMetrics{MetricStore: &storetest.MemMetrics{}, Decide: func([]coordinator.Batch) storetest.Verdict { return verdict }}
	logs := &storetest.FaultLogs{LogStore: &storetest.MemLogs{}, Decide: func(sweeps.AttemptRef, string) storetest.Verdict { return verdict }}
	for i, test := range []struct {
		verdict storetest.Verdict
		points  int64
		log     string
	}{
		{storetest.Pass, 1, "said"},
		{storetest.FailBefore, 0, ""},
		{storetest.FailHalf, 0, "sa"},
		{storetest.FailAfter, 1, "said"},
	} {
		ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s", Index: int64(i)}, Attempt: 1}
		verdict = test.verdict
		fails := verdict != storetest.Pass
		if _, err := points.Append([]coordinator.Batch{{Ref: ref, Points: []sweeps.Point{{Metric: "x"}}}}); errors.Is(err, sweeps.ErrStorage) != fails {
			t.Errorf("verdict %d: points: %v", verdict, err)
		}
		if m, err := points.Summaries(ref); err != nil || m["x"].Count != test.points {
			t.Errorf("verdict %d: summaries %v, %v", verdict, m, err)
		}
		if _, err := logs.Append(ref, "stdout", 0, []byte("said")); errors.Is(err, sweeps.ErrStorage) != fails {
			t.Errorf("verdict %d: log: %v", verdict, err)
		}
		if b, err := logs.Read(ref, "stdout", 0, 10); err != nil || string(b) != test.log {
			t.Errorf("verdict %d: log %q, %v", verdict, b, err)
		}
	}
}

func TestFault(t *testing.T) {
	verdict := storetest.Pass
	f := &storetest.Fault{Store: storetest.NewMem(), Decide: func(dispatch.Changes) storetest.Verdict { return verdict }}
	commit := func(name string) error {
		return f.Commit(dispatch.Changes{Sweeps: []*sweeps.Sweep{{ID: sweeps.SweepID(name), Name: name}}})
	}
	for _, test := range []struct {
		name     string
		verdict  storetest.Verdict
		fails    bool
		recorded bool
	}{
		{"pass", storetest.Pass, false, true},
		{"before", storetest.FailBefore, true, false},
		{"after", storetest.FailAfter, true, true},
	} {
		verdict = test.verdict
		if err := commit(test.name); errors.Is(err, sweeps.ErrStorage) != test.fails || (err != nil) != test.fails {
			t.Errorf("%s: error %v", test.name, err)
		}
		if _, err := f.Sweep(test.name); (err == nil) != test.recorded {
			t.Errorf("%s: reading it back: %v", test.name, err)
		}
	}
	// What the store itself refuses stays refused.
	verdict = storetest.FailAfter
	err := f.Commit(dispatch.Changes{Trials: []*sweeps.Trial{{TrialKey: sweeps.TrialKey{Sweep: "nobody"}}}})
	if !errors.Is(err, sweeps.ErrNotFound) {
		t.Errorf("trial without a sweep: error %v, want ErrNotFound", err)
	}
}

func TestMemCheckpoints(t *testing.T) {
	storetest.TestCheckpointStore(t, byHome(func() coordinator.CheckpointStore { return &storetest.MemCheckpoints{} }))
}
