package sweeps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Params are the parameters of one trial: name to value. Values are nil, bool,
// int64, float64, string, []any or, for a nested group, map[string]any. A Params that
// was handed out is never changed by anybody.
//
// The values of a planned trial are canonical: a float64 with an integral value that
// an int64 can hold is an int64 (1.0 and 1 are one value, as they are to W&B), and no
// value is NaN or infinite. So a Params survives the way through [Params.JSON] and
// [ParamsFromJSON] unchanged.
type Params map[string]any

// JSON returns the canonical JSON of the parameters: keys sorted, no spaces,
// integral floats written as integers, other floats as short as they can be read
// back. Equal parameters have equal bytes, so it is what a [TrialID] hashes, and it is
// the form on the wire and in results. What JSON cannot hold (NaN, an infinity, a
// foreign type), which no planned trial has, is written as null.
func (p Params) JSON() []byte {
	return appendJSON(nil, map[string]any(p))
}

// ParamsFromJSON reads a JSON object. Integers, and integral floats, become int64;
// other numbers float64. Errors wrap [ErrInvalid].
func ParamsFromJSON(b []byte) (Params, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: parameters: %w", ErrInvalid, err)
	}
	if m == nil {
		return nil, fmt.Errorf("%w: parameters: want a JSON object, not null", ErrInvalid)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: parameters: something follows the JSON object", ErrInvalid)
	}
	v, err := canonical(m)
	if err != nil {
		return nil, fmt.Errorf("%w: parameters: %w", ErrInvalid, err)
	}
	return v.(map[string]any), nil
}

// Get returns the value at a dotted path into nested groups: Get("optimizer.lr"). A
// key that literally holds the dots wins over a path.
func (p Params) Get(path string) (any, bool) {
	if v, ok := p[path]; ok {
		return v, true
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		group, ok := p[path[:i]].(map[string]any)
		if !ok {
			continue
		}
		if v, ok := Params(group).Get(path[i+1:]); ok {
			return v, true
		}
	}
	return nil, false
}

// Leaf is one parameter of a flattened Params.
type Leaf struct {
	Path  string // names joined by dots
	Value any
}

// Leaves returns the parameters with nested groups flattened, sorted by path.
func (p Params) Leaves() []Leaf {
	var out []Leaf
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		for k, v := range m {
			if group, ok := v.(map[string]any); ok && len(group) > 0 {
				walk(prefix+k+".", group)
				continue
			}
			out = append(out, Leaf{Path: prefix + k, Value: v})
		}
	}
	walk("", p)
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// FormatValue prints a parameter's value for people: a string as it is, anything else
// as canonical JSON.
func FormatValue(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(appendJSON(nil, v))
}

// canonical returns v with every number in its canonical form, every string valid
// UTF-8 and no type but those of Params. It fails for what no parameter can be.
func canonical(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return strings.ToValidUTF8(v, "\uFFFD"), nil
	case int:
		return int64(v), nil
	case float64:
		return canonicalFloat(v)
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return nil, fmt.Errorf("number %s is out of range", v)
		}
		return canonicalFloat(f)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			c, err := canonical(x)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			c, err := canonical(x)
			if err != nil {
				return nil, err
			}
			out[strings.ToValidUTF8(k, "\uFFFD")] = c
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %T cannot be a parameter's value", v)
}

// canonicalFloat returns f, as an int64 where f is integral and an int64 holds it.
func canonicalFloat(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v cannot be a parameter's value", f)
	}
	// 2^63 itself is a float64 but no int64.
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return int64(f), nil
	}
	return f, nil
}

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		c, err := canonicalFloat(v)
		if err != nil {
			return append(b, "null"...)
		}
		if n, ok := c.(int64); ok {
			return strconv.AppendInt(b, n, 10)
		}
		return appendFloatJSON(b, v)
	case string:
		return appendStringJSON(b, v)
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, x)
		}
		return append(b, ']')
	case Params:
		return appendJSON(b, map[string]any(v))
	case map[string]any:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendStringJSON(b, k)
			b = append(b, ':')
			b = appendJSON(b, v[k])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// appendFloatJSON writes a finite float as encoding/json does: with an exponent if it
// is below 1e-6 or from 1e21 on.
func appendFloatJSON(b []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 is written e-9
		b = b[:n-1]
	}
	return b
}

// appendStringJSON writes a string as encoding/json does, but leaves <, > and &
// readable.
func appendStringJSON(b []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // no string makes it fail
		return append(b, "null"...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// sortedKeys returns the keys of m by code point (which for UTF-8 is by byte).
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
