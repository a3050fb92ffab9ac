//go:build unix

package exec_test

import (
	osexec "os/exec"
	"path/filepath"
	"testing"

	"swath/sweeps"
	"swath/worker/exec"
)

// follow runs an attempt to its end and returns its points by metric.
func follow(t *testing.T, spec exec.Spec) (sweeps.Outcome, map[string][]sweeps.Point) {
	t.Helper()
	p := start(t, spec)
	points := map[string][]sweeps.Point{}
	tail := openTail(t, spec.AttemptDir, spec.Rules, exec.Position{})
	err := tail.Follow(t.Context(), p.Done(), func(b exec.Batch) error {
		for _, w := range b.Warnings {
			t.Error(w)
		}
		for _, pt := range b.Points {
			points[pt.Metric] = append(points[pt.Metric], pt)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o, _ := p.Wait()
	return o, points
}

// TestExamplesLearn runs the programs of the folder examples the way their sweep files ask
// for it.
func TestExamplesLearn(t *testing.T) {
	python, err := filepath.Abs("../../examples/python")
	if err != nil {
		t.Fatal(err)
	}
	shellDir := filepath.Join(filepath.Dir(python), "shell")
	for _, tc := range []struct {
		name, needs, dir string
		argv             []string
		rules            []sweeps.MetricRule
		epochs           int
		metrics          []string
	}{
		{"python by report", "python3", python,
			[]string{"/usr/bin/env", "python", "train.py", "--learning_rate=0.5", "--batch_size=16", "--epochs=4", "--l2=0.0"},
			nil, 4, []string{"accuracy", "loss"}},
		{"shell by printing", "awk", shellDir,
			[]string{"/usr/bin/env", "sh", "train.sh", "learning_rate=0.3", "start=4.0", "epochs=6"},
			[]sweeps.MetricRule{{Name: "loss"}}, 6, []string{"loss"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := osexec.LookPath(tc.needs); err != nil {
				t.Skipf("%s is not installed", tc.needs)
			}
			spec := exec.Spec{Argv: tc.argv, Dir: tc.dir, AttemptDir: t.TempDir(), Rules: tc.rules, Attempt: 1}
			o, points := follow(t, spec)
			if !o.OK() {
				t.Fatalf("outcome %+v", o)
			}
			for _, metric := range tc.metrics {
				series := points[metric]
				if len(series) != tc.epochs {
					t.Fatalf("%s: %d points, want one for each of %d epochs", metric, len(series), tc.epochs)
				}
				first, last := series[0], series[len(series)-1]
				if first.Step != 1 || last.Step != int64(tc.epochs) {
					t.Errorf("%s: steps %d to %d, want 1 to %d", metric, first.Step, last.Step, tc.epochs)
				}
				if metric == "loss" && last.Value >= first.Value {
					t.Errorf("loss did not fall: %v to %v", first.Value, last.Value)
				}
			}
		})
	}
}
