package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swath/trainer/report"
)

var equateNaN = cmpopts.EquateNaNs()

func point(metric string, step int64, v float64) report.Point {
	return report.Point{Metric: metric, Step: step, Value: v}
}

func ptr[T any](v T) *T { return &v }

// readAll drains what is there and fails on anything but the end of the file.
func readAll(t *testing.T, r *report.Reader) []report.Record {
	t.Helper()
	var records []report.Record
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
}

func write(t *testing.T, path, text string) {
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

func newReader(t *testing.T, path string, from report.Position) *report.Reader {
	t.Helper()
	r := report.NewReader(path, from)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestReaderUnderstandsEveryForm(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tc := range []struct {
		name, line string
		want       report.Record // without Line
		warning    string        // a part of it
	}{
		{name: "structured", line: `{"step":3,"metrics":{"loss":0.25,"acc":"NaN"}}`,
			want: report.Record{Points: []report.Point{point("acc", 3, nan), point("loss", 3, 0.25)}}},
		{name: "time as text", line: `{"step":1,"time":"2026-03-01T12:00:00.5Z","metrics":{"a":1}}`,
			want: report.Record{Points: []report.Point{{Metric: "a", Step: 1, Value: 1, Time: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC)}}}},
		{name: "time as seconds", line: `{"timestamp":1500.5,"metrics":{"a":1}}`,
			want: report.Record{Points: []report.Point{{Metric: "a", Step: 1, Value: 1, Time: time.Unix(1500, 5e8).UTC()}}}},
		{name: "bare non-finite as Python writes", line: `{"loss": NaN, "a": -Infinity, "b": Infinity, "step": 2}`,
			want: report.Record{Points: []report.Point{point("a", 2, -inf), point("b", 2, inf), point("loss", 2, nan)}}},
		{name: "bare non-finite as printf writes", line: `{"metrics":{"loss":-nan,"a":inf,"NaN \"inf":1}}`,
			want: report.Record{Points: []report.Point{point("NaN \"inf", 1, 1), point("a", 1, inf), point("loss", 1, nan)}}},
		{name: "flat with reserved keys", line: `{"loss":1e-3,"epoch":4,"_runtime":9,"time":12,"note":"x","ok":true,"list":[1],"v":"0.5"}`,
			want: report.Record{Points: []report.Point{
				{Metric: "loss", Step: 4, Value: 1e-3, Time: time.Unix(12, 0).UTC()},
				{Metric: "v", Step: 4, Value: 0.5, Time: time.Unix(12, 0).UTC()}}}},
		{name: "fractional epoch is no step", line: `{"loss":1,"epoch":0.5}`,
			want: report.Record{Points: []report.Point{point("loss", 1, 1)}}},
		{name: "step as integral float", line: `{"loss":1,"step":1e3}`,
			want: report.Record{Points: []report.Point{point("loss", 1000, 1)}}},
		{name: "fractional step", line: `{"loss":1,"step":1.5}`, warning: "step is not an integer",
			want: report.Record{Points: []report.Point{point("loss", 1, 1)}}},
		{name: "too large for a float", line: `{"loss":1e999}`,
			want: report.Record{Points: []report.Point{point("loss", 1, inf)}}},
		{name: "null is no measurement", line: `{"metrics":{"loss":null,"a":1}}`,
			want: report.Record{Points: []report.Point{point("a", 1, 1)}}},
		{name: "not a number", line: `{"metrics":{"loss":"high","a":1}}`, warning: `"loss" is not a number`,
			want: report.Record{Points: []report.Point{point("a", 1, 1)}}},
		{name: "metrics of another type", line: `{"metrics":[1]}`, warning: "metrics is not an object"},
		{name: "progress", line: `{"progress":0.4,"loss":2}`,
			want: report.Record{Progress: ptr(0.4), Points: []report.Point{point("loss", 1, 2)}}},
		{name: "progress out of range", line: `{"progress":7}`, want: report.Record{Progress: ptr(1.0)}},
		{name: "end", line: `{"end":{"class":"diverged","message":"NaN at 3"},"code":7}`,
			want: report.Record{End: &report.End{Class: report.ClassDiverged, Message: "NaN at 3"}}},
		{name: "end as a word", line: `{"end":"oom"}`, want: report.Record{End: &report.End{Class: report.ClassOOM}}},
		{name: "end of unknown class", line: `{"end":{"class":"bored"}}`, warning: "unknown class of end",
			want: report.Record{End: &report.End{Class: report.ClassExit}}},
		{name: "error", line: `{"error":"no data"}`, want: report.Record{Error: "no data"}},
		{name: "error as object", line: `{"error":{"message":"no data","code":7}}`, want: report.Record{Error: "no data"}},
		{name: "carriage return and spaces", line: " {\"a\":1}\r", want: report.Record{Points: []report.Point{point("a", 1, 1)}}},
		{name: "text", line: `Traceback (most recent call last):`, warning: "report line 1: skipped: not a JSON object"},
		{name: "an array", line: `[1,2]`, warning: "not a JSON object"},
		{name: "null", line: `null`, warning: "no metric"},
		{name: "half a line", line: `{"loss":0.1`, warning: "not a JSON object"},
		{name: "nothing known", line: `{"note":"hello"}`, warning: "no metric"},
		{name: "not UTF-8", line: "\xff\x00\xfe", warning: "not a JSON object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "report")
			write(t, path, tc.line+"\n")
			got := readAll(t, newReader(t, path, report.Position{}))
			if len(got) != 1 {
				t.Fatalf("%d records, want 1: %+v", len(got), got)
			}
			if w := got[0].Warning; !strings.Contains(w, tc.warning) || (w == "") != (tc.warning == "") {
				t.Errorf("warning %q, want it to hold %q", w, tc.warning)
			}
			got[0].Warning = ""
			tc.want.Line = 1
			if diff := cmp.Diff(tc.want, got[0], equateNaN, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReaderHoldsHalfLinesUntilTheyAreComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	r := newReader(t, path, report.Position{})
	if got := readAll(t, r); got != nil {
		t.Fatalf("records of a file that is not there: %+v", got)
	}
	write(t, path, `{"loss":0.`)
	if got := readAll(t, r); got != nil {
		t.Fatalf("records of half a line: %+v", got)
	}
	if off := r.Position().Offset; off != 0 {
		t.Fatalf("offset %d behind a line that was not yielded", off)
	}
	write(t, path, "5}\n{\"loss\":0.25}")
	got := readAll(t, r)
	if len(got) != 1 || got[0].Points[0].Value != 0.5 {
		t.Fatalf("got %+v, want loss 0.5", got)
	}
	r.Finish()
	got = readAll(t, r)
	if len(got) != 1 || got[0].Points[0] != point("loss", 2, 0.25) {
		t.Fatalf("got %+v, want the last line once nobody writes any more", got)
	}
	if off := r.Position().Offset; off != 26 {
		t.Errorf("offset %d at the end, want 26", off)
	}
}

func TestReaderNumbersMissingStepsPerMetric(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	write(t, path, `{"a":1}
{"a":1,"b":1}
{"a":1,"step":10}
{"a":1,"b":1}
`)
	var got []report.Point
	for _, rec := range readAll(t, newReader(t, path, report.Position{})) {
		got = append(got, rec.Points...)
	}
	want := []report.Point{point("a", 1, 1), point("a", 2, 1), point("b", 1, 1), point("a", 10, 1), point("a", 11, 1), point("b", 2, 1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestReaderSkipsOverlongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	long := `{"x":"` + strings.Repeat("y", report.MaxLine+100_000) + `"}`
	write(t, path, "{\"a\":1}\n"+long)
	r := newReader(t, path, report.Position{})
	if got := readAll(t, r); len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
	if off := r.Position().Offset; off != 8 {
		t.Fatalf("offset %d inside the long line, want 8, where it begins", off)
	}
	// A reader that is restored meets the long line again and skips it as a whole.
	r = newReader(t, path, r.Position())
	write(t, path, "\n{\"a\":2}\n")
	got := readAll(t, r)
	if len(got) != 2 || !strings.Contains(got[0].Warning, "report line 2: skipped: line longer") || got[1].Points[0] != point("a", 2, 2) {
		t.Fatalf("got %+v, want a warning and a point", got)
	}
	if n := r.Position().Skipped; n != 1 {
		t.Errorf("skipped %d lines, want 1", n)
	}
}

func TestReaderStartsAgainWhereTheFileDoes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		restart func(t *testing.T, path string)
	}{
		{"truncated", func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			write(t, path, "{\"a\":3}\n")
		}},
		{"rotated", func(t *testing.T, path string) {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			write(t, path, "{\"a\":3}\n{\"a\":4}\n{\"a\":5}\n")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "report")
			write(t, path, "{\"a\":1}\n{\"a\":2}\n")
			r := newReader(t, path, report.Position{})
			readAll(t, r)
			tc.restart(t, path)
			got := readAll(t, r)
			if len(got) == 0 || !got[0].Restarted || got[0].Line != 1 || got[0].Points[0] != point("a", 3, 3) {
				t.Fatalf("got %+v, want line 1 of the new file, marked as such", got)
			}
			for _, rec := range got[1:] {
				if rec.Restarted {
					t.Errorf("line %d is marked as a restart", rec.Line)
				}
			}
		})
	}
}

// TestResumedReadersLoseAndRepeatNothing writes a file in random pieces and reads it with
// readers that are thrown away and restored from their saved position at random.
func TestResumedReadersLoseAndRepeatNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	var text strings.Builder
	for i := range 400 {
		switch rng.IntN(8) {
		case 0:
			text.WriteString("garbage \x00\xff {\n")
		case 1:
			text.WriteString("\n")
		case 2:
			fmt.Fprintf(&text, "{\"loss\":%d}\n", i)
		default:
			fmt.Fprintf(&text, "{\"step\":%d,\"metrics\":{\"loss\":%d,\"acc\":\"NaN\"}}\n", i, i)
		}
	}
	whole := filepath.Join(t.TempDir(), "whole")
	write(t, whole, text.String())
	want := readAll(t, newReader(t, whole, report.Position{}))

	path := filepath.Join(t.TempDir(), "report")
	rest := text.String()
	var got []report.Record
	r := newReader(t, path, report.Position{})
	for rest != "" {
		n := min(1+rng.IntN(60), len(rest))
		write(t, path, rest[:n])
		rest = rest[n:]
		got = append(got, readAll(t, r)...)
		if rng.IntN(4) == 0 {
			saved, err := json.Marshal(r.Position())
			if err != nil {
				t.Fatal(err)
			}
			var at report.Position
			if err := json.Unmarshal(saved, &at); err != nil {
				t.Fatal(err)
			}
			r = newReader(t, path, at)
		}
	}
	if diff := cmp.Diff(want, got, equateNaN); diff != "" {
		t.Errorf("records (-whole +in pieces):\n%s", diff)
	}
}

func TestUntilRepeatsExactlyWhatWasRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	write(t, path, "{\"a\":1}\n{\"a\":2}\n")
	r := newReader(t, path, report.Position{})
	want := readAll(t, r)
	end := r.Position()
	write(t, path, "{\"a\":3}\n")
	again := newReader(t, path, report.Position{})
	again.Until(end.Offset)
	if diff := cmp.Diff(want, readAll(t, again)); diff != "" {
		t.Errorf("records (-first +again):\n%s", diff)
	}
	if diff := cmp.Diff(end, again.Position()); diff != "" {
		t.Errorf("position (-first +again):\n%s", diff)
	}
}

