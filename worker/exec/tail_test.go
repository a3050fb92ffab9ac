package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swath/sweeps"
	"swath/worker/exec"
)

var ignoreTime = cmp.Options{cmpopts.IgnoreFields(sweeps.Point{}, "Time"), cmpopts.EquateNaNs()}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func openTail(t *testing.T, dir string, rules []sweeps.MetricRule, from exec.Position) *exec.Tail {
	t.Helper()
	tail, err := exec.OpenTail(dir, rules, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
	})
	return tail
}

func mustRead(t *testing.T, tail *exec.Tail, limit int) exec.Batch {
	t.Helper()
	b, err := tail.Read(limit)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTailJoinsReportAndStdout(t *testing.T) {
	dir := t.TempDir()
	rules := []sweeps.MetricRule{{Name: "loss"}, {Name: "acc"}, {Name: "lr", Pattern: `rate (\S+)`}}
	tail := openTail(t, dir, rules, exec.Position{})
	if b := mustRead(t, tail, 100); !b.Empty() {
		t.Fatalf("batch %+v of nothing", b)
	}
	appendTo(t, filepath.Join(dir, "stdout"), "epoch=1 loss=9 acc=0.5 rate 1e-3\nloss=8 acc=0.6\nacc=0.")
	appendTo(t, exec.ReportFile(dir), `{"step":1,"time":"2026-01-02T03:04:05Z","metrics":{"loss":NaN}}`+"\nrubbish\n{\"progress\":0.5}\n")
	b := mustRead(t, tail, 100)
	want := []sweeps.Point{
		{Metric: "loss", Step: 1, Value: math.NaN()}, // and no other loss: the report has it
		{Metric: "acc", Step: 1, Value: 0.5},
		{Metric: "lr", Step: 1, Value: 1e-3},
		{Metric: "acc", Step: 2, Value: 0.6},
	}
	if diff := cmp.Diff(want, b.Points, ignoreTime); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if b.First != 1 || b.Next.Seq != 4 {
		t.Errorf("numbers %d to %d, want 1 to 4", b.First, b.Next.Seq)
	}
	if b.Progress == nil || *b.Progress != 0.5 {
		t.Errorf("progress %v, want 0.5", b.Progress)
	}
	if len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0], "report line 2: skipped") {
		t.Errorf("warnings %q, want one of line 2", b.Warnings)
	}
	if at := b.Points[0].Time; !at.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("time %v of the first point, want the trainer's", at)
	}
	if b.Points[1].Time.IsZero() {
		t.Error("a point without a time")
	}
	tail.Finish()
	if b := mustRead(t, tail, 100); len(b.Points) != 1 || b.First != 5 || b.Points[0].Value != 0 {
		t.Errorf("last batch %+v, want the last line of standard output as point 5", b)
	}
}

func TestGarbageYieldsFewWarnings(t *testing.T) {
	dir := t.TempDir()
	appendTo(t, exec.ReportFile(dir), strings.Repeat("rubbish\n", 5000)+"{\"loss\":1}\n")
	b := mustRead(t, openTail(t, dir, nil, exec.Position{}), 100)
	if len(b.Points) != 1 || len(b.Warnings) > 30 || b.Next.Report.Skipped != 5000 {
		t.Errorf("%d points, %d warnings, %d skipped", len(b.Points), len(b.Warnings), b.Next.Report.Skipped)
	}
}

func TestAPatternThatCannotWorkIsAnError(t *testing.T) {
	if _, err := exec.OpenTail(t.TempDir(), []sweeps.MetricRule{{Name: "loss", Pattern: "("}}, exec.Position{}); err == nil {
		t.Error("no error")
	}
}

