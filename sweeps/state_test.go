package sweeps

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tables are written out once more here, so that a slip in one of the two shows.
func TestTrialStates(t *testing.T) {
	moves := map[TrialState]string{
		"pending":   "running cancelled",
		"running":   "pending finished failed cancelled",
		"finished":  "",
		"failed":    "pending",
		"cancelled": "pending",
	}
	terminal := []TrialState{"finished", "failed", "cancelled"}
	if len(TrialStates()) != len(moves) || len(trialMoves) != len(moves) {
		t.Fatalf("%d states listed, %d in the table, %d here", len(TrialStates()), len(trialMoves), len(moves))
	}
	for _, from := range TrialStates() {
		if got, err := ParseTrialState(string(from)); got != from || err != nil {
			t.Errorf("ParseTrialState(%q) = %q, %v", from, got, err)
		}
		if from.Terminal() != slices.Contains(terminal, from) {
			t.Errorf("%s: Terminal() = %t", from, from.Terminal())
		}
		for _, to := range TrialStates() {
			if want := slices.Contains(strings.Fields(moves[from]), string(to)); from.CanMove(to) != want {
				t.Errorf("%s may move to %s: %t, want %t", from, to, from.CanMove(to), want)
			}
		}
	}
	for _, bad := range []string{"", "Pending", "done"} {
		if s, err := ParseTrialState(bad); err == nil {
			t.Errorf("ParseTrialState(%q) = %q", bad, s)
		}
		if TrialState(bad).CanMove(TrialPending) || TrialPending.CanMove(TrialState(bad)) {
			t.Errorf("the unknown state %q can be moved out of or into", bad)
		}
	}
}

func TestSweepStates(t *testing.T) {
	moves := map[SweepState]string{
		"running":    "paused finished cancelling cancelled",
		"paused":     "running finished cancelling cancelled",
		"cancelling": "cancelled",
		"finished":   "running",
		"cancelled":  "running",
	}
	terminal := []SweepState{"finished", "cancelled"}
	if len(SweepStates()) != len(moves) || len(sweepMoves) != len(moves) {
		t.Fatalf("%d states listed, %d in the table, %d here", len(SweepStates()), len(sweepMoves), len(moves))
	}
	for _, from := range SweepStates() {
		if got, err := ParseSweepState(string(from)); got != from || err != nil {
			t.Errorf("ParseSweepState(%q) = %q, %v", from, got, err)
		}
		if from.Terminal() != slices.Contains(terminal, from) {
			t.Errorf("%s: Terminal() = %t", from, from.Terminal())
		}
		for _, to := range SweepStates() {
			if want := slices.Contains(strings.Fields(moves[from]), string(to)); from.CanMove(to) != want {
				t.Errorf("%s may move to %s: %t, want %t", from, to, from.CanMove(to), want)
			}
		}
	}
	if s, err := ParseSweepState("pending"); err == nil {
		t.Errorf("a trial's state is taken for the sweep state %q", s)
	}
}

func TestClasses(t *testing.T) {
	retryable := []Class{"exit", "signal", "oom", "timeout", "lost", "preempted"}
	free := []Class{"lost", "preempted"}
	for _, c := range Classes() {
		if got, err := ParseClass(string(c)); got != c || err != nil {
			t.Errorf("ParseClass(%q) = %q, %v", c, got, err)
		}
		if c.Retryable() != slices.Contains(retryable, c) {
			t.Errorf("%s: Retryable() = %t", c, c.Retryable())
		}
		if c.Resumable() != (c.Retryable() || c == "cancelled") {
			t.Errorf("%s: Resumable() = %t", c, c.Resumable())
		}
		if c.Charged() == slices.Contains(free, c) {
			t.Errorf("%s: Charged() = %t", c, c.Charged())
		}
		if (Outcome{Class: c}).OK() != (c == ClassOK) {
			t.Errorf("%s: OK() is wrong", c)
		}
	}
	if c, err := ParseClass("killed"); err == nil {
		t.Errorf("ParseClass(killed) = %q", c)
	}
}

