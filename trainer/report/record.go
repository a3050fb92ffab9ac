package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Record is what one line of a report file says.
type Record struct {
	// Line is the line's number in the file, from 1.
	Line int64
	// Points are the line's measurements, sorted by metric.
	Points []Point
	// Printed says that an earlier attempt printed the points, and did not report them.
	Printed bool
	// Progress is the fraction done, 0 to 1; nil where the line has none.
	Progress *float64
	// End is how the trainer says that it ends; nil where it does not.
	End *End
	// Error is the trainer's explanation of its failure; empty where it gives none.
	Error string
	// Warning tells what of the line was skipped and why, with the line's number; empty
	// for a good line.
	Warning string
	// Restarted says that the file was truncated or replaced, and that this is the
	// first line of the new one.
	Restarted bool
}

// End is a trainer's word on how it ends.
type End struct {
	Class   string `json:"class"` // one of the Class constants
	Message string `json:"message,omitempty"`
}

// maxName bounds a metric's name: longer ones are surely not names.
const maxName = 256

// errNotRecord says that a line holds nothing that the protocol knows.
var errNotRecord = errors.New("no metric, progress, checkpoint, end or error in it")

// parseRecord reads one line. The error tells why nothing of it could be used.
func parseRecord(line []byte, count *steps) (Record, error) {
	fields, err := decodeObject(line)
	if err != nil {
		return Record{}, err
	}
	var r Record
	var warnings []string
	flat, understood := true, false
	values := fields
	if raw, ok := fields["end"]; ok {
		flat, understood = false, true
		end, warning := parseEnd(raw)
		r.End = end
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if raw, ok := fields["error"]; ok {
		flat, understood = false, true
		r.Error = rawText(raw)
	}
	if raw, ok := fields["progress"]; ok {
		understood = true
		if v, ok := rawNumber(raw); ok && !math.IsNaN(v) {
			v = min(max(v, 0), 1)
			r.Progress = &v
		} else {
			warnings = append(warnings, "progress is not a number")
		}
	}
	_, checkpoint := parseCheckpoint(fields)
	understood = understood || checkpoint
	if !flat {
		values = nil
	}
	if raw, ok := fields["metrics"]; ok {
		flat, understood = false, true
		values = nil
		if err := json.Unmarshal(raw, &values); err != nil {
			warnings = append(warnings, "metrics is not an object")
		}
	} else if printed := parsePrinted(fields); printed != nil {
		flat, understood, r.Printed = false, true, true
		values, count = printed, new(steps) // what is reported is counted apart
	}

	step, known, bad := stepOf(fields)
	if bad {
		warnings = append(warnings, "step is not an integer")
	}
	at := timeOf(fields)
	names := make([]string, 0, len(values))
	for name := range values {
		if !flat || !reserved(name) && !(checkpoint && name == "checkpoint") {
			names = append(names, name)
		}
	}
	slices.Sort(names) // an order that does not depend on the map
	for _, name := range names {
		v, ok := rawNumber(values[name])
		switch {
		case !ok:
			if !flat && !isNull(values[name]) {
				warnings = append(warnings, fmt.Sprintf("metric %.40q is not a number", name))
			}
		case name == "" || len(name) > maxName:
			warnings = append(warnings, fmt.Sprintf("%.40q cannot be a metric's name", name))
		default:
			r.Points = append(r.Points, Point{
				Metric: name, Step: count.take(name, step, known), Value: v, Time: at,
			})
		}
	}
	if !understood && len(r.Points) == 0 && len(warnings) == 0 {
		return Record{}, errNotRecord
	}
	r.Warning = strings.Join(warnings, "; ")
	return r, nil
}

func reserved(name string) bool {
	switch name {
	case "step", "epoch", "time", "timestamp", "progress":
		return true
	}
	return strings.HasPrefix(name, "_")
}

// stepOf returns the line's step. A fractional epoch is common and no step; a
// fractional step is a mistake worth a warning.
func stepOf(fields map[string]json.RawMessage) (step int64, known, bad bool) {
	if raw, ok := fields["step"]; ok && !isNull(raw) {
		v, ok := rawInteger(raw)
		return v, ok, !ok
	}
	if raw, ok := fields["epoch"]; ok {
		if v, ok := rawInteger(raw); ok {
			return v, true, false
		}
	}
	return 0, false, false
}

func timeOf(fields map[string]json.RawMessage) time.Time {
	raw, ok := fields["time"]
	if !ok {
		raw = fields["timestamp"]
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t
		}
	}
	// Beyond the year 9999 the number is no time in seconds (milliseconds, rather).
	if v, ok := rawNumber(raw); ok && v > 0 && v < 253402300800 {
		whole, part := math.Modf(v)
		return time.Unix(int64(whole), int64(part*1e9)).UTC()
	}
	return time.Time{}
}

