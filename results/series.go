package results

import (
	"io"
	"strconv"
	"time"

	"swath/sweeps"
)

// SeriesRow is one recorded point of one trial.
type SeriesRow struct {
	Trial  sweeps.TrialID
	Index  int64
	Metric string
	Step   int64
	Value  float64
	Time   time.Time
}

// Series returns the rows of a trial's points, in the order of the points.
func Series(trial sweeps.TrialID, index int64, points []sweeps.Point) []SeriesRow {
	rows := make([]SeriesRow, len(points))
	for i, p := range points {
		rows[i] = SeriesRow{Trial: trial, Index: index, Metric: p.Metric, Step: p.Step, Value: p.Value, Time: p.Time}
	}
	return rows
}

// AppendJSON appends the point as one JSON object, the jsonl form.
func (r *SeriesRow) AppendJSON(b []byte) []byte {
	b = append(b, `{"trial":`...)
	b = appendString(b, string(r.Trial))
	b = append(b, `,"index":`...)
	b = strconv.AppendInt(b, r.Index, 10)
	b = append(b, `,"metric":`...)
	b = appendString(b, r.Metric)
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, r.Step, 10)
	b = append(b, `,"value":`...)
	b = appendFloat(b, r.Value)
	b = append(b, `,"time":`...)
	b = r.time().appendJSON(b)
	return append(b, '}')
}

// MarshalJSON returns the point in its jsonl form.
func (r SeriesRow) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

func (r *SeriesRow) time() value {
	if r.Time.IsZero() {
		return value{}
	}
	return textValue(r.Time.UTC().Format(time.RFC3339Nano))
}

// NewSeriesWriter returns a writer of points to w. The layout's columns are ignored: a
// point has the same six always.
func NewSeriesWriter(w io.Writer, format Format, layout Layout) (*Writer[SeriesRow], error) {
	return newWriter(w, format, shape[SeriesRow]{
		headings: []heading{
			{name: "trial", style: styleID}, {name: "index"}, {name: "metric"},
			{name: "step"}, {name: "value", style: styleMetric}, {name: "time", style: styleID},
		},
		cells: func(r *SeriesRow, cells []value) []value {
			return append(cells, textValue(string(r.Trial)), intValue(r.Index), textValue(r.Metric),
				intValue(r.Step), floatValue(r.Value), r.time())
		},
		object: (*SeriesRow).AppendJSON,
		empty:  "no points have been recorded",
	}, layout)
}

// WriteSeries prints all points.
func WriteSeries(w io.Writer, format Format, rows []SeriesRow, layout Layout) error {
	out, err := NewSeriesWriter(w, format, layout)
	if err != nil {
		return err
	}
	return out.all(rows)
}
