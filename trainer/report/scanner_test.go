package report_test

import (
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/trainer/report"
)

func newScanner(t *testing.T, rules ...report.Rule) *report.Scanner {
	t.Helper()
	s, err := report.NewScanner(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScannerFollowsTheConvention(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	loss := func(step int64, v float64) report.Point { return point("loss", step, v) }
	for _, tc := range []struct {
		line string
		want []report.Point
	}{
		{"loss=0.5", []report.Point{loss(1, 0.5)}},
		{"epoch=3 loss=0.5 acc=9e-1", []report.Point{loss(3, 0.5), point("acc", 3, 0.9)}},
		{"loss=0.5 epoch = 3", []report.Point{loss(3, 0.5)}},
		{"epoch=3 step=70 loss=0.5", []report.Point{loss(70, 0.5)}},
		{"step=70 epoch=3 loss=0.5", []report.Point{loss(70, 0.5)}},
		{"Epoch=3/10, loss=0.5, acc=.25", []report.Point{loss(3, 0.5), point("acc", 3, 0.25)}},
		{"epoch=0.5 loss=1", []report.Point{loss(1, 1)}},
		{"global_step=9 loss=1", []report.Point{loss(1, 1)}},
		{"loss = -7.53e-05", []report.Point{loss(1, -7.53e-05)}},
		{"loss\t=\t+1.", []report.Point{loss(1, 1)}},
		{"loss=1 loss=2", []report.Point{loss(1, 1), loss(2, 2)}},
		{"loss=nan", []report.Point{loss(1, nan)}},
		{"loss=NaN, acc=-Infinity", []report.Point{loss(1, nan), point("acc", 1, -inf)}},
		{"loss=inf", []report.Point{loss(1, inf)}},
		{"loss=1e999", []report.Point{loss(1, inf)}},
		{"loss=85%|acc=0.3s", []report.Point{loss(1, 85), point("acc", 1, 0.3)}},
		{"(loss=0.5)", []report.Point{loss(1, 0.5)}},
		{"the end: loss=0.5.", []report.Point{loss(1, 0.5)}},
		{"val loss=2", []report.Point{point("val loss", 1, 2)}},
		{"\x1b[1;32mloss\x1b[0m=\x1b[31m0.5\x1b[0m", []report.Point{loss(1, 0.5)}},
		{"\x1b]0;title\x07loss=\x1b(B0.5\x1b[", []report.Point{loss(1, 0.5)}},
		{"\x1b]8;;http://x\x1b\\loss=0.5", []report.Point{loss(1, 0.5)}},
		{"10%|#    | epoch=1 loss=0.9\r20%|##   | epoch=2 loss=0.8", []report.Point{loss(1, 0.9), loss(2, 0.8)}},
		{"loss=1" + strings.Repeat("\xff", 4), []report.Point{loss(1, 1)}},

		{"loss: 0.5", nil},
		{"loss 0.5", nil},
		{"Loss=0.5", nil},
		{"val_loss=0.5 train/loss=0.5 a.loss=0.5 x-loss=1 äloss=1", nil},
		{"python train.py --loss=2", nil},
		{"loss=high loss=nano loss= loss==1 loss=", nil},
		{"loss=0x1f loss=1.2.3 loss=12:30 loss=2026-03-01 loss=1_000", nil},
		{"loss<=0.5 loss!=0.5", nil},
		{"loss=-", nil},
		{"", nil},
	} {
		s := newScanner(t, report.Rule{Name: "loss"}, report.Rule{Name: "acc"}, report.Rule{Name: "val loss"}, report.Rule{Name: "loss"})
		if diff := cmp.Diff(tc.want, s.Line([]byte(tc.line)), equateNaN); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.line, diff)
		}
	}
}

