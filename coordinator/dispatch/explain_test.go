package dispatch

import (
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

// What is said of a trial that has not begun, or of whose sweep nothing begins.
func TestExplainsWhatHasNotBegun(t *testing.T) {
	s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
	step := func(ev Event) {
		t.Helper()
		if err := s.Step(now, ev); err != nil {
			t.Fatal(err)
		}
		s.Assign(now)
	}
	explains := func(index int64, want string) {
		t.Helper()
		if why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: index}), "\n"); !strings.Contains(why, want) || strings.Contains(why, ", \n") || strings.HasSuffix(why, ", ") {
			t.Errorf("of trial %d is said\n%s\nand not\n%s", index, why, want)
		}
	}
	sub := submission("s", 4, Policy{})
	sub.Plan = storyPlan{n: 4, chain: 1}
	step(sub)
	step(Hello{Worker: sweeps.Worker{ID: "a", Name: "a", Slots: 1, Prefetch: 1}, Session: 1})
	explains(0, "the worker has not reported its start")
	explains(1, "it waits there until one of the worker's 1 slots is free")
	explains(2, "it waits for a free slot")
	step(Cancel{Sweep: "s"})
	explains(2, "the sweep is cancelling")
}