// parseEnd reads the value of the key end: an object, or the class alone as a string.
func parseEnd(raw json.RawMessage) (end *End, warning string) {
	var e End
	if err := json.Unmarshal(raw, &e); err != nil {
		e = End{}
		if err := json.Unmarshal(raw, &e.Class); err != nil {
			return nil, "end is neither an object with class and message nor a class"
		}
	}
	if !knownClass(e.Class) {
		warning = fmt.Sprintf("unknown class of end %.40q, taken for %q", e.Class, ClassExit)
		e.Class = ClassExit
	}
	return &e, warning
}

// rawText returns a string's text, the message of an object that has one, or else the
// JSON itself.
func rawText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &object) == nil && object.Message != "" {
		return object.Message
	}
	return string(raw)
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// rawNumber reads a JSON number, or a string that spells a number.
func rawNumber(raw json.RawMessage) (float64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	if raw[0] != '"' {
		return parseNumber(string(raw))
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return 0, false
	}
	return parseNumber(strings.TrimSpace(text))
}

// rawInteger reads a number that is integral and that an int64 can hold.
func rawInteger(raw json.RawMessage) (int64, bool) {
	var n int64
	if json.Unmarshal(raw, &n) == nil && !isNull(raw) {
		return n, true
	}
	v, ok := rawNumber(raw)
	if !ok {
		return 0, false
	}
	return integral(v)
}

// integral returns v as an int64 where it is one.
func integral(v float64) (int64, bool) {
	if v != math.Trunc(v) || v < -(1<<63) || v >= 1<<63 {
		return 0, false
	}
	return int64(v), true
}

// decodeObject decodes a line as a JSON object. The bare tokens NaN, Infinity and the
// like, which JSON lacks but Python and printf write, count as strings.
func decodeObject(line []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(line, &fields)
	if err != nil {
		if quoted, changed := quoteNonFinite(line); changed {
			err = json.Unmarshal(quoted, &fields)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if fields == nil {
		return nil, errNotRecord // the line is null
	}
	return fields, nil
}

// quoteNonFinite puts quotes around the words outside strings that spell NaN or an
// infinity.
func quoteNonFinite(line []byte) (quoted []byte, changed bool) {
	out := make([]byte, 0, len(line)+16)
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == '"':
			end := i + 1
			for end < len(line) && line[end] != '"' {
				if line[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(line))
			out = append(out, line[i:end]...)
			i = end
		case c == '+' || c == '-' || isLetter(c):
			end := i + 1
			for end < len(line) && isLetter(line[end]) {
				end++
			}
			word := line[i:end]
			// A sign alone begins a number, and true, false and null are no numbers.
			if _, ok := parseNumber(string(word)); ok {
				out = append(append(append(out, '"'), word...), '"')
				changed = true
			} else {
				out = append(out, word...)
			}
			i = end
		default:
			out = append(out, c)
			i++
		}
	}
	return out, changed
}
