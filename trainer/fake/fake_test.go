package fake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"swath/trainer/fake"
	"swath/trainer/report"
)

// run runs the trainer in this process and returns the points of its report.
func run(t *testing.T, ctx context.Context, attempt int, params map[string]any) (points []report.Point, skipped int64, err error) {
	t.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	s, err := report.NewSession(b, t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s.ReportPath = filepath.Join(t.TempDir(), "report")
	s.Attempt = attempt
	runErr := fake.Run(ctx, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := report.NewReader(s.ReportPath, report.Position{})
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return points, r.Position().Skipped, runErr
		}
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, rec.Points...)
	}
}

func TestCurvesEndWhereFinalSays(t *testing.T) {
	for _, curve := range fake.Curves() {
		params := map[string]any{"curve": curve, "steps": 4, "x": 0.25, "lr": 2, "tag": "a", "garbage": 7}
		points, skipped, err := run(t, t.Context(), 1, params)
		if err != nil {
			t.Fatal(err)
		}
		loss, accuracy := fake.Final(params)
		if want := 0.0625 + 2.25; loss != want {
			t.Fatalf("final loss %v, want %v", loss, want)
		}
		if len(points) != 8 || skipped != 7 {
			t.Fatalf("%s: %d points and %d skipped lines, want 8 and 7", curve, len(points), skipped)
		}
		want := []report.Point{{Metric: "accuracy", Step: 4, Value: accuracy}, {Metric: "loss", Step: 4, Value: loss}}
		for i, got := range points[6:] {
			if got.Metric != want[i].Metric || got.Step != want[i].Step || got.Value != want[i].Value {
				t.Errorf("%s: last points %+v, want %+v", curve, got, want[i])
			}
		}
	}
}

func TestNoiseDependsOnTheSeedAlone(t *testing.T) {
	series := func(seed int) string {
		points, _, err := run(t, t.Context(), 1, map[string]any{"curve": "noisy", "seed": seed})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, p := range points {
			fmt.Fprintln(&b, p.Metric, p.Step, p.Value)
		}
		return b.String()
	}
	if first, again := series(1), series(1); first != again {
		t.Error("the same seed gave two curves")
	}
	if series(1) == series(2) {
		t.Error("two seeds gave the same curve")
	}
}

func TestKnobsThatFail(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tc := range []struct {
		name    string
		ctx     context.Context
		attempt int
		params  map[string]any
		points  int
		want    func(error) bool
	}{
		{"diverges", t.Context(), 1, map[string]any{"diverge_at": 3}, 6,
			func(err error) bool { return errors.Is(err, report.ErrDiverged) }},
		{"crashes", t.Context(), 2, map[string]any{"crash_at": 2}, 10, func(err error) bool { return err != nil }},
		{"crashes no more", t.Context(), 3, map[string]any{"crash_at": 2}, 20, func(err error) bool { return err == nil }},
		{"exit code", t.Context(), 1, map[string]any{"exit_code": 7, "memory": 1}, 20, func(err error) bool {
			var c interface{ ExitCode() int }
			return errors.As(err, &c) && c.ExitCode() == 7
		}},
		{"stopped", ended, 1, map[string]any{"hang": true}, 0, func(err error) bool { return errors.Is(err, context.Canceled) }},
		{"prints", t.Context(), 1, map[string]any{"print": true}, 0, func(err error) bool { return err == nil }},
		{"refused", t.Context(), 1, map[string]any{"steps": -1}, 0, func(err error) bool { return errors.Is(err, report.ErrSpec) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			points, _, err := run(t, tc.ctx, tc.attempt, tc.params)
			if !tc.want(err) {
				t.Errorf("error %v", err)
			}
			if len(points) != tc.points {
				t.Errorf("%d points, want %d", len(points), tc.points)
			}
			if tc.name == "diverges" && !math.IsNaN(points[5].Value) {
				t.Errorf("last loss %v, want NaN", points[5].Value)
			}
		})
	}
}

func TestPrintedMetricsCanBeScanned(t *testing.T) {
	var out bytes.Buffer
	s, err := report.NewSession(json.RawMessage(`{"print":true,"steps":2,"x":0.5}`), t.TempDir(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if err := fake.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	scanner, err := report.NewScanner([]report.Rule{{Name: "loss"}})
	if err != nil {
		t.Fatal(err)
	}
	points := scanner.Line(out.Bytes())
	if len(points) != 2 || points[1] != (report.Point{Metric: "loss", Step: 2, Value: 0}) {
		t.Errorf("printed %q, which gives %+v", out.String(), points)
	}
}

func TestValidateNamesTheParameter(t *testing.T) {
	for name, bad := range map[string][]any{
		"steps": {-1, 1.5, "many"}, "step_ms": {-1, "fast", 1e300}, "curve": {"wave", 1}, "exit_code": {256, -1},
		"crash_at": {-1}, "diverge_at": {-1}, "garbage": {-1}, "memory": {-1, 1 << 30}, "hang": {"yes", 1}, "print": {0},
		"ignore_term": {"x"}, "message": {1}, "seed": {0.5},
	} {
		for _, v := range bad {
			err := fake.Validate(map[string]any{name: v})
			if !errors.Is(err, report.ErrSpec) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %v: error %v, want one that names it", name, v, err)
			}
		}
	}
	if err := fake.Validate(map[string]any{"steps": int64(3), "step_ms": 0.5, "x": int64(1), "opt": nil}); err != nil {
		t.Error(err)
	}
}
