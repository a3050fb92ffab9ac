package results

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// golden compares what was printed with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

var accuracy = sweeps.Objective{Name: "test_accuracy", Goal: sweeps.Maximize}

var start0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// sampleRows has one row of each sort: finished, repeated, failed with a nasty
// message, running without metrics, diverged.
func sampleRows() []Row {
	return []Row{
		{
			Trial: "00000000000000a0", Index: 0, State: sweeps.TrialFinished,
			Params: sweeps.Params{
				"lr": 0.001, "patch_size": int64(4), "epochs": int64(5), "pretrained": true,
				"optimizer": map[string]any{"name": "adam", "beta": 0.9}, "layers": []any{int64(64), int64(32)},
			},
			Metrics:  map[string]float64{"test_accuracy": 0.51234567, "train_loss": 1.25, "val/loss": 1.5},
			Best:     map[string]float64{"test_accuracy": 0.5234},
			BestStep: map[string]int64{"test_accuracy": 4},
			Attempts: 1, Worker: "alpha", Duration: 83402 * time.Millisecond, Class: sweeps.ClassOK,
			Started: start0, Ended: start0.Add(83402 * time.Millisecond),
		},
		{
			Trial: "00000000000000a1", Index: 1, State: sweeps.TrialFinished,
			Params: sweeps.Params{
				"lr": 0.01, "patch_size": int64(8), "epochs": int64(5), "pretrained": false,
				"optimizer": map[string]any{"name": "sgd", "beta": 0.9}, "layers": []any{int64(64)},
			},
			Metrics:  map[string]float64{"test_accuracy": 0.6, "train_loss": 0.75, "val/loss": 0.9},
			Best:     map[string]float64{"test_accuracy": 0.61},
			BestStep: map[string]int64{"test_accuracy": 5},
			Attempts: 2, Worker: "beta", Duration: 3723 * time.Second, Class: sweeps.ClassOK,
			Started: start0, Ended: start0.Add(3723 * time.Second),
		},
		{
			Trial: "00000000000000a2", Index: 2, State: sweeps.TrialFailed,
			Params: sweeps.Params{
				"lr": 0.00001, "patch_size": int64(16), "epochs": int64(5),
				"optimizer": map[string]any{"name": "adam|w", "beta": 0.9},
			},
			Attempts: 3, Worker: "学習機", Duration: 120 * time.Millisecond, Class: sweeps.ClassExit,
			Error: "exit code 3: \x1b[31m\"boom\",\nsaid the 木", Started: start0, Ended: start0.Add(120 * time.Millisecond),
		},
		{
			Trial: "00000000000000a3", Index: 3, State: sweeps.TrialRunning,
			Params: sweeps.Params{
				"lr": int64(1), "patch_size": int64(4), "epochs": int64(5), "pretrained": nil,
				"optimizer": map[string]any{"name": "adam", "beta": 0.9},
			},
			Attempts: 1, Worker: "alpha", Duration: 12340 * time.Millisecond, Started: start0,
		},
		{
			Trial: "00000000000000a4", Index: 4, State: sweeps.TrialFailed,
			Params: sweeps.Params{
				"lr": 10.0, "patch_size": int64(8), "epochs": int64(5), "pretrained": true,
				"optimizer": map[string]any{"name": "adam", "beta": 0.9},
			},
			Metrics:  map[string]float64{"test_accuracy": math.NaN(), "train_loss": math.Inf(1)},
			Best:     map[string]float64{"test_accuracy": 0.1},
			BestStep: map[string]int64{"test_accuracy": 1},
			Attempts: 1, Worker: "beta", Duration: 26 * time.Hour, Class: sweeps.ClassDiverged,
			Error: "train_loss became infinite at step 2", Started: start0, Ended: start0.Add(26 * time.Hour),
		},
	}
}

func sampleFields() Fields {
	var f Fields
	f.AddParam("lr", "patch_size")
	f.AddObjective(accuracy)
	for _, r := range sampleRows() {
		f.Observe(r)
	}
	return f
}

func indices(rows []Row) []int64 {
	list := []int64{}
	for _, r := range rows {
		list = append(list, r.Index)
	}
	return list
}

// wantInvalid checks that err is a user's mistake told in one line.
func wantInvalid(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if err.Error() != want {
		t.Errorf("error\n got %s\nwant %s", err, want)
	}
	if !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("error %q is not sweeps.ErrInvalid", err)
	}
	if bytes.ContainsRune([]byte(err.Error()), '\n') {
		t.Errorf("error %q has more than one line", err)
	}
}
