package results

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// JSON is written by hand because encoding/json refuses NaN and infinities, which
// metrics do take, and because a million rows are exported faster so. Everything else
// is as encoding/json writes it: keys sorted, integers as integers, the shortest
// decimal that reads back as the same float; only "<", ">" and "&" stay readable.

// AppendJSON appends the row as one JSON object, the jsonl form, whose keys are a contract
// with the programs that read it; columns give what else there is. NaN and infinities are
// the strings "NaN", "Infinity" and "-Infinity".
func (r *Row) AppendJSON(b []byte) []byte {
	b = append(b, `{"trial":`...)
	b = appendString(b, string(r.Trial))
	b = append(b, `,"index":`...)
	b = strconv.AppendInt(b, r.Index, 10)
	b = append(b, `,"state":`...)
	b = appendString(b, string(r.State))
	b = append(b, `,"params":`...)
	b = appendMap(b, r.Params, appendJSON)
	b = append(b, `,"metrics":`...)
	b = appendMap(b, r.Metrics, appendFloat)
	b = append(b, `,"best":`...)
	b = appendMap(b, r.Best, appendFloat)
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(r.Attempts), 10)
	b = append(b, `,"worker":`...)
	b = appendString(b, r.Worker)
	b = append(b, `,"duration_s":`...)
	b = appendFloat(b, seconds(r.Duration))
	return append(b, '}')
}

// MarshalJSON returns the row in its jsonl form.
func (r Row) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// appendJSON appends any value that a parameter can have.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, x)
		}
		return append(b, ']')
	case map[string]any:
		return appendMap(b, v, appendJSON)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return appendString(b, fmt.Sprint(v))
	}
	return append(b, text...)
}

func appendMap[M ~map[string]V, V any](b []byte, m M, add func([]byte, V) []byte) []byte {
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = add(b, m[k])
	}
	return append(b, '}')
}

// appendFloat appends a float as encoding/json does, and as a string what JSON has
// no number for.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = append(b, '"')
		b = append(b, notFinite(f)...)
		return append(b, '"')
	}
	return append(b, fullFloat(f)...)
}

// notFinite names NaN and the infinities, the same in every format.
func notFinite(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	default:
		return "-Infinity"
	}
}

// fullFloat prints a finite float with as many digits as identify it.
func fullFloat(f float64) string {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return tidyExponent(strconv.FormatFloat(f, 'e', -1, 64))
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// tidyExponent drops the zero that pads an exponent: 1e-05 is 1e-5.
func tidyExponent(s string) string {
	if n := len(s); n >= 4 && s[n-2] == '0' && (s[n-3] == '-' || s[n-3] == '+') && s[n-4] != '.' {
		return s[:n-2] + s[n-1:]
	}
	return s
}

// appendString appends a quoted JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		// A string always encodes; Quote is right for all but the oddest of runes.
		return strconv.AppendQuote(b, s)
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}
