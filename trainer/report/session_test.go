package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swath/trainer/report"
)

// setEnv gives the test the environment of a trainer, and nothing of the caller's.
func setEnv(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, name := range []string{
		report.EnvParams, report.EnvReport, report.EnvCheckpointDir, report.EnvArtifactDir, report.EnvData,
		report.EnvSweep, report.EnvTrial, report.EnvAttempt, report.EnvSeed, report.EnvCPUs,
	} {
		t.Setenv(name, vars[name])
	}
}

func TestWhatASessionWritesAReaderReads(t *testing.T) {
	dir := t.TempDir()
	params := filepath.Join(dir, "params.json")
	write(t, params, `{"lr":0.1}`)
	setEnv(t, map[string]string{
		report.EnvParams: params, report.EnvReport: filepath.Join(dir, "report"),
		report.EnvCheckpointDir: filepath.Join(dir, "ck"), report.EnvArtifactDir: filepath.Join(dir, "art"),
		report.EnvData: "d", report.EnvSweep: "s", report.EnvTrial: "t", report.EnvAttempt: "2",
		report.EnvSeed: "7", report.EnvCPUs: "3",
	})
	s, err := report.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	want := &report.Session{
		Params: json.RawMessage(`{"lr":0.1}`), ReportPath: filepath.Join(dir, "report"),
		CheckpointDir: filepath.Join(dir, "ck"), ArtifactDir: filepath.Join(dir, "art"), DataDir: "d",
		Sweep: "s", Trial: "t", Attempt: 2, CPUs: 3, Seed: 7, HasSeed: true,
	}
	if diff := cmp.Diff(want, s, cmpopts.IgnoreUnexported(report.Session{})); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	values := map[string]float64{
		"nan": math.NaN(), "inf": math.Inf(1), "ninf": math.Inf(-1), "tiny": 5e-324, "huge": math.MaxFloat64,
		"quote\" \n": -0.1,
	}
	if err := s.Report(5, values); err != nil {
		t.Fatal(err)
	}
	if err := s.Progress(0.25, 5); err != nil {
		t.Fatal(err)
	}
	if code := s.Finish(fmt.Errorf("step 5: loss is NaN: %w", report.ErrDiverged)); code != report.ExitFailed {
		t.Errorf("exit code %d, want %d", code, report.ExitFailed)
	}

	records := readAll(t, newReader(t, s.ReportPath, report.Position{}))
	if len(records) != 3 {
		t.Fatalf("%d records, want 3: %+v", len(records), records)
	}
	got := map[string]float64{}
	for _, p := range records[0].Points {
		if p.Step != 5 || p.Time.IsZero() {
			t.Errorf("point %+v, want step 5 and a time", p)
		}
		got[p.Metric] = p.Value
	}
	if diff := cmp.Diff(values, got, equateNaN); diff != "" {
		t.Errorf("values (-written +read):\n%s", diff)
	}
	if p := records[1].Progress; p == nil || *p != 0.25 {
		t.Errorf("progress %v, want 0.25", p)
	}
	if diff := cmp.Diff(&report.End{Class: report.ClassDiverged, Message: "step 5: loss is NaN: diverged"}, records[2].End); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
}

func TestConcurrentReportsDoNotMix(t *testing.T) {
	dir := t.TempDir()
	setEnv(t, map[string]string{report.EnvReport: filepath.Join(dir, "report"), report.EnvCheckpointDir: dir, report.EnvArtifactDir: dir})
	s, err := report.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := s.Report(int64(i), map[string]float64{fmt.Sprint("m", w): float64(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	records := readAll(t, newReader(t, s.ReportPath, report.Position{}))
	for _, rec := range records {
		if rec.Warning != "" {
			t.Error(rec.Warning)
		}
		for _, p := range rec.Points {
			if n, ok := last[p.Metric]; ok && p.Step != n+1 {
				t.Errorf("%s: step %d after %d", p.Metric, p.Step, n)
			}
			last[p.Metric] = p.Step
		}
	}
	if len(records) != writers*each {
		t.Errorf("%d records, want %d", len(records), writers*each)
	}
}

func TestSessionByHandPrintsWhatAScannerFinds(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	s, err := report.NewSession(json.RawMessage(`{"seed":12,"lr":0.5}`), dir, &out)
	if err != nil {
		t.Fatal(err)
	}
	if !s.HasSeed || s.Seed != 12 || s.Attempt != 1 {
		t.Errorf("seed %v %d, attempt %d; want seed 12, attempt 1", s.HasSeed, s.Seed, s.Attempt)
	}
	for _, d := range []string{s.CheckpointDir, s.ArtifactDir} {
		if st, err := os.Stat(d); err != nil || !st.IsDir() {
			t.Errorf("%s is no folder: %v", d, err)
		}
	}
	if err := s.Report(3, map[string]float64{"loss": 1e-7, "acc": math.NaN()}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{
		func() error { return s.Progress(0.5, 3) }, func() error { return s.End(report.ClassOOM, "") }, s.Close,
	} {
		if err := f(); err != nil {
			t.Error(err)
		}
	}
	got := newScanner(t, report.Rule{Name: "loss"}, report.Rule{Name: "acc"}).Line(out.Bytes())
	want := []report.Point{point("acc", 3, math.NaN()), point("loss", 3, 1e-7)}
	if diff := cmp.Diff(want, got, equateNaN); diff != "" {
		t.Errorf("printed %q: points (-want +got):\n%s", out.String(), diff)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	var cfg struct {
		LR float64 `json:"lr"`
	}
	for params, wantErr := range map[string]bool{`{"lr":0.5}`: false, `{}`: false, `{"lr":"x"}`: true, `{"rl":0.5}`: true} {
		s, err := report.NewSession(json.RawMessage(params), t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Decode(&cfg)
		if (err != nil) != wantErr || wantErr && !errors.Is(err, report.ErrSpec) {
			t.Errorf("%s: error %v", params, err)
		}
	}
}

type exitError int

func (e exitError) Error() string { return "bad" }
func (e exitError) ExitCode() int { return int(e) }

func TestFinishMapsErrorsToExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {fmt.Errorf("x: %w", report.ErrSpec), 64},
		{fmt.Errorf("x: %w", exitError(9)), 9}, {report.ErrDiverged, 1},
	} {
		s, err := report.NewSession(nil, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Finish(tc.err); got != tc.want {
			t.Errorf("Finish(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestSessionRefusesABrokenEnvironment(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.json")
	write(t, list, "[1]")
	for name, vars := range map[string]map[string]string{
		"params missing":       {report.EnvParams: filepath.Join(dir, "nothing")},
		"params no object":     {report.EnvParams: list},
		"attempt no number":    {report.EnvAttempt: "x"},
		"cpus negative":        {report.EnvCPUs: "-1"},
		"seed no integer":      {report.EnvSeed: "0.5"},
		"checkpoint is a file": {report.EnvCheckpointDir: list},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, vars)
			t.Chdir(t.TempDir())
			if s, err := report.FromEnv(); err == nil {
				t.Errorf("got %+v, want an error", s)
			}
		})
	}
	setEnv(t, map[string]string{report.EnvReport: filepath.Join(dir, "no", "such", "folder"), report.EnvCheckpointDir: dir, report.EnvArtifactDir: dir})
	s, err := report.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Report(1, map[string]float64{"a": 1}); err == nil {
		t.Error("reported into a folder that is not there")
	}
	if err := s.End("bored", ""); err == nil {
		t.Error("ended with a class that is not one")
	}
}
