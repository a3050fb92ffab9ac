package results

import (
	"bytes"
	"math"
	"testing"
	"time"

	"swath/sweeps"
)

func TestSeriesFormats(t *testing.T) {
	var rows []SeriesRow
	for trial, id := range []sweeps.TrialID{"00000000000000a0", "00000000000000a1"} {
		var points []sweeps.Point
		for i, v := range []float64{0.5, 0.25, math.NaN(), 12.125} {
			points = append(points, sweeps.Point{Metric: "loss", Step: int64(i + 1), Value: v, Time: start0.Add(time.Duration(i) * 1500 * time.Millisecond)})
		}
		rows = append(rows, Series(id, int64(trial), points)...)
	}
	rows[7].Time = time.Time{}
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := WriteSeries(&b, f, rows, Layout{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "series."+string(f), b.Bytes())
	}
	var b bytes.Buffer
	if err := WriteSeries(&b, Table, nil, Layout{}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "no points have been recorded\n"; got != want {
		t.Errorf("an empty series is %q, want %q", got, want)
	}
	const want = `{"trial":"00000000000000a0","index":0,"metric":"loss","step":1,"value":0.5,"time":"2026-03-04T05:06:07Z"}`
	if got, err := rows[0].MarshalJSON(); string(got) != want || err != nil {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}
