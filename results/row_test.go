package results

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

func TestFromTrial(t *testing.T) {
	var loss, acc sweeps.Summary
	for i, v := range []float64{3, 1, 2} {
		loss = loss.Add(sweeps.Point{Step: int64(i), Value: v})
		acc = acc.Add(sweeps.Point{Step: int64(i), Value: v / 10})
	}
	trial := &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: "s", Index: 7},
		ID:       "abc", Params: sweeps.Params{"lr": 0.1}, State: sweeps.TrialRunning, Attempt: 2,
		Worker: "w1", WorkerName: "alpha", Started: start0,
		Outcome: sweeps.Outcome{Class: sweeps.ClassOOM, ExitCode: -1, Message: "out of memory"},
		Metrics: map[string]sweeps.Summary{"loss": loss, "acc": acc, "other": acc, "none": {}},
	}
	goals := map[string]sweeps.Goal{"loss": sweeps.Minimize, "acc": sweeps.Maximize, "absent": sweeps.Maximize}
	got := FromTrial(trial, goals, start0.Add(90*time.Second))
	want := Row{
		Trial: "abc", Index: 7, State: sweeps.TrialRunning, Params: sweeps.Params{"lr": 0.1},
		Metrics:  map[string]float64{"loss": 2, "acc": 0.2, "other": 0.2},
		Best:     map[string]float64{"loss": 1, "acc": 0.3},
		BestStep: map[string]int64{"loss": 1, "acc": 0},
		Attempts: 2, Worker: "alpha", Duration: 90 * time.Second,
		Class: sweeps.ClassOOM, Error: "out of memory", Started: start0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	trial.WorkerName = ""
	got = FromTrial(trial, nil, start0.Add(-time.Minute))
	if got.Worker != "w1" || got.Duration != 0 || got.Best != nil {
		t.Errorf("worker %q, duration %v, best %v; want w1, 0 (the clocks differ), none", got.Worker, got.Duration, got.Best)
	}
}

func TestRowJSON(t *testing.T) {
	r := Row{
		Trial: "abc", Index: 3, State: sweeps.TrialFinished,
		Params: sweeps.Params{
			"b": int64(8), "a": 0.5, "z": nil, "s": "<\"é\x01>", "on": true,
			"g": map[string]any{"y": 1e-7, "x": []any{int64(1), "two", math.Inf(-1)}},
		},
		Metrics:  map[string]float64{"loss": math.NaN(), "acc": 1},
		Attempts: 1, Worker: "w", Duration: 1234567 * time.Microsecond,
	}
	const want = `{"trial":"abc","index":3,"state":"finished",` +
		`"params":{"a":0.5,"b":8,"g":{"x":[1,"two","-Infinity"],"y":1e-7},"on":true,"s":"<\"é\u0001>","z":null},` +
		`"metrics":{"acc":1,"loss":"NaN"},"best":{},"attempts":1,"worker":"w","duration_s":1.235}`
	if got := string(r.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.Best, r.BestStep = map[string]float64{"acc": 1}, map[string]int64{"acc": 9}
	r.Error, r.Class = "boom", sweeps.ClassExit
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if best, ok := back["best"].(map[string]any); !ok || best["acc"] != 1.0 || len(back) != 9 {
		t.Errorf("read back %+v from %s: want the nine keys of the contract", back, b)
	}
}

// Floats print as encoding/json prints them, so that a trial's parameters look the
// same wherever swath prints them.
func TestFloatsAsEncodingJSON(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 1e-6, 9.99e-7, 1e-10, 1e20, 1e21, 1.5e300, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendFloat(nil, f)); got != string(want) {
			t.Errorf("appendFloat(%v) = %s, encoding/json has %s", f, got, want)
		}
	}
}