// FuzzReader feeds a reader any bytes, in two pieces and whole: it must neither fail nor
// depend on the pieces.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"loss\":NaN}\n{\"step\":1,\"metrics\":{\"a\":-Infinity}}\n"), 7)
	f.Add([]byte("{\"end\":{\"class\":\"diverged\"}}\r\n\n{\"progress\":\"0.5\"}"), 3)
	f.Add([]byte("{\"a\":1e999,\"step\":9223372036854775807}\n{\"a\":1}\n\xff{"), 20)
	f.Add([]byte("{\"\\u0000\":\"nan\",\"epoch\":-0.0}\n\"-inf"), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		dir := t.TempDir()
		whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
		write(t, whole, string(text))
		r := newReader(t, whole, report.Position{})
		r.Finish()
		want := readAll(t, r)

		cut = min(max(cut, 0), len(text))
		write(t, parts, string(text[:cut]))
		r2 := newReader(t, parts, report.Position{})
		got := readAll(t, r2)
		r2 = newReader(t, parts, r2.Position())
		write(t, parts, string(text[cut:]))
		r2.Finish()
		got = append(got, readAll(t, r2)...)
		if diff := cmp.Diff(want, got, equateNaN); diff != "" {
			t.Errorf("records (-whole +in pieces):\n%s", diff)
		}
		if r2.Position().Offset != int64(len(text)) {
			t.Errorf("offset %d at the end of %d bytes", r2.Position().Offset, len(text))
		}
		for _, rec := range want {
			for _, p := range rec.Points {
				if p.Metric == "" {
					t.Errorf("a point without a metric: %+v", p)
				}
			}
		}
	})
}