func TestCounts(t *testing.T) {
	var c Counts
	steps := []struct {
		from, to TrialState
		attempts int
		want     Counts
		ended    int64
	}{
		{"", TrialRunning, 0, Counts{Running: 1}, 0},
		{"", TrialPending, 0, Counts{Running: 1, Unstarted: 1}, 0},
		{TrialPending, TrialRunning, 0, Counts{Running: 2}, 0},
		{TrialRunning, TrialPending, 1, Counts{Running: 1, Retrying: 1}, 0},
		{TrialPending, TrialRunning, 1, Counts{Running: 2}, 0},
		{TrialRunning, TrialFinished, 1, Counts{Running: 1, Finished: 1}, 1},
		{TrialRunning, TrialFailed, 1, Counts{Finished: 1, Failed: 1}, 2},
		{TrialFailed, TrialPending, 1, Counts{Finished: 1, Retrying: 1}, 1},
		{TrialPending, TrialCancelled, 1, Counts{Finished: 1, Cancelled: 1}, 2},
	}
	for i, s := range steps {
		c.Add(s.from, s.attempts, -1)
		c.Add(s.to, s.attempts, 1)
		if c != s.want || c.Ended() != s.ended || c.Pending() != s.want.Retrying+s.want.Unstarted {
			t.Fatalf("step %d, %q to %q: %+v, %d ended; want %+v, %d", i, s.from, s.to, c, c.Ended(), s.want, s.ended)
		}
	}
}

func TestGoals(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		goal Goal
		a, b float64
		want bool
	}{
		{Minimize, 1, 2, true}, {Minimize, 2, 1, false}, {Minimize, 1, 1, false},
		{Maximize, 1, 2, false}, {Maximize, 2, 1, true}, {Maximize, 1, 1, false},
		{Minimize, nan, 1, false}, {Minimize, 1, nan, true}, {Minimize, nan, nan, false},
		{Maximize, nan, 1, false}, {Maximize, -inf, nan, true},
		{Minimize, 1, inf, true}, {Maximize, inf, 1, true},
	} {
		if got := c.goal.Better(c.a, c.b); got != c.want {
			t.Errorf("%s: %v better than %v: %t", c.goal, c.a, c.b, got)
		}
	}
	for _, g := range []Goal{Minimize, Maximize} {
		if got, err := ParseGoal(string(g)); got != g || err != nil {
			t.Errorf("ParseGoal(%q) = %q, %v", g, got, err)
		}
	}
	if g, err := ParseGoal("min"); err == nil {
		t.Errorf("ParseGoal(min) = %q", g)
	}
}

func TestSummary(t *testing.T) {
	var s Summary
	nan := math.NaN()
	for i, v := range []float64{nan, 3, 1, 5, 1, nan} {
		s = s.Add(Point{Step: int64(10 * i), Value: v})
		if i == 0 && (!math.IsNaN(s.Min) || !math.IsNaN(s.Max)) {
			t.Errorf("after NaN alone, min %v and max %v are numbers", s.Min, s.Max)
		}
	}
	if s.Count != 6 || !math.IsNaN(s.Last) || s.LastStep != 50 {
		t.Errorf("count %d, last %v at %d", s.Count, s.Last, s.LastStep)
	}
	if v, step := s.Best(Minimize); v != 1 || step != 20 {
		t.Errorf("lowest %v at %d, want 1 at its first step, 20", v, step)
	}
	if v, step := s.Best(Maximize); v != 5 || step != 30 {
		t.Errorf("highest %v at %d", v, step)
	}
}

func TestResources(t *testing.T) {
	have := Resources{CPUs: 4, GPUs: 1, Memory: 100}
	left := have
	tenth := Resources{GPUs: 0.1, Memory: 10}
	for i := range 10 {
		if !left.Fits(tenth) {
			t.Fatalf("the %d-th tenth does not fit into %v", i+1, left)
		}
		left = left.Sub(tenth)
	}
	if left.Fits(tenth) {
		t.Errorf("an eleventh tenth fits into %v", left)
	}
	if left = left.Add(Resources{GPUs: 0.5}); left.Fits(Resources{GPUs: 0.5, Memory: 1}) {
		t.Error("memory is not looked at")
	}
	if !(Resources{}).IsZero() || have.IsZero() {
		t.Error("IsZero is wrong")
	}
	have.Memory = 5 << 29
	if got := have.String(); got != "cpus 4, gpus 1, memory 2.5 GiB" {
		t.Errorf("String() = %q", got)
	}
}

func TestTrialDuration(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := start.Add(time.Hour)
	trial := Trial{}
	if d := trial.Duration(now); d != 0 {
		t.Errorf("a trial that has not started took %v", d)
	}
	trial.Started = start
	if d := trial.Duration(now); d != time.Hour {
		t.Errorf("a running trial has taken %v", d)
	}
	trial.Ended = start.Add(time.Minute)
	if d := trial.Duration(now); d != time.Minute {
		t.Errorf("an ended trial took %v", d)
	}
}

func TestKeys(t *testing.T) {
	k := TrialKey{Sweep: "s", Index: 7}
	if got := (AttemptRef{k, 2}).String(); got != "s/7#2" || k.String() != "s/7" {
		t.Errorf("printed as %s and %s", k, got)
	}
}
