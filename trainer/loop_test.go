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
		Report:   func(epoch int64, m map[string]float64) error { note("report %d %v", epoch, m["x"]); return nil },
		Progress: func(f float64, epoch int64) error { note("progress %v in %d", f, epoch); return nil },
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "step 1.0, step 1.1, epoch 1, report 1 1, progress 0.5 in 1, step 2.0, step 2.1, epoch 2, report 2 2, progress 1 in 2"
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

func TestThreads(t *testing.T) {
	if Threads(3, 2) != 3 || Threads(0, 2) != 2 || Threads(0, 0) < 1 {
		t.Errorf("threads are %d, %d and %d", Threads(3, 2), Threads(0, 2), Threads(0, 0))
	}
}
