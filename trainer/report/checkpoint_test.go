package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"swath/trainer/report"
)

func TestCheckpointReaderFindsTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.jsonl")
	r := report.NewCheckpointReader(path, 0)
	look := func(text string, want report.Checkpoint, wantOK bool) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, ok, err := r.Last()
		if got != want || ok != wantOK || err != nil {
			t.Errorf("after %q: %+v, %v, %v, want %+v", text, got, ok, err, want)
		}
	}
	look("{\"loss\": 1}\n", report.Checkpoint{}, false)
	look("{\"checkpoint\": \"a\", \"step\": 4}\n{\"loss\": 2}\n", report.Checkpoint{Name: "a", Step: 4, End: 43}, true)
	look("{\"checkpoint\": 3}\n{\"checkpoint\": \"\"}\nnoise \"checkpoint\"\n", report.Checkpoint{}, false)
	look("{\"checkpoint\": \"b\"}\n{\"checkpoint\": \"c\"}\n{\"checkpoint\": \"d\", \"st", report.Checkpoint{Name: "c", Step: 3, End: 151, Counted: true}, true)
	look("ep\": 9}\n", report.Checkpoint{Name: "d", Step: 9, End: 182}, true)
}

func TestCheckpointLinesAreNoPoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.jsonl")
	text := "{\"checkpoint\": \"12\", \"step\": 4}\n{\"checkpoint\": \"a\", \"step\": 5, \"metrics\": {\"loss\": 2}}\n{\"checkpoint\": 0.5, \"step\": 6}\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := report.NewReader(path, report.Position{})
	for i, want := range [][]report.Point{nil, {{Metric: "loss", Step: 5, Value: 2}}, {{Metric: "checkpoint", Step: 6, Value: 0.5}}} {
		rec, err := r.Next()
		if err != nil || rec.Warning != "" || len(rec.Points) != len(want) || len(want) > 0 && rec.Points[0] != want[0] {
			t.Errorf("line %d: %+v, %v", i+1, rec, err)
		}
	}
	if v, ok := report.LastValue([]byte(text), "loss"); v != 2 || !ok {
		t.Errorf("last loss %v, %v", v, ok)
	}
	if _, ok := report.LastValue([]byte(text), "accuracy"); ok {
		t.Error("found a metric that is not there")
	}
}
