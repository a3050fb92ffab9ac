package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"swath/trainer/report"
)

func TestLoop(t *testing.T) {
	var log []string
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	l := Loop{
		Epochs: 2, StepsPerEpoch: 2,
		Step: func(epoch, i int) (float64, error) { note("step %d.%d", epoch, i); return 1, nil },
		Epoch: func(epoch int, _ time.Duration) (map[string]float64, error) {
			note("epoch %d", epoch)
			return map[string]float64{"x": float64(epoch)}, nil
		},
		End:      func() error { note("end"); return nil },
		Report:   func(epoch int64, m map[string]float64) error { note("report %d %v", epoch, m["x"]); return nil },
		Progress: func(f float64, epoch int64) error { note("progress %v in %d", f, epoch); return nil },
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "step 1.0, step 1.1, epoch 1, report 1 1, progress 0.5 in 1, step 2.0, step 2.1, epoch 2, report 2 2, progress 1 in 2, end"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("the loop does\n%s, want\n%s", got, want)
	}
}

func TestLoopEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	failure := errors.New("out of paper")
	for name, c := range map[string]struct {
		step func(epoch, i int) (float64, error)
		is   error
		says string
	}{
		"NaN":    {func(epoch, i int) (float64, error) { return []float64{1, math.NaN()}[epoch-1], nil }, report.ErrDiverged, "NaN at step 4 (epoch 2)"},
		"Inf":    {func(int, int) (float64, error) { return math.Inf(1), nil }, report.ErrDiverged, "+Inf at step 1 (epoch 1)"},
		"error":  {func(int, int) (float64, error) { return 0, failure }, failure, "step 1 (epoch 1): out of paper"},
		"cancel": {func(int, int) (float64, error) { cancel(); return 0, nil }, context.Canceled, "canceled"},
	} {
		context := t.Context()
		if name == "cancel" {
			context = ctx
		}
		err := (&Loop{Epochs: 3, StepsPerEpoch: 3, Step: c.step}).Run(context)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s ends the loop with %v, want %q", name, err, c.says)
		}
	}
}

// story runs a training of 3 epochs of 4 steps from a position, which ends its context at
// a step of its own count (0: never), and tells what happened.
func story(t *testing.T, from Position, last int) (log []string, end Position, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	l := Loop{
		Epochs: 3, StepsPerEpoch: 4, From: from,
		Step: func(epoch, i int) (float64, error) {
			note("%d.%d", epoch, i)
			if last--; last == 0 {
				cancel()
			}
			return 1, nil
		},
		Epoch: func(epoch int, trained time.Duration) (map[string]float64, error) {
			if trained <= 0 {
				t.Errorf("epoch %d took %v", epoch, trained)
			}
			return map[string]float64{"epoch": 1}, nil
		},
		Recent:      func() (map[string]float64, error) { return map[string]float64{"recent": 1}, nil },
		RecentEvery: 5,
		Report: func(step int64, m map[string]float64) error {
			for name := range m {
				note("%s@%d", name, step)
			}
			return nil
		},
		Checkpoint: func(at Position) error {
			if at.Done > 0 != (at.Trained > 0) {
				t.Errorf("%d steps took %v", at.Done, at.Trained)
			}
			end = at
			note("save %d.%d", at.Epoch, at.Done)
			return nil
		},
		CheckpointEvery: 3,
	}
	err = l.Run(ctx)
	return log, end, err
}

func TestLoopReportsAndSaves(t *testing.T) {
	log, _, err := story(t, Position{}, 0)
	want := "1.0 1.1 1.2 save 1.3 1.3 epoch@1 save 2.0 2.0 recent@5 2.1 save 2.2 2.2 2.3 epoch@2 save 3.0 " +
		"3.0 save 3.1 3.1 recent@10 3.2 3.3 epoch@3 save 4.0"
	if got := strings.Join(log, " "); err != nil || got != want {
		t.Errorf("the loop does\n%s, want\n%s (%v)", got, want, err)
	}
}