func TestScannerFollowsPatterns(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule report.Rule
		line string
		want []report.Point
	}{
		{"one group", report.Rule{Name: "loss", Pattern: `loss: ([\d.]+)`}, "loss: 0.5 loss: 0.25",
			[]report.Point{point("loss", 1, 0.5), point("loss", 2, 0.25)}},
		{"replaces the convention", report.Rule{Name: "loss", Pattern: `L ([\d.]+)`}, "loss=3", nil},
		{"name and value", report.Rule{Pattern: `(\w+): (\S+)`}, "epoch=4 loss: 0.5 acc: nan note: x",
			[]report.Point{point("loss", 4, 0.5), point("acc", 4, math.NaN())}},
		{"named groups", report.Rule{Pattern: `\[(?P<step>\d+)\] (?P<value>[\d.]+) (?P<name>\w+)`}, "step=1 [30] 0.5 loss",
			[]report.Point{point("loss", 30, 0.5)}},
		{"value named, first is not it", report.Rule{Name: "loss", Pattern: `Epoch (\d+): (?P<value>\S+)`}, "Epoch 3: 0.5",
			[]report.Point{point("loss", 1, 0.5)}},
		{"step named, value not", report.Rule{Name: "loss", Pattern: `Epoch (?P<step>\d+): (\S+)`}, "Epoch 3: 0.5",
			[]report.Point{point("loss", 3, 0.5)}},
		{"name filters", report.Rule{Name: "loss", Pattern: `(?P<name>\w+)\s+(?P<value>\S+)`}, "acc 1 loss 2",
			[]report.Point{point("loss", 1, 2)}},
		{"group takes no part", report.Rule{Name: "loss", Pattern: `loss(?: (\d+))?`}, "loss", nil},
		{"not a number", report.Rule{Name: "loss", Pattern: `loss (\S+)`}, "loss 0x10 loss 1_0 loss 1,5", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := newScanner(t, tc.rule).Line([]byte(tc.line))
			if diff := cmp.Diff(tc.want, got, equateNaN); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScannerRefusesRulesThatCannotWork(t *testing.T) {
	for _, tc := range []struct {
		rule report.Rule
		want string
	}{
		{report.Rule{}, "needs a name or a pattern"},
		{report.Rule{Name: "loss", Pattern: `loss ([`}, `metric "loss": pattern "loss (["`},
		{report.Rule{Name: "loss", Pattern: `loss \d+`}, "no group for the value"},
		{report.Rule{Pattern: `loss \d+`}, "no group for the name"},
		{report.Rule{Pattern: `loss (\d+)`}, "no group for the value"},
	} {
		_, err := report.NewScanner([]report.Rule{tc.rule})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v, want it to hold %q", tc.rule, err, tc.want)
		}
	}
}

func TestPrintedFollowsAFileAndResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	rules := []report.Rule{{Name: "loss"}}
	var got []report.Point
	drain := func(p *report.Printed) {
		t.Helper()
		for {
			points, err := p.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, points...)
		}
	}
	open := func(from report.Position) *report.Printed {
		t.Helper()
		p, err := report.NewPrinted(path, rules, from)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	p := open(report.Position{})
	drain(p)
	write(t, path, "hello\r\nloss=1\rloss=2 loss")
	drain(p)
	write(t, path, "=3\n"+strings.Repeat("x", report.MaxLine+1)+" loss=9\nloss=4")
	drain(p)
	p = open(p.Position())
	drain(p)
	p.Finish()
	drain(p)
	want := []report.Point{point("loss", 1, 1), point("loss", 2, 2), point("loss", 3, 3), point("loss", 4, 4)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if n := p.Position().Skipped; n != 1 {
		t.Errorf("skipped %d lines, want the long one", n)
	}
}

// FuzzScanner scans any line: a point has a name that was asked for, and a line without
// an equals sign none.
func FuzzScanner(f *testing.F) {
	f.Add("epoch=1 loss=0.5 acc=nan")
	f.Add("\x1b[31mloss\x1b[0m = -1e-300\rloss=\x1b]0;x")
	f.Add("loss=1e loss=.e1 loss=+-1 \xff=1 step=9e99 loss=99999999999999999999")
	f.Fuzz(func(t *testing.T, line string) {
		s := newScanner(t, report.Rule{Name: "loss"}, report.Rule{Name: "acc"})
		points := s.Line([]byte(line))
		for _, p := range points {
			if p.Metric != "loss" && p.Metric != "acc" {
				t.Errorf("a point of %q", p.Metric)
			}
		}
		if len(points) > strings.Count(line, "=") {
			t.Errorf("%d points with %d equals signs", len(points), strings.Count(line, "="))
		}
	})
}
