package exec_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
	"swath/trainer/report"
	"swath/worker/exec"
)

// What an attempt printed before its checkpoint, and nothing else, is what the next begins with.
func TestPrintedIsCarriedOn(t *testing.T) {
	rules := []sweeps.MetricRule{{Name: "loss"}, {Name: "acc"}, {Name: "both"}}
	dir := t.TempDir()
	lines := "{\"both\": 1}\n" + string(report.AppendPrinted(nil, report.Point{Metric: "acc", Step: 7, Value: math.NaN()}))
	appendTo(t, exec.ReportFile(dir), lines+"{\"loss\": 5}\n") // that after the checkpoint
	before, around, after := "acc=1 both=2\nloss=9 step=90\n", "loss=3 step=3\nloss=4 step=4\n", "loss=2 step=2\nlos"
	appendTo(t, filepath.Join(dir, "stdout"), before+around+after)
	got, err := exec.Printed(dir, rules, exec.Moment{
		Report: int64(len(lines)), Sure: int64(len(before)), Most: int64(len(before + around)), Step: 3,
	})
	want := []report.Point{{Metric: "acc", Step: 8, Value: 1}, {Metric: "loss", Step: 90, Value: 9}, {Metric: "loss", Step: 3, Value: 3}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, printed (-want +got):\n%s", err, diff)
	}

	next := t.TempDir()
	for _, p := range got {
		lines += string(report.AppendPrinted(nil, p))
	}
	appendTo(t, exec.ReportFile(next), lines)
	appendTo(t, filepath.Join(next, "stdout"), "acc=2 both=3\n")
	tail := openTail(t, next, rules, exec.Position{})
	first := mustRead(t, tail, 2) // what is counted must be restored, too
	rest := mustRead(t, openTail(t, next, rules, first.Next), 100)
	all := []sweeps.Point{
		{Metric: "both", Step: 1, Value: 1}, {Metric: "acc", Step: 7, Value: math.NaN()},
		sweeps.Point(want[0]), sweeps.Point(want[1]), sweeps.Point(want[2]),
		{Metric: "acc", Step: 9, Value: 2},
	}
	if diff := cmp.Diff(all, append(first.Points, rest.Points...), ignoreTime); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}