// TestLoopGoesOn interrupts a training at every step; what the second run does must
// begin where the first ended.
func TestLoopGoesOn(t *testing.T) {
	whole, _, _ := story(t, Position{}, 0)
	steps := func(log []string) string {
		var kept []string
		for _, s := range log {
			if !strings.HasPrefix(s, "save") {
				kept = append(kept, s)
			}
		}
		return strings.Join(kept, " ")
	}
	for last := 1; last <= 12; last++ {
		first, at, err := story(t, Position{}, last)
		if last < 12 && !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled in step %d the loop ends with %v", last, err)
		}
		if got := at.Steps(4); got != int64(last) {
			t.Errorf("cancelled in step %d the loop saves after step %d", last, got)
		}
		second, _, err := story(t, at, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(steps(first) + " " + steps(second)); got != steps(whole) {
			t.Errorf("interrupted in step %d:\n%s, want\n%s", last, got, steps(whole))
		}
	}
	if log, _, err := story(t, Position{Epoch: 4}, 0); err != nil || len(log) != 0 {
		t.Errorf("a training that had ended does %v (%v)", log, err)
	}
	if _, _, err := story(t, Position{Epoch: 1, Done: 5}, 0); err == nil || !strings.Contains(err.Error(), "epochs have 4 steps") {
		t.Errorf("a position beyond the epoch gives %v", err)
	}
}

func TestLoopSavesOnlyWhatIsNew(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := Loop{Epochs: 2, StepsPerEpoch: 2, From: Position{Epoch: 1, Done: 1}, Checkpoint: func(Position) error { return errors.New("saved") }}
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "saved") {
		t.Errorf("cancelled before the first step: %v", err)
	}
	l.Step = func(int, int) (float64, error) { return 1, nil }
	if err := l.Run(t.Context()); err == nil || err.Error() != "after step 2: saved" {
		t.Errorf("a failed checkpoint gives %v", err)
	}
}

// TestLoopNamesTheStep lets each hook fail.
func TestLoopNamesTheStep(t *testing.T) {
	failure := errors.New("out of paper")
	epoch := func(failing int) func(int, time.Duration) (map[string]float64, error) {
		return func(epoch int, _ time.Duration) (map[string]float64, error) {
			if epoch == failing {
				return nil, failure
			}
			return nil, nil
		}
	}
	ignore := func(int64, map[string]float64) error { return nil }
	end := func() error { return failure }
	for want, l := range map[string]Loop{
		"step 6 (epoch 2): out of paper":  {Epoch: epoch(2)},
		"step 9 (epoch 3): out of paper":  {End: end},
		"step 9 (epoch 3): out of paper ": {End: end, From: Position{Epoch: 4}},
	} {
		l.Epochs, l.StepsPerEpoch, l.Report = 3, 3, ignore
		l.Step = func(int, int) (float64, error) { return 1, nil }
		if err := l.Run(t.Context()); !errors.Is(err, failure) || err.Error() != strings.TrimSpace(want) {
			t.Errorf("the loop ends with %v, want %s", err, want)
		}
	}
}

func TestHistory(t *testing.T) {
	var said []string
	to := func(step int64, m map[string]float64) error {
		if m["x"] == 13 {
			return errors.New("full")
		}
		said = append(said, fmt.Sprint(step, m))
		return nil
	}
	first := History{To: to}
	m := map[string]float64{"x": 1}
	for step := range int64(3) {
		m["x"] = float64(step)
		if err := first.Report(step, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Report(4, map[string]float64{"x": 13}); err == nil {
		t.Error("a failed report is no error")
	}
	before := strings.Join(said, " ")
	said = nil
	second := History{To: to}
	if err := second.Replay(first.Reports()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(said, " "); got != before || len(second.Reports()) != 3 {
		t.Errorf("replayed %q, want %q", got, before)
	}
	if err := second.Replay(first.Reports()); err == nil {
		t.Error("a second replay is no error")
	}
}

func TestThreads(t *testing.T) {
	if Threads(3, 2) != 3 || Threads(0, 2) != 2 || Threads(0, 0) < 1 {
		t.Errorf("threads are %d, %d and %d", Threads(3, 2), Threads(0, 2), Threads(0, 0))
	}
}
