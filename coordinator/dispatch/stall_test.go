package dispatch

import (
	"testing"
	"time"

	"swath/sweeps"
)

// A coordinator that cancels where there is no other gives a moment's lease, and its Ticks are late
// by more than that.
func TestMomentaryLeaseEnds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Lease = time.Millisecond
	s, now := New(cfg), time.Unix(1_700_000_000, 0)
	sub := submission("s", 1, Policy{})
	sub.Plan = storyPlan{n: 1, chain: 1}
	_ = s.Step(now, sub)
	_ = s.Step(now, Hello{Worker: sweeps.Worker{ID: "a", Name: "a", Slots: 1}, Session: 1})
	s.Assign(now)
	_ = s.Step(now, Cancel{Sweep: "s"})
	for range 3 {
		now = now.Add(5 * time.Millisecond)
		_ = s.Step(now, Tick{})
	}
	if !s.Idle() {
		t.Error("the worker holds the trial after 15 ms without a word")
	}
}
