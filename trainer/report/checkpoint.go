package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
)

// Checkpoint is a report line that says that an entry of the checkpoint folder is complete.
type Checkpoint struct {
	Name string // of the file or folder, relative to the checkpoint folder
	Step int64  // of the training; counted from 1 where the line has none
	End  int64  // offset in the report file behind the line

	Counted bool // the line has no step
}

// parseCheckpoint returns the name of the checkpoint that a line's fields tell of; false
// where they tell of none, or of a metric of that name.
func parseCheckpoint(fields map[string]json.RawMessage) (name string, ok bool) {
	raw, ok := fields["checkpoint"]
	if !ok || len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &name) != nil {
		return "", false
	}
	return name, name != ""
}

// CheckpointReader follows a report file for the checkpoints that it tells of. It looks when
// it is asked, and is for one goroutine.
type CheckpointReader struct {
	lines *lines
	count int64
}

// NewCheckpointReader returns a reader of the file at path from an offset on, at which a
// line begins. The file need not exist yet.
func NewCheckpointReader(path string, from int64) *CheckpointReader {
	return &CheckpointReader{lines: newLines(path, "\n", from)}
}

// Last returns the last checkpoint of the lines that were added since the last call; false
// if they tell of none.
func (r *CheckpointReader) Last() (last Checkpoint, ok bool, err error) {
	for {
		line, _, err := r.lines.next()
		if errors.Is(err, errLineTooLong) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return last, ok, nil
		}
		if err != nil {
			return last, ok, err
		}
		if !bytes.Contains(line, []byte(`"checkpoint"`)) {
			continue
		}
		fields, err := decodeObject(bytes.TrimSpace(line))
		if err != nil {
			continue // the reader of the points warns of it
		}
		name, is := parseCheckpoint(fields)
		if !is {
			continue
		}
		r.count++
		step, known, _ := stepOf(fields)
		if !known {
			step = r.count
		}
		last, ok = Checkpoint{Name: name, Step: step, End: r.lines.offset, Counted: !known}, true
	}
}

// Close lets go of the file.
func (r *CheckpointReader) Close() error { return r.lines.close() }

// AppendPrinted appends a line for a report to b that says that a point was printed, and not
// reported. The worker writes it, for the next attempt to begin with.
func AppendPrinted(b []byte, p Point) []byte {
	b = append(b, `{"printed":{`...)
	b = appendString(b, p.Metric)
	b = append(b, ':')
	b = appendValue(b, p.Value)
	b = append(b, `},"step":`...)
	b = strconv.AppendInt(b, p.Step, 10)
	return append(b, "}\n"...)
}

// parsePrinted returns the metrics of a line of [AppendPrinted]; nil where it is none.
func parsePrinted(fields map[string]json.RawMessage) (metrics map[string]json.RawMessage) {
	raw := fields["printed"]
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &metrics) != nil {
		return nil // a number is a metric of that name
	}
	return metrics
}

// LastValue returns the last value that a report's lines give to a metric; false where none
// does.
func LastValue(lines []byte, metric string) (value float64, ok bool) {
	quoted := appendString(nil, metric)
	count := steps{}
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte{'\n'})
		lines = rest
		if !bytes.Contains(line, quoted) {
			continue
		}
		record, err := parseRecord(bytes.TrimSpace(line), &count)
		if err != nil {
			continue
		}
		for _, p := range record.Points {
			if p.Metric == metric {
				value, ok = p.Value, true
			}
		}
	}
	return value, ok
}

// Checkpoint reports that an entry of the checkpoint folder is complete: the state of the
// training at a step.
func (s *Session) Checkpoint(name string, step int64) error {
	if s.ReportPath == "" {
		return nil
	}
	b := append([]byte(`{"checkpoint":`), appendString(nil, name)...)
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, step, 10)
	return s.append(append(b, "}\n"...))
}

// Reported says whether the report has lines of before this attempt: those that stood there
// when the checkpoint was written with which it begins. They need not be reported again. It
// is to be asked before anything is reported.
func (s *Session) Reported() bool {
	info, err := os.Stat(s.ReportPath)
	return err == nil && info.Size() > 0
}
