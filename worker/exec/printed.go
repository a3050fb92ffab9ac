package exec

import (
	"errors"
	"io"

	"swath/sweeps"
	"swath/trainer/report"
)

// Moment says what of the report and of the standard output of an attempt came before its
// checkpoint. The two files do not tell which line came before which of the other's, so of the
// output it is known by when it was looked at.
type Moment struct {
	Report int64 `json:"report"` // the report ends here, with the line that names the checkpoint
	Sure   int64 `json:"sure"`   // standard output up to here came before that line
	Most   int64 `json:"most"`   // and up to here it may have, unless the step of a point is a later one
	Step   int64 `json:"step"`   // of the checkpoint
}

// Printed returns the points that the attempt in a directory printed before a moment, without
// those that it began with: as a [Tail] has them, but for metrics that came to be reported only
// after they were printed.
func Printed(attemptDir string, rules []sweeps.MetricRule, before Moment) (points []report.Point, err error) {
	t, err := OpenTail(attemptDir, rules, Position{})
	if err != nil || before.Most == 0 || t.printed.Idle() {
		return nil, err
	}
	defer func() { _ = t.Close() }() // opened for reading
	t.report.Until(before.Report)
	for {
		rec, err := t.report.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		t.note(rec)
	}
	for {
		line, err := t.printed.Next()
		if errors.Is(err, io.EOF) {
			return points, nil
		}
		if err != nil {
			return nil, err
		}
		at := t.printed.Position().Offset
		if at > before.Most {
			return points, nil
		}
		for _, p := range line {
			if !t.seen[p.Metric] && (at <= before.Sure || p.Step <= before.Step) {
				points = append(points, p)
			}
		}
	}
}