// TestATailThatIsRestoredLosesAndRepeatsNothing writes both files in random pieces and
// reads them with tails that are thrown away and restored at random. It reads some
// batches again, as a worker does that died before its position was saved.
func TestATailThatIsRestoredLosesAndRepeatsNothing(t *testing.T) {
	dir := t.TempDir()
	rules := []sweeps.MetricRule{{Name: "acc"}, {Name: "loss"}}
	rng := rand.New(rand.NewPCG(3, 9))
	var reportText, stdout strings.Builder
	want := map[string][]sweeps.Point{}
	for i := range 300 {
		step := int64(i + 1)
		v := float64(i) / 4
		want["loss"] = append(want["loss"], sweeps.Point{Metric: "loss", Step: step, Value: v})
		want["acc"] = append(want["acc"], sweeps.Point{Metric: "acc", Step: step, Value: v})
		fmt.Fprintf(&reportText, "{\"loss\":%v}\n", v)
		fmt.Fprintf(&stdout, "epoch acc=%v\rsome text\n", v)
		if i%9 == 0 {
			reportText.WriteString("rubbish\n\n")
		}
	}
	rest := map[string]string{exec.ReportFile(dir): reportText.String(), filepath.Join(dir, "stdout"): stdout.String()}
	got := map[string][]sweeps.Point{}
	seq := int64(0)
	tail := openTail(t, dir, rules, exec.Position{})
	read := func() {
		t.Helper()
		for {
			from := tail.Position()
			b := mustRead(t, tail, 1+rng.IntN(20))
			if len(b.Points) > 0 && b.First != seq+1 {
				t.Fatalf("batch begins at %d after %d", b.First, seq)
			}
			seq += int64(len(b.Points))
			for _, p := range b.Points {
				p.Time = time.Time{}
				got[p.Metric] = append(got[p.Metric], p)
			}
			if rng.IntN(3) == 0 {
				again, err := exec.Reread(dir, rules, from, b.Next)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(b, again, ignoreTime, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("batch (-first +again):\n%s", diff)
				}
			}
			if rng.IntN(4) == 0 {
				saved, err := json.Marshal(b.Next)
				if err != nil {
					t.Fatal(err)
				}
				var at exec.Position
				if err := json.Unmarshal(saved, &at); err != nil {
					t.Fatal(err)
				}
				tail = openTail(t, dir, rules, at)
			}
			if b.Empty() {
				return
			}
		}
	}
	// The report is a little ahead of the printed lines, as the loss in it must be known.
	appendTo(t, exec.ReportFile(dir), "{\"loss\":0}\n")
	rest[exec.ReportFile(dir)] = strings.TrimPrefix(rest[exec.ReportFile(dir)], "{\"loss\":0}\n")
	for rest[exec.ReportFile(dir)] != "" || rest[filepath.Join(dir, "stdout")] != "" {
		for path, text := range rest {
			n := min(rng.IntN(80), len(text))
			appendTo(t, path, text[:n])
			rest[path] = text[n:]
		}
		read()
	}
	tail.Finish()
	read()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestFollowSeesPointsLiveAndAllOfThemInTheEnd(t *testing.T) {
	dir := t.TempDir()
	tail := openTail(t, dir, []sweeps.MetricRule{{Name: "loss"}}, exec.Position{})
	done := make(chan struct{})
	batches := make(chan exec.Batch)
	ended := make(chan error, 1)
	go func() {
		ended <- tail.Follow(t.Context(), done, func(b exec.Batch) error {
			batches <- b
			return nil
		})
	}()
	for i := range 3 { // each is seen before the next is written
		appendTo(t, filepath.Join(dir, "stdout"), fmt.Sprintf("step=%d loss=%d\n", i, i))
		if b := <-batches; len(b.Points) != 1 || b.Points[0].Value != float64(i) {
			t.Fatalf("batch %+v, want loss %d", b, i)
		}
	}
	appendTo(t, filepath.Join(dir, "stdout"), "step=3 loss=3") // a last line without its end
	close(done)
	if b := <-batches; len(b.Points) != 1 || b.Points[0].Value != 3 {
		t.Fatalf("last batch %+v, want loss 3", b)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFollowEndsWithItsCallerAndItsContext(t *testing.T) {
	dir := t.TempDir()
	appendTo(t, exec.ReportFile(dir), "{\"loss\":1}\n")
	full := errors.New("full")
	err := openTail(t, dir, nil, exec.Position{}).Follow(t.Context(), nil, func(exec.Batch) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the caller's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = openTail(t, dir, nil, exec.Position{}).Follow(ctx, nil, func(exec.Batch) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
