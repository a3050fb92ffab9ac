//go:build unix

package exec_test

import (
	"os"
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

// TestExamplesLearn runs the first and the last trial of each sweep file in the folder
// examples, as a worker would.
func TestExamplesLearn(t *testing.T) {
	for _, tc := range []struct {
		name, needs string
		metrics     []string
		trials      int64
	}{
		{"python", "python3", []string{"accuracy", "loss"}, 12},
		{"shell", "awk", []string{"loss"}, 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := osexec.LookPath(tc.needs); err != nil {
				t.Skipf("%s is not installed", tc.needs)
			}
			dir, err := filepath.Abs(filepath.Join("..", "..", "examples", tc.name))
			if err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(filepath.Join(dir, "sweep.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			spec, err := sweeps.Parse(source, "sweep.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if len(spec.Warnings) > 0 {
				t.Errorf("warnings %v", spec.Warnings)
			}
			plan, err := spec.Plan()
			if err != nil {
				t.Fatal(err)
			}
			if n := plan.Count().Trials; n != tc.trials {
				t.Fatalf("%d trials, want the %d that the file's comment tells", n, tc.trials)
			}
			for _, i := range []int64{0, tc.trials - 1} {
				trial, err := plan.At(i)
				if err != nil {
					t.Fatal(err)
				}
				attempt := t.TempDir()
				argv, err := spec.Argv(trial.Params, sweeps.ArgvEnv{ParamsFile: exec.ParamsFile(attempt)})
				if err != nil {
					t.Fatal(err)
				}
				o, points := follow(t, exec.Spec{
					Argv: argv, Dir: dir, AttemptDir: attempt, Params: trial.Params, Trial: trial.ID, Attempt: 1,
					Rules: spec.MetricRules(),
				})
				if !o.OK() {
					t.Fatalf("%v: outcome %+v", argv, o)
				}
				epochs, ok := trial.Params["epochs"].(int64)
				if !ok {
					t.Fatalf("no epochs in %v", trial.Params)
				}
				for _, metric := range tc.metrics {
					series := points[metric]
					if int64(len(series)) != epochs {
						t.Fatalf("%s: %d points, want one for each of %d epochs", metric, len(series), epochs)
					}
					first, last := series[0], series[len(series)-1]
					if first.Step != 1 || last.Step != epochs {
						t.Errorf("%s: steps %d to %d, want 1 to %d", metric, first.Step, last.Step, epochs)
					}
					if metric == "loss" && last.Value >= first.Value {
						t.Errorf("%v: loss did not fall: %v to %v", trial.Params, first.Value, last.Value)
					}
				}
			}
		})
	}
}
