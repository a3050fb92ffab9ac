package results

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

// repeatRows are two points of two parameters with three seeds each; a seed of the
// second failed.
func repeatRows() []Row {
	var rows []Row
	for i, acc := range []float64{0.5, 0.6, 0.7, 0.8, 0.9, math.NaN()} {
		r := Row{
			Trial: sweeps.TrialID("00000000000000b" + string(rune('0'+i))), Index: int64(i), State: sweeps.TrialFinished,
			Params:   sweeps.Params{"heads": int64(2 + 2*(i/3)), "width": int64(64), "seed": int64(i % 3)},
			Metrics:  map[string]float64{"test_accuracy": acc - 0.01},
			Best:     map[string]float64{"test_accuracy": acc},
			BestStep: map[string]int64{"test_accuracy": 9},
			Attempts: 1, Worker: "local", Duration: time.Duration(10+i) * time.Second, Class: sweeps.ClassOK,
		}
		rows = append(rows, r)
	}
	rows[5].State, rows[5].Class, rows[5].Error = sweeps.TrialFailed, sweeps.ClassDiverged, "train_loss is NaN"
	return rows
}

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		rows      []Row
		objective sweeps.Objective
		opt       ReportOptions
	}{
		"plain":        {sampleRows(), accuracy, ReportOptions{Params: []string{"patch_size", "lr"}}},
		"limited":      {sampleRows(), accuracy, ReportOptions{Limit: 2, MaxWidth: 100}},
		"repeats":      {repeatRows(), accuracy, ReportOptions{}},
		"minimize":     {repeatRows(), sweeps.Objective{Name: "test_accuracy", Goal: sweeps.Minimize}, ReportOptions{}},
		"no-objective": {sampleRows(), sweeps.Objective{}, ReportOptions{}},
		"no-value":     {sampleRows()[2:4], accuracy, ReportOptions{}},
		"none":         {nil, accuracy, ReportOptions{}},
	} {
		var b bytes.Buffer
		if err := Report(&b, "quickstart", c.objective, c.rows, c.opt); err != nil {
			t.Fatal(err)
		}
		golden(t, "report-"+name+".txt", b.Bytes())
	}
	if err := Report(&failingWriter{}, "quickstart", accuracy, nil, ReportOptions{}); !errors.Is(err, errFull) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func TestSummarise(t *testing.T) {
	d := Summarise(sampleRows(), accuracy)
	if want := (sweeps.Counts{Running: 1, Finished: 2, Failed: 2}); d.Counts != want || d.Total != 5 {
		t.Errorf("counts %+v of %d, want %+v", d.Counts, d.Total, want)
	}
	if d.Best == nil || d.Best.Index != 1 {
		t.Errorf("best is %+v, want trial 1", d.Best)
	}
	if d.Groups != nil {
		t.Errorf("groups %v without a seed", d.Groups)
	}

	d = Summarise(repeatRows(), accuracy)
	want := []Group{
		{Params: map[string]any{"heads": int64(4), "width": int64(64)}, Trials: 3, N: 2, Mean: 0.85, SD: 0.1 / math.Sqrt2},
		{Params: map[string]any{"heads": int64(2), "width": int64(64)}, Trials: 3, N: 3, Mean: 0.6, SD: 0.1},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
	if diff := cmp.Diff(want, d.Groups, near); diff != "" {
		t.Error(diff)
	}
	// Seeds that are another dimension of a grid, with every point once, are no repeats.
	if d = Summarise(repeatRows()[:1], accuracy); d.Groups != nil {
		t.Errorf("groups %v of one trial", d.Groups)
	}

	ties := repeatRows()[:3]
	for i := range ties {
		ties[i].Best = map[string]float64{"test_accuracy": 1}
	}
	ties[0], ties[2] = ties[2], ties[0]
	if d = Summarise(ties, accuracy); d.Best.Index != 0 {
		t.Errorf("of equal trials the best is %d, want the lowest index", d.Best.Index)
	}
	d = Summarise([]Row{{State: sweeps.TrialPending}, {State: sweeps.TrialPending, Attempts: 1}, {State: sweeps.TrialRunning, Attempts: 1}}, accuracy)
	if want := "3 trials: 1 running, 1 waiting for another attempt, 1 not started yet"; d.Sentence() != want {
		t.Errorf("%q, want %q", d.Sentence(), want)
	}
}
